package server_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

type params = map[string]any

// paidFault is a way in which a paid call can go wrong, with the answer to a caller who waits and with the true effect.
type paidFault struct {
	fault  string
	params params
	want   want // the zero value: success
	sales  int
}

// paidFaults do not change the mark in the vendor's records, so every purchase is settled in the end.
var paidFaults = []paidFault{
	{"reset_before", nil, presumedAbsent, 0},
	{"reset_before", params{"afterBytes": "request"}, presumedAbsent, 0},
	{"commit_then_reset", nil, want{}, 1},
	{"commit_then_close", nil, want{}, 1},
	{"commit_then_5xx", nil, want{}, 1},
	{"commit_then_5xx", params{"status": 504, "html": true}, want{}, 1},
	{"commit_late", params{"delay": "1100ms"}, want{}, 1},
	{"5xx", nil, presumedAbsent, 0},
	{"5xx", params{"status": 500}, presumedAbsent, 0},
	{"hang", nil, presumedAbsent, 0},
	{"truncate", nil, want{}, 1},
	{"truncate_chunked", nil, want{}, 1},
	{"garble", nil, want{}, 1},
	{"wrong_status", nil, want{}, 1},
	{"wrong_status", params{"word": "SUCCESS"}, want{}, 1},
	{"wrong_status", params{"commit": false}, presumedAbsent, 0},
	{"foreign_metatag", nil, want{}, 1},
	{"endless_body", nil, want{}, 1},
	{"throttle", nil, presumedAbsent, 0},
	{"throttle", params{"commit": true}, want{}, 1},
	{"redirect", nil, presumedAbsent, 0},
	{"redirect", params{"location": pathRegister, "status": 308}, presumedAbsent, 0},
	{"redirect", params{"location": pathInventory, "status": 303, "commit": true}, want{}, 1},
	{"slow_body", params{"interval": "1ms", "bytes": 64}, want{}, 1},
	{"early_hints", params{"n": 2}, want{}, 1},
	{"surplus", nil, want{}, 1},
	{"surplus", params{"place": "before"}, want{}, 1},
	{"surplus", params{"place": "before", "code": 400, "split": true}, want{}, 1},
	{"status", params{"code": 408}, presumedAbsent, 0},
	{"status", params{"code": 409, "body": `{"message":"conflict"}`, "contentType": "application/json", "commit": true}, want{}, 1},
	{"status", params{"code": 425, "commit": true}, want{}, 1},
	{"status", params{"code": 405, "body": `{"message":"no"}`, "contentType": "application/json"}, presumedAbsent, 0},
	{"status", params{"code": 400, "body": "<html><p>price match</p></html>", "contentType": "text/html", "commit": true}, want{}, 1},
	{"status", params{"code": 400, "body": `{"message":"x"}`, "contentType": "text/html", "commit": true}, want{}, 1},
	{"status", params{"code": 400, "body": `["message"]`, "contentType": "application/json", "commit": true}, want{}, 1},
	{"status", params{"code": 422, "body": `{"message":"  "}`, "contentType": "application/json", "commit": true}, want{}, 1},
	{"status", params{"code": 422, "body": `{"message":"words"}`, "contentType": "application/json"}, vendorRefused, 0},
	{"status", params{"code": 200, "commit": true}, want{}, 1},
	{"status", params{"code": 200, "body": "null", "contentType": "application/json"}, presumedAbsent, 0},
	{"status", params{"code": 204, "commit": true}, want{}, 1},
}

// A caller who waits gets a true answer, whatever goes wrong. After "not applied" the ledger has no sale, and after a
// success it has one. No paid request is sent twice. The same request id gets the same answer over the other transport.
func TestEffectsOfPaidFaults(t *testing.T) {
	t.Parallel()
	for _, path := range []string{pathRegister, pathTopUp, pathTopUpProfile} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			g := open(t, setup{timeout: time.Second})
			customer := g.sold(t).GetCustomer().GetUid()
			for _, witness := range paidRequests(customer) { // an absence is believed only next to older sales of its kind
				g.overGRPC(t, t.Context(), ask(witness)).ok(t)
			}
			for _, c := range paidFaults {
				for i, d := range g.transports() {
					t.Run(fmt.Sprintf("%s/%s %v", d.name, c.fault, c.params), func(t *testing.T) {
						message := paidRequests(customer)[path]
						answers := g.meet(t, path, c, d, message)
						g.sold(t)    // otherwise the vendor counts as dead after five faults
						t.Parallel() // so that the cases wait at the same time
						a := <-answers
						g.checkEffect(t, a, c, message)
						g.checkReplay(t, g.transports()[1-i], message, a)
					})
				}
			}
		})
	}
}

// meet makes a call that a fault hits. It returns once the fault was used.
func (g *gateway) meet(t *testing.T, path string, c paidFault, d transport, message proto.Message) <-chan answer {
	t.Helper()
	g.inject(t, path, c.fault, c.params)
	answers := make(chan answer, 1)
	go func() { answers <- d.call(t, g.life, ask(message)) }()
	g.sends.until(t, "the paid request", func() bool { return g.sends.of(requestIDOf(message)) == 1 })
	for len(g.box.ArmedFaults()) > 0 {
		runtime.Gosched() // the request has arrived and is about to take its fault
	}
	return answers
}

