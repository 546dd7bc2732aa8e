package registry

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"

	regsvcv1 "regsvc.dev/go/regsvc/v1"
)

var errAway = &Error{Code: codes.Unavailable, Reason: "UNAVAILABLE"}

func TestResumeTriesAgainWhileTheServerIsAway(t *testing.T) {
	client := serves(nil).client(t)
	tries := 0
	err := client.resume(t.Context(), func(context.Context, *regsvcv1.Capabilities) (bool, error) {
		if tries++; tries < 3 {
			return false, errAway
		}
		return true, nil
	})
	if err != nil || tries != 3 {
		t.Errorf("%d tries, %v", tries, err)
	}
}

func TestResumeEnds(t *testing.T) {
	final := &Error{Code: codes.NotFound, Reason: "NOT_FOUND"}
	for name, err := range map[string]error{
		"with an error that stays":          final,
		"with the error of the caller":      &stopped{errAway},
		"with an error that is not of gRPC": errors.New("disk full"),
		"without patience":                  errAway,
	} {
		t.Run(name, func(t *testing.T) {
			client := serves(nil).client(t)
			if err == error(errAway) {
				client.Patience = 0
			}
			tries := 0
			got := client.resume(t.Context(), func(context.Context, *regsvcv1.Capabilities) (bool, error) {
				tries++
				return true, err
			})
			if got != err || tries != 1 {
				t.Errorf("%d tries, %v", tries, got)
			}
		})
	}
}

func TestResumeEndsWithItsContext(t *testing.T) {
	client := serves(nil).client(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := client.resume(ctx, func(context.Context, *regsvcv1.Capabilities) (bool, error) {
		cancel()
		return true, errAway
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
