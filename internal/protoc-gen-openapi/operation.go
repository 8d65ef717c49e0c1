package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// requestID is the field that the Idempotency-Key header can replace.
const requestID = "request_id"

// operation is one call with its HTTP binding.
type operation struct {
	method   *protogen.Method
	verb     string
	path     string
	inPath   []string
	examples []*example
}

func (o *operation) name() string { return string(o.method.Desc.Name()) }

// isSale reports whether the call spends credit, once for each request id.
func (o *operation) isSale() bool {
	return o.verb == "post" && o.method.Input.Desc.Fields().ByName(requestID) != nil
}

var pathField = regexp.MustCompile(`\{([a-z0-9_]+)\}`)

func operationOf(method *protogen.Method) (*operation, error) {
	rule, _ := proto.GetExtension(method.Desc.Options(), annotations.E_Http).(*annotations.HttpRule)
	o := &operation{method: method}
	switch pattern := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		o.verb, o.path = "get", pattern.Get
	case *annotations.HttpRule_Post:
		o.verb, o.path = "post", pattern.Post
	default:
		return nil, fmt.Errorf("%s: REST supports only GET and POST bindings", method.Desc.FullName())
	}
	for _, match := range pathField.FindAllStringSubmatch(o.path, -1) {
		o.inPath = append(o.inPath, match[1])
	}
	for _, e := range examples {
		if e.Operation == o.name() {
			o.examples = append(o.examples, e)
		}
	}
	if len(o.examples) == 0 {
		return nil, fmt.Errorf("%s: examples.json has no example of this call", o.name())
	}
	return o, nil
}

// operationObject is the OpenAPI form of a call.
func (d *document) operationObject(o *operation) object {
	comment := d.commentOf(o.method.Comments)
	described := object{
		{"operationId", strings.ToLower(o.name()[:1]) + o.name()[1:]},
		{"tags", []string{string(o.method.Parent.Desc.Name())}},
		{"summary", summaryOf(comment)},
		{"description", comment},
	}
	if parameters := d.parameters(o); len(parameters) > 0 {
		described = described.with("parameters", parameters)
	}
	if o.verb == "post" {
		described = described.with("requestBody", d.requestBody(o))
	}
	success := object{
		{"description", d.commentOf(o.method.Output.Comments)},
		{"headers", answerHeaders(o, 200)},
		{"content", jsonContent(d.messageRef(o.method.Output, answer), o.answerExamples(200))},
	}
	if links := linksOf(o); len(links) > 0 {
		success = success.with("links", links)
	}
	responses := object{{"200", success}}
	return described.with("responses", append(responses, d.errorResponses(o)...))
}

// parameters are the fields in the path and, for a GET, the other fields in the query.
func (d *document) parameters(o *operation) []object {
	var parameters []object
	for _, field := range o.method.Input.Fields {
		name, in := string(field.Desc.Name()), "query"
		switch {
		case slices.Contains(o.inPath, name):
			in = "path"
		case o.verb == "get":
			name = field.Desc.JSONName()
		default:
			continue
		}
		parameter := object{{"name", name}, {"in", in}}.withText("description", d.fieldComment(field))
		if in == "path" {
			parameter = parameter.with("required", true)
		}
		parameter = parameter.with("schema", d.valueSchema(field, request))
		if named := o.parameterExamples(in, name); len(named) > 0 {
			parameter = parameter.with("examples", named)
		}
		parameters = append(parameters, parameter)
	}
	if o.isSale() {
		parameters = append(parameters, ref("parameters", "IdempotencyKey"))
	}
	return parameters
}

func (d *document) requestBody(o *operation) object {
	schema := d.messageSchema(o.method.Input, request, o.inPath)
	name := d.schemaName(o.method.Input, request)
	d.schemas[name] = schema
	content := jsonContent(ref("schemas", name), o.bodyExamples())
	if len(schema.get("properties").(object)) == 0 {
		return object{{"description", "Nothing, or an empty object."}, {"content", content}}
	}
	return object{{"required", true}, {"content", content}}
}

// answerHeaders are the headers of an answer, without those of HTTP itself. Only the outcome of a purchase can be replayed,
// and it always has one of these statuses.
func answerHeaders(o *operation, status int) object {
	headers := object{{"x-trace-id", ref("headers", "TraceID")}}
	if o.isSale() && (status == 200 || status == 400 || status == 404 || status == 409) {
		headers = headers.with("gigagate-replayed", ref("headers", "Replayed"))
	}
	return headers
}

// linksOf are the links from a sale to the calls about the sold package.
func linksOf(o *operation) object {
	if !o.isSale() {
		return nil
	}
	links := object{}
	for _, link := range []struct{ operation, parameter, from string }{
		{"activate", "uid", "/activatedItem/uid"},
		{"getCustomer", "uid", "/customer/uid"},
		{"getPurchase", "id", "/purchaseId"},
		{"waitPurchase", "id", "/purchaseId"},
	} {
		links = links.with(link.operation, object{
			{"operationId", link.operation},
			{"parameters", object{{link.parameter, "$response.body#" + link.from}}},
		})
	}
	return links
}

func jsonContent(schema, examples object) object {
	media := object{{"schema", schema}}
	if len(examples) > 0 {
		media = media.with("examples", examples)
	}
	return object{{"application/json", media}}
}

// isMarkedRequired reports whether google.api.field_behavior says that a field is required.
func isMarkedRequired(field *protogen.Field) bool {
	behaviors, _ := proto.GetExtension(field.Desc.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behaviors, annotations.FieldBehavior_REQUIRED)
}

// answeredIn adds to names the message and all messages that it can contain.
func answeredIn(message *protogen.Message, names map[protoreflect.FullName]bool) {
	if names[message.Desc.FullName()] {
		return
	}
	names[message.Desc.FullName()] = true
	for _, field := range message.Fields {
		if field.Message != nil {
			answeredIn(field.Message, names)
		}
	}
}
