package main

import (
	_ "embed" // for the introduction
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// introduction is what a reader must know about all calls, in Markdown.
//
//go:embed introduction.md
var introduction string

// document collects what is needed while the document is made.
type document struct {
	schemas  map[string]object
	answered map[protoreflect.FullName]bool // messages that an answer can contain
	fields   []*protogen.Field              // all fields of the contract
	specs    []spec                         // specs of all reasons, sorted by number
}

func documentOf(files []*protogen.File, types *dynamicpb.Types) (object, error) {
	d := &document{schemas: map[string]object{}, answered: map[protoreflect.FullName]bool{}, fields: fieldsIn(files)}
	d.addStatusSchemas()
	if err := d.readOutcome(files, types); err != nil {
		return nil, err
	}
	services := servicesIn(files)
	if err := checkCalls(d.specs, services); err != nil {
		return nil, err
	}
	for _, service := range services {
		for _, method := range service.Methods {
			answeredIn(method.Output, d.answered)
		}
	}
	var tags []object
	paths := object{}
	for _, service := range services {
		tags = append(tags, object{{"name", service.Desc.Name()}, {"description", d.commentOf(service.Comments)}})
		for _, method := range service.Methods {
			o, err := operationOf(method)
			if err != nil {
				return nil, err
			}
			described := d.operationObject(o)
			if paths.get(o.path) != nil {
				return nil, fmt.Errorf("%s: a second call with the path %s has no place in the document yet", o.name(), o.path)
			}
			paths = paths.with(o.path, object{{o.verb, described}})
		}
	}
	return object{
		{"openapi", "3.1.0"},
		{"info", object{
			{"title", "Gigagate"},
			{"version", "v1"},
			{"description", strings.TrimSpace(introduction)},
			{"license", object{{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}},
		}},
		// The server is the gateway that serves the document.
		{"servers", []object{{{"url", "/"}}}},
		{"tags", tags},
		{"paths", paths},
		{"components", object{
			{"schemas", sorted(d.schemas)},
			{"parameters", object{{"IdempotencyKey", d.idempotencyKey()}}},
			{"headers", headers},
		}},
	}, nil
}

// servicesIn are the services of the contract.
func servicesIn(files []*protogen.File) []*protogen.Service {
	var services []*protogen.Service
	for _, file := range files {
		if file.Generate {
			services = append(services, file.Services...)
		}
	}
	return services
}

// readOutcome adds the schema of Outcome, which is the detail of every error, and reads the spec of each reason.
func (d *document) readOutcome(files []*protogen.File, types *dynamicpb.Types) error {
	for _, file := range files {
		for _, message := range file.Messages {
			if message.Desc.FullName() == "gigagate.v1.Outcome" {
				d.messageRef(message, detail)
			}
		}
		for _, enum := range file.Enums {
			if enum.Desc.FullName() != "gigagate.v1.ErrorReason" {
				continue
			}
			if err := d.readSpecs(enum, types); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *document) idempotencyKey() object {
	rule, _ := d.schemas["RegisterRequest"].get("properties").(object).get("requestId").(object).get("pattern").(string)
	id := strings.Trim(rule, "^$")
	return object{
		{"name", "Idempotency-Key"},
		{"in", "header"},
		{"description", "Can be sent instead of `requestId`. A request needs one of the two. If it has both, they must be equal. One pair of quotation marks around the value is removed. The value must not have a backslash between them."},
		{"schema", typed("string").with("pattern", `^(`+id+`|"`+id+`")$`)},
	}
}

// headers are the headers of answers.
var headers = object{
	{"TraceID", object{
		{"description", "The id of the call's trace. Every log line of the call has it."},
		{"required", true},
		{"schema", typed("string").with("pattern", "^[0-9a-f]{32}$")},
	}},
	{"Replayed", object{
		{"description", "`true` on an answer that an earlier call with the same request id settled. Absent otherwise."},
		{"schema", typed("string").with("const", "true")},
	}},
	{"RetryAfter", object{
		{"description", "Seconds to wait before the call is repeated with the same request id. Absent if repeating does not help."},
		{"schema", typed("integer").with("minimum", 1)},
	}},
}

// get returns the value of a member, or nil if there is none.
func (o object) get(key string) any {
	for _, m := range o {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

func sorted(schemas map[string]object) object {
	all := object{}
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		all = all.with(name, schemas[name])
	}
	return all
}
