package vectors_test

import (
	"testing"

	"regsvc.dev/go/internal/vectors"
)

func TestGoldenVectors(t *testing.T) {
	report, err := vectors.Check("../../../../protos/vectors")
	if err != nil {
		t.Fatal(err)
	}
	for _, failure := range report.Failures {
		t.Error(failure)
	}
	for _, kind := range []string{"model", "build", "reference", "version", "manifest", "path", "codec"} {
		if report.Checked[kind] == 0 {
			t.Errorf("no vector of kind %s was checked", kind)
		}
	}
}
