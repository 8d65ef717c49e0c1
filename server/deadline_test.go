package server_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/purchase"
	"gigagate.internal/server"
)

// The gateway answers before the caller's deadline, because a later answer arrives without details or not at all. The
// test is not parallel, because on a busy machine the margin can be too short.
func TestAnswerLeavesBeforeTheDeadline(t *testing.T) { //nolint:paralleltest // see above
	g := open(t, setup{})
	customer := g.sold(t).GetCustomer().GetUid()
	g.injectMany(t, pathRegister, "hang", 9, nil)
	g.injectMany(t, pathTopUp, "hang", 9, nil)
	g.injectMany(t, pathItems+"u", "hang", 9, nil)
	for name, message := range map[string]proto.Message{"register": register(), "top-up": topUp(customer), "activate": activate("u")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			a := g.overGRPC(t, ctx, ask(message))
			a.check(t, outcomeUnknown)
			deadline, _ := ctx.Deadline()
			if left := time.Until(deadline); left > purchase.AnswerMargin {
				t.Errorf("answered too early, with %v left", left)
			}
		})
	}
}

// A call with too little time starts nothing new. A known request id is still answered.
func TestDeadlineTooShortStartsNothing(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	known := register()
	sold := g.overREST(t, t.Context(), ask(known))
	sold.ok(t)
	customer := sold.reply.(*gigagatev1.RegisterResponse).GetCustomer().GetUid()
	before := g.calls()
	for _, message := range []proto.Message{register(), topUp(customer), topUp(customer, withProfile()), activate("u")} {
		g.within(t, 400*time.Millisecond, message).check(t,
			want{codes.Unavailable, http.StatusServiceUnavailable, "DEADLINE_TOO_SHORT", "NOT_STARTED", nil})
	}
	if a := g.within(t, 400*time.Millisecond, known); a.outcome != nil || a.replayed != "true" || !proto.Equal(a.reply, sold.reply) {
		t.Errorf("a known id: %s", a.text)
	}
	if got := g.calls() - before; got != 0 {
		t.Errorf("%d vendor calls", got)
	}
}

// A running sale goes on if its caller hangs up or the caller's deadline is over.
func TestSaleOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"cancel", "deadline"} {
		for _, name := range []string{"grpc", "rest"} {
			if way == "deadline" && name == "rest" {
				continue // REST has no deadlines
			}
			t.Run(way+"/"+name, func(t *testing.T) {
				t.Parallel()
				held := newGate(t, pathRegister)
				g := open(t, setup{wrap: held.wrap})
				message := register()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				left := make(chan struct{})
				go func() {
					defer close(left)
					if way == "deadline" {
						g.within(t, time.Second, message).check(t, outcomeUnknown)
						return
					}
					g.hangUp(ctx, name, message)
				}()
				<-held.entered
				if way == "cancel" {
					cancel()
				}
				<-left
				if n := len(g.box.Ledger().Sales); n != 0 {
					t.Fatalf("%d sales before the caller left", n)
				}
				if way == "cancel" {
					// The gateway has noticed. From now on the purchase has no caller.
					g.logs.line(t, `"transport":"`+name, `"reason":"OUTCOME_UNKNOWN"`)
				}
				id := g.openID(t, message.GetRequestId())
				close(held.open)
				waited := g.overREST(t, t.Context(), ask(waitPurchase(id, time.Minute)))
				waited.ok(t)
				if p := waited.reply.(*gigagatev1.WaitPurchaseResponse).GetPurchase(); p.GetEffect() != gigagatev1.Effect_EFFECT_APPLIED {
					t.Errorf("%v", p)
				}
				again := g.overREST(t, t.Context(), ask(message))
				again.ok(t)
				ledger := g.box.Ledger()
				if again.replayed != "true" || len(ledger.Sales) != 1 || ledger.Requests[pathRegister] != 1 || ledger.Sales[0].Requests != 1 {
					t.Errorf("replayed %q, ledger %+v", again.replayed, ledger)
				}
			})
		}
	}
}

// hangUp makes a register call and ignores its answer.
func (g *gateway) hangUp(ctx context.Context, transport string, message *reg) {
	if transport == "grpc" {
		_, _ = gigagatev1.NewActivationServiceClient(g.conn).Register(ctx, message)
		return
	}
	body, err := protojson.Marshal(message)
	if err != nil {
		return
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.restURL+restRegister, bytes.NewReader(body))
	if err != nil {
		return
	}
	r.Header.Set("Content-Type", "application/json")
	if resp, err := g.client.Do(r); err == nil {
		_ = resp.Body.Close()
	}
}

