package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
)

// traced asks with the caller's own trace.
func traced(message proto.Message) question {
	q := ask(message)
	q.header = http.Header{"Traceparent": {traceparent}}
	return q
}

// span waits for the end of a span with a name and an attribute.
func (g *gateway) span(t *testing.T, name string, with attribute.KeyValue) tracetest.SpanStub {
	t.Helper()
	var found tracetest.SpanStub
	g.spans.until(t, "the span "+name, func() bool {
		spans := g.spans.GetSpans()
		i := slices.IndexFunc(spans, func(s tracetest.SpanStub) bool { return s.Name == name && slices.Contains(s.Attributes, with) })
		if i >= 0 {
			found = spans[i]
		}
		return i >= 0
	})
	return found
}

// above waits for the end of a span's parent.
func (g *gateway) above(t *testing.T, child tracetest.SpanStub) tracetest.SpanStub {
	t.Helper()
	var found tracetest.SpanStub
	g.spans.until(t, "the span above "+child.Name, func() bool {
		spans := g.spans.GetSpans()
		i := slices.IndexFunc(spans, func(s tracetest.SpanStub) bool { return s.SpanContext.SpanID() == child.Parent.SpanID() })
		if i >= 0 {
			found = spans[i]
		}
		return i >= 0
	})
	return found
}

func purchaseID(id string) attribute.KeyValue { return attribute.String("gigagate.purchase.id", id) }

func stateIs(name string) attribute.KeyValue {
	return attribute.String("gigagate.purchase.state", name)
}

// checkLink checks that a span is not in the trace of the call that started a purchase, and links to that call.
func checkLink(t *testing.T, span tracetest.SpanStub, id string, origin purchase.Origin) {
	t.Helper()
	if span.SpanContext.TraceID() == origin.TraceID {
		t.Errorf("%s is in the trace of the call that started the purchase", span.Name)
	}
	if !slices.ContainsFunc(span.Links, func(l sdktrace.Link) bool {
		return l.SpanContext.TraceID() == origin.TraceID && l.SpanContext.SpanID() == origin.SpanID && slices.Contains(l.Attributes, purchaseID(id))
	}) {
		t.Errorf("%s has the links %v, want one to %v", span.Name, span.Links, origin)
	}
}

// The reads that settle a purchase, and the write of what they showed, have spans. They link to the call that started the
// purchase.
func TestReconcilerLinksToTheCall(t *testing.T) {
	t.Parallel()
	for i, name := range []string{"grpc", "rest"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := open(t, setup{})
			g.inject(t, pathRegister, "commit_then_5xx", nil)
			a := g.transports()[i].call(t, t.Context(), traced(register()))
			a.ok(t)
			id := a.purchaseID(t)
			call := g.span(t, "gigagate.v1.ActivationService/Register", purchaseID(id))
			origin := purchase.Origin{TraceID: call.SpanContext.TraceID(), SpanID: call.SpanContext.SpanID()}
			if origin.Trace() != callerTrace {
				t.Errorf("the call has the trace %s", origin.Trace())
			}
			wantAttributes(t, call, stateIs("UNCERTAIN"))
			settled := g.span(t, "reconcile purchase", purchaseID(id))
			wantAttributes(t, settled, kind("register"), stateIs("SUCCEEDED"))
			checkLink(t, settled, id, origin)
			read := g.above(t, settled)
			if read.Name != "reconcile list" || read.Parent.IsValid() {
				t.Errorf("above it is %s, which has the parent %v", read.Name, read.Parent)
			}
			checkLink(t, read, id, origin)
		})
	}
}

// The call of an operator who resolves a purchase links to the call that started it.
func TestResolveLinksToTheCall(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	for _, d := range g.transports() {
		id, item := g.hidden(t, register(), pathRegister)
		order := g.read(t, d, id).GetPurchase()
		q := traced(itemSold(id, item))
		d.call(t, t.Context(), q).ok(t)
		for _, span := range g.traceOf(t, callerTrace, "gigagate.v1.PurchaseService/ResolvePurchase", 1) {
			if !strings.HasSuffix(span.Name, "/ResolvePurchase") {
				continue
			}
			if len(span.Links) != 1 || span.Links[0].SpanContext.TraceID().String() != order.GetTraceId() || order.GetTraceId() == callerTrace {
				t.Errorf("%s: the links are %v, want one to the trace %s", d.name, span.Links, order.GetTraceId())
			}
			wantAttributes(t, span, stateIs("SUCCEEDED"))
		}
		g.spans.Reset()
	}
}

