package purchase

import (
	"fmt"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// TestOriginIsStoredWhole: an origin that is stored and read is the same. Other stored bytes are no origin.
func TestOriginIsStoredWhole(t *testing.T) {
	t.Parallel()
	origin := Origin{TraceID: trace.TraceID{1, 15: 2}, SpanID: trace.SpanID{3, 7: 4}}
	stored := origin.Encode()
	if len(stored) != 24 || DecodeOrigin(stored) != origin {
		t.Errorf("%x is read as %v, want %v", stored, DecodeOrigin(stored), origin)
	}
	if origin.Trace() != "01000000000000000000000000000002" {
		t.Errorf("the trace is %s", origin.Trace())
	}
	if (Origin{}).Encode() != nil || (Origin{}).Trace() != "" {
		t.Error("no origin is stored as one")
	}
	for _, other := range [][]byte{nil, stored[:23], append(stored, 0)} {
		if DecodeOrigin(other) != (Origin{}) {
			t.Errorf("%x is an origin", other)
		}
	}
}

// tracing returns an engine that makes spans, and where they are exported.
func tracing() (*Engine, *tracetest.InMemoryExporter) {
	spans := tracetest.NewInMemoryExporter()
	return &Engine{tracer: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("test")}, spans
}

// TestLinksAreBounded: a span about many purchases has a limited number of links, and none is dropped without notice.
func TestLinksAreBounded(t *testing.T) {
	t.Parallel()
	e, spans := tracing()
	open := make([]Purchase, 2*maxLinks)
	for i := range open {
		open[i] = Purchase{ID: fmt.Sprint(i), Origin: Origin{trace.TraceID{1, byte(i)}, trace.SpanID{1}}}
	}
	open[0].Origin = Origin{} // its call had no span
	_, end := e.startSpan(t.Context(), spanReadList, open...)
	end()
	span := spans.GetSpans()[0]
	if len(span.Links) != maxLinks-1 || span.DroppedLinks > 0 || span.Links[0].SpanContext.TraceID() != open[1].Origin.TraceID {
		t.Errorf("%d links and %d dropped, the first is %v", len(span.Links), span.DroppedLinks, span.Links[0])
	}
}

// TestSpansTellNoPanic: the span of work that panics ends, and does not have the value of the panic. It may be secret.
func TestSpansTellNoPanic(t *testing.T) {
	t.Parallel()
	e, spans := tracing()
	func() {
		defer func() { _ = recover() }()
		_, end := e.startSpan(t.Context(), spanReconcile, Purchase{ID: "id"})
		defer end()
		panic("secret")
	}()
	if ended := spans.GetSpans(); len(ended) != 1 || strings.Contains(fmt.Sprintf("%+v", ended), "secret") {
		t.Errorf("spans %+v", ended)
	}
}
