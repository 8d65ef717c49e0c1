package gigastore

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

func TestSpansOfACall(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	traces := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) { c.answer(200, "application/json", saleJSON(testMark)) })
	client := newTestClient(t, Config{BaseURL: vendor.url(), TracerProvider: traces, Propagator: propagation.TraceContext{}})
	ctx, parent := traces.Tracer("test").Start(t.Context(), "caller")
	if _, err := client.Register(ctx, testPermit(), testRegister()); err != nil {
		t.Fatal(err)
	}
	parent.End()
	id := parent.SpanContext().TraceID()
	var names []string
	for _, s := range exporter.GetSpans() {
		names = append(names, s.Name)
		if s.SpanContext.TraceID() != id || s.Name != "caller" && (s.Parent.SpanID() != parent.SpanContext().SpanID() || s.SpanKind != trace.SpanKindClient) {
			t.Errorf("span %s is elsewhere", s.Name)
		}
	}
	want := []string{"POST /reseller/authenticate", "POST /gigastore/activations/register", "caller"}
	if !slices.Equal(names, want) {
		t.Errorf("spans %q", names)
	}
	if got := vendor.requests[0].Header.Get("Traceparent"); !strings.Contains(got, id.String()) {
		t.Errorf("traceparent %q", got)
	}
	if got := vendor.requests[0].Header.Get("Idempotency-Key"); got != testPermit().IdempotencyKey {
		t.Errorf("idempotency key %q", got)
	}
}

// A span of a call has the name and the attributes that the HTTP conventions of OpenTelemetry give a client's span.
func TestSpansFollowTheConventions(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(*rawConn)
		want   []attribute.KeyValue
	}{
		"refusal":   {func(c *rawConn) { c.answer(404, "application/json", `{"message":"not here"}`) }, []attribute.KeyValue{semconv.HTTPResponseStatusCode(404), semconv.ErrorTypeKey.String("404")}},
		"no answer": {func(c *rawConn) { c.reset() }, []attribute.KeyValue{semconv.ErrorTypeKey.String("connection broken")}},
	} {
		t.Run(name, func(t *testing.T) {
			exporter := tracetest.NewInMemoryExporter()
			vendor := newRawVendor(t, func(conn *rawConn, _ *http.Request) { c.answer(conn) })
			client := newTestClient(t, Config{BaseURL: vendor.url(), TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))})
			if _, err := client.Activate(t.Context(), "item-1"); err == nil {
				t.Fatal("no error")
			}
			spans := exporter.GetSpans()
			span := spans[len(spans)-1]
			if span.Name != "POST /gigastore/activations/activated-items/{uid}/activate" || span.SpanKind != trace.SpanKindClient {
				t.Errorf("span %s %s", span.SpanKind, span.Name)
			}
			for _, want := range append(c.want, semconv.HTTPRequestMethodPost, semconv.ServerAddress("127.0.0.1"),
				semconv.URLTemplate("/gigastore/activations/activated-items/{uid}/activate"), AttrOperation.String(OpActivate)) {
				if !slices.Contains(span.Attributes, want) {
					t.Errorf("the span lacks %v: %v", want, span.Attributes)
				}
			}
		})
	}
}
