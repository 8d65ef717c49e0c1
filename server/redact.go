package server

import (
	"log/slog"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// redactedText stands in a log where a sensitive value was.
const redactedText = "[redacted]"

// redacted prints a message without the values of its debug_redact fields. Go's own printers do
// not honour that option.
type redacted struct{ proto.Message }

// LogValue is how slog prints it.
func (r redacted) LogValue() slog.Value {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(redact(r.Message))
	if err != nil {
		return slog.StringValue(redactedText)
	}
	return slog.StringValue(string(text))
}

// redact returns a copy of message whose debug_redact strings say so and whose other debug_redact
// fields, and fields this program does not know, are gone.
func redact(message proto.Message) proto.Message {
	out := proto.Clone(message)
	redactInPlace(out.ProtoReflect())
	return out
}

func redactInPlace(message protoreflect.Message) {
	message.SetUnknown(nil)
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		options, _ := field.Options().(*descriptorpb.FieldOptions)
		switch {
		case options.GetDebugRedact() && field.Kind() == protoreflect.StringKind && !field.IsList() && !field.IsMap():
			message.Set(field, protoreflect.ValueOfString(redactedText))
		case options.GetDebugRedact():
			message.Clear(field)
		case field.IsList() && field.Message() != nil:
			for i := range value.List().Len() {
				redactInPlace(value.List().Get(i).Message())
			}
		case field.IsMap() && field.MapValue().Message() != nil:
			value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				redactInPlace(v.Message())
				return true
			})
		case field.Message() != nil && !field.IsMap():
			redactInPlace(value.Message())
		}
		return true
	})
}
