package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"

	regsvcv1 "regsvc.dev/go/regsvc/v1"
)

// errLost starts another attempt after the server was killed.
var errLost = &Error{Code: codes.Unavailable, Reason: "FILES_INCOMPLETE", Message: "the server lost files that it had taken"}

// PushOptions is what is recorded with a version. The zero value records nothing.
type PushOptions struct {
	// Aliases point at the new version from the moment it exists.
	Aliases []string
	// Metadata holds description, params, metrics and tags.
	Metadata *regsvcv1.VersionMetadata
	// Build is the resource name of the running build that publishes the version, if one does.
	Build string
}

// Pushed tells what a push made.
type Pushed struct {
	Version *regsvcv1.Version
	// BytesSent counts raw bytes given to the connection, those that were sent twice included.
	BytesSent uint64
}

// Push makes the files of a folder the next version of a model, [namespace/]model. The version exists only
// if the server computed the same digest from what arrived as this client from what it read.
func (c *Client) Push(ctx context.Context, dir, model string, options PushOptions) (*Pushed, error) {
	name, err := ParseModel(model)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	files, err := scan(root)
	if err != nil {
		return nil, err
	}
	// Request ids make the retries of one push one version, whatever the server had done when it went away.
	p := &push{client: c, root: root, files: files, start: rand.Text(), end: rand.Text()}
	if err := c.resume(ctx, func(ctx context.Context, limits *regsvcv1.Capabilities) (bool, error) {
		return p.attempt(ctx, limits, name, options)
	}); err != nil {
		return nil, err
	}
	return &Pushed{Version: p.version, BytesSent: p.sent.Load()}, nil
}

// push is one upload on its way to a version. It outlives connections.
type push struct {
	client     *Client
	root       *os.Root
	files      []*sourceFile
	start, end string // request ids
	committed  uint64 // bytes that the server held when the last attempt began
	sent       atomic.Uint64
	version    *regsvcv1.Version
}

func (p *push) attempt(ctx context.Context, limits *regsvcv1.Capabilities, model Model, options PushOptions) (progress bool, err error) {
	upload, err := p.open(ctx, model, options.Build)
	if err != nil {
		return false, err
	}
	if upload.GetState() != regsvcv1.UploadState_UPLOAD_STATE_COMMITTED {
		if progress, err = p.sendFiles(ctx, limits, upload); err != nil {
			return progress, err
		}
	}
	// A commit that fails is no progress, so that a server which loses files cannot keep a push going for ever.
	if err = p.commit(ctx, upload, options); err != nil && !away(err) && p.lost(ctx, upload) {
		err = errLost
	}
	return false, err
}

// open starts the upload, or learns how far it got.
func (p *push) open(ctx context.Context, model Model, build string) (*regsvcv1.Upload, error) {
	started, err := p.client.artifacts.StartUpload(ctx, &regsvcv1.StartUploadRequest{
		Parent: model.Wire(), Build: build, RequestId: p.start,
	})
	if err != nil {
		return nil, fromStatus(ctx, err)
	}
	return p.state(ctx, started.GetUpload().GetName())
}

// state is the upload with all of its files, however many messages they take.
func (p *push) state(ctx context.Context, name string) (*regsvcv1.Upload, error) {
	var files []*regsvcv1.UploadFile
	request := &regsvcv1.GetUploadRequest{Name: name}
	for {
		response, err := p.client.artifacts.GetUpload(ctx, request)
		if err != nil {
			return nil, fromStatus(ctx, err)
		}
		upload := response.GetUpload()
		files = append(files, upload.GetFiles()...)
		if !response.GetMoreFiles() || len(upload.GetFiles()) == 0 {
			upload.Files = files
			return upload, nil
		}
		request = &regsvcv1.GetUploadRequest{Name: name, AfterPath: files[len(files)-1].GetPath()}
	}
}

// sendFiles sends what the server does not hold, a few files at once. It got further if the server now
// holds more than when this was last called, or took a whole file.
func (p *push) sendFiles(ctx context.Context, limits *regsvcv1.Capabilities, upload *regsvcv1.Upload) (progress bool, err error) {
	held := make(map[string]*regsvcv1.UploadFile, len(upload.GetFiles()))
	var committed uint64
	for _, file := range upload.GetFiles() {
		held[file.GetPath()] = file
		committed += file.GetCommittedSize()
	}
	var further atomic.Bool
	further.Store(committed > p.committed)
	p.committed = committed

	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelFiles)
	for _, file := range p.files {
		group.Go(func() error {
			w := &fileWriter{push: p, upload: upload.GetName(), file: file, message: messageSize(limits)}
			wrote, err := w.write(ctx, held[file.path])
			if wrote {
				further.Store(true)
			}
			return err
		})
	}
	err = group.Wait()
	return further.Load(), err
}

// lost tells whether the server has forgotten files that it took before: what is not committed may be gone
// after a crash, and a crash between two calls shows in neither.
func (p *push) lost(ctx context.Context, upload *regsvcv1.Upload) bool {
	state, err := p.state(ctx, upload.GetName())
	if err != nil || state.GetState() != regsvcv1.UploadState_UPLOAD_STATE_OPEN {
		return false
	}
	complete := 0
	for _, file := range state.GetFiles() {
		if file.GetComplete() {
			complete++
		}
	}
	return complete < len(p.files)
}

func (p *push) commit(ctx context.Context, upload *regsvcv1.Upload, options PushOptions) error {
	files := make([]File, len(p.files))
	for i, file := range p.files {
		files[i] = File{Path: file.path, Digest: file.digest}
	}
	digest, err := VersionDigest(files)
	if err != nil {
		return err
	}
	response, err := p.client.artifacts.CommitUpload(ctx, &regsvcv1.CommitUploadRequest{
		Upload:    upload.GetName(),
		Metadata:  options.Metadata,
		Aliases:   options.Aliases,
		Digest:    digest,
		RequestId: p.end,
	})
	if err != nil {
		return fromStatus(ctx, err)
	}
	p.version = response.GetVersion()
	if p.version == nil {
		return errors.New("the server committed the upload and named no version")
	}
	return nil
}
