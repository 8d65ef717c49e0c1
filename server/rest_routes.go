package server

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// route is one HTTP binding of the contract.
type route struct {
	method   string
	template string // as in the contract: /v1/customers/{uid}
	literal  string // the beginning of the template, up to the first field
	path     *regexp.Regexp
	rpc      string // /gigagate.v1.CustomerService/GetCustomer
	input    protoreflect.MessageDescriptor
	inPath   []string // names of the fields in the path
}

var pathField = regexp.MustCompile(`\{([a-z0-9_]+)\}`)

var routes = routesOf(
	gigagatev1.File_gigagate_v1_activation_service_proto,
	gigagatev1.File_gigagate_v1_inventory_service_proto,
	gigagatev1.File_gigagate_v1_customer_service_proto,
	gigagatev1.File_gigagate_v1_purchase_service_proto,
	gigagatev1.File_gigagate_v1_freeze_service_proto,
	gigagatev1.File_gigagate_v1_audit_service_proto,
	gigagatev1.File_gigagate_v1_budget_service_proto,
)

// routesOf reads the HTTP bindings of every service in files.
func routesOf(files ...protoreflect.FileDescriptor) []*route {
	var found []*route
	for _, file := range files {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				found = append(found, routeOfMethod(methods.Get(j)))
			}
		}
	}
	return found
}

func routeOfMethod(method protoreflect.MethodDescriptor) *route {
	rule, _ := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	r := &route{
		rpc:   fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name()),
		input: method.Input(),
	}
	switch pattern := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		r.method, r.template = http.MethodGet, pattern.Get
	case *annotations.HttpRule_Post:
		r.method, r.template = http.MethodPost, pattern.Post
	default:
		panic(fmt.Sprintf("%s: REST supports only GET and POST bindings", method.FullName()))
	}
	for _, match := range pathField.FindAllStringSubmatch(r.template, -1) {
		r.inPath = append(r.inPath, match[1])
	}
	// No id has a colon. A colon and what follows it are part of the binding, as in {id}:wait.
	r.path = regexp.MustCompile("^" + pathField.ReplaceAllString(r.template, `[^/:]*`) + "$")
	r.literal, _, _ = strings.Cut(r.template, "{")
	return r
}

// matches reports whether a path has the form of the template. It rarely needs the regular expression, which takes longer.
func (r *route) matches(path string) bool {
	return strings.HasPrefix(path, r.literal) && r.path.MatchString(path)
}

// routeOf finds a binding by its pattern as grpc-gateway writes it: /v1/customers/{uid=*}. It is nil if there is none.
func routeOf(method, pattern string) *route {
	template := strings.ReplaceAll(pattern, "=*}", "}")
	for _, r := range routes {
		if r.method == method && r.template == template {
			return r
		}
	}
	return nil
}

// methodsOf lists the HTTP methods of all bindings that match path.
func methodsOf(path string) []string {
	var methods []string
	for _, r := range routes {
		if r.matches(path) && !slices.Contains(methods, r.method) {
			methods = append(methods, r.method)
		}
	}
	return methods
}

// strictRequest is a middleware. It refuses what grpc-gateway would ignore outside the body: in the path, the query and
// the headers.
func (s *Server) strictRequest(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, pathParams map[string]string) {
		// grpc-gateway reads GET …/{id}:resolve as GET of an id that ends with ":resolve".
		if methods := methodsOf(r.URL.Path); len(methods) > 0 && !slices.Contains(methods, r.Method) {
			s.refuseMethod(w, r, methods)
			return
		}
		call := restCallOf(r.Context())
		if pattern, ok := runtime.HTTPPattern(r.Context()); ok {
			call.route = routeOf(r.Method, pattern.String())
		}
		if call.route != nil {
			if f := mayCall(r.Context(), call.route.rpc); f != nil {
				s.refuse(w, r, f)
				return
			}
		}
		if f := checkEnvelope(r, call.route); f != nil {
			s.refuse(w, r, f)
			return
		}
		next(w, r, pathParams)
	}
}

