package registry

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	regsvcv1 "regsvc.dev/go/regsvc/v1"
)

const (
	firstDelay = 100 * time.Millisecond
	lastDelay  = 2 * time.Second

	// helloTimeout bounds the first call on a connection: a server that was stopped, or a host that
	// vanished, accepts it and never answers.
	helloTimeout = 15 * time.Second

	// minQuiet is the shortest silence that counts as death, however often the server's heart beats: a
	// busy machine is late without being gone.
	minQuiet = 10 * time.Second
)

// errQuiet ends a stream whose server has not been heard from.
var errQuiet = &Error{Code: codes.Unavailable, Reason: "UNAVAILABLE", Message: "the server fell silent"}

// attempt does the rest of some work, from what it knows to be done already. It tells whether it got any
// further, which renews the client's patience.
type attempt func(ctx context.Context, limits *regsvcv1.Capabilities) (progress bool, err error)

// resume makes attempts until one succeeds, fails for good, or the server has been away for too long. This
// is the only retry loop of the package: push, pull, tail and watch are attempts of their own.
func (c *Client) resume(ctx context.Context, try attempt) error {
	delay, since := firstDelay, time.Now()
	for {
		progress, err := c.tryOnce(ctx, try)
		if err == nil || !away(err) {
			return err
		}
		if progress {
			delay, since = firstDelay, time.Now()
		}
		if time.Since(since) >= c.Patience {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Duration(float64(delay) * (0.8 + 0.4*rand.Float64()))):
		}
		delay = min(2*delay, lastDelay)
	}
}

func (c *Client) tryOnce(ctx context.Context, try attempt) (progress bool, err error) {
	limits, err := c.hello(ctx)
	if err != nil {
		return false, err
	}
	return try(ctx, limits)
}

// hello learns the server's limits, and that it is the one this client knows. Positions in another
// registry, or in one restored from a backup, mean nothing here.
func (c *Client) hello(ctx context.Context) (*regsvcv1.Capabilities, error) {
	timed, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	response, err := c.capabilities.GetCapabilities(timed, &regsvcv1.GetCapabilitiesRequest{})
	if err != nil {
		return nil, fromStatus(ctx, err)
	}
	limits := response.GetCapabilities()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.storeID == "" {
		c.storeID = limits.GetStoreId()
	}
	if c.storeID != limits.GetStoreId() {
		return nil, &Error{
			Code:    codes.FailedPrecondition,
			Reason:  "STORE_CHANGED",
			Message: "another registry answers at this address; nothing can be resumed there",
		}
	}
	return limits, nil
}

// away tells whether trying again may help. Only an Error as it is counts: one that a caller's function
// returned comes wrapped, and ends the work.
func away(err error) bool {
	e, ok := err.(*Error)
	if !ok {
		return false
	}
	return e.Code == codes.Unavailable || e.Code == codes.DeadlineExceeded
}

// open begins a stream at the position that the caller holds.
type open[M any] func(ctx context.Context) (grpc.ServerStreamingClient[M], error)

// tail takes every message of a stream to its end, and opens it again when it breaks. The error of take
// ends it and is returned.
func tail[M any](ctx context.Context, c *Client, begin open[M], take func(*M) error) error {
	err := c.resume(ctx, func(ctx context.Context, limits *regsvcv1.Capabilities) (bool, error) {
		heard := false
		err := receive(ctx, quiet(limits), begin, func(message *M) error {
			heard = true
			return take(message)
		})
		return heard, err
	})
	if stop, ok := errors.AsType[*stopped](err); ok {
		return stop.error
	}
	return err
}

// stopped carries the error of a caller's function through resume.
type stopped struct{ error }

func receive[M any](ctx context.Context, quiet time.Duration, begin open[M], take func(*M) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(quiet, func() { cancel(errQuiet) })
	defer silence.Stop()
	stream, err := begin(ctx)
	if err != nil {
		return fromStatus(ctx, err)
	}
	for {
		message, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fromStatus(ctx, err)
		}
		// The time that take needs is not the server's silence.
		silence.Stop()
		if err := take(message); err != nil {
			return &stopped{err}
		}
		silence.Reset(quiet)
	}
}

// quiet is the silence after which a stream counts as dead: three heartbeats.
func quiet(limits *regsvcv1.Capabilities) time.Duration {
	return max(minQuiet, 3*time.Duration(limits.GetHeartbeatIntervalMs())*time.Millisecond)
}
