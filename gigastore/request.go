package gigastore

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	contentTypeJSON = "application/json"
	usualHead       = 1 << 10 // bytes of a request without its body; the vendor's sample of a token has about 500
)

// call is a request to send.
type call struct {
	operation      string // says which route
	segment        string // the variable segment of the route's path, if it has one
	query          url.Values
	body           []byte // JSON; nil: none
	limit          int64  // the most bytes of the answer's body
	bearer         Secret // "": no Authorization
	basic          *[2]Secret
	idempotencyKey string
	notAfter       time.Time                   // no first byte after this time; zero: no limit
	confirm        func(context.Context) error // called before the first byte; nil: not needed
}

// target is the path and the query.
func (k *call) target() string {
	path := routes[k.operation].path(k.segment)
	if len(k.query) > 0 {
		path += "?" + k.query.Encode()
	}
	return path
}

// request is the text of an HTTP request.
type request []byte

// text returns the whole request, so that one Write sends it. Either all of it leaves, or the number of bytes that
// left is known. The context has the span that the vendor may continue.
func (c *Client) text(ctx context.Context, k *call, target string) request {
	method := routes[k.operation].method
	text := make(request, 0, usualHead+len(k.body))
	text = append(text, method+" "+target+" HTTP/1.1\r\n"...)
	text.Set("Host", c.transport.host)
	text.Set("User-Agent", c.userAgent)
	text.Set("Connection", "close")
	text.Set("Accept", contentTypeJSON+", application/problem+json")
	if k.body != nil || method == http.MethodPost {
		text.Set("Content-Length", strconv.Itoa(len(k.body)))
	}
	if k.body != nil {
		text.Set("Content-Type", contentTypeJSON)
		if k.idempotencyKey != "" {
			text.Set("Idempotency-Key", k.idempotencyKey)
		}
	}
	switch {
	case k.basic != nil:
		pair := string(k.basic[0] + ":" + k.basic[1])
		text.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	case k.bearer != "":
		text.Set("Authorization", "Bearer "+string(k.bearer))
	}
	c.telemetry.propagate(ctx, &text)
	text = append(text, "\r\n"...)
	return append(text, k.body...)
}

// Set adds a header. A control character becomes a space, so that no value can end its line. Set, Get and Keys make a
// request an OpenTelemetry carrier.
func (r *request) Set(name, value string) {
	*r = append(*r, name+": "...)
	for _, b := range []byte(value) {
		if b < ' ' || b == 0x7f {
			b = ' '
		}
		*r = append(*r, b)
	}
	*r = append(*r, "\r\n"...)
}

// Get returns nothing. Whoever writes a request does not read it.
func (r *request) Get(string) string { return "" }

// Keys returns nothing.
func (r *request) Keys() []string { return nil }
