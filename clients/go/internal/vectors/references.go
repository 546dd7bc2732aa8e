package vectors

import (
	"fmt"

	"regsvc.dev/go/registry"
)

// name is a valid name of one kind and what it parses to.
type name struct {
	Text      string  `json:"text"`
	Wire      string  `json:"wire"`
	Canonical string  `json:"canonical"`
	Server    *string `json:"server"`
}

type names struct {
	Valid   []name   `json:"valid"`
	Invalid []string `json:"invalid"`
}

// parsed is what all names can do.
type parsed interface {
	fmt.Stringer
	Wire() string
}

func references(r *Report, text []byte) error {
	document, err := parse[struct{ References, Models, Builds, Versions names }](text)
	if err != nil {
		return err
	}
	checkNames(r, "model", document.Models, registry.ParseModel)
	checkNames(r, "build", document.Builds, registry.ParseBuild)
	checkNames(r, "reference", document.References, registry.ParseReference)
	for _, vector := range document.References.Valid {
		want := ""
		if vector.Server != nil {
			want = *vector.Server
		}
		ref, _ := registry.ParseReference(vector.Text)
		r.expect(ref.Server == want, "reference", "%q is on server %q, not %q", vector.Text, ref.Server, want)
	}
	for i := range document.Versions.Valid {
		document.Versions.Valid[i].Text = document.Versions.Valid[i].Wire
	}
	checkNames(r, "version", document.Versions, registry.ParseVersionName)
	return nil
}

func checkNames[P parsed](r *Report, kind string, vectors names, parse func(string) (P, error)) {
	for _, vector := range vectors.Valid {
		got, err := parse(vector.Text)
		ok := err == nil && got.Wire() == vector.Wire && got.String() == vector.Canonical
		r.expect(ok, kind, "%q is %q and %q, %v", vector.Text, got.Wire(), got, err)
	}
	for _, text := range vectors.Invalid {
		got, err := parse(text)
		r.expect(err != nil, kind, "%q is taken as %q", text, got)
	}
}
