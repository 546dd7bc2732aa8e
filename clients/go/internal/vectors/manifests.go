package vectors

import (
	"strings"

	"regsvc.dev/go/registry"
)

func manifests(r *Report, text []byte) error {
	document, err := parse[struct {
		Manifests []struct {
			Files   map[string]hexBytes
			Text    string
			Version string `json:"version_digest"`
		}
		ValidPaths   []string                     `json:"valid_paths"`
		InvalidPaths []struct{ Why, Path string } `json:"invalid_paths"`
		InvalidTrees [][]string                   `json:"invalid_trees"`
	}](text)
	if err != nil {
		return err
	}
	for _, vector := range document.Manifests {
		var files []registry.File
		for path, content := range vector.Files {
			files = append(files, registry.File{Path: path, Size: uint64(len(content)), Digest: b3sum(content)})
		}
		got, err := registry.Manifest(files)
		r.expect(err == nil && string(got) == vector.Text, "manifest", "got %q, not %q, %v", got, vector.Text, err)
		digest, err := registry.VersionDigest(files)
		r.expect(err == nil && digest == vector.Version, "manifest", "digest %s, not %s, %v", digest, vector.Version, err)
	}
	for _, path := range document.ValidPaths {
		err := registry.CheckPath(path)
		r.expect(err == nil, "path", "%v", err)
	}
	for _, vector := range document.InvalidPaths {
		// encoding/json puts U+FFFD for a lone surrogate, which Go has no string for: these are its bytes.
		path := strings.ReplaceAll(vector.Path, "\ufffd", "\xed\xa0\x80")
		r.expect(registry.CheckPath(path) != nil, "path", "%q is allowed: %s", path, vector.Why)
	}
	for _, tree := range document.InvalidTrees {
		r.expect(registry.CheckTree(tree) != nil, "path", "%q are allowed together", tree)
	}
	return nil
}
