package console

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
)

// visit makes a request for a page, as the operator p.
func visit(t *testing.T, p *access.Principal, path string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(access.With(t.Context(), p), http.MethodGet, Root+path, http.NoBody)
	r.SetPathValue("id", someID)
	return r
}

// TestWaitingPageIsSlow: each look at an open purchase makes the gateway read the vendor's whole list soon. A purchase can wait
// for an operator for days, and so can its page in a browser.
func TestWaitingPageIsSlow(t *testing.T) {
	t.Parallel()
	for state, want := range map[gigagatev1.PurchaseState]bool{
		gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN:      false,
		gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR: true,
	} {
		read := uncertain()
		read.Purchase.State = state
		c := newScriptedConsole(t, &scripted{answers: map[string]proto.Message{"GetPurchase": read}}, nil)
		made, err := c.purchasePage(visit(t, anna, "purchases/"+someID))
		if err != nil || !made.Live || made.Pace >= needsPace != want {
			t.Errorf("the page of a purchase in %s looks every %v, %v", state, made.Pace, err)
		}
	}
}

// TestSpendingNeedsTheRight: an operator who may not see budgets does not see in the metrics what each caller spent.
func TestSpendingNeedsTheRight(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want string
	}{{nil, "12.50"}, {status.Error(codes.PermissionDenied, "this caller may not make this call"), "This caller may not make this call"}} {
		c := newScriptedConsole(t, &scripted{errors: map[string]error{"ListBudgets": test.err}}, nil)
		c.series.add(sample{at: time.Now(), spent: []spending{{Caller: "shop", Currency: "USD", Amount: 12.5}}}, nil)
		shown := httptest.NewRecorder()
		c.ServeHTTP(shown, visit(t, access.Open, ""))
		if text := shown.Body.String(); !strings.Contains(text, test.want) || strings.Contains(text, "12.50") != (test.err == nil) {
			t.Errorf("after %v the page is %d\n%s", test.err, shown.Code, text)
		}
	}
}
