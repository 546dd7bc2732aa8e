package main

import (
	"context"
	"fmt"
	"os"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"regsvc.dev/go/registry"
	regsvcv1 "regsvc.dev/go/regsvc/v1"
)

// search and compare speak to services that package registry does not wrap: the generated clients on its
// connection are all that it takes.

func search(ctx context.Context, s settings, args []string) error {
	flags := newFlags("search")
	order := flags.String("order-by", "", "")
	limit := flags.Int("limit", 100, "")
	args, err := parse(flags, args, 1)
	if err != nil {
		return err
	}
	client, err := s.dial("")
	if err != nil {
		return err
	}
	defer client.Close()
	service := regsvcv1.NewSearchServiceClient(client.Conn())
	request := &regsvcv1.SearchRequest{Filter: args[0], OrderBy: *order}
	for shown := 0; shown < *limit; {
		request.PageSize = int32(min(*limit-shown, 1000))
		page, err := service.Search(ctx, request)
		if err != nil {
			return err
		}
		for _, version := range page.GetVersions() {
			if err := printMessage(version); err != nil {
				return err
			}
			shown++
		}
		if page.GetNextPageToken() == "" {
			return nil
		}
		request.PageToken = page.GetNextPageToken()
	}
	return nil
}

func compare(ctx context.Context, s settings, args []string) error {
	args, err := parse(newFlags("compare"), args, 2)
	if err != nil {
		return err
	}
	request := &regsvcv1.CompareRequest{}
	for _, arg := range args {
		reference, err := registry.ParseReference(arg)
		if err != nil {
			return err
		}
		request.Names = append(request.Names, reference.Wire())
	}
	client, err := s.dial("")
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := regsvcv1.NewCompareServiceClient(client.Conn()).Compare(ctx, request)
	if err != nil {
		return err
	}
	return printMessage(found)
}

// printMessage prints a message on one line, as protobuf's JSON mapping says, with the names of the protos.
func printMessage(message proto.Message) error {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(os.Stdout, string(text))
	return err
}
