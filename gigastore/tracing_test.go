package gigastore

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
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

// The span and the metric of a call have the names and the attributes that the HTTP conventions of OpenTelemetry give a
// client, and no others.
func TestSpansAndMetricsFollowTheConventions(t *testing.T) {
	for name, c := range map[string]struct {
		answer  func(*rawConn)
		version string
		status  int    // 0: none
		failed  string // error.type
		head    bool   // the metric has the status, and no error.type
	}{
		"success":   {func(c *rawConn) { c.answer(200, "application/json", `{}`) }, "1.1", 200, "", true},
		"refusal":   {func(c *rawConn) { c.answer(404, "application/json", `{"message":"not here"}`) }, "1.1", 404, "404", true},
		"no answer": {func(c *rawConn) { c.reset() }, "1.1", 0, "connection broken", false},
		"cut":       {func(c *rawConn) { c.raw("HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n{") }, "1.0", 200, "connection closed within the answer", true},
	} {
		t.Run(name, func(t *testing.T) {
			exporter, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
			vendor := newRawVendor(t, func(conn *rawConn, _ *http.Request) { c.answer(conn) })
			client := newTestClient(t, Config{
				BaseURL: vendor.url(), TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter)),
				MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
			})
			if _, err := client.Activate(t.Context(), "item-1"); (err != nil) != (c.failed != "") {
				t.Fatal(err)
			}
			const template = "/gigastore/activations/activated-items/{uid}/activate"
			outcome := []attribute.KeyValue{}
			if c.status != 0 {
				outcome = append(outcome, semconv.HTTPResponseStatusCode(c.status))
			}
			measured := outcome
			if c.failed != "" {
				outcome = append(outcome, semconv.ErrorTypeKey.String(c.failed))
			}
			if !c.head {
				measured = outcome
			}
			port := vendor.listener.Addr().(*net.TCPAddr).Port
			always := []attribute.KeyValue{
				semconv.HTTPRequestMethodPost, semconv.ServerAddress("127.0.0.1"), semconv.ServerPort(port), semconv.NetworkProtocolVersion(c.version),
			}
			spans := exporter.GetSpans()
			span := spans[len(spans)-1]
			if span.Name != "POST "+template || span.SpanKind != trace.SpanKindClient || (span.Status.Code == codes.Error) != (c.failed != "") {
				t.Errorf("span %s %s %v", span.SpanKind, span.Name, span.Status)
			}
			want := attribute.NewSet(slices.Concat(always, outcome, []attribute.KeyValue{
				semconv.URLFull(vendor.url() + "/gigastore/activations/activated-items/item-1/activate"),
				semconv.URLTemplate(template), AttrOperation.String(OpActivate),
			})...)
			if got := attribute.NewSet(span.Attributes...); !got.Equals(&want) {
				t.Errorf("the span has %v\ninstead of   %v", got.ToSlice(), want.ToSlice())
			}

			want = attribute.NewSet(slices.Concat(always, measured, []attribute.KeyValue{semconv.URLScheme("http"), semconv.NetworkProtocolName("http")})...)
			var metrics metricdata.ResourceMetrics
			if err := reader.Collect(t.Context(), &metrics); err != nil {
				t.Fatal(err)
			}
			found := false
			for _, scope := range metrics.ScopeMetrics {
				for _, m := range scope.Metrics {
					if m.Name != "http.client.request.duration" || m.Unit != "s" {
						continue
					}
					for _, point := range m.Data.(metricdata.Histogram[float64]).DataPoints {
						found = found || point.Attributes.Equals(&want)
					}
				}
			}
			if !found {
				t.Errorf("no measurement has %v: %+v", want.ToSlice(), metrics.ScopeMetrics)
			}
		})
	}
}
