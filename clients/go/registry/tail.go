package registry

import (
	"context"

	"google.golang.org/grpc"

	regsvcv1 "regsvc.dev/go/regsvc/v1"
)

// TailLog calls fn for every line of a build's log after number `after`, in order, each once. With follow
// it stays until the build has ended and its last line was seen. The error of fn ends it and is returned.
//
// build is [namespace/]model/builds/N or the build's resource name.
func (c *Client) TailLog(ctx context.Context, build string, after uint64, follow bool, fn func(*regsvcv1.LogLine) error) error {
	name, err := ParseBuild(build)
	if err != nil {
		return err
	}
	begin := func(ctx context.Context) (grpc.ServerStreamingClient[regsvcv1.ReadLogResponse], error) {
		return c.builds.ReadLog(ctx, &regsvcv1.ReadLogRequest{Build: name.Wire(), AfterSeq: after, Follow: follow})
	}
	return tail(ctx, c, begin, func(response *regsvcv1.ReadLogResponse) error {
		for _, line := range response.GetLines() {
			if err := fn(line); err != nil {
				return err
			}
			after = line.GetSeq()
		}
		after = max(after, response.GetSeq())
		return nil
	})
}

// WatchEvents calls fn for every change in the registry after number *after, then for new ones as they
// happen, until ctx ends. A nil after means only events from now on. The error of fn ends it and is returned.
func (c *Client) WatchEvents(ctx context.Context, after *uint64, fn func(*regsvcv1.Event) error) error {
	request := &regsvcv1.WatchEventsRequest{AfterSeq: after}
	begin := func(ctx context.Context) (grpc.ServerStreamingClient[regsvcv1.WatchEventsResponse], error) {
		return c.events.WatchEvents(ctx, request)
	}
	// A new request for every position: gRPC may still read the one that it was given.
	resumeAfter := func(seq uint64) { request = &regsvcv1.WatchEventsRequest{AfterSeq: &seq} }
	return tail(ctx, c, begin, func(response *regsvcv1.WatchEventsResponse) error {
		for _, event := range response.GetEvents() {
			if err := fn(event); err != nil {
				return err
			}
			resumeAfter(event.GetSeq())
		}
		if response.GetSeq() > request.GetAfterSeq() || request.AfterSeq == nil {
			resumeAfter(response.GetSeq())
		}
		return nil
	})
}
