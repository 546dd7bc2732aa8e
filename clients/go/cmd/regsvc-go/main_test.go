package main

import (
	"errors"
	"slices"
	"testing"
)

func TestFlagsStandAnywhere(t *testing.T) {
	for _, args := range [][]string{{"-f", "a", "b"}, {"a", "-f", "b"}, {"a", "b", "-f"}} {
		flags := newFlags("logs")
		follow := flags.Bool("f", false, "")
		got, err := parse(flags, args, 2)
		if err != nil || !*follow || !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("%q is %q, %v, %v", args, got, *follow, err)
		}
	}
}

func TestWrongArgumentsAreUsageErrors(t *testing.T) {
	for _, args := range [][]string{{}, {"a", "b"}, {"a", "--unknown"}} {
		_, err := parse(newFlags("logs"), args, 1)
		if _, ok := errors.AsType[usageError](err); !ok {
			t.Errorf("%q: %v", args, err)
		}
	}
}
