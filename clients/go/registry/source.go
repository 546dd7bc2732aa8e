package registry

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/zeebo/blake3"
	"google.golang.org/grpc/codes"
)

// sourceFile is one file of a folder that is pushed.
type sourceFile struct {
	path string
	size int64
	// digest is empty until all of the file was read.
	digest string
}

// scan lists the files of a folder by path. Symbolic links are followed; os.Root refuses one that leads out
// of the folder, also when it is swapped in while the folder is read.
func scan(root *os.Root) ([]*sourceFile, error) {
	var files []*sourceFile
	if err := scanDir(root, ".", nil, &files); err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, &Error{
			Code:    codes.InvalidArgument,
			Reason:  "INVALID_ARGUMENT",
			Message: fmt.Sprintf("no files in %q", root.Name()),
		}
	}
	slices.SortFunc(files, func(a, b *sourceFile) int { return cmp.Compare(a.path, b.path) })
	return files, nil
}

// scanDir adds the files below dir. parents are the directories it is in: a link to one of them has no end.
func scanDir(root *os.Root, dir string, parents []fs.FileInfo, files *[]*sourceFile) error {
	self, err := root.Stat(dir)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(parents, func(parent fs.FileInfo) bool { return os.SameFile(parent, self) }) {
		return pathError(dir, "is a link to a directory that it is in")
	}
	handle, err := root.Open(dir)
	if err != nil {
		return err
	}
	names, err := handle.Readdirnames(-1)
	if err = errors.Join(err, handle.Close()); err != nil {
		return err
	}
	for _, name := range names {
		name = path.Join(dir, name)
		if err := CheckPath(name); err != nil {
			return err
		}
		info, err := root.Stat(name)
		if err != nil {
			return linkError(name, err)
		}
		switch {
		case info.IsDir():
			err = scanDir(root, name, append(slices.Clip(parents), self), files)
		case info.Mode().IsRegular():
			*files = append(*files, &sourceFile{path: name, size: info.Size()})
		default:
			err = pathError(name, "is neither a file nor a directory")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// linkError names what is wrong with a path that cannot be followed.
func linkError(name string, err error) error {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		return pathError(name, "cannot be followed: "+cause.Err.Error())
	}
	return err
}

// hash reads the whole file and notes its digest.
func (f *sourceFile) hash(root *os.Root) error {
	content, err := root.Open(f.path)
	if err != nil {
		return err
	}
	defer content.Close()
	hasher := blake3.New()
	if _, err := io.Copy(hasher, content); err != nil {
		return err
	}
	f.digest = hexDigest(hasher)
	return nil
}
