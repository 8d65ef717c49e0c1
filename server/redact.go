package server

import (
	"log/slog"
	"regexp"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// redactedText stands in a log where a sensitive value was.
const redactedText = "[redacted]"

// redacted prints a message without what a caller wrote freely, and without its debug_redact fields.
// Go's own printers do not honour that option.
type redacted struct{ proto.Message }

// LogValue is how slog prints it.
func (r redacted) LogValue() slog.Value {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(redact(r.Message))
	if err != nil {
		return slog.StringValue(redactedText)
	}
	return slog.StringValue(string(text))
}

// redact returns a copy of message whose texts say so unless they may be logged, and without its
// other debug_redact fields and fields that this program does not know.
func redact(message proto.Message) proto.Message {
	out := proto.Clone(message)
	redactInPlace(out.ProtoReflect())
	return out
}

func redactInPlace(message protoreflect.Message) {
	message.SetUnknown(nil)
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case mayBeLogged(field):
		case field.Kind() == protoreflect.StringKind && !field.IsList():
			message.Set(field, protoreflect.ValueOfString(redactedText))
		case field.Message() == nil || field.IsMap() || debugRedact(field):
			message.Clear(field)
		case field.IsList():
			for i := range value.List().Len() {
				redactInPlace(value.List().Get(i).Message())
			}
		default:
			redactInPlace(value.Message())
		}
		return true
	})
}

// mayBeLogged reports whether a field's values are no text, or texts of a fixed form: ids, which the
// contract's rules keep to a few characters without spaces, and prices.
func mayBeLogged(field protoreflect.FieldDescriptor) bool {
	if debugRedact(field) || field.Message() != nil {
		return false
	}
	switch field.Kind() {
	case protoreflect.BytesKind:
		return false
	case protoreflect.StringKind:
		return idName.MatchString(string(field.Name()))
	default:
		return true
	}
}

// idName matches the names of the contract's ids and of the fields of Money.
var idName = regexp.MustCompile(`^((.*_)?u?id|page_token|currency_code|amount)$`)

func debugRedact(field protoreflect.FieldDescriptor) bool {
	options, _ := field.Options().(*descriptorpb.FieldOptions)
	return options.GetDebugRedact()
}
