package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"gigagate.internal/gen/openapi"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/internal/access"
)

// examplesFile holds the examples of the OpenAPI document.
const examplesFile = "../../internal/protoc-gen-openapi/examples.json"

var updateExamples = flag.Bool("openapi.update", false, "write the gateway's answers to "+examplesFile)

// restExample is one example of the document, with what this test needs to play it.
type restExample struct {
	Name      string                     `json:"name"`
	Summary   string                     `json:"summary"`
	Operation string                     `json:"operation"`
	Caller    string                     `json:"caller,omitempty"` // makes the call, at a gateway that identifies its callers
	Invalid   bool                       `json:"invalid,omitempty"`
	Faults    []sandbox.Fault            `json:"faults,omitempty"` // armed for this call only
	Take      map[string]string          `json:"take,omitempty"`   // fields whose value comes from an earlier answer
	Path      map[string]string          `json:"path,omitempty"`
	Query     map[string]json.RawMessage `json:"query,omitempty"`
	Header    map[string]string          `json:"header,omitempty"`
	Request   json.RawMessage            `json:"request,omitempty"`
	Status    int                        `json:"status"`
	Replayed  bool                       `json:"replayed,omitempty"`
	Answer    json.RawMessage            `json:"answer,omitempty"`
}

// Every example of the document is sent to a gateway, in the order of the file. The answers must have the
// status, the shape and the schema of the document.
func TestDocumentedExamples(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(examplesFile)
	if err != nil {
		t.Fatal(err)
	}
	var examples []*restExample
	if err := json.Unmarshal(data, &examples); err != nil {
		t.Fatal(err)
	}
	// The unsettled purchase of the examples is answered when the send window and the vendor timeout are over.
	g := startGateway(t, "--send-window=2s", "--gigastore-timeout=3s")
	document := loadDocument(t)
	answered := map[string]any{}
	identifying, key := startWithBudget(t)
	for _, example := range examples {
		if example.Caller == "" {
			example.send(t, g, "", document, answered)
		} else {
			example.send(t, identifying, key, document, answered)
		}
	}
	if *updateExamples && !t.Failed() {
		writeExamples(t, examples)
	}
}

// startWithBudget starts a gateway that knows one caller. The caller has bought a package, and its budget of the day does
// not cover another one.
func startWithBudget(t *testing.T) (g *gateway, key string) {
	t.Helper()
	key, file := keyWithBudget(t)
	g = startGateway(t, "--callers-file="+file)
	header := http.Header{"Authorization": {"Bearer " + key}, "Content-Type": {"application/json"}}
	if got := do(t, http.MethodPost, "http://"+g.rest+"/v1/activations/register", registration("order-2000", ""), header); got.status != http.StatusOK {
		t.Fatalf("%+v", got)
	}
	return g, key
}

// keyWithBudget returns a key, and a callers file with its caller, which has a budget.
func keyWithBudget(t *testing.T) (key, file string) {
	t.Helper()
	key, id, sum := access.NewKey()
	return key, writeFile(t, fmt.Sprintf(`callers:
- name: shop
  identities: [key: {id: %s, sha256: %s}]
  may: {methods: [all], activation_modes: [all], inventory_items: [all], country_sets: [all], countries: [all], secrets: true}
  budget: {currency: USD, per_purchase: 9.99, per_day: 8, per_month: 100}
`, id, sum))
}

// send sends one example and compares the answer with the document.
func (e *restExample) send(t *testing.T, g *gateway, key string, document *openapi3.T, answered map[string]any) {
	t.Helper()
	name := e.Operation + "/" + e.Name
	for field, from := range e.Take {
		e.set(field, valueAt(t, answered, from))
	}
	for _, fault := range e.Faults {
		text, err := json.Marshal(fault)
		if err != nil {
			t.Fatal(err)
		}
		g.inject(t, string(text))
	}
	verb, template, operation := operationNamed(t, document, e.Operation)
	header := http.Header{}
	if key != "" {
		header.Set("Authorization", "Bearer "+key)
	}
	if e.Request != nil {
		header.Set("Content-Type", "application/json")
	}
	for key, value := range e.Header {
		header.Set(key, value)
	}
	got := do(t, verb, "http://"+g.rest+e.target(t, template), string(e.Request), header)
	do(t, http.MethodDelete, "http://"+g.sandbox+"/_sandbox/faults", "", nil)

	var body any
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatalf("%s: %v in %s", name, err, got.body)
	}
	answered[e.Name] = body
	response := operation.Responses.Value(strconv.Itoa(got.status))
	switch {
	case got.status != e.Status:
		t.Fatalf("%s: %d, the document has %d: %s", name, got.status, e.Status, got.body)
	case response == nil:
		t.Fatalf("%s: the document has no answer with status %d", name, got.status)
	case (got.header.Get("Gigagate-Replayed") == "true") != e.Replayed:
		t.Errorf("%s: gigagate-replayed is %q", name, got.header.Get("Gigagate-Replayed"))
	}
	checkHeaders(t, name, response.Value, got.header)
	checkSchema(t, name, response.Value.Content.Get("application/json"), body)
	if *updateExamples {
		e.Answer = []byte(got.body)
		return
	}
	var documented any
	if err := json.Unmarshal(e.Answer, &documented); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if difference := shapeDifference("answer", documented, body); difference != "" {
		t.Errorf("%s: %s\nit answered %s", name, difference, got.body)
	}
}

