package main

import (
	"context"
	"time"

	"regsvc.dev/go/registry"
)

func push(ctx context.Context, s settings, args []string) error {
	flags := newFlags("push")
	var options registry.PushOptions
	flags.Func("alias", "", func(alias string) error {
		options.Aliases = append(options.Aliases, alias)
		return nil
	})
	args, err := parse(flags, args, 2)
	if err != nil {
		return err
	}
	client, err := s.dial("")
	if err != nil {
		return err
	}
	defer client.Close()
	pushed, err := client.Push(ctx, args[0], args[1], options)
	if err != nil {
		return err
	}
	version := pushed.Version
	name, err := registry.ParseVersionName(version.GetName())
	if err != nil {
		return err
	}
	return printJSON(struct {
		Reference string   `json:"reference"`
		Version   uint64   `json:"version"`
		Digest    string   `json:"digest"`
		Files     uint64   `json:"files"`
		Bytes     uint64   `json:"bytes"`
		BytesSent uint64   `json:"bytes_sent"`
		Aliases   []string `json:"aliases"`
	}{name.String(), version.GetNumber(), version.GetDigest(), version.GetFileCount(), version.GetSize(), pushed.BytesSent, append([]string{}, version.GetAliases()...)})
}

func pull(ctx context.Context, s settings, args []string) error {
	args, err := parse(newFlags("pull"), args, 2)
	if err != nil {
		return err
	}
	ref, err := registry.ParseReference(args[0])
	if err != nil {
		return err
	}
	client, err := s.dial(ref.Server)
	if err != nil {
		return err
	}
	defer client.Close()
	start := time.Now()
	pulled, err := client.Pull(ctx, args[0], args[1])
	if err != nil {
		return err
	}
	return printJSON(struct {
		Reference     string  `json:"reference"`
		Digest        string  `json:"digest"`
		Files         int     `json:"files"`
		Bytes         uint64  `json:"bytes"`
		BytesReceived uint64  `json:"bytes_received"`
		Seconds       float64 `json:"seconds"`
	}{pulled.Version.String(), pulled.Digest, len(pulled.Files), pulled.Bytes(), pulled.BytesReceived, time.Since(start).Seconds()})
}
