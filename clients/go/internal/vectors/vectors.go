// Package vectors checks this module against the golden vectors of protos/vectors, which every client of
// regsvc passes.
package vectors

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/zeebo/blake3"
)

// Report tells how many vectors were checked, by kind, and which ones failed.
type Report struct {
	Checked  map[string]int `json:"checked"`
	Failures []string       `json:"failures"`
}

// Check checks the vectors in a folder: references, manifests and paths, and codecs. This module does not
// cut files, so those of chunking are left out.
func Check(dir string) (*Report, error) {
	report := &Report{Checked: map[string]int{}, Failures: []string{}}
	for _, file := range []struct {
		name  string
		check func(*Report, []byte) error
	}{
		{"references.json", references},
		{"manifest.json", manifests},
		{"codecs.json", codecs},
	} {
		text, err := os.ReadFile(filepath.Join(dir, file.name))
		if err != nil {
			return nil, err
		}
		if err := file.check(report, text); err != nil {
			return nil, fmt.Errorf("%s: %w", file.name, err)
		}
	}
	return report, nil
}

// expect counts one vector, and notes it when it failed.
func (r *Report) expect(ok bool, kind, format string, args ...any) {
	r.Checked[kind]++
	if !ok {
		r.Failures = append(r.Failures, kind+": "+fmt.Sprintf(format, args...))
	}
}

func parse[T any](text []byte) (T, error) {
	var document T
	err := json.Unmarshal(text, &document)
	return document, err
}

// hexBytes is bytes that a vector holds as hexadecimal digits.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

func b3sum(content []byte) string {
	sum := blake3.Sum256(content)
	return hex.EncodeToString(sum[:])
}
