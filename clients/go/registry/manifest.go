package registry

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/zeebo/blake3"
)

// maxPath is the most bytes in a path.
const maxPath = 1024

// File is one file of a version.
type File struct {
	Path string
	Size uint64
	// Digest is the BLAKE3 of the content as b3sum prints it: 64 lower-case hex digits.
	Digest string
}

// Manifest is exactly the text that b3sum prints for these files, in the order of their paths' bytes.
// It refuses files that CheckTree refuses.
func Manifest(files []File) ([]byte, error) {
	sorted := slices.SortedFunc(slices.Values(files), func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	paths := make([]string, len(sorted))
	for i, file := range sorted {
		paths[i] = file.Path
	}
	if err := CheckTree(paths); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	for _, file := range sorted {
		if !digestPattern.MatchString(file.Digest) {
			return nil, pathError(file.Path, fmt.Sprintf("has the malformed digest %q", file.Digest))
		}
		fmt.Fprintf(&text, "%s  %s\n", file.Digest, file.Path)
	}
	return text.Bytes(), nil
}

// VersionDigest is the BLAKE3 of the manifest of these files, in hex: the identity of a version.
func VersionDigest(files []File) (string, error) {
	text, err := Manifest(files)
	if err != nil {
		return "", err
	}
	hasher := blake3.New()
	hasher.Write(text)
	return hexDigest(hasher), nil
}

// CheckPath refuses what no version may hold: a path must be relative UTF-8 of at most 1,024 bytes, with
// '/' between components of which none is empty, '.' or '..', without control characters and backslashes.
func CheckPath(path string) error {
	switch {
	case path == "":
		return pathError(path, "is empty")
	case len(path) > maxPath:
		return pathError(path, fmt.Sprintf("is %d bytes long, more than %d", len(path), maxPath))
	case !utf8.ValidString(path):
		return pathError(path, "is not UTF-8")
	case strings.ContainsFunc(path, unicode.IsControl):
		return pathError(path, "holds a control character")
	case strings.Contains(path, `\`):
		return pathError(path, "holds a backslash")
	case path[0] == '/':
		return pathError(path, "is absolute")
	}
	for component := range strings.SplitSeq(path, "/") {
		if component == "" || component == "." || component == ".." {
			return pathError(path, fmt.Sprintf("has the component %q", component))
		}
	}
	return nil
}

// CheckTree checks every path, and that they can exist together: none twice, none another's directory.
func CheckTree(paths []string) error {
	files := make(map[string]bool, len(paths))
	for _, path := range paths {
		if err := CheckPath(path); err != nil {
			return err
		}
		if files[path] {
			return pathError(path, "occurs twice")
		}
		files[path] = true
	}
	for _, path := range paths {
		for i := strings.LastIndexByte(path, '/'); i > 0; i = strings.LastIndexByte(path[:i], '/') {
			if files[path[:i]] {
				return pathError(path[:i], "is a file and a directory")
			}
		}
	}
	return nil
}

func hexDigest(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