// A process that takes over a purchase of a dead one works in a trace of its own. It links to the call that started the
// purchase.
func TestNewOwnerLinksToTheCall(t *testing.T) {
	t.Parallel()
	journal := newJournal()
	g := open(t, setup{journal: journal})
	claim := func() purchase.Purchase {
		id := ulid.Make().String()
		p, err := journal.Claim(t.Context(), purchase.Claim{
			ID: id, Key: purchase.Key{Caller: "default", RequestID: id}, Account: g.vendor.Account(),
			Order:    purchase.Order{Kind: purchase.Register, InventoryItemID: sandbox.ItemWorldwide1GB, Metatag: "m", UserCountry: "GR"},
			Personal: purchase.Personal{UserIP: "203.0.113.24"}.Encode(),
			Origin:   purchase.Origin{TraceID: trace.TraceID{7}, SpanID: trace.SpanID{8}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	sending, accepted := claim(), claim()
	if _, _, err := purchase.Record(t.Context(), journal, accepted, purchase.Transition{Event: purchase.AnsweredNoEffect, Attempt: 1}); err != nil {
		t.Fatal(err)
	}
	next := purchase.NewEngine(purchase.Config{
		Journal: journal, Vendor: g.vendor, Logger: g.logs.logger(), SendWindow: 10 * time.Second,
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(g.spans)),
		Reconcile:      purchase.ReconcileConfig{Quiet: 400 * time.Millisecond, Wait: 400 * time.Millisecond, GiveUp: 10 * time.Second},
	})
	next.Start()
	t.Cleanup(next.Close)
	for state, p := range map[string]purchase.Purchase{"UNCERTAIN": sending, "SUCCEEDED": accepted} {
		span := g.span(t, "take over purchase", purchaseID(p.ID))
		wantAttributes(t, span, kind("register"), stateIs(state))
		checkLink(t, span, p.ID, p.Origin)
		if state == "SUCCEEDED" {
			// The first call that needs a token fetches it. That can be this one.
			below := slices.DeleteFunc(g.spans.GetSpans(), func(s tracetest.SpanStub) bool {
				return s.Parent.SpanID() != span.SpanContext.SpanID() || s.Name == "POST /reseller/authenticate"
			})
			if len(below) != 1 || below[0].Name != "POST /gigastore/activations/register" {
				t.Errorf("below it are %v", below)
			}
		}
	}
}

// A purchase shows the trace of the call that started it, also when another call repeats it, and is found by it.
func TestTraceOfAPurchase(t *testing.T) {
	t.Parallel()
	for i, name := range []string{"grpc", "rest"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := open(t, setup{})
			d := g.transports()[i]
			untraced := register()
			other := d.call(t, t.Context(), ask(untraced))
			message := register()
			id := d.call(t, t.Context(), traced(message)).purchaseID(t)
			if again := d.call(t, t.Context(), ask(message)); again.replayed != "true" || again.traceID == callerTrace {
				t.Errorf("replayed %q in the trace %s", again.replayed, again.traceID)
			}
			if shown := g.read(t, d, id).GetPurchase().GetTraceId(); shown != callerTrace {
				t.Errorf("it has the trace %q", shown)
			}
			if shown := g.read(t, d, other.purchaseID(t)).GetPurchase().GetTraceId(); shown != other.traceID {
				t.Errorf("it has the trace %q, but the answer had %q", shown, other.traceID)
			}
			found := g.list(t, d, &gigagatev1.ListPurchasesRequest{TraceId: callerTrace}).GetPurchases()
			if len(found) != 1 || found[0].GetId() != id || found[0].GetTraceId() != callerTrace {
				t.Errorf("found %v", found)
			}
		})
	}
}
