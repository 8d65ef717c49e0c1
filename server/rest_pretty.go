package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

const (
	// prettyParameter is the only query parameter that is no field of the contract. Every route takes it.
	prettyParameter = "pretty"
	// prettyMIME selects the marshaler that indents. grpc-gateway chooses a marshaler by the Accept header.
	prettyMIME = "application/json+pretty"
)

// takePretty removes the parameter pretty from the query, so that the layers below never see it. It sets the
// Accept header, which has no other use over REST. It returns MALFORMED_REQUEST for a value other than true, false or
// none.
func takePretty(r *http.Request) *failure {
	r.Header.Del("Accept")
	var rest []string
	found := 0
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(key); err != nil || name != prettyParameter {
			rest = append(rest, pair)
			continue
		}
		found++
		if value != "" && value != "true" && value != "false" {
			return malformed(prettyParameter, "must be true or false, or have no value")
		}
		restCallOf(r.Context()).pretty = value != "false"
	}
	if found == 0 {
		return nil
	}
	if found > 1 {
		return malformed(prettyParameter, "appears more than once in the query")
	}
	r.URL.RawQuery = strings.Join(rest, "&")
	if restCallOf(r.Context()).pretty {
		r.Header.Set("Accept", prettyMIME)
	}
	return nil
}

// layOut ends a JSON text with a newline. If pretty is set, it also indents the text.
func layOut(text []byte, pretty bool) []byte {
	if pretty {
		var indented bytes.Buffer
		if json.Indent(&indented, text, "", "  ") == nil {
			text = indented.Bytes()
		}
	}
	return append(text, '\n')
}
