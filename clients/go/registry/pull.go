package registry

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	regsvcv1 "regsvc.dev/go/regsvc/v1"
)

// Pulled tells what a pull brought.
type Pulled struct {
	// Version is the version that the reference named.
	Version Reference
	// Digest is the version digest.
	Digest string
	Files  []File
	// BytesReceived counts raw bytes; those that an interrupted pull had left are not among them.
	BytesReceived uint64
}

// Bytes is the size of all files.
func (p *Pulled) Bytes() uint64 {
	var sum uint64
	for _, file := range p.Files {
		sum += file.Size
	}
	return sum
}

// Pull brings a version into the folder dest, which must be missing or empty. Files arrive beside dest and
// move there together when the BLAKE3 of each one, and of their manifest, has been checked. An interrupted
// pull leaves its files beside dest, and the next one goes on from there.
func (c *Client) Pull(ctx context.Context, reference, dest string) (*Pulled, error) {
	ref, err := ParseReference(reference)
	if err != nil {
		return nil, err
	}
	if err := checkDestination(dest); err != nil {
		return nil, err
	}
	pulled, err := c.readManifest(ctx, ref)
	if err != nil {
		return nil, err
	}
	stage, err := openStage(dest, pulled.Digest)
	if err != nil {
		return nil, err
	}
	defer stage.Close()

	var received atomic.Uint64
	group, fetching := errgroup.WithContext(ctx)
	group.SetLimit(parallelFiles)
	for i, file := range pulled.Files {
		group.Go(func() error { return c.fetch(fetching, pulled.Version.Wire(), stage, i, file, &received) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	pulled.BytesReceived = received.Load()
	return pulled, stage.finish()
}

// readManifest learns the files of a version, and proves that together they have its digest. So what the
// files are checked against is what the reference named, not just what a server said.
func (c *Client) readManifest(ctx context.Context, ref Reference) (*Pulled, error) {
	var pulled *Pulled
	var version string
	begin := func(ctx context.Context) (grpc.ServerStreamingClient[regsvcv1.ReadManifestResponse], error) {
		pulled, version = &Pulled{}, "" // a manifest has no position to resume at
		return c.artifacts.ReadManifest(ctx, &regsvcv1.ReadManifestRequest{Version: ref.Wire()})
	}
	err := tail(ctx, c, begin, func(response *regsvcv1.ReadManifestResponse) error {
		if version == "" {
			version, pulled.Digest = response.GetVersion(), response.GetDigest()
		}
		for _, file := range response.GetFiles() {
			pulled.Files = append(pulled.Files, File{file.GetPath(), file.GetSize(), file.GetDigest()})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	digest, err := VersionDigest(pulled.Files)
	if err != nil {
		return nil, err
	}
	for _, want := range []string{pulled.Digest, ref.Digest} {
		if want != "" && want != digest {
			return nil, digestError("the manifest of "+ref.String(), want, digest)
		}
	}
	pulled.Digest = digest
	pulled.Version, err = ParseVersionName(version)
	return pulled, err
}

// fetch brings one file into the stage, from where an earlier pull left it.
func (c *Client) fetch(ctx context.Context, version string, stage *stage, index int, want File, received *atomic.Uint64) error {
	if done, err := stage.holds(want); done || err != nil {
		return err
	}
	part, err := stage.part(index, want)
	if err != nil {
		return err
	}
	defer part.Close()
	begin := func(ctx context.Context) (grpc.ServerStreamingClient[regsvcv1.ReadFileResponse], error) {
		return c.artifacts.ReadFile(ctx, &regsvcv1.ReadFileRequest{Version: version, Path: want.Path, Offset: part.size})
	}
	if part.size < want.Size {
		err = tail(ctx, c, begin, func(response *regsvcv1.ReadFileResponse) error {
			received.Add(uint64(len(response.GetData())))
			return part.append(response.GetOffset(), response.GetData())
		})
		if err != nil {
			return err
		}
	}
	return part.finish()
}
