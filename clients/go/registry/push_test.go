package registry

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zeebo/blake3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	regsvcv1 "regsvc.dev/go/regsvc/v1"
)

// fakeUpload takes one upload. It tells of one file a message, as a server does with very many.
type fakeUpload struct {
	*fake
	arrived map[string]string // content by path
	whole   map[string]bool
	// lose is the path of a file that is forgotten once, before the first commit.
	lose   string
	writes []string // PATH@OFFSET of every WriteFile
}

func (f *fakeUpload) StartUpload(context.Context, *regsvcv1.StartUploadRequest) (*regsvcv1.StartUploadResponse, error) {
	return &regsvcv1.StartUploadResponse{Upload: &regsvcv1.Upload{Name: "uploads/1"}}, nil
}

func (f *fakeUpload) GetUpload(_ context.Context, request *regsvcv1.GetUploadRequest) (*regsvcv1.GetUploadResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	upload := &regsvcv1.Upload{Name: "uploads/1", State: regsvcv1.UploadState_UPLOAD_STATE_OPEN}
	var left []string
	for path := range f.arrived {
		if path > request.GetAfterPath() {
			left = append(left, path)
		}
	}
	if len(left) > 0 {
		upload.Files = []*regsvcv1.UploadFile{f.file(slices.Min(left))}
	}
	return &regsvcv1.GetUploadResponse{Upload: upload, MoreFiles: len(left) > 1}, nil
}

func (f *fakeUpload) WriteFile(stream grpc.ClientStreamingServer[regsvcv1.WriteFileRequest, regsvcv1.WriteFileResponse]) error {
	path := ""
	for {
		request, err := stream.Recv()
		if err == io.EOF {
			f.mu.Lock()
			defer f.mu.Unlock()
			return stream.SendAndClose(&regsvcv1.WriteFileResponse{File: f.file(path)})
		}
		if err != nil {
			return err
		}
		f.mu.Lock()
		if request.GetPath() != "" {
			path = request.GetPath()
			f.writes = append(f.writes, fmt.Sprintf("%s@%d", path, request.GetOffset()))
		}
		f.arrived[path] += string(request.GetData())
		f.whole[path] = request.GetFinish()
		f.mu.Unlock()
	}
}

func (f *fakeUpload) CommitUpload(_ context.Context, request *regsvcv1.CommitUploadRequest) (*regsvcv1.CommitUploadResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lose != "" {
		delete(f.arrived, f.lose)
		delete(f.whole, f.lose)
		f.lose = ""
		return nil, status.Error(codes.InvalidArgument, "the digest differs")
	}
	return &regsvcv1.CommitUploadResponse{Version: &regsvcv1.Version{Number: 1, Digest: request.GetDigest()}}, nil
}

// file tells how far a file got; mu is held.
func (f *fakeUpload) file(path string) *regsvcv1.UploadFile {
	file := &regsvcv1.UploadFile{Path: path, CommittedSize: uint64(len(f.arrived[path])), Complete: f.whole[path]}
	if file.Complete {
		hasher := blake3.New()
		hasher.WriteString(f.arrived[path])
		file.Digest = hexDigest(hasher)
	}
	return file
}

// pushes pushes the files a, b and c, which hold five bytes each, to a fake that holds some already.
func pushes(t *testing.T, arrived map[string]string, lose string) (*fakeUpload, error) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat(name, 5)), 0o644))
	}
	f := &fakeUpload{fake: serves(nil), arrived: arrived, whole: map[string]bool{}, lose: lose}
	for path, content := range arrived {
		f.whole[path] = len(content) == 5
	}
	_, err := clientOf(t, f.fake, f).Push(t.Context(), dir, "fraud", PushOptions{})
	slices.Sort(f.writes)
	return f, err
}

func TestPushSendsOnlyWhatTheServerLacks(t *testing.T) {
	f, err := pushes(t, map[string]string{"a": "aaaaa", "b": "bb"}, "")
	if want := []string{"b@2", "c@0"}; err != nil || !slices.Equal(f.writes, want) {
		t.Errorf("wrote %q, %v", f.writes, err)
	}
}

func TestPushSendsAgainWhatTheServerLost(t *testing.T) {
	f, err := pushes(t, map[string]string{}, "b")
	if want := []string{"a@0", "b@0", "b@0", "c@0"}; err != nil || !slices.Equal(f.writes, want) {
		t.Errorf("wrote %q, %v", f.writes, err)
	}
}

func TestPushRefusesAFileThatTheServerHoldsDifferently(t *testing.T) {
	if _, err := pushes(t, map[string]string{"a": "other"}, ""); reason(err) != "DIGEST_MISMATCH" {
		t.Error(err)
	}
}