// set sets a field of the request or of the path.
func (e *restExample) set(field, value string) {
	if _, ok := e.Path[field]; ok {
		e.Path[field] = value
		return
	}
	member := regexp.MustCompile(`("` + field + `":\s*)"[^"]*"`)
	e.Request = member.ReplaceAll(e.Request, []byte(`${1}"`+value+`"`))
}

func (e *restExample) target(t *testing.T, template string) string {
	t.Helper()
	for field, value := range e.Path {
		template = strings.ReplaceAll(template, "{"+field+"}", value)
	}
	query := url.Values{}
	for field, raw := range e.Query {
		query.Set(field, strings.Trim(string(raw), `"`))
	}
	if len(query) == 0 {
		return template
	}
	return template + "?" + query.Encode()
}

// valueAt returns the text at a dotted path that begins with the name of an example.
func valueAt(t *testing.T, answered map[string]any, path string) string {
	t.Helper()
	var at any = answered
	for step := range strings.SplitSeq(path, ".") {
		switch value := at.(type) {
		case map[string]any:
			at = value[step]
		case []any:
			index, _ := strconv.Atoi(step)
			at = value[index]
		}
	}
	text, ok := at.(string)
	if !ok || text == "" {
		t.Fatalf("no answer has %s", path)
	}
	return text
}

func loadDocument(t *testing.T) *openapi3.T {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(openapi.Document)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func operationNamed(t *testing.T, document *openapi3.T, rpc string) (verb, template string, operation *openapi3.Operation) {
	t.Helper()
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			if strings.EqualFold(operation.OperationID, rpc) {
				return method, path, operation
			}
		}
	}
	t.Fatalf("the document has no operation %s", rpc)
	return "", "", nil
}

// plain are headers of HTTP that the document does not describe.
var plain = []string{"Cache-Control", "Connection", "Content-Length", "Content-Type", "Date", "X-Content-Type-Options"}

// checkHeaders compares the headers of an answer with those in the document.
func checkHeaders(t *testing.T, name string, response *openapi3.Response, got http.Header) {
	t.Helper()
	known := slices.Clone(plain)
	for header, described := range response.Headers {
		header = http.CanonicalHeaderKey(header)
		known = append(known, header)
		value := got.Get(header)
		if value == "" {
			if described.Value.Required {
				t.Errorf("%s: there is no header %s", name, header)
			}
			continue
		}
		var typed any = value
		if described.Value.Schema.Value.Type.Is("integer") {
			typed, _ = strconv.ParseFloat(value, 64)
		}
		if err := described.Value.Schema.Value.VisitJSON(typed, openapi3.EnableJSONSchema2020()); err != nil {
			t.Errorf("%s: header %s: %v", name, header, err)
		}
	}
	for header := range got {
		if !slices.Contains(known, header) {
			t.Errorf("%s: the document does not know the header %s", name, header)
		}
	}
}

func checkSchema(t *testing.T, name string, media *openapi3.MediaType, value any) {
	t.Helper()
	if media == nil {
		t.Errorf("%s: the document has no JSON here", name)
		return
	}
	if err := media.Schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
		t.Errorf("%s: it does not match the document's schema: %v", name, err)
	}
}

// constant matches texts that are the same in every run: enum values, reasons, amounts.
var constant = regexp.MustCompile(`^([A-Z_]+|[0-9.]+)$`)

// shapeDifference says where two JSON values differ. It ignores texts that differ from run to run.
func shapeDifference(at string, want, got any) string {
	if reflect.TypeOf(want) != reflect.TypeOf(got) {
		return fmt.Sprintf("%s is a %T, the document has a %T", at, got, want)
	}
	switch want := want.(type) {
	case map[string]any:
		got := got.(map[string]any)
		for key, value := range want {
			if _, ok := got[key]; !ok {
				return at + " lacks " + key
			}
			if difference := shapeDifference(at+"."+key, value, got[key]); difference != "" {
				return difference
			}
		}
		for key := range got {
			if _, ok := want[key]; !ok {
				return at + " has " + key + ", which the document does not have"
			}
		}
	case []any:
		got := got.([]any)
		if len(got) != len(want) {
			return fmt.Sprintf("%s has %d elements, the document %d", at, len(got), len(want))
		}
		for i, value := range want {
			if difference := shapeDifference(at+"."+strconv.Itoa(i), value, got[i]); difference != "" {
				return difference
			}
		}
	case string:
		if constant.MatchString(want) && !strings.HasSuffix(at, "iccid") && !strings.HasSuffix(at, "imsi") && want != got.(string) {
			return fmt.Sprintf("%s is %v, the document has %v", at, got, want)
		}
	default:
		if want != got {
			return fmt.Sprintf("%s is %v, the document has %v", at, got, want)
		}
	}
	return ""
}

func writeExamples(t *testing.T, examples []*restExample) {
	t.Helper()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(examples); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(examplesFile, text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