// checkEffect compares what a caller was told with the table and the ledger.
func (g *gateway) checkEffect(t *testing.T, a answer, c paidFault, message proto.Message) {
	t.Helper()
	if c.want.reason == "" {
		a.ok(t)
	} else {
		a.check(t, c.want)
	}
	if a.replayed != "" {
		t.Error("the first answer says that it is replayed")
	}
	if sales := len(g.salesOf(a.purchaseID(t))); sales != c.sales {
		t.Errorf("%d sales, want %d", sales, c.sales)
	}
	if sent := g.sends.of(requestIDOf(message)); sent != 1 {
		t.Errorf("sent %d times", sent)
	}
}

// checkReplay repeats a settled purchase. It wants the same answer, marked as replayed, and nothing sent.
func (g *gateway) checkReplay(t *testing.T, d transport, message proto.Message, before answer) {
	t.Helper()
	sent := g.sends.of(requestIDOf(message))
	again := d.call(t, t.Context(), ask(message))
	if again.replayed != "true" {
		t.Errorf("gigagate-replayed is %q: %s", again.replayed, again.text)
	}
	same := again.code == before.code && again.purchaseID(t) == before.purchaseID(t) && proto.Equal(again.outcome, before.outcome)
	if !same || again.outcome == nil && !proto.Equal(again.reply, before.reply) {
		t.Errorf("got  %v %v %v\nwant %v %v %v", again.code, again.outcome, again.reply, before.code, before.outcome, before.reply)
	}
	if n := g.sends.of(requestIDOf(message)); n != sent {
		t.Errorf("sent %d times more", n-sent)
	}
}

// paidRequests returns new orders, by the vendor's path that they are sent to.
func paidRequests(customer string) map[string]proto.Message {
	return map[string]proto.Message{
		pathRegister: register(), pathTopUp: topUp(customer), pathTopUpProfile: topUp(customer, withProfile()),
	}
}

func requestIDOf(message proto.Message) string {
	return message.(interface{ GetRequestId() string }).GetRequestId()
}

// purchaseID returns the purchase id in an answer, whether the purchase succeeded or not.
func (a answer) purchaseID(t *testing.T) string {
	t.Helper()
	id := a.outcome.GetPurchaseId()
	if sale, ok := a.reply.(interface{ GetPurchaseId() string }); ok && a.outcome == nil {
		id = sale.GetPurchaseId()
	}
	if len(id) != 26 {
		t.Fatalf("purchase id %q: %s", id, a.text)
	}
	return id
}

// The answer to a reconciled sale has everything that the vendor's records have. A register has its profile. An answer has
// no profile if the records do not show which of the customer's profiles is the new one.
func TestReconciledSaleIsWhole(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	customer := g.sold(t).GetCustomer().GetUid()
	for i, d := range g.transports() {
		for path, message := range paidRequests(customer) {
			a := <-g.meet(t, path, paidFault{fault: "commit_then_reset"}, d, message)
			a.ok(t)
			g.checkReplay(t, g.transports()[1-i], message, a)
			switch r := a.reply.(type) {
			case *gigagatev1.RegisterResponse:
				checkSale(t, g, r.GetActivatedItem(), r.GetPurchaseId(), "shop order 4711")
				if !strings.HasPrefix(r.GetEsimProfile().GetActivationCode(), "LPA:1$") || r.GetCustomer().GetUid() == "" {
					t.Errorf("%v", r)
				}
			case *gigagatev1.TopUpResponse:
				checkSale(t, g, r.GetActivatedItem(), r.GetPurchaseId(), "shop order 4712")
				if r.EsimProfile != nil || r.GetCustomer().GetUid() != customer {
					t.Errorf("%v", r)
				}
			}
		}
	}
}

// A complete 401 proves that the vendor did nothing. So the gateway sends the request once more, with a new access token
// and a new permit. A second 401 is final.
func TestTurnedAwayRequestsAreSentOnceMore(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	customer := g.sold(t).GetCustomer().GetUid()
	for i, d := range g.transports() {
		for _, path := range []string{pathRegister, pathTopUp, pathTopUpProfile} {
			for times, w := range map[int]want{1: {}, 2: neverSent} {
				t.Run(fmt.Sprintf("%s%s/%d", d.name, path, times), func(t *testing.T) {
					message := paidRequests(customer)[path]
					g.injectMany(t, path, "unauthorized", times, nil)
					a := d.call(t, t.Context(), ask(message))
					if w.reason == "" {
						a.ok(t)
					} else {
						a.check(t, w)
					}
					if sent, sales := g.sends.of(requestIDOf(message)), len(g.salesOf(a.purchaseID(t))); sent != 2 || sales != 2-times {
						t.Errorf("sent %d times, %d sales", sent, sales)
					}
					g.checkReplay(t, g.transports()[1-i], message, a)
				})
			}
		}
	}
}

// If the vendor cannot be reached within the send window, the purchase had no effect, and the answer says so.
func TestUnreachableVendorHadNoEffect(t *testing.T) {
	t.Parallel()
	g := open(t, setup{window: 300 * time.Millisecond, wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	}})
	for i, d := range g.transports() {
		// The gateway got no access token, so it sent nothing.
		message := register()
		a := d.call(t, t.Context(), ask(message))
		a.check(t, neverSent)
		if !strings.Contains(a.text, "never took it") || g.sends.of(message.GetRequestId()) != 0 {
			t.Error(a.text)
		}
		g.checkReplay(t, g.transports()[1-i], message, a)
		for _, message := range []proto.Message{activate("u"), getCustomer("u")} {
			read := d.call(t, t.Context(), ask(message))
			read.check(t, want{codes.Unavailable, http.StatusServiceUnavailable, "VENDOR_UNAVAILABLE", "NOT_STARTED", nil})
		}
	}
	if calls := g.box.Ledger().Calls; len(calls) > 0 {
		t.Errorf("the vendor was called: %v", calls)
	}
}
