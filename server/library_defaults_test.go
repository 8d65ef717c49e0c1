package server_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// By default grpc-gateway turns every Grpc-Metadata-* header into metadata.
func TestHeadersDoNotBecomeMetadata(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	missing := want{codes.InvalidArgument, http.StatusBadRequest, "INVALID_FIELD", "NOT_STARTED", []string{"request_id"}}
	for _, name := range []string{"Grpc-Metadata-Gigagate-Idempotency-Key", "Gigagate-Idempotency-Key", "Grpc-Metadata-Idempotency-Key"} {
		t.Run(name, func(t *testing.T) {
			a := g.http(t, t.Context(), "POST", restRegister, []byte(withoutID), http.Header{name: {"r-1"}}, nil)
			a.check(t, missing)
		})
	}
	t.Run("metadata over gRPC", func(t *testing.T) {
		a := g.overGRPC(t, t.Context(), question{
			message: register(func(r *reg) { r.RequestId = "" }),
			header:  http.Header{"gigagate-idempotency-key": {"r-1"}, "idempotency-key": {"r-1"}},
		})
		a.check(t, missing)
	})
	t.Run("trace", func(t *testing.T) {
		const foreign = "0af7651916cd43dd8448eb211c80319c"
		a := g.http(t, t.Context(), "GET", "/v1/inventory", nil, http.Header{
			"Grpc-Metadata-Traceparent": {"00-" + foreign + "-b7ad6b7169203331-01"},
		}, &gigagatev1.ListInventoryItemsResponse{})
		a.ok(t)
		g.spans.until(t, "the spans", func() bool { return len(g.spans.GetSpans()) >= 3 })
		for _, span := range g.spans.GetSpans() {
			if span.SpanContext.TraceID().String() == foreign {
				t.Errorf("span %s is in the trace of a Grpc-Metadata header", span.Name)
			}
		}
	})
}

// By default grpc-gateway lets a header or a form change the method.
func TestMethodCannotBeOverridden(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	refused := want{codes.Unimplemented, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "NOT_STARTED", nil}
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	override := form.Clone()
	override.Set("X-HTTP-Method-Override", "GET")
	for name, header := range map[string]http.Header{"header": override, "form": form} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/v1/inventory", restCustomer} {
				g.http(t, t.Context(), "POST", path, []byte("a=b"), header, nil).check(t, refused)
				g.http(t, t.Context(), "POST", path, nil, header, nil).check(t, refused)
			}
		})
	}
	if calls := g.box.Ledger().Calls; len(calls) > 0 {
		t.Errorf("the vendor was called: %v", calls)
	}
}

// By default grpc-gateway takes a deadline from this header, and fails if it cannot read it.
func TestGrpcTimeoutHeaderMeansNothingOnREST(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	for _, timeout := range []string{"1n", "300m", "CANARY"} {
		q := ask(register())
		q.header = http.Header{"Grpc-Timeout": {timeout}}
		g.overREST(t, t.Context(), q).ok(t)
	}
}

// A panic must not end the process. grpc-gateway's own in-process registration runs no interceptors, so a panic would end
// it.
func TestPanicsOnBothTransports(t *testing.T) {
	t.Parallel()
	var broken, vendorBroken atomic.Bool
	clock := func(broken *atomic.Bool) func() time.Time {
		return func() time.Time {
			if broken.Load() {
				panic("CANARY of a panic")
			}
			return time.Now()
		}
	}
	g := open(t, setup{now: clock(&broken), vendorNow: clock(&vendorBroken)})
	again := register() // a known id, so the answer is replayed and converted
	g.bought(t, again)
	sold := g.sold(t)
	customer, item := sold.GetCustomer().GetUid(), sold.GetActivatedItem().GetUid()
	internal := want{codes.Internal, http.StatusInternalServerError, "INTERNAL", "INDETERMINATE", nil}
	for _, c := range []struct {
		name    string
		broken  *atomic.Bool
		message proto.Message
		want    want
	}{
		{"handler of a sale", &broken, again, internal},
		{"handler of a read", &broken, getCustomer(customer), internal},
		{"handler of activate", &broken, activate(item), internal},
		{"client of a read", &vendorBroken, getCustomer(customer), internal},
		{"client of activate", &vendorBroken, activate(item), internal},
		{"client of a list", &vendorBroken, &gigagatev1.ListInventoryItemsRequest{}, internal},
	} {
		for _, d := range g.transports() {
			t.Run(d.name+"/"+c.name, func(t *testing.T) {
				c.broken.Store(true)
				defer c.broken.Store(false)
				a := d.call(t, t.Context(), ask(c.message))
				a.check(t, c.want)
				if strings.Contains(a.text, "CANARY") || strings.Contains(a.text, "goroutine") {
					t.Error(a.text)
				}
				g.logs.line(t, `"transport":"`+d.name, "panic of type string", "stack")
			})
		}
	}
	for _, d := range g.transports() { // the process still runs
		d.call(t, t.Context(), ask(register())).ok(t)
		d.call(t, t.Context(), ask(&gigagatev1.ListInventoryItemsRequest{})).ok(t)
	}
	if strings.Contains(g.logs.String(), "CANARY") {
		t.Error("the value of a panic is in the log")
	}
}

