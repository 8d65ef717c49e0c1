package gigastore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

var canaries = []string{
	testEmail, testIP, testBearer, "canary-client-secret", "CANARY", "canary.invalid", "8997canary", "26006canary",
	"dGVzdC1pZDpjYW5hcnktY2xpZW50LXNlY3JldA", // the Basic credentials
}

func everyWayToPrint(v any) string {
	var b bytes.Buffer
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, format+"\n", v)
	}
	fmt.Fprintln(&b, v)
	slog.New(slog.NewTextHandler(&b, nil)).Info("text", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("json", "v", v)
	return b.String()
}

func TestNothingPrivateIsPrinted(t *testing.T) {
	profile := ESIMProfile{
		ICCID: "8997canary", IMSI: "26006canary", ActivationCode: "LPA:1$x$CANARY", AppleUniversalLink: "https://canary.invalid/a",
		InstallationURL: "https://canary.invalid/i", Unknown: UnknownMembers{"eid": json.RawMessage(`"CANARY"`)},
	}
	customer := Customer{UID: "c", Email: testEmail, ProfileURL: "https://canary.invalid/p", Unknown: UnknownMembers{"x": json.RawMessage(`"CANARY"`)}}
	item := ActivatedItem{UID: "i", Unknown: UnknownMembers{"x": json.RawMessage(`"CANARY"`)}}
	for name, v := range map[string]any{
		"RegisterRequest":         testRegister(),
		"*RegisterRequest":        new(testRegister()),
		"TopUpWithProfileRequest": TopUpWithProfileRequest{UserIP: testIP},
		"SearchCustomersQuery":    SearchCustomersQuery{Key: SearchEmail, Query: testEmail},
		"Sale":                    Sale{ActivatedItem: item, Customer: customer, ESIMProfile: &profile, text: []byte("CANARY")},
		"*Sale":                   &Sale{ActivatedItem: item, Customer: customer, ESIMProfile: &profile, text: []byte("CANARY")},
		"CustomerRecord":          CustomerRecord{Customer: customer, ActivatedItems: []ActivatedItem{item}, RelatedESIMs: []ESIMProfile{profile}},
		"*ActivatedItemRecord":    &ActivatedItemRecord{ActivatedItem: item, Customer: customer, ESIMs: []ESIMProfile{profile}},
		"*ESIMProfile":            &profile,
		"Config":                  Config{ClientSecret: "canary-client-secret"},
		"Secret":                  Secret("canary-client-secret"),
		"*Error": &Error{
			Operation: OpRegister, Message: testEmail, Body: []byte("CANARY"), Err: errors.New("CANARY " + testEmail),
		},
		"wrapped *Error": fmt.Errorf("context: %w", &Error{Message: testEmail, Body: []byte("CANARY"), Err: &Error{Message: "CANARY"}}),
		"unknown":        UnknownMembers{"x": json.RawMessage(`"CANARY"`)},
	} {
		text := everyWayToPrint(v)
		if found := containsAny(text, canaries...); found != "" {
			t.Errorf("%s prints %q:\n%s", name, found, text)
		}
	}
	if data, err := json.Marshal(struct{ S Secret }{"canary-client-secret"}); err != nil || string(data) != `{"S":"[redacted]"}` {
		t.Errorf("%s, %v", data, err)
	}
	if text, err := Secret("canary-client-secret").MarshalText(); err != nil || string(text) != "[redacted]" {
		t.Errorf("%s, %v", text, err)
	}
}

