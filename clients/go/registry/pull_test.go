package registry

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func reason(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}

func TestPullWritesFilesOnly(t *testing.T) {
	parent := t.TempDir()
	contents := map[string][]byte{"config.json": []byte("{}"), "sub/dir/empty": nil}
	pulled, err := serves(contents).client(t).Pull(t.Context(), "fraud", filepath.Join(parent, "out"))
	if err != nil {
		t.Fatal(err)
	}
	if got := pulled.Version.String(); got != "default/fraud:1" {
		t.Errorf("pulled %s", got)
	}
	for path, want := range contents {
		got, err := os.ReadFile(filepath.Join(parent, "out", path))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s holds %q, %v", path, got, err)
		}
	}
	if got := names(t, parent); !slices.Equal(got, []string{"out"}) {
		t.Errorf("%q are left", got)
	}
}

func TestPullResumesAtItsOffset(t *testing.T) {
	f := serves(map[string][]byte{"weights": []byte("0123456789")})
	f.breakAfter = 4
	pulled, err := f.client(t).Pull(t.Context(), "fraud", filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.offsets, []uint64{0, 4, 8}) || pulled.BytesReceived != 10 {
		t.Errorf("asked at %d, received %d bytes", f.offsets, pulled.BytesReceived)
	}
}

func TestPullRefusesBadServers(t *testing.T) {
	content := map[string][]byte{"a": []byte("right")}
	tests := map[string]struct {
		reference string
		spoil     func(*fake)
		want      string
	}{
		"path that leaves the folder": {"fraud", func(f *fake) { f.files[0].Path = "../a" }, "PATH_INVALID"},
		"absolute path":               {"fraud", func(f *fake) { f.files[0].Path = "/a" }, "PATH_INVALID"},
		"file and directory": {"fraud", func(f *fake) {
			f.files = append(f.files, serves(map[string][]byte{"a/b": nil}).files...)
		}, "PATH_INVALID"},
		"manifest of another version": {"fraud", func(f *fake) { f.files[0].Path = "b" }, "DIGEST_MISMATCH"},
		"another version than named": {
			"fraud@b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262", func(*fake) {}, "DIGEST_MISMATCH",
		},
		"other bytes": {"fraud", func(f *fake) {
			f.contents = maps.Clone(f.contents)
			f.contents["a"] = []byte("wrong")
		}, "DIGEST_MISMATCH"},
		"more bytes": {"fraud", func(f *fake) {
			f.contents = maps.Clone(f.contents)
			f.contents["a"] = []byte("right and more")
		}, "INTERNAL"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := serves(content)
			test.spoil(f)
			dest := filepath.Join(t.TempDir(), "out")
			_, err := f.client(t).Pull(t.Context(), test.reference, dest)
			if reason(err) != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if _, err := os.Stat(dest); err == nil {
				t.Error("the destination exists")
			}
		})
	}
}

func TestPullGoesOnAfterABadFile(t *testing.T) {
	f := serves(map[string][]byte{"a": []byte("right"), "b": []byte("other")})
	good := f.contents
	f.contents = map[string][]byte{"a": []byte("wrong"), "b": []byte("other")}
	dest := filepath.Join(t.TempDir(), "out")
	client := f.client(t)
	if _, err := client.Pull(t.Context(), "fraud", dest); reason(err) != "DIGEST_MISMATCH" {
		t.Fatal(err)
	}
	f.change(func() { f.contents = good })
	if _, err := client.Pull(t.Context(), "fraud", dest); err != nil {
		t.Fatal(err)
	}
}

func TestNothingResumesInAnotherRegistry(t *testing.T) {
	f := serves(map[string][]byte{"a": []byte("right")})
	client := f.client(t)
	if _, err := client.Pull(t.Context(), "fraud", filepath.Join(t.TempDir(), "out")); err != nil {
		t.Fatal(err)
	}
	f.change(func() { f.store = "another" })
	if _, err := client.Pull(t.Context(), "fraud", filepath.Join(t.TempDir(), "out")); reason(err) != "STORE_CHANGED" {
		t.Fatal(err)
	}
}