// A panic during a purchase does not end the process. The outcome of the purchase is unknown, and nothing more is sent for
// it.
func TestPanicOfASale(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	g := open(t, setup{vendorNow: func() time.Time {
		if broken.Load() {
			panic("CANARY of a panic")
		}
		return time.Now()
	}})
	broken.Store(true)
	message := register()
	for range 2 {
		a := g.within(t, time.Second, message)
		a.check(t, outcomeUnknown)
		if strings.Contains(a.text, "CANARY") {
			t.Error(a.text)
		}
	}
	g.logs.line(t, "the owner of a purchase panicked", `"type":"string"`, "stack")
	broken.Store(false)
	g.overREST(t, t.Context(), ask(register())).ok(t) // the process still runs
	if sent := g.sends.of(message.GetRequestId()); sent != 0 || strings.Contains(g.logs.String(), "CANARY") {
		t.Errorf("sent %d times, log %s", sent, g.logs.String())
	}
}

// Health checks and reflection must work through the same chain of interceptors.
func TestHealthAndReflection(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	client := healthpb.NewHealthClient(g.conn)
	for _, service := range []string{"", "gigagate.v1.ActivationService", "gigagate.v1.CustomerService", "gigagate.v1.InventoryService", "gigagate.v1.PurchaseService", "gigagate.v1.FreezeService", "gigagate.v1.AuditService"} {
		r, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v %v", service, r, err)
		}
	}
	if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "no.such.Service"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown service: %v", err)
	}
	stream, err := reflectionpb.NewServerReflectionClient(g.conn).ServerReflectionInfo(t.Context(), grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	listed, err := stream.Recv()
	if err != nil || !strings.Contains(listed.String(), "gigagate.v1.ActivationService") {
		t.Errorf("%v %v", listed, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := g.server.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"", "gigagate.v1.ActivationService"} {
		r, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || r.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
			t.Errorf("%q after draining: %v %v", service, r, err)
		}
	}
}

// A browser sends a POST without a body for any page, without asking the server first. Activate is such a POST, and it
// cannot be undone. So it is refused for pages of other origins. Our own documentation and other programs may call it.
func TestPagesOfOtherOriginsCallNothing(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	item := g.sold(t, mode(onDemand)).GetActivatedItem().GetUid()
	before := g.calls()
	for name, header := range map[string]http.Header{
		"cross-site":                {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://CANARY.example"}},
		"same-site":                 {"Sec-Fetch-Site": {"same-site"}},
		"another port":              {"Sec-Fetch-Site": {"same-site"}, "Origin": {"http://127.0.0.1:1"}},
		"without fetch metadata":    {"Origin": {"http://CANARY.example"}},
		"opaque origin":             {"Origin": {"null"}},
		"with a body, and JSON":     {"Origin": {"https://CANARY.example"}, "Content-Type": {"application/json"}},
		"our origin as a subdomain": {"Origin": {g.restURL + ".CANARY.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, message := range []proto.Message{activate(item), register(), topUp("c"), nothingSold(noPurchase)} {
				q := ask(message)
				q.header = header
				a := g.overREST(t, t.Context(), q)
				a.check(t, want{codes.InvalidArgument, http.StatusBadRequest, "MALFORMED_REQUEST", "NOT_STARTED", []string{""}})
				if strings.Contains(a.text, "CANARY") || a.header.Get("Access-Control-Allow-Origin") != "" {
					t.Error(a.text)
				}
			}
		})
	}
	if got := g.calls() - before; got != 0 {
		t.Errorf("%d vendor calls", got)
	}
	for _, header := range []http.Header{
		{"Sec-Fetch-Site": {"same-origin"}, "Origin": {g.restURL}},
		{"Origin": {g.restURL}}, // a browser sends Sec-Fetch-Site only over HTTPS or on its own machine
		{"Sec-Fetch-Site": {"none"}},
		{},
	} {
		q := ask(activate(item))
		q.header = header
		g.overREST(t, t.Context(), q).ok(t)
	}
}
