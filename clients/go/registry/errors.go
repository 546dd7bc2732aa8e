package registry

import (
	"context"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is what went wrong, in the contract's terms, whether the server found it or this client did.
type Error struct {
	Code codes.Code
	// Reason is the UPPER_SNAKE reason of google.rpc.ErrorInfo, for programs.
	Reason string
	// Message is one line for people: what and which.
	Message string
	// Metadata holds the values that the message mentions, by name.
	Metadata map[string]string
}

func (e *Error) Error() string { return e.Reason + ": " + e.Message }

// GRPCStatus lets status.Code and status.FromError see through an Error.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.Code, e.Message) }

// fromStatus turns an error of gRPC into an Error. A call that ended because its context did gives the
// context's error, so that callers compare with context.Canceled as usual.
func fromStatus(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s := status.Convert(err)
	e := &Error{Code: s.Code(), Message: s.Message()}
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			e.Reason, e.Metadata = info.GetReason(), info.GetMetadata()
			return e
		}
	}
	// Without ErrorInfo it is not the server who speaks but the transport.
	e.Reason = e.Code.String()
	if e.Code == codes.Unavailable {
		e.Reason = "UNAVAILABLE"
	}
	return e
}

func nameError(text, why string) *Error {
	if len(text) > 80 {
		text = text[:80] + "..."
	}
	return &Error{Code: codes.InvalidArgument, Reason: "NAME_INVALID", Message: fmt.Sprintf("bad name %q: %s", text, why)}
}

func pathError(path, why string) *Error {
	if len(path) > 80 {
		path = path[:80] + "..."
	}
	return &Error{Code: codes.InvalidArgument, Reason: "PATH_INVALID", Message: fmt.Sprintf("path %q %s", path, why)}
}

// digestError tells that bytes are not what was promised. The code is that of damaged data: nothing the
// caller said was wrong.
func digestError(what, want, got string) *Error {
	return &Error{
		Code:     codes.DataLoss,
		Reason:   "DIGEST_MISMATCH",
		Message:  fmt.Sprintf("%s has digest %s, not %s", what, got, want),
		Metadata: map[string]string{"want": want, "got": got},
	}
}
