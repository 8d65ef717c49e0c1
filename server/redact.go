package server

import (
	"log/slog"
	"regexp"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"gigagate.internal/internal/iccid"
)

// redactedText replaces a sensitive value in a log.
const redactedText = "[redacted]"

// redacted prints a message without the caller's free texts and without its debug_redact fields. Go's own printers
// ignore that option.
type redacted struct{ proto.Message }

// LogValue implements [slog.LogValuer].
func (r redacted) LogValue() slog.Value {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(redact(r.Message))
	if err != nil {
		return slog.StringValue(redactedText)
	}
	return slog.StringValue(string(text))
}

// redact returns a copy of message. Texts that must not be logged are redactedText. Other debug_redact fields, bytes,
// maps, lists of texts and unknown fields are removed.
func redact(message proto.Message) proto.Message {
	out := proto.Clone(message)
	redactInPlace(out.ProtoReflect())
	return out
}

func redactInPlace(message protoreflect.Message) {
	message.SetUnknown(nil)
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case mayBeLogged(field) && !isICCID(field, value):
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

// mayBeLogged reports whether a field's values may be in the log: numbers, booleans, enums, ids and prices. The
// contract's rules keep ids to a few characters without spaces.
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

// isICCID reports whether an id has the form of the number of an eSIM. A caller may send one in place of a customer's uid, and be
// refused before the rules of the contract are checked.
func isICCID(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
	return field.Kind() == protoreflect.StringKind && !field.IsList() && iccid.Is(value.String())
}

// idName matches the names of the contract's ids and of the fields of Money.
var idName = regexp.MustCompile(`^((.*_)?u?id|page_token|currency_code|amount)$`)

func debugRedact(field protoreflect.FieldDescriptor) bool {
	options, _ := field.Options().(*descriptorpb.FieldOptions)
	return options.GetDebugRedact()
}
