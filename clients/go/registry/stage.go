package registry

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/zeebo/blake3"
	"google.golang.org/grpc/codes"
)

const (
	// tree holds files that are whole and checked, under their own paths; parts holds the others, by number.
	tree  = "tree"
	parts = "parts"
)

// stage is a folder beside a destination in which a pull grows. Its name holds the version's digest, so
// that another version never continues it. All access goes through os.Root: no path of a manifest leads out.
type stage struct {
	root *os.Root
	dest string
}

// checkDestination refuses a destination that a pull would have to overwrite.
func checkDestination(dest string) error {
	entries, err := os.ReadDir(dest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(entries) > 0 {
		err = &Error{
			Code:    codes.FailedPrecondition,
			Reason:  "DESTINATION_EXISTS",
			Message: fmt.Sprintf("%q exists and is not empty", dest),
		}
	}
	return err
}

func openStage(dest, digest string) (*stage, error) {
	dest, err := filepath.Abs(dest)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(filepath.Dir(dest), fmt.Sprintf(".%s.%s.pull", filepath.Base(dest), digest[:16]))
	for _, sub := range []string{tree, parts} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &stage{root, dest}, nil
}

func (s *stage) Close() error { return s.root.Close() }

// holds tells whether an earlier pull brought this file. What is there under its name but is not this file
// is removed.
func (s *stage) holds(want File) (bool, error) {
	name := path.Join(tree, want.Path)
	file, err := s.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	hasher := blake3.New()
	if _, err := io.Copy(hasher, file); err != nil {
		return false, err
	}
	if hexDigest(hasher) == want.Digest {
		return true, nil
	}
	return false, s.root.Remove(name)
}

// part opens the file with the given number in the manifest, and reads what an earlier pull left of it.
func (s *stage) part(index int, want File) (*part, error) {
	name := path.Join(parts, fmt.Sprint(index))
	file, err := s.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	p := &part{stage: s, file: file, name: name, want: want, hasher: blake3.New()}
	size, err := io.Copy(p.hasher, file)
	p.size = uint64(size)
	if err != nil {
		file.Close()
		return nil, err
	}
	return p, nil
}

// finish moves the files to the destination.
func (s *stage) finish() error {
	if err := s.root.RemoveAll(parts); err != nil {
		return err
	}
	if err := os.Remove(s.dest); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // it was empty when the pull began
	}
	if err := os.Rename(filepath.Join(s.root.Name(), tree), s.dest); err != nil {
		return err
	}
	return os.Remove(s.root.Name())
}

// part is a file on its way. Its content has been hashed as far as it is there.
type part struct {
	stage  *stage
	file   *os.File
	name   string
	want   File
	hasher hash.Hash
	size   uint64
}

func (p *part) Close() error { return p.file.Close() }

// append takes the bytes at an offset, which must be where the part ends.
func (p *part) append(offset uint64, data []byte) error {
	if offset != p.size || p.size+uint64(len(data)) > p.want.Size {
		return &Error{
			Code:    codes.Internal,
			Reason:  "INTERNAL",
			Message: fmt.Sprintf("the server sent %d bytes at %d of %q, where byte %d of %d belongs", len(data), offset, p.want.Path, p.size, p.want.Size),
		}
	}
	n, err := p.file.Write(data)
	p.hasher.Write(data[:n])
	p.size += uint64(n)
	return err
}

// finish checks the part and gives it its name. A part that fails is removed, so that the next pull does
// not continue it.
func (p *part) finish() error {
	if got := hexDigest(p.hasher); got != p.want.Digest {
		return errors.Join(digestError(fmt.Sprintf("%q", p.want.Path), p.want.Digest, got), p.stage.root.Remove(p.name))
	}
	name := path.Join(tree, p.want.Path)
	if err := p.stage.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return p.stage.root.Rename(p.name, name)
}
