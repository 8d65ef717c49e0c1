package purchase

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Origin is the span of the call that started a purchase. What happens to the purchase later is in other traces. Their
// spans link to the origin. It is kept even if the span was not exported, because log lines name its trace, too. The zero
// value is the origin of a call without a span.
type Origin struct {
	TraceID trace.TraceID
	SpanID  trace.SpanID
}

// originOf returns the span of a call.
func originOf(ctx context.Context) Origin {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return Origin{}
	}
	return Origin{span.TraceID(), span.SpanID()}
}

// Trace returns the id of the trace in hexadecimal digits, or "" if there is no trace.
func (o Origin) Trace() string {
	if !o.TraceID.IsValid() {
		return ""
	}
	return o.TraceID.String()
}

// Encode returns the origin as journals store it: the 16 bytes of the trace id and the 8 bytes of the span id. It returns
// nil for the zero value.
func (o Origin) Encode() []byte {
	if o == (Origin{}) {
		return nil
	}
	return slices.Concat(o.TraceID[:], o.SpanID[:])
}

// DecodeOrigin reads a stored origin. If it has another length, the result is the zero value: nothing that matters to a
// purchase depends on its origin.
func DecodeOrigin(stored []byte) (o Origin) {
	if len(stored) == len(o.TraceID)+len(o.SpanID) {
		copy(o.TraceID[:], stored)
		copy(o.SpanID[:], stored[len(o.TraceID):])
	}
	return o
}

// AttrID is the attribute of a span that names its purchase.
const AttrID = attribute.Key("gigagate.purchase.id")

// The names of the gateway's own spans.
const (
	spanReadCustomers = "reconcile customers" // a read of the records near some purchases
	spanReadList      = "reconcile list"      // a read of the vendor's whole list
	spanReconcile     = "reconcile purchase"  // the write of what such a read decided
	spanTakeOver      = "take over purchase"
)

// maxLinks limits the links of one span. By default, OpenTelemetry keeps 128.
const maxLinks = 100

// link returns the link from a span about the purchase to the call that started it. It reports whether there is one.
func (p *Purchase) link() (trace.Link, bool) {
	origin := trace.NewSpanContext(trace.SpanContextConfig{TraceID: p.Origin.TraceID, SpanID: p.Origin.SpanID, Remote: true})
	return trace.Link{SpanContext: origin, Attributes: []attribute.KeyValue{AttrID.String(p.ID)}}, origin.IsValid()
}

// linkTo links the span of ctx to the call that started a purchase.
func linkTo(ctx context.Context, p *Purchase) {
	if link, ok := p.link(); ok {
		trace.SpanFromContext(ctx).AddLink(link)
	}
}

// startSpan starts a span of the gateway's own work on purchases. The span links to the calls that started them, to the
// first [maxLinks] at most. If the work is on one purchase, the span has its id and its kind.
func (e *Engine) startSpan(ctx context.Context, name string, on ...Purchase) (_ context.Context, end func()) {
	ctx, span := e.tracer.Start(ctx, name)
	if span.IsRecording() {
		for i := range on[:min(len(on), maxLinks)] {
			linkTo(ctx, &on[i])
		}
		if len(on) == 1 {
			span.SetAttributes(AttrID.String(on[0].ID), AttrKind.String(string(on[0].Order.Kind)))
		}
	}
	// The caller defers this function. If it deferred End itself, End would note the value of a panic, which may be secret.
	return ctx, func() { span.End() }
}

// annotateState sets the state of a purchase on the span of ctx.
func annotateState(ctx context.Context, p *Purchase) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(attrState.String(string(p.State)))
	}
}