// TestNothingPrivateIsTraced: errors, spans and metrics hold nothing private, whatever the vendor and the network do.
func TestNothingPrivateIsTraced(t *testing.T) {
	secretive := `{"message":"` + testEmail + ` from ` + testIP + ` may not","activationCode":"LPA:1$x$CANARY"}`
	const length = "Content-Length: 9999\r\n\r\n"
	for name, send := range map[string]string{
		"sale":            fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(saleJSON(testMark)), saleJSON(testMark)),
		"refused":         fmt.Sprintf("HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n%s", len(secretive), secretive),
		"server error":    fmt.Sprintf("HTTP/1.1 500 CANARY %s\r\nContent-Length: %d\r\n\r\n%s", testEmail, len(secretive), secretive),
		"not HTTP":        "LPA:1$x$CANARY " + testEmail + "\r\n\r\n",
		"bad status":      "HTTP/1.1 CANARY\r\n\r\n",
		"bad header":      "HTTP/1.1 200 OK\r\nCANARY " + testEmail + "\r\n\r\n",
		"bad length":      "HTTP/1.1 200 OK\r\nContent-Length: CANARY\r\n\r\n",
		"bad coding":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: CANARY\r\n\r\n",
		"bad chunk":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nCANARY\r\n",
		"bad trailer":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\nCANARY " + testEmail + "\r\n\r\n",
		"cut":             "HTTP/1.1 200 OK\r\n" + length + secretive,
		"redirect":        "HTTP/1.1 302 Found\r\nLocation: https://canary.invalid/?CANARY\r\nContent-Length: 0\r\n\r\n",
		"bad redirect":    "HTTP/1.1 302 Found\r\nLocation: ://CANARY\r\nContent-Length: 0\r\n\r\n",
		"cookie":          "HTTP/1.1 200 OK\r\nSet-Cookie: s=CANARY\r\nContent-Length: 2\r\n\r\n{}",
		"nothing":         "",
		"malformed token": "HTTP/1.1 401 CANARY\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exporter := tracetest.NewInMemoryExporter()
			traces := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
			reader := sdkmetric.NewManualReader()
			vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) {
				c.raw("%s", send)
				_ = c.Conn.Close()
			})
			client := newTestClient(t, Config{
				BaseURL: vendor.url(), TracerProvider: traces, Propagator: propagation.TraceContext{},
				MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
			})
			ctx, parent := traces.Tracer("test").Start(t.Context(), "caller")
			var printed strings.Builder
			record := func(err error) { printed.WriteString(everyWayToPrint(err)) }
			_, err := client.Register(ctx, testPermit(), testRegister())
			record(err)
			for e := err; e != nil; e = errors.Unwrap(e) {
				record(e)
			}
			_, err = client.SearchCustomers(ctx, SearchCustomersQuery{Key: SearchEmail, Query: testEmail})
			record(err)
			_, err = collect(client.ActivatedItems(ctx, ActivatedItemsQuery{}))
			record(err)
			_, err = client.Activate(ctx, "item-1")
			record(err)
			parent.End()

			var metrics metricdata.ResourceMetrics
			if err := reader.Collect(t.Context(), &metrics); err != nil {
				t.Fatal(err)
			}
			spans := exporter.GetSpans()
			for where, text := range map[string]string{
				"errors": printed.String(), "spans": fmt.Sprintf("%+v", spans.Snapshots()) + everyAttribute(spans), "metrics": fmt.Sprintf("%+v", metrics),
			} {
				if found := containsAny(text, canaries...); found != "" {
					t.Errorf("%s hold %q:\n%s", where, found, text)
				}
			}
			if len(spans) < 6 || len(metrics.ScopeMetrics) == 0 {
				t.Errorf("%d spans, %d metric scopes", len(spans), len(metrics.ScopeMetrics))
			}
		})
	}
}

func everyAttribute(spans tracetest.SpanStubs) string {
	var b strings.Builder
	for _, s := range spans {
		fmt.Fprintln(&b, s.Name, s.Status.Description)
		for _, a := range s.Attributes {
			fmt.Fprintln(&b, a.Key, a.Value.String())
		}
		for _, e := range s.Events {
			fmt.Fprintln(&b, e.Name)
			for _, a := range e.Attributes {
				fmt.Fprintln(&b, a.Key, a.Value.String())
			}
		}
	}
	return b.String()
}

// TestTraceStateIsNotSent: the vendor does not get the trace state that a caller's tracing wrote, and our spans keep
// it.
func TestTraceStateIsNotSent(t *testing.T) {
	state, err := trace.ParseTraceState("canary=CANARY")
	if err != nil {
		t.Fatal(err)
	}
	exporter := tracetest.NewInMemoryExporter()
	traces := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) { c.answer(200, "application/json", saleJSON(testMark)) })
	client := newTestClient(t, Config{BaseURL: vendor.url(), TracerProvider: traces, Propagator: propagation.TraceContext{}})
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled, TraceState: state,
	}))
	if _, err := client.Register(ctx, testPermit(), testRegister()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Activate(ctx, "item-1"); err != nil {
		t.Fatal(err)
	}
	for _, r := range vendor.requests {
		if r.Header.Get("Traceparent") == "" || r.Header.Values("Tracestate") != nil {
			t.Errorf("%s was sent %v", r.URL.Path, r.Header)
		}
	}
	for _, s := range exporter.GetSpans() {
		if s.SpanContext.TraceState().String() != state.String() {
			t.Errorf("span %s has the state %q", s.Name, s.SpanContext.TraceState())
		}
	}
}
