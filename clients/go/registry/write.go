package registry

import (
	"context"
	"errors"
	"io"

	"github.com/zeebo/blake3"

	regsvcv1 "regsvc.dev/go/regsvc/v1"
)

// preferredMessage is the size at which gRPC is fastest: far larger than its overhead, small enough to
// stay in the processor's cache.
const preferredMessage = 1 << 20

func messageSize(limits *regsvcv1.Capabilities) int64 {
	if most := int64(limits.GetMaxMessageDataBytes()); most > 0 {
		return min(preferredMessage, most)
	}
	return preferredMessage
}

// fileWriter brings one file of a push to the server.
type fileWriter struct {
	push    *push
	upload  string
	file    *sourceFile
	message int64
}

// write sends what the server does not hold. It tells whether it brought the file to its end.
func (w *fileWriter) write(ctx context.Context, held *regsvcv1.UploadFile) (wrote bool, err error) {
	if held.GetComplete() {
		if w.file.digest == "" { // the answer was lost
			if err := w.file.hash(w.push.root); err != nil {
				return false, err
			}
		}
		return false, w.check(held)
	}
	taken, err := w.stream(ctx, int64(held.GetCommittedSize()))
	if err != nil {
		return false, err
	}
	return true, w.check(taken)
}

// check compares what the server made of the file with what was read here.
func (w *fileWriter) check(taken *regsvcv1.UploadFile) error {
	if taken.GetDigest() != w.file.digest {
		return digestError("the server's copy of "+w.file.path, w.file.digest, taken.GetDigest())
	}
	return nil
}

// stream sends the file from an offset on. All of it is read, for the digest.
func (w *fileWriter) stream(ctx context.Context, offset int64) (*regsvcv1.UploadFile, error) {
	content, err := w.push.root.Open(w.file.path)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	hasher := blake3.New()
	if _, err := io.CopyN(hasher, content, offset); err != nil {
		return nil, pathError(w.file.path, "cannot be read again as far as the server holds it: "+err.Error())
	}
	// Cancelling ends the stream when reading the file fails.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.push.client.artifacts.WriteFile(ctx)
	if err != nil {
		return nil, fromStatus(ctx, err)
	}
	size := uint64(w.file.size)
	request := &regsvcv1.WriteFileRequest{Upload: w.upload, Path: w.file.path, Size: &size}
	for !request.GetFinish() {
		// One byte more than there should be shows the end of the file in the same read. A new buffer for
		// every message: gRPC may hold on to what it was given.
		data := make([]byte, min(w.message, max(w.file.size-offset, 0)+1))
		n, err := io.ReadFull(content, data)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			request.Finish = true
		} else if err != nil {
			return nil, err
		}
		hasher.Write(data[:n])
		if request.Finish {
			w.file.digest = hexDigest(hasher)
			request.Digest = w.file.digest
		}
		request.Offset, request.Data = uint64(offset), data[:n]
		if err := stream.Send(request); err == io.EOF {
			break // the server ended the stream; CloseAndRecv tells why
		} else if err != nil {
			return nil, fromStatus(ctx, err)
		}
		offset += int64(n)
		w.push.sent.Add(uint64(n))
		request = &regsvcv1.WriteFileRequest{Finish: request.Finish}
	}
	response, err := stream.CloseAndRecv()
	if err != nil {
		return nil, fromStatus(ctx, err)
	}
	if !response.GetFile().GetComplete() {
		return nil, errors.New("the server ended the stream of " + w.file.path + " before its end")
	}
	return response.GetFile(), nil
}
