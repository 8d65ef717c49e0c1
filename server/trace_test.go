package server_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

const (
	callerTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	callerSpan  = "00f067aa0ba902b7"
	traceparent = "00-" + callerTrace + "-" + callerSpan + "-01"
)

// traceOf waits until a trace has its root and the given number of spans. The root of a REST call can end before the span
// below it.
func (g *gateway) traceOf(t *testing.T, traceID, root string, number int) tracetest.SpanStubs {
	t.Helper()
	var found tracetest.SpanStubs
	g.spans.until(t, "the span "+root, func() bool {
		found = slices.DeleteFunc(g.spans.GetSpans(), func(s tracetest.SpanStub) bool {
			return s.SpanContext.TraceID().String() != traceID
		})
		return len(found) >= number && slices.ContainsFunc(found, func(s tracetest.SpanStub) bool { return s.Name == root })
	})
	return found
}

// tree returns the names of spans as lines, each indented below its parent.
func tree(spans tracetest.SpanStubs, parent trace.SpanID, indent string) string {
	var b strings.Builder
	slices.SortStableFunc(spans, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	for _, span := range spans {
		if span.Parent.SpanID() == parent {
			b.WriteString(indent + span.SpanKind.String() + " " + span.Name + "\n")
			b.WriteString(tree(spans, span.SpanContext.SpanID(), indent+"  "))
		}
	}
	return b.String()
}

func attributes(span tracetest.SpanStub) map[string]string {
	all := map[string]string{}
	for _, attribute := range span.Attributes {
		all[string(attribute.Key)] = attribute.Value.String()
	}
	return all
}

// seenTraces collects the traceparent header of each vendor call, and every other tracing header.
type seenTraces struct {
	mu    sync.Mutex
	paths map[string]string
	other []string
}

func (s *seenTraces) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.paths[r.URL.Path] = r.Header.Get("Traceparent")
		s.other = append(s.other, slices.Concat(r.Header.Values("Tracestate"), r.Header.Values("Baggage"))...)
		s.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func TestOneTracePerCall(t *testing.T) {
	t.Parallel()
	const service, rest, vendor = "gigagate.v1.ActivationService/", "POST /v1/activations/", "POST /gigastore/activations/"
	for _, c := range []struct {
		name       string
		message    func(customer, item string) proto.Message
		fault      [2]string // path and fault
		rpc, route string
		vendor     []string
		attributes []attribute.KeyValue
	}{
		{
			"register", func(_, _ string) proto.Message { return register(mode(firstUse)) },
			[2]string{},
			service + "Register", rest + "register",
			[]string{vendor + "register"},
			[]attribute.KeyValue{
				kind("register"), attribute.String("gigagate.activation_mode", "FIRST_USE"), effect("APPLIED"), vendorStatus(200),
			},
		},
		{
			"top-up with profile", func(customer, _ string) proto.Message { return topUp(customer, withProfile()) },
			[2]string{},
			service + "TopUp", rest + "top-up",
			[]string{vendor + "top-up-with-profile"},
			[]attribute.KeyValue{
				kind("top_up_with_profile"), attribute.String("gigagate.activation_mode", "UNSPECIFIED"), effect("APPLIED"), vendorStatus(200),
			},
		},
		{
			"refused top-up", func(_, _ string) proto.Message { return topUp("nobody") },
			[2]string{},
			service + "TopUp", rest + "top-up",
			[]string{vendor + "top-up"},
			[]attribute.KeyValue{kind("top_up"), effect("NOT_APPLIED"), semconv.ErrorTypeKey.String("CUSTOMER_NOT_FOUND"), vendorStatus(404)},
		},
		{
			"sale that the reconciler finds", func(_, _ string) proto.Message { return register() },
			[2]string{pathRegister, "commit_then_5xx"},
			service + "Register", rest + "register",
			[]string{vendor + "register"},
			[]attribute.KeyValue{effect("APPLIED"), vendorStatus(502)},
		},
		{
			"activate", func(_, item string) proto.Message { return activate(item) },
			[2]string{},
			service + "Activate", rest + "activated-items/{uid}/activate",
			[]string{"GET /gigastore/activations/activated-items/{uid}", vendor + "activated-items/{uid}/activate"},
			nil,
		},
		{
			"read", func(customer, _ string) proto.Message { return getCustomer(customer) },
			[2]string{},
			"gigagate.v1.CustomerService/GetCustomer", "GET /v1/customers/{uid}",
			[]string{"GET /gigastore/activations/customers/{uid}"},
			nil,
		},
	} {
		for i, name := range []string{"grpc", "rest"} {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				seen := &seenTraces{paths: map[string]string{}}
				g := open(t, setup{wrap: seen.wrap})
				sold := g.sold(t, mode(onDemand))
				if c.fault[0] != "" {
					g.inject(t, c.fault[0], c.fault[1], nil)
				}
				q := ask(c.message(sold.GetCustomer().GetUid(), sold.GetActivatedItem().GetUid()))
				q.header = http.Header{"Traceparent": {traceparent}, "Tracestate": {"shop=CANARY"}, "Baggage": {"shop=CANARY"}}
				a := g.transports()[i].call(t, t.Context(), q)
				if a.traceID != callerTrace {
					t.Errorf("x-trace-id %q", a.traceID)
				}

				root, indent, want := c.rpc, "  ", ""
				if name == "rest" {
					root, indent, want = c.route, "    ", "server "+c.route+"\n  "
				}
				want += "server " + c.rpc + "\n"
				for _, operation := range c.vendor {
					want += indent + "client " + operation + "\n"
				}
				spans := g.traceOf(t, callerTrace, root, strings.Count(want, "\n"))
				parent, err := trace.SpanIDFromHex(callerSpan)
				if err != nil {
					t.Fatal(err)
				}
				if got := tree(spans, parent, ""); got != want || len(spans) != strings.Count(want, "\n") {
					t.Errorf("%d spans\n%swant\n%s", len(spans), got, want)
				}
				checkCallSpan(t, spans, c.rpc, a, c.attributes)
				checkConventions(t, spans, a)
				checkVendorTraces(t, seen, spans)
				if c.fault[0] != "" {
					g.checkReconcilerTraces(t)
				}
			})
		}
	}
}