// A call whose caller hangs up has one log line too, with its outcome. The answer to a read must not say that credit may
// have been spent, although nobody reads it.
func TestCallsWithoutACallerAreLoggedOnce(t *testing.T) {
	t.Parallel()
	held := newGate(t, pathRegister)
	g := open(t, setup{wrap: held.wrap})
	message := register()
	body, err := protojson.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	call := func(verb, path string, body []byte, underWay func()) answer {
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, verb, path, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		recorded := httptest.NewRecorder()
		done := make(chan struct{})
		go func() { defer close(done); g.server.REST().ServeHTTP(recorded, r) }()
		underWay()
		cancel()
		<-done
		return readAnswer(t, recorded.Result(), &gigagatev1.WaitPurchaseResponse{})
	}
	soon := func() { <-time.After(5 * time.Millisecond) } // before or after the handler began
	sale := call(http.MethodPost, restRegister, body, func() { <-held.entered })
	sale.check(t, want{codes.Unavailable, 503, "OUTCOME_UNKNOWN", "INDETERMINATE", nil})
	id := g.openID(t, message.GetRequestId())
	const times = 10
	g.injectMany(t, pathCustomers+"u", "hang", 3*times, nil)
	for range times {
		waited := call(http.MethodGet, "/v1/purchases/"+id+":wait", nil, soon)
		read := call(http.MethodGet, restCustomer, nil, soon)
		for _, a := range []answer{waited, read} {
			if a.outcome != nil && a.outcome.GetEffect() == gigagatev1.Effect_EFFECT_INDETERMINATE {
				t.Error(a.text)
			}
		}
	}
	for method, calls := range map[string]int{
		"gigagate.v1.ActivationService/Register": 1, "gigagate.v1.PurchaseService/WaitPurchase": times, "gigagate.v1.CustomerService/GetCustomer": times,
	} {
		g.spans.until(t, "the calls of "+method, func() bool {
			ended := 0
			for _, span := range g.spans.GetSpans() {
				if span.Name == method {
					ended++
				}
			}
			return ended == calls
		})
		if lines := strings.Count(g.logs.String(), `"transport":"rest","method":"/`+method); lines != calls {
			t.Errorf("%d lines for %d calls of %s", lines, calls, method)
		}
	}
	close(held.open)
}

// A drain refuses new purchases. It still answers known request ids, and it waits for purchases under way.
func TestDraining(t *testing.T) {
	t.Parallel()
	held := newGate(t, pathRegister)
	g := open(t, setup{wrap: held.wrap})
	refused := topUp("nobody")
	before := g.overGRPC(t, t.Context(), ask(refused))
	under := []*reg{register(), register()}
	answers := make(chan answer, 4)
	for i, d := range g.transports() {
		go func() { answers <- d.call(t, t.Context(), ask(under[i])) }()
		<-held.entered
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.server.Drain(over); err == nil {
		t.Error("drained with sales under way")
	}
	drained := make(chan error, 1)
	go func() { drained <- g.server.Drain(t.Context()) }()
	draining := want{codes.Unavailable, http.StatusServiceUnavailable, "DRAINING", "NOT_STARTED", nil}
	for i, d := range g.transports() {
		for _, message := range []proto.Message{register(), topUp("c"), topUp("c", withProfile())} {
			d.call(t, t.Context(), ask(message)).check(t, draining)
		}
		d.call(t, t.Context(), ask(&gigagatev1.ListInventoryItemsRequest{})).ok(t)
		g.checkReplay(t, d, refused, before)
		d.call(t, t.Context(), ask(other(under[i], func(r *reg) { r.Metatag = "elsewhere" }))).check(t, reused("INDETERMINATE", "metatag"))
		go func() { answers <- d.call(t, t.Context(), ask(under[1-i])) }() // attaches to the purchase that came over the other transport
	}
	select {
	case err := <-drained:
		t.Errorf("drained with sales under way: %v", err)
	default:
	}
	close(held.open)
	for range 4 {
		(<-answers).ok(t)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if n := len(g.box.Ledger().Sales); n != 2 {
		t.Errorf("%d sales", n)
	}
}

// Every answer comes within AnswerWithin. If an HTTP server's write timeout were shorter than an answer takes, the caller
// would see a broken connection.
func TestAnswerComesWithinAnswerWithin(t *testing.T) {
	t.Parallel()
	const timeout = 1500 * time.Millisecond
	g := open(t, setup{timeout: timeout, restWriteTimeout: (*server.Server).AnswerWithin})
	// A purchase, and a caller who waits for one.
	if least := max(g.engine.AnswerWithin(), time.Minute); g.server.AnswerWithin() < least || least < 11*time.Second+timeout {
		t.Errorf("AnswerWithin is %v, an answer may take %v", g.server.AnswerWithin(), least)
	}
	item := g.sold(t, mode(onDemand)).GetActivatedItem().GetUid()
	g.inject(t, pathItems+item, "slow_body", params{"interval": "40ms", "bytes": 100})
	g.inject(t, pathItems+item+"/activate", "hang", nil)
	g.inject(t, pathItems+item, "hang", nil)
	const slack = 2 * time.Second // for a busy machine
	start := time.Now()
	g.overREST(t, t.Context(), ask(activate(item))).check(t, outcomeUnknown)
	if took := time.Since(start); took < 2*timeout || took > 3*timeout+purchase.AnswerMargin+slack {
		t.Errorf("took %v, the longest is %v", took, 3*timeout)
	}
}
