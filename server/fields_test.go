package server_test

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// textFields lists the paths of the strings that message can have, in the contract's names.
func textFields(message protoreflect.Message, path string) []string {
	var paths []string
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		at := strings.TrimPrefix(path+"."+string(field.Name()), ".")
		switch {
		case field.Message() != nil && field.Cardinality() != protoreflect.Repeated && message.Has(field):
			paths = append(paths, textFields(message.Get(field).Message(), at)...)
		case field.Kind() == protoreflect.StringKind:
			paths = append(paths, at)
		}
	}
	return paths
}

// set writes a string at a path such as expected_price.amount.
func set(message proto.Message, path, value string) {
	reflected := message.ProtoReflect()
	for {
		name, rest, nested := strings.Cut(path, ".")
		field := reflected.Descriptor().Fields().ByName(protoreflect.Name(name))
		if !nested {
			reflected.Set(field, protoreflect.ValueOfString(value))
			return
		}
		reflected, path = reflected.Mutable(field).Message(), rest
	}
}