// The attributes of our own.
func kind(name string) attribute.KeyValue   { return attribute.String("gigagate.purchase.kind", name) }
func effect(name string) attribute.KeyValue { return attribute.String("gigagate.effect", name) }
func vendorStatus(code int) attribute.KeyValue {
	return attribute.Int("gigagate.vendor.response.status_code", code)
}

// checkCallSpan checks the attributes of the span of the call itself.
func checkCallSpan(t *testing.T, spans tracetest.SpanStubs, rpc string, a answer, want []attribute.KeyValue) {
	t.Helper()
	for _, span := range spans {
		if span.Name != rpc {
			continue
		}
		wantAttributes(t, span, want...)
		if _, sale := a.reply.(interface{ GetPurchaseId() string }); sale {
			wantAttributes(t, span, attribute.String("gigagate.purchase.id", a.purchaseID(t)))
		}
	}
}

// checkConventions checks that every span has the name and the attributes of OpenTelemetry's conventions for it. The name
// over HTTP is "{method} {route template}".
func checkConventions(t *testing.T, spans tracetest.SpanStubs, a answer) {
	t.Helper()
	var failed []attribute.KeyValue
	if a.info != nil {
		failed = append(failed, semconv.ErrorTypeKey.String(a.info.GetReason()))
	}
	for _, span := range spans {
		method, template, overHTTP := strings.Cut(span.Name, " ")
		switch {
		case !overHTTP:
			code := map[codes.Code]string{codes.OK: "OK", codes.NotFound: "NOT_FOUND"}[a.code]
			wantAttributes(t, span, append(failed,
				semconv.RPCSystemNameGRPC, semconv.RPCMethod(span.Name), semconv.RPCResponseStatusCode(code))...)
		case span.SpanKind == trace.SpanKindServer:
			wantAttributes(t, span, append(failed,
				semconv.HTTPRequestMethodKey.String(method), semconv.HTTPRoute(template), semconv.HTTPResponseStatusCode(a.http))...)
		default:
			wantAttributes(t, span, semconv.HTTPRequestMethodKey.String(method), semconv.URLTemplate(template))
			if _, answered := attributes(span)[string(semconv.HTTPResponseStatusCodeKey)]; !answered {
				t.Errorf("%s has no status", span.Name)
			}
		}
	}
}

