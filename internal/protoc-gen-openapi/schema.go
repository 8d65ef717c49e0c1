package main

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// direction says what a message is part of. A request has rules and allows no unknown fields. A response always has every
// field that is neither a message nor optional. The details of an error have only the fields that are set.
type direction int

const (
	request direction = iota
	answer
	detail
)

// schemaName is the name of a message's schema. A message that is part of requests and answers has two schemas.
func (d *document) schemaName(message *protogen.Message, in direction) string {
	name := string(message.Desc.Name())
	if in == request && !strings.HasSuffix(name, "Request") && d.answered[message.Desc.FullName()] {
		return name + "Input"
	}
	return name
}

// messageRef is a reference to a message's schema. It adds the schema to the components if it is new.
func (d *document) messageRef(message *protogen.Message, in direction) object {
	name := d.schemaName(message, in)
	if _, ok := d.schemas[name]; !ok {
		d.schemas[name] = nil // ends the recursion if the message contains itself
		d.schemas[name] = d.messageSchema(message, in, nil)
	}
	return ref("schemas", name)
}

// messageSchema is the schema of a message without the fields named in inPath.
func (d *document) messageSchema(message *protogen.Message, in direction, inPath []string) object {
	var required []string
	properties := object{}
	for _, field := range message.Fields {
		name := field.Desc.JSONName()
		if slices.Contains(inPath, string(field.Desc.Name())) {
			continue
		}
		properties = properties.with(name, d.fieldSchema(field, in))
		if isRequired(field, in) {
			required = append(required, name)
		}
	}
	schema := typed("object").withText("description", d.commentOf(message.Comments))
	schema = schema.with("properties", properties)
	if len(required) > 0 {
		schema = schema.with("required", required)
	}
	if in == request {
		for _, oneof := range message.Oneofs {
			if !oneof.Desc.IsSynthetic() && oneofIsRequired(oneof) {
				schema = schema.with("oneOf", alternatives(oneof))
			}
		}
		schema = schema.with("additionalProperties", false)
	}
	return schema
}

func alternatives(oneof *protogen.Oneof) []object {
	var all []object
	for _, field := range oneof.Fields {
		all = append(all, object{{"required", []string{field.Desc.JSONName()}}})
	}
	return all
}

// isRequired reports whether a field is always there. The request id is not required in the body, because a header can
// replace it.
func isRequired(field *protogen.Field, in direction) bool {
	switch in {
	case request:
		return field.Desc.Name() != requestID && rulesOf(field).required
	case answer:
		return !field.Desc.HasPresence()
	default:
		return alwaysInErrors[field.Desc.FullName()]
	}
}

// alwaysInErrors are the fields of errors that are never left at their default.
var alwaysInErrors = map[protoreflect.FullName]bool{
	"gigagate.v1.Outcome.reason":             true,
	"gigagate.v1.Outcome.effect":             true,
	"gigagate.v1.FieldViolation.description": true,
}

// fieldSchema is the schema of a field with its description. OpenAPI 3.1 allows a description next to a reference.
func (d *document) fieldSchema(field *protogen.Field, in direction) object {
	schema := d.valueSchema(field, in)
	if field.Desc.IsList() {
		schema = typed("array").with("items", schema)
	}
	return schema.withText("description", d.fieldComment(field))
}

func (d *document) valueSchema(field *protogen.Field, in direction) object {
	switch kind := field.Desc.Kind(); kind {
	case protoreflect.BoolKind:
		return boolSchema(field, in)
	case protoreflect.StringKind:
		return stringSchema(field, in)
	case protoreflect.DoubleKind:
		return typed("number").with("format", "double")
	case protoreflect.Int32Kind:
		return int32Schema(field, in)
	case protoreflect.Int64Kind:
		// Not every int64 fits into a JSON number.
		return typed("string").with("format", "int64").with("pattern", "^-?[0-9]+$")
	case protoreflect.EnumKind:
		return d.enumRef(field.Enum)
	case protoreflect.MessageKind:
		switch field.Message.Desc.FullName() {
		case "google.protobuf.Timestamp":
			return typed("string").with("format", "date-time")
		case "google.protobuf.Duration":
			return durationSchema(field, in)
		}
		return d.messageRef(field.Message, in)
	default:
		panic(fmt.Sprintf("%s: there is no schema yet for a field of kind %s", field.Desc.FullName(), kind))
	}
}

// enumRef is a reference to an enum's schema. The schema leaves out values that are never sent.
func (d *document) enumRef(enum *protogen.Enum) object {
	name := string(enum.Desc.Name())
	if _, ok := d.schemas[name]; !ok {
		var names []string
		for _, value := range enum.Values {
			if d.commentOf(value.Comments) != neverSent {
				names = append(names, string(value.Desc.Name()))
			}
		}
		d.schemas[name] = typed("string").with("enum", names).with("description", d.enumComment(enum))
	}
	return ref("schemas", name)
}
