// Package protocol is the protocol between internal/scenarios and the client programs, over standard input and output.
// Each line is one JSON object. Each request is followed by its answer. proto/scenarios/README.md describes it for
// programs in other languages.
package protocol

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// Request is one call to make.
type Request struct {
	// Method is the package, service and method, such as gigagate.v1.ActivationService/Register.
	Method string `json:"method"`
	// Request is the request message in proto JSON.
	Request json.RawMessage `json:"request"`
	// DeadlineMs is how long the call may take, in milliseconds. 0 means no deadline.
	DeadlineMs int64 `json:"deadlineMs,omitempty"`
	// Helper is whether to make the call through the purchase helper of the language's package.
	Helper bool `json:"helper,omitempty"`
}

// MethodNamed finds a method of the contract by the name in Request.Method. It returns an error if there is none.
func MethodNamed(name string) (protoreflect.MethodDescriptor, error) {
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.Replace(name, "/", ".", 1)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	method, ok := found.(protoreflect.MethodDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is not a method", name)
	}
	return method, nil
}

// Answer is the result of a call. It has a response or an error. The answer of the purchase helper has a response,
// Refused or NotKnownYet.
type Answer struct {
	// Response is the response message in proto JSON.
	Response json.RawMessage `json:"response,omitempty"`
	// Replayed is whether the response had the header gigagate-replayed: true.
	Replayed    bool         `json:"replayed,omitempty"`
	Error       *Error       `json:"error,omitempty"`
	Refused     *Refused     `json:"refused,omitempty"`
	NotKnownYet *NotKnownYet `json:"notKnownYet,omitempty"`
}

// Fits reports whether the answer has one result, and a kind of result that the request can have.
func (a Answer) Fits(request Request) bool {
	results := 0
	for _, has := range []bool{a.Response != nil, a.Error != nil, a.Refused != nil, a.NotKnownYet != nil} {
		if has {
			results++
		}
	}
	return results == 1 && (a.Response != nil || request.Helper == (a.Error == nil))
}

// Error is the status of a call that failed.
type Error struct {
	// Code is the canonical name, such as FAILED_PRECONDITION.
	Code    string `json:"code"`
	Message string `json:"message"`
	// Outcome is the gigagate.v1.Outcome of the error in proto JSON, or null if it has none.
	Outcome json.RawMessage `json:"outcome"`
}

// Refused is the helper's answer when it is known how the request id stands, and there is no sale to show.
type Refused struct {
	// Reason and Effect are the names of the contract's values, without their prefixes.
	Reason          string           `json:"reason"`
	Effect          string           `json:"effect"`
	Message         string           `json:"message"`
	PurchaseID      string           `json:"purchaseId"`
	FieldViolations []FieldViolation `json:"fieldViolations"`
}

// FieldViolation is a gigagate.v1.FieldViolation.
type FieldViolation struct {
	Field       string `json:"field"`
	Description string `json:"description"`
}

// NotKnownYet is the helper's answer that the time is over and credit may have been spent.
type NotKnownYet struct {
	PurchaseID string `json:"purchaseId"`
}

// maxLine is the largest number of bytes in a line.
const maxLine = 1 << 20

// Lines scans the lines of the protocol.
func Lines(r io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	return lines
}

// Serve answers requests with call until the input ends. It returns the first error.
func Serve(in io.Reader, out io.Writer, call func(context.Context, Request) (Answer, error)) error {
	lines, answers := Lines(in), json.NewEncoder(out)
	for lines.Scan() {
		var request Request
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			return err
		}
		answer, err := serveOne(request, call)
		if err != nil {
			return err
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func serveOne(request Request, call func(context.Context, Request) (Answer, error)) (Answer, error) {
	ctx := context.Background()
	if request.DeadlineMs > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(request.DeadlineMs)*time.Millisecond)
		defer cancel()
	}
	return call(ctx, request)
}

// Responded makes the answer of a call that succeeded.
func Responded(response proto.Message, replayed bool) (Answer, error) {
	text, err := protojson.Marshal(response)
	return Answer{Response: text, Replayed: replayed}, err
}

// Failed makes the answer of a call that failed. outcome is nil if the error has none.
func Failed(failed codes.Code, message string, outcome *gigagatev1.Outcome) (Answer, error) {
	told := &Error{Code: code.Code(failed).String(), Message: message} //nolint:gosec // 17 codes
	if outcome != nil {
		text, err := protojson.Marshal(outcome)
		if err != nil {
			return Answer{}, err
		}
		told.Outcome = text
	}
	return Answer{Error: told}, nil
}