func wantAttributes(t *testing.T, span tracetest.SpanStub, want ...attribute.KeyValue) {
	t.Helper()
	for _, attribute := range want {
		if !slices.Contains(span.Attributes, attribute) {
			t.Errorf("the %s span %s lacks %v: %v", span.SpanKind, span.Name, attribute, span.Attributes)
		}
	}
}

// checkVendorTraces checks that each vendor call had the id of its span, and nothing from the caller's tracing headers.
func checkVendorTraces(t *testing.T, seen *seenTraces, spans tracetest.SpanStubs) {
	t.Helper()
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if len(seen.other) > 0 {
		t.Errorf("the vendor got %q", seen.other)
	}
	sent := slices.Collect(maps.Values(seen.paths))
	for _, span := range spans {
		if span.SpanKind == trace.SpanKindClient {
			want := "00-" + callerTrace + "-" + span.SpanContext.SpanID().String() + "-01"
			if !slices.Contains(sent, want) {
				t.Errorf("the vendor got %v, not %s of %s", sent, want, span.Name)
			}
		}
	}
}

// checkReconcilerTraces checks that the gateway's own reads are not part of a caller's trace, but of one of the reconciler's.
func (g *gateway) checkReconcilerTraces(t *testing.T) {
	t.Helper()
	reads := func(span tracetest.SpanStub) bool {
		return strings.HasPrefix(span.Name, "GET /gigastore/activations/activated-items")
	}
	g.spans.until(t, "a read of the reconciler", func() bool { return slices.ContainsFunc(g.spans.GetSpans(), reads) })
	for _, span := range g.spans.GetSpans() {
		if !reads(span) {
			continue
		}
		if root := g.above(t, span); root.Parent.IsValid() || root.Name != "reconcile list" || root.SpanContext.TraceID().String() == callerTrace {
			t.Errorf("%s is below %s, which has the parent %v", span.Name, root.Name, root.Parent)
		}
	}
}

// A replay and a read of the journal make no vendor call.
func TestTraceOfAnswersFromTheJournal(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	message := register()
	id := g.bought(t, message)
	for _, request := range []proto.Message{message, other(message, func(r *reg) { r.Metatag = "elsewhere" }), getPurchase(id), waitPurchase(id, 0)} {
		a := g.overGRPC(t, t.Context(), ask(request))
		root := strings.TrimPrefix(rpcOf(request).method, "/")
		spans := g.traceOf(t, a.traceID, root, 1)
		if len(spans) != 1 {
			t.Errorf("spans of %s:\n%s", root, tree(spans, trace.SpanID{}, ""))
		}
		if _, sale := request.(*reg); sale && attributes(spans[0])["gigagate.purchase.id"] != id {
			t.Errorf("attributes %v", attributes(spans[0]))
		}
	}
}

// Every answer has its trace id, even if no handler made it.
func TestTraceIDOfEveryAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, verb, path, body, span string }{
		{"no route", "GET", "/v1/nowhere", "", "GET"},
		{"outside", "GET", "/nowhere", "", "GET"},
		{"wrong method", "PUT", "/v1/inventory", "", "PUT"},
		{"malformed", "POST", restRegister, "{", "POST " + restRegister},
		{"invalid", "POST", restRegister, "{}", "POST " + restRegister},
		{"query", "GET", "/v1/inventory?x=y", "", "GET /v1/inventory"},
		{"fine", "GET", "/v1/inventory", "", "GET /v1/inventory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := open(t, setup{})
			a := g.http(t, t.Context(), c.verb, c.path, []byte(c.body), http.Header{"Traceparent": {traceparent}}, &gigagatev1.ListInventoryItemsResponse{})
			if a.traceID != callerTrace {
				t.Errorf("x-trace-id %q", a.traceID)
			}
			g.traceOf(t, callerTrace, c.span, 1)
			own := g.http(t, t.Context(), c.verb, c.path, []byte(c.body), nil, &gigagatev1.ListInventoryItemsResponse{})
			g.traceOf(t, own.traceID, c.span, 1)
		})
	}
	g := open(t, setup{})
	for _, message := range []proto.Message{register(), &reg{}, topUp("nobody"), activate("a b")} {
		q := ask(message)
		q.header = http.Header{"Traceparent": {traceparent}}
		if a := g.overGRPC(t, t.Context(), q); a.traceID != callerTrace {
			t.Errorf("x-trace-id %q of %T", a.traceID, message)
		}
	}
}
