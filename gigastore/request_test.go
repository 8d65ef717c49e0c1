package gigastore

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"go.opentelemetry.io/otel/propagation"
)

// TestRequestText: each kind of request has the headers that it needs, and no others.
func TestRequestText(t *testing.T) {
	const common = "Host: api.giga.store\r\nUser-Agent: gigagate\r\nConnection: close\r\nAccept: application/json, application/problem+json\r\n"
	client := newTestClient(t, Config{BaseURL: "https://api.giga.store:443"})
	for name, tc := range map[string]struct {
		call call
		want string
	}{
		"paid": {
			call{operation: OpTopUp, body: []byte(`{"a":1}`), bearer: "t", idempotencyKey: "k"},
			"POST /gigastore/activations/top-up HTTP/1.1\r\n" + common +
				"Content-Length: 7\r\nContent-Type: application/json\r\nIdempotency-Key: k\r\nAuthorization: Bearer t\r\n\r\n{\"a\":1}",
		},
		"activate": {
			call{operation: OpActivate, segment: "item 1", bearer: "t"},
			"POST /gigastore/activations/activated-items/item%201/activate HTTP/1.1\r\n" + common + "Content-Length: 0\r\nAuthorization: Bearer t\r\n\r\n",
		},
		"login": {
			call{operation: OpAuthenticate, basic: &[2]Secret{"id", "secret"}},
			"POST /reseller/authenticate HTTP/1.1\r\n" + common + "Content-Length: 0\r\nAuthorization: Basic aWQ6c2VjcmV0\r\n\r\n",
		},
		"read": {
			call{operation: OpCustomers, query: url.Values{"page_size": {"5"}, "b": {"a b&c\r\n"}}, bearer: "t"},
			"GET /gigastore/activations/customers?b=a+b%26c%0D%0A&page_size=5 HTTP/1.1\r\n" + common + "Authorization: Bearer t\r\n\r\n",
		},
	} {
		if got := string(client.text(t.Context(), &tc.call, tc.call.target())); got != tc.want {
			t.Errorf("%s:\n got %q\nwant %q", name, got, tc.want)
		}
	}
}

// TestHeaderEndsItsOwnLine: no value of a header adds a header, and none adds a request, which could sell a second
// package.
func TestHeaderEndsItsOwnLine(t *testing.T) {
	vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) { c.answer(200, "application/json", saleJSON(testMark)) })
	client := newTestClient(t, Config{BaseURL: vendor.url(), Propagator: splitting{}})
	if _, err := client.Register(t.Context(), testPermit(), testRegister()); err != nil {
		t.Fatal(err)
	}
	requests, _ := vendor.seen()
	if header := vendor.requests[0].Header; requests != 1 || header.Get("Split") != "a: b" || header.Get("A") != "" {
		t.Errorf("%d requests, and the vendor got %v", requests, header)
	}
}

// splitting is a propagator that tries to end the head of the request.
type splitting struct{ propagation.TraceContext }

func (splitting) Inject(_ context.Context, carrier propagation.TextMapCarrier) {
	carrier.Set("Split", "\r\n\r\na: b")
}
