// Package registry is a client of regsvc, the model registry.
//
// A Client pushes folders as versions, pulls versions as folders, tails the logs of builds and watches the
// events of a registry. Every call carries on by itself after the connection or the server went away, from
// the position it holds; every byte that is pulled has been checked against its BLAKE3.
//
// What this package does not wrap is within reach: regsvc.dev/go/regsvc/v1 is the whole API, and Conn the
// connection to make its clients from.
package registry

import (
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	regsvcv1 "regsvc.dev/go/regsvc/v1"
)

const (
	// parallelFiles is how many files move at once. One stream fills a connection with large files;
	// small ones wait for the server between them, and a few together hide that.
	parallelFiles = 4

	// maxReply leaves room around bulk messages of 1 MiB, and a page of files with long paths.
	maxReply = 8 << 20

	defaultPatience = time.Minute
)

// Client speaks to one registry. Its methods may be called from any number of goroutines.
type Client struct {
	// Patience is how long a call waits for a server that is away, counted from the last sign of
	// progress. Set it before the first call; 0 fails at once.
	Patience time.Duration

	conn         *grpc.ClientConn
	capabilities regsvcv1.CapabilitiesServiceClient
	artifacts    regsvcv1.ArtifactServiceClient
	builds       regsvcv1.BuildServiceClient
	events       regsvcv1.EventServiceClient

	// mu guards storeID, the identity of the store that this client first spoke to.
	mu      sync.Mutex
	storeID string
}

// Dial makes a client of the registry at target: host:port, or unix:PATH. It does not wait for a
// connection; the first call makes it. Options come after the client's own, so credentials among them win.
func Dial(target string, options ...grpc.DialOption) (*Client, error) {
	own := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReply)),
		// gRPC would wait up to two minutes between attempts; a restarting server is back in seconds.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
	}
	conn, err := grpc.NewClient(target, append(own, options...)...)
	if err != nil {
		return nil, err
	}
	return &Client{
		Patience:     defaultPatience,
		conn:         conn,
		capabilities: regsvcv1.NewCapabilitiesServiceClient(conn),
		artifacts:    regsvcv1.NewArtifactServiceClient(conn),
		builds:       regsvcv1.NewBuildServiceClient(conn),
		events:       regsvcv1.NewEventServiceClient(conn),
	}, nil
}

// Conn is the connection, for calls that this package does not wrap.
func (c *Client) Conn() grpc.ClientConnInterface { return c.conn }

// Close ends the connection and every call on it.
func (c *Client) Close() error { return c.conn.Close() }
