package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

type params = map[string]any

// paidFaults is every way in which a paid call can go wrong, what the caller is told, and the truth.
var paidFaults = []struct {
	fault  string
	params params
	want   want // the zero value: success
	sales  int
}{
	{"reset_before", nil, outcomeUnknown, 0},
	{"reset_before", params{"afterBytes": "request"}, outcomeUnknown, 0},
	{"commit_then_reset", nil, outcomeUnknown, 1},
	{"commit_then_close", nil, outcomeUnknown, 1},
	{"commit_then_5xx", nil, outcomeUnknown, 1},
	{"commit_then_5xx", params{"status": 504, "html": true}, outcomeUnknown, 1},
	{"5xx", nil, outcomeUnknown, 0},
	{"5xx", params{"status": 500}, outcomeUnknown, 0},
	{"hang", nil, outcomeUnknown, 0},
	{"truncate", nil, outcomeUnknown, 1},
	{"truncate_chunked", nil, outcomeUnknown, 1},
	{"garble", nil, outcomeUnknown, 1},
	{"wrong_status", nil, outcomeUnknown, 1},
	{"wrong_status", params{"word": "SUCCESS"}, outcomeUnknown, 1},
	{"wrong_status", params{"commit": false}, outcomeUnknown, 0},
	{"foreign_metatag", nil, outcomeUnknown, 1},
	{"metatag_truncated", nil, outcomeUnknown, 1},
	{"metatag_rewritten", nil, outcomeUnknown, 1},
	{"endless_body", nil, outcomeUnknown, 1},
	{"unauthorized", nil, neverSent, 0},
	{"throttle", nil, outcomeUnknown, 0},
	{"throttle", params{"commit": true}, outcomeUnknown, 1},
	{"redirect", nil, outcomeUnknown, 0},
	{"redirect", params{"location": pathRegister, "status": 308}, outcomeUnknown, 0},
	{"redirect", params{"location": pathInventory, "status": 303, "commit": true}, outcomeUnknown, 1},
	{"slow_body", params{"interval": "1ms", "bytes": 64}, want{}, 1},
	{"early_hints", params{"n": 2}, want{}, 1},
	{"status", params{"code": 408}, outcomeUnknown, 0},
	{"status", params{"code": 409, "body": `{"message":"conflict"}`, "contentType": "application/json", "commit": true}, outcomeUnknown, 1},
	{"status", params{"code": 425, "commit": true}, outcomeUnknown, 1},
	{"status", params{"code": 405, "body": `{"message":"no"}`, "contentType": "application/json"}, outcomeUnknown, 0},
	{"status", params{"code": 400, "body": "<html><p>price match</p></html>", "contentType": "text/html", "commit": true}, outcomeUnknown, 1},
	{"status", params{"code": 400, "body": `{"message":"x"}`, "contentType": "text/html", "commit": true}, outcomeUnknown, 1},
	{"status", params{"code": 400, "body": `["message"]`, "contentType": "application/json", "commit": true}, outcomeUnknown, 1},
	{"status", params{"code": 422, "body": `{"message":"  "}`, "contentType": "application/json", "commit": true}, outcomeUnknown, 1},
	{"status", params{"code": 422, "body": `{"message":"words"}`, "contentType": "application/json"}, vendorRefused, 0},
	{"status", params{"code": 200, "commit": true}, outcomeUnknown, 1},
	{"status", params{"code": 200, "body": "null", "contentType": "application/json"}, outcomeUnknown, 0},
	{"status", params{"code": 204, "commit": true}, outcomeUnknown, 1},
}

// What the caller is told is true, whatever goes wrong: an answer that says "not applied" has no
// sale in the ledger, a success has one, and no paid request is sent twice.
func TestEffectsOfPaidFaults(t *testing.T) {
	t.Parallel()
	for _, path := range []string{pathRegister, pathTopUp, pathTopUpProfile} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			g := open(t, setup{timeout: time.Second})
			message := paidRequest(g.sold(t).GetCustomer().GetUid())[path]
			for _, c := range paidFaults {
				for _, d := range g.doors() {
					t.Run(fmt.Sprintf("%s/%s %v", d.name, c.fault, c.params), func(t *testing.T) {
						g.inject(t, path, c.fault, c.params)
						before := g.box.Ledger().Requests
						a := d.call(t, t.Context(), ask(message))
						purchaseID := a.purchaseID(t)
						if c.want.reason == "" {
							a.ok(t)
						} else {
							a.check(t, c.want)
						}
						if c.sales != len(g.salesOf(purchaseID)) {
							t.Errorf("%d sales, want %d", len(g.salesOf(purchaseID)), c.sales)
						}
						after := g.box.Ledger().Requests
						for _, p := range []string{pathRegister, pathTopUp, pathTopUpProfile} {
							if sent := after[p] - before[p]; sent != 0 && p != path || sent > 1 {
								t.Errorf("%d requests to %s", sent, p)
							}
						}
					})
				}
			}
		})
	}
}

func paidRequest(customer string) map[string]proto.Message {
	return map[string]proto.Message{
		pathRegister: register(), pathTopUp: topUp(customer), pathTopUpProfile: topUp(customer, withProfile()),
	}
}

// purchaseID is of the purchase that an answer speaks of, whether it succeeded or not.
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

// What cannot be reached has no effect, and says so.
func TestUnreachableVendorHadNoEffect(t *testing.T) {
	t.Parallel()
	g := open(t, setup{wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	}})
	for _, d := range g.doors() {
		// No token was to be had, so that nothing was sent.
		a := d.call(t, t.Context(), ask(register()))
		a.check(t, neverSent)
		if !strings.Contains(a.text, "never took it") {
			t.Error(a.text)
		}
		for _, message := range []proto.Message{activate("u"), getCustomer("u")} {
			read := d.call(t, t.Context(), ask(message))
			read.check(t, want{codes.Unavailable, http.StatusServiceUnavailable, "VENDOR_UNAVAILABLE", "NOT_APPLIED", true, nil})
		}
	}
	if calls := g.box.Ledger().Calls; len(calls) > 0 {
		t.Errorf("the vendor was called: %v", calls)
	}
}
