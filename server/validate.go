package server

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/purchase"
)

// validate refuses a request that breaks the contract's rules before a handler sees it.
func (s *Server) validate(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if f, ok := ctx.Value(undecodableKey{}).(*failure); ok {
		return nil, f
	}
	message, ok := req.(proto.Message)
	if !ok {
		return nil, errors.New("the request is not a protobuf message")
	}
	if hasUnknownFields(message.ProtoReflect()) {
		// A newer caller may have set a guard that this gateway would not keep.
		return nil, invalidField("", "the request has fields that this version of the contract does not know")
	}
	if path := overlongText(message.ProtoReflect()); path != "" {
		return nil, invalidField(path, fmt.Sprintf("must be at most %d bytes", maxText))
	}
	if err := s.validator.Validate(message); err != nil {
		return nil, violations(err)
	}
	return next(ctx, req)
}

// tellOfRequestID makes a refusal that came before the engine speak of the request id: an earlier call with the same id may
// have bought, or may still. Where the journal cannot be read, nobody knows.
func (s *Server) tellOfRequestID(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	f, ok := errors.AsType[*failure](err)
	if !ok || f.idUnused || f.reason != gigagatev1.ErrorReason_ERROR_REASON_INVALID_FIELD && f.reason != gigagatev1.ErrorReason_ERROR_REASON_OVERLOADED {
		return resp, err
	}
	var id string
	switch r := req.(type) {
	case *gigagatev1.RegisterRequest:
		id = r.GetRequestId()
	case *gigagatev1.TopUpRequest:
		id = r.GetRequestId()
	}
	if !validRequestID.MatchString(id) {
		return resp, err // no purchase has such an id
	}
	kept, lookupErr := s.engine.Known(ctx, purchase.Key{Caller: defaultCaller, RequestID: id})
	switch {
	case lookupErr == nil:
		f.effect, f.purchaseID = effectOfPurchase(kept.State), kept.ID
	case !errors.Is(lookupErr, purchase.ErrNotFound):
		f.effect = gigagatev1.Effect_EFFECT_INDETERMINATE
	}
	return resp, err
}

// validRequestID is the contract's rule for request ids.
var validRequestID = regexp.MustCompile(`^[\x21\x23-\x7e]{1,64}$`)

// violations is the failure of a request that broke rules of the contract. The rules' own texts
// name no values.
func violations(err error) error {
	broken, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		return err
	}
	f := &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_INVALID_FIELD}
	seen := map[string]bool{}
	for _, violation := range broken.Violations {
		field := protovalidate.FieldPathString(violation.Proto.GetField())
		if seen[field] {
			// One rule a field is enough to mend it by, and rules on one field repeat each other.
			continue
		}
		seen[field] = true
		f.fields = append(f.fields, &gigagatev1.FieldViolation{
			Field: field, Description: ruleText(violation),
		})
	}
	return f
}

func ruleText(violation *protovalidate.Violation) string {
	if text := violation.Proto.GetMessage(); text != "" {
		return text
	}
	return "breaks the rule " + violation.Proto.GetRuleId()
}

// hasUnknownFields reports whether message or any message in it bears fields that this program's
// contract does not have.
func hasUnknownFields(message protoreflect.Message) bool {
	if len(message.GetUnknown()) > 0 {
		return true
	}
	found := false
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		// No request of the contract has lists or maps of messages.
		if field.Message() != nil && !field.IsList() && !field.IsMap() {
			found = hasUnknownFields(value.Message())
		}
		return !found
	})
	return found
}

// maxText is the most bytes that a rule of the contract allows any text. The rules' patterns would
// take half a second of a processor on the few megabytes that a request can have.
const maxText = 4096

// overlongText is the path of a text in message that is longer than maxText; empty when there is
// none.
func overlongText(message protoreflect.Message) string {
	path := ""
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsList() || field.IsMap():
			// As above.
		case field.Message() != nil:
			if inner := overlongText(value.Message()); inner != "" {
				path = joinPath(string(field.Name()), inner)
			}
		case field.Kind() == protoreflect.StringKind && len(value.String()) > maxText:
			path = string(field.Name())
		}
		return path == ""
	})
	return path
}
