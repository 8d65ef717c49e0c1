package simulation

import (
	"strings"
	"testing"
	"time"

	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
)

const tokenPath = "/reseller/authenticate"

// tokenEnded plays in a world whose next vendor call needs a new token.
func tokenEnded(t *testing.T, play func(t *testing.T, w *world)) {
	t.Helper()
	settings := sandbox.DefaultSettings()
	settings.TokenLifetime = sandbox.Duration(30 * time.Second)
	stage(t, plan{settings: settings}, func(t *testing.T, w *world) {
		pause(time.Minute)
		play(t, w)
	})
}

// TestRefusedCredentials: if the vendor refuses the credentials, a purchase fails at once and nothing is sent. A later
// purchase succeeds as soon as the vendor accepts them again.
func TestRefusedCredentials(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403} {
		tokenEnded(t, func(t *testing.T, w *world) {
			before := w.box.Ledger()
			w.inject(t, tokenPath, "refuse", 1, m{"status": status, "message": "wrong credentials"})
			began := time.Now()
			a := w.buy(w.replica(0), register("order-0", ""))
			wants(t, a, toldFailed)
			if p, took := w.of(t, "order-0"), time.Since(began); p.Reason != purchase.NeverSent || p.Attempt != 1 || took > time.Second {
				t.Errorf("%d: %s, attempt %d after %s", status, p.Reason, p.Attempt, took)
			}
			if w.posts(before) != 0 || len(w.box.Ledger().Sales) != len(before.Sales) {
				t.Errorf("%d: %d requests arrived", status, w.posts(before))
			}
			if !strings.Contains(w.logs.String(), "vendor problem") {
				t.Errorf("%d: the log does not name a vendor problem: %s", status, w.logs.String())
			}
			wants(t, w.buy(w.replica(0), register("order-0", "")), toldFailed) // the recorded answer, although the vendor would sell now
			wants(t, w.buy(w.replica(0), register("order-1", "")), told)
			if len(w.salesOf(t, "order-0")) != 0 || len(w.salesOf(t, "order-1")) != 1 {
				t.Errorf("%d: %+v", status, w.box.Ledger().Sales)
			}
		})
	}
}

// TestTokenComesWithinTheWindow: a short failure of the token endpoint does not fail a purchase.
func TestTokenComesWithinTheWindow(t *testing.T) {
	t.Parallel()
	for fault, params := range map[string]m{
		"5xx":          nil,
		"throttle":     {"retryAfter": 0},
		"hang":         {"duration": "2s"},
		"reset_before": nil,
		"garble":       nil,
	} {
		tokenEnded(t, func(t *testing.T, w *world) {
			w.inject(t, tokenPath, fault, 4, params)
			wants(t, w.buy(w.replica(0), register("order-0", "")), told)
			if sales := w.salesOf(t, "order-0"); len(sales) != 1 {
				t.Errorf("%s: %+v", fault, sales)
			}
		})
	}
}
