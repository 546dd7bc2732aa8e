package main

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	regsvcv1 "regsvc.dev/go/regsvc/v1"
)

func logs(ctx context.Context, s settings, args []string) error {
	flags := newFlags("logs")
	follow := flags.Bool("f", false, "")
	after := flags.Uint64("after", 0, "")
	args, err := parse(flags, args, 1)
	if err != nil {
		return err
	}
	client, err := s.dial("")
	if err != nil {
		return err
	}
	defer client.Close()
	return client.TailLog(ctx, args[0], *after, *follow, func(line *regsvcv1.LogLine) error {
		return printJSON(struct {
			Seq     uint64    `json:"seq"`
			Time    time.Time `json:"time"`
			Step    string    `json:"step"`
			Stream  string    `json:"stream"`
			Text    string    `json:"text"`
			Partial bool      `json:"partial"`
		}{line.GetSeq(), line.GetTime().AsTime(), line.GetStep(), streamName(line.GetStream()), string(line.GetText()), line.GetPartial()})
	})
}

// streamName is "stdout", "stderr" or "log".
func streamName(stream regsvcv1.LogStream) string {
	return strings.ToLower(strings.TrimPrefix(stream.String(), "LOG_STREAM_"))
}

// errEnough ends a watch that has shown what was asked for.
var errEnough = errors.New("enough")

func events(ctx context.Context, s settings, args []string) error {
	flags := newFlags("events")
	var after *uint64
	flags.Func("after", "", func(text string) error {
		seq, err := strconv.ParseUint(text, 10, 64)
		after = &seq
		return err
	})
	limit := flags.Uint64("limit", 0, "")
	if _, err := parse(flags, args, 0); err != nil {
		return err
	}
	client, err := s.dial("")
	if err != nil {
		return err
	}
	defer client.Close()
	shown := uint64(0)
	err = client.WatchEvents(ctx, after, func(event *regsvcv1.Event) error {
		if err := printJSON(struct {
			Seq        uint64            `json:"seq"`
			Time       time.Time         `json:"time"`
			Kind       string            `json:"kind"`
			Resource   string            `json:"resource"`
			Attributes map[string]string `json:"attributes"`
		}{event.GetSeq(), event.GetTime().AsTime(), event.GetKind(), event.GetResource(), maps.Collect(maps.All(event.GetAttributes()))}); err != nil {
			return err
		}
		if shown++; shown == *limit {
			return errEnough
		}
		return nil
	})
	if err == errEnough {
		return nil
	}
	return err
}
