package server

import (
	"context"
	"errors"
	"fmt"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// newValidator compiles the rules of every request, so that no call has to wait for that.
func newValidator() (protovalidate.Validator, error) {
	var requests []protoreflect.MessageDescriptor
	for _, r := range routes {
		requests = append(requests, r.input)
	}
	return protovalidate.New(protovalidate.WithMessageDescriptors(requests...))
}

// validate returns an interceptor that refuses a request that breaks the contract's rules.
func (s *Server) validate() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if err := s.check(ctx, req); err != nil {
			return nil, err
		}
		return next(ctx, req)
	}
}

// check returns INVALID_FIELD for a request that breaks the contract's rules.
func (s *Server) check(ctx context.Context, req any) error {
	if f, ok := ctx.Value(undecodableKey{}).(*failure); ok {
		return f
	}
	message, ok := req.(proto.Message)
	if !ok {
		return errors.New("the request is not a protobuf message")
	}
	if hasUnknownFields(message.ProtoReflect()) {
		// A newer caller may have set a guard, such as a price limit, that this gateway would ignore.
		return invalidField("", "the request has fields that this version of the contract does not know")
	}
	if path := overlongText(message.ProtoReflect()); path != "" {
		return invalidField(path, fmt.Sprintf("must be at most %d bytes", maxText))
	}
	broken := &protovalidate.ValidationError{}
	if err := s.validator.Validate(message); err != nil && !errors.As(err, &broken) {
		return err
	}
	if fields := violations(broken, req); len(fields) > 0 {
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_INVALID_FIELD, fields: fields}
	}
	return nil
}

// violations are the fields of req that break a rule, each with a sentence for the caller. They include the rules
// that need a table or a parser and so are not in the contract. No sentence contains the value.
func violations(broken *protovalidate.ValidationError, req any) []*gigagatev1.FieldViolation {
	var fields []*gigagatev1.FieldViolation
	seen := map[string]bool{}
	refuse := func(field, text string) {
		if seen[field] {
			// One sentence for each field is enough. Several rules on one field say the same thing.
			return
		}
		seen[field] = true
		fields = append(fields, &gigagatev1.FieldViolation{Field: field, Description: text})
	}
	for _, violation := range broken.Violations {
		refuse(protovalidate.FieldPathString(violation.Proto.GetField()), ruleText(violation))
	}
	if user, path := endUserOf(req); user != nil {
		if !isOfEndUser(user.GetUserIp()) {
			refuse(joinPath(path, "user_ip"), notOfEndUser)
		}
		if !countries[user.GetUserCountry()] {
			refuse(joinPath(path, "user_country"), noCountry)
		}
	}
	return fields
}

func ruleText(violation *protovalidate.Violation) string {
	if violation.Proto.GetRuleId() == "string.pattern" {
		if sentence, ok := patternSentences[violation.RuleValue.String()]; ok {
			return sentence
		}
	}
	if text := violation.Proto.GetMessage(); text != "" {
		return text
	}
	return "breaks the rule " + violation.Proto.GetRuleId()
}

// patternSentences explains each pattern of the contract in words.
var patternSentences = map[string]string{
	`^[!#-~]{1,64}$`:                aRequestID,
	`^([!#-~]{1,64})?$`:             aRequestID,
	`^[A-Za-z0-9_-]{1,64}$`:         anID,
	`^([A-Za-z0-9_-]{1,64})?$`:      anID,
	`^[0-7][0-9A-HJKMNP-TV-Z]{25}$`: "must be the id of a purchase: 26 digits and capital letters",
	`^[A-Za-z0-9_-]*$`:              aPageToken,
	`^([0-9a-f]{32})?$`:             "must be the id of a trace: 32 digits and small letters from a to f",
	`^[A-Za-z0-9._-]{1,64}$`:        "must be 1 to 64 letters, digits, ., _ and -",
	`^[0-9]{18,22}$`:                "must be the number of an eSIM: 18 to 22 digits",
	`^[a-z0-9][a-z0-9-]{0,62}$`:     "must be the name of a caller: 1 to 63 small letters, digits and -, and no - at the start",
	`^[A-Z]{2}$`:                    noCountry,
	`^[A-Z]{3}$`:                    "must be three capital letters, such as USD",
	`^[0-9]{1,9}(\.[0-9]{1,9})?$`:   "must be an amount such as 9.99",
	`^[^\p{Cc}\p{Z}\x{200B}\x{202D}\x{202E}\x{FEFF}]([^\p{Cc}\p{Zl}\p{Zp}\x{202D}\x{202E}]*[^\p{Cc}\p{Z}\x{200B}\x{202D}\x{202E}\x{FEFF}])?$`: "must be a text without control characters, line separators and direction overrides, and without a space at either end",
	`^[^\p{Cc}\p{Zl}\p{Zp}\x{202D}\x{202E}]*$`: "must be a text without control characters, line separators and direction overrides",
}

const (
	aRequestID = "must be 1 to 64 visible ASCII characters, and no quotation mark"
	anID       = "must be 1 to 64 letters, digits, - and _"
	aPageToken = "must be the token that the page before gave for the next one, with the same filters"
)

// hasUnknownFields reports whether message, or any message in it, has fields that this version of the contract
// does not know.
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

// maxText is the most bytes that any rule of the contract allows in a text. Longer texts are refused before the
// patterns run, because a pattern can take half a second of CPU time on a text of a few megabytes.
const maxText = 4096

// overlongText is the path of a text in message that is longer than maxText, or "" if there is none.
func overlongText(message protoreflect.Message) string {
	path := ""
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsList() || field.IsMap():
			// As in hasUnknownFields.
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
