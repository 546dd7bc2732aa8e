package registry

import (
	"context"
	"encoding/hex"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/blake3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	regsvcv1 "regsvc.dev/go/regsvc/v1"
)

// fake is a server in memory that can be wrong in ways that a real one is not.
type fake struct {
	regsvcv1.UnimplementedCapabilitiesServiceServer
	regsvcv1.UnimplementedArtifactServiceServer

	mu       sync.Mutex // guards all below: a call may outlive the pull that made it
	store    string
	files    []*regsvcv1.ManifestFile
	digest   string
	contents map[string][]byte
	// breakAfter ends every stream of ReadFile with UNAVAILABLE after so many bytes, if it is not 0.
	breakAfter uint64
	offsets    []uint64 // where ReadFile was asked to begin
}

// serves makes a fake that serves these files, and is right about them.
func serves(contents map[string][]byte) *fake {
	f := &fake{store: "one", contents: contents}
	var files []File
	for path, content := range contents {
		sum := blake3.Sum256(content)
		file := File{path, uint64(len(content)), hex.EncodeToString(sum[:])}
		files = append(files, file)
		f.files = append(f.files, &regsvcv1.ManifestFile{Path: file.Path, Size: file.Size, Digest: file.Digest})
	}
	f.digest, _ = VersionDigest(files)
	return f
}

func (f *fake) GetCapabilities(context.Context, *regsvcv1.GetCapabilitiesRequest) (*regsvcv1.GetCapabilitiesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &regsvcv1.GetCapabilitiesResponse{Capabilities: &regsvcv1.Capabilities{StoreId: f.store}}, nil
}

func (f *fake) ReadManifest(_ *regsvcv1.ReadManifestRequest, stream grpc.ServerStreamingServer[regsvcv1.ReadManifestResponse]) error {
	return stream.Send(&regsvcv1.ReadManifestResponse{
		Version: "namespaces/default/models/fraud/versions/1", Digest: f.digest, Files: f.files,
	})
}

func (f *fake) ReadFile(request *regsvcv1.ReadFileRequest, stream grpc.ServerStreamingServer[regsvcv1.ReadFileResponse]) error {
	f.mu.Lock()
	f.offsets = append(f.offsets, request.GetOffset())
	whole := f.contents[request.GetPath()]
	f.mu.Unlock()
	content := whole[request.GetOffset():]
	if f.breakAfter > 0 && uint64(len(content)) > f.breakAfter {
		content = content[:f.breakAfter]
	}
	if err := stream.Send(&regsvcv1.ReadFileResponse{Offset: request.GetOffset(), Data: content}); err != nil {
		return err
	}
	if request.GetOffset()+uint64(len(content)) < uint64(len(whole)) {
		return status.Error(codes.Unavailable, "draining")
	}
	return nil
}

// change does something to the fake while it serves.
func (f *fake) change(how func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how()
}

// client makes a client of the fake.
func (f *fake) client(t *testing.T) *Client { return clientOf(t, f, f) }

// clientOf makes a client of a server that consists of these two.
func clientOf(t *testing.T, limits regsvcv1.CapabilitiesServiceServer, artifacts regsvcv1.ArtifactServiceServer) *Client {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	regsvcv1.RegisterCapabilitiesServiceServer(server, limits)
	regsvcv1.RegisterArtifactServiceServer(server, artifacts)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	client, err := Dial("passthrough:fake", grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
		return listener.Dial()
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	client.Patience = 10 * time.Second
	return client
}