// crossOrigin finds calls from web pages of other origins. A browser makes a call without a body for any page, without
// asking the server first. Calls from our own documentation and from programs are allowed.
var crossOrigin http.CrossOriginProtection

// checkEnvelope checks the origin, query, headers and content type of a request. route may be nil.
func checkEnvelope(r *http.Request, route *route) *failure {
	if len(r.Header.Values(idempotencyKeyHeader)) > 1 {
		return malformed("request_id", "more than one Idempotency-Key header")
	}
	if route == nil {
		// The contract and the generated code disagree. A test makes sure that they do not.
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_INTERNAL}
	}
	if crossOrigin.Check(r) != nil {
		return malformed("", "a web page of another origin may not make this call")
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		f := malformed("", "a Content-Encoding is not supported: send the body as it is")
		f.httpStatus = http.StatusUnsupportedMediaType
		return f
	}
	if r.Method == http.MethodPost {
		if r.URL.RawQuery != "" || r.URL.ForceQuery {
			return malformed("", "a query is not allowed here: put all fields into the body")
		}
		return checkContentType(r)
	}
	if r.ContentLength != 0 {
		return malformed("", "a body is not allowed here")
	}
	return checkQuery(r.URL.RawQuery, route)
}

// checkContentType refuses a body that is not JSON. This also stops web pages in browsers that do not send their
// origin. Such a browser asks before it sends JSON to another origin, and this server never agrees.
func checkContentType(r *http.Request) *failure {
	if r.ContentLength == 0 {
		return nil
	}
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" || len(r.Header.Values("Content-Type")) > 1 {
		return malformed("", "the Content-Type must be application/json")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return malformed("", "the charset must be utf-8")
	}
	return nil
}

func checkQuery(query string, route *route) *failure {
	values, err := url.ParseQuery(query)
	if err != nil {
		return malformed("", "the query could not be read")
	}
	seen := map[protoreflect.Name]bool{}
	for name, given := range values {
		field := fieldNamed(route.input, name)
		if field == nil || slices.Contains(route.inPath, string(field.Name())) {
			return malformed(printableName(name), "is not a query parameter of this call")
		}
		// A field has two names, its JSON name and its proto name.
		if len(given) > 1 || seen[field.Name()] {
			return malformed(string(field.Name()), "appears more than once in the query")
		}
		seen[field.Name()] = true
		if !utf8.ValidString(given[0]) {
			return invalidField(string(field.Name()), "is not valid UTF-8")
		}
		one := dynamicpb.NewMessage(route.input)
		if runtime.PopulateQueryParameters(one, url.Values{name: given}, &utilities.DoubleArray{}) != nil || !isPlain(field, given[0]) {
			return malformed(string(field.Name()), "cannot be read as a value of this parameter")
		}
	}
	return nil
}

// jsonDuration is the form of a duration in Protobuf's JSON, such as 30s or 1.5s.
var jsonDuration = regexp.MustCompile(`^-?[0-9]+(\.[0-9]{1,9})?s$`)

// isPlain reports whether a parameter has the same form as the field in JSON. grpc-gateway reads durations in Go's
// form and would accept 0 and 1m30s.
func isPlain(field protoreflect.FieldDescriptor, value string) bool {
	if field.Message() == nil || field.Message().FullName() != "google.protobuf.Duration" {
		return true
	}
	return jsonDuration.MatchString(value)
}

// fieldNamed finds a field by its JSON or its proto name. It is nil if there is none.
func fieldNamed(message protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if field := message.Fields().ByJSONName(name); field != nil {
		return field
	}
	return message.Fields().ByTextName(name)
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// printableName is name if it has the form of a field's name, otherwise "". Any other text may be a value in the
// wrong place and must not be in the answer.
func printableName(name string) string {
	if identifier.MatchString(name) {
		return name
	}
	return ""
}
