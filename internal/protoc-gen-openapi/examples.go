package main

import (
	_ "embed" // for the examples
	"encoding/json"
)

// example is one call that a test sends to a real gateway, in the order of the file. The file also says what the test
// must do around the call, for example inject a fault into the sandbox. The document does not need that.
type example struct {
	Name      string                     `json:"name"`
	Summary   string                     `json:"summary"`
	Operation string                     `json:"operation"`
	Invalid   bool                       `json:"invalid"` // whether it breaks the document's rules; then only its answer is shown
	Path      map[string]string          `json:"path"`
	Query     map[string]json.RawMessage `json:"query"`
	Header    map[string]string          `json:"header"`
	Request   json.RawMessage            `json:"request"`
	Status    int                        `json:"status"`
	Answer    json.RawMessage            `json:"answer"`
}

//go:embed examples.json
var examplesJSON []byte

var examples = mustReadExamples()

func mustReadExamples() []*example {
	var read []*example
	if err := json.Unmarshal(examplesJSON, &read); err != nil {
		panic("examples.json: " + err.Error())
	}
	return read
}

// named adds an example under its name.
func (o object) named(e *example, value any) object {
	return o.with(e.Name, object{{"summary", e.Summary}, {"value", value}})
}

func (o *operation) bodyExamples() object {
	named := object{}
	for _, e := range o.examples {
		if e.Request != nil && !e.Invalid {
			named = named.named(e, e.Request)
		}
	}
	return named
}

func (o *operation) answerExamples(status int) object {
	named := object{}
	for _, e := range o.examples {
		if e.Status == status {
			named = named.named(e, e.Answer)
		}
	}
	return named
}

func (o *operation) parameterExamples(in, name string) object {
	named := object{}
	for _, e := range o.examples {
		if e.Invalid {
			continue
		}
		if value, ok := e.Path[name]; ok && in == "path" {
			named = named.named(e, value)
		}
		if value, ok := e.Query[name]; ok && in == "query" {
			named = named.named(e, value)
		}
	}
	return named
}
