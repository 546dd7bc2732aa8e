package registry

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func scanned(t *testing.T, dir string) ([]string, error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	files, err := scan(root)
	var paths []string
	for _, file := range files {
		paths = append(paths, file.path)
	}
	return paths, err
}

func TestScanFollowsLinksInsideTheFolder(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "blobs"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "blobs/b"), []byte("content"), 0o644))
	must(t, os.Symlink("blobs/b", filepath.Join(dir, "a")))
	must(t, os.Symlink("blobs", filepath.Join(dir, "snapshot")))
	paths, err := scanned(t, dir)
	if want := []string{"a", "blobs/b", "snapshot/b"}; err != nil || !slices.Equal(paths, want) {
		t.Errorf("got %q, %v", paths, err)
	}
}

func TestScanRefuses(t *testing.T) {
	tests := map[string]func(t *testing.T, dir string){
		"a link out of the folder": func(t *testing.T, dir string) {
			must(t, os.Symlink("..", filepath.Join(dir, "up")))
		},
		"a link to its own directory": func(t *testing.T, dir string) {
			must(t, os.Symlink(".", filepath.Join(dir, "self")))
		},
		"a link to nothing": func(t *testing.T, dir string) {
			must(t, os.Symlink("nothing", filepath.Join(dir, "broken")))
		},
		"a name with a line feed": func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "a\nb"), nil, 0o644))
		},
		"a name that is not UTF-8": func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "\xff"), nil, 0o644))
		},
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			make(t, dir)
			_, err := scanned(t, dir)
			if reason(err) != "PATH_INVALID" {
				t.Errorf("got %v", err)
			}
			if strings.Contains(err.Error(), dir) {
				t.Errorf("%q tells a path of this machine", err)
			}
		})
	}
}

func TestScanRefusesAnEmptyFolder(t *testing.T) {
	if _, err := scanned(t, t.TempDir()); reason(err) != "INVALID_ARGUMENT" {
		t.Errorf("got %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
