package console

import (
	"net/http"
	"net/http/httptest"
	"testing"

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
