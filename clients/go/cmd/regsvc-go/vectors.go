package main

import (
	"context"
	"fmt"

	"regsvc.dev/go/internal/vectors"
)

func checkVectors(_ context.Context, _ settings, args []string) error {
	args, err := parse(newFlags("vectors"), args, 1)
	if err != nil {
		return err
	}
	report, err := vectors.Check(args[0])
	if err != nil {
		return err
	}
	if err := printJSON(report); err != nil {
		return err
	}
	if failed := len(report.Failures); failed > 0 {
		return fmt.Errorf("%d vectors failed", failed)
	}
	return nil
}
