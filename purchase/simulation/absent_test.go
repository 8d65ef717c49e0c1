package simulation

import (
	"errors"
	"testing"
	"time"

	"gigagate.internal/purchase"
)

// nothingSold lets an operator declare that nothing was sold for a key. It returns the gateway's answer.
func (w *world) nothingSold(t *testing.T, key string, force bool) (purchase.Purchase, *purchase.AbsenceError) {
	t.Helper()
	p, err := w.replica(0).engine.Resolve(t.Context(), purchase.Everyone, w.of(t, key).ID, purchase.Resolution{By: "operator", Note: "portal", Force: force})
	refused, ok := errors.AsType[*purchase.AbsenceError](err)
	if err != nil && !ok {
		t.Fatalf("%s: %v", key, err)
	}
	return p, refused
}

// TestNothingSoldTooEarly: an operator looks into the portal a second after the answer was lost. The
// vendor shows the sale only later.
func TestNothingSoldTooEarly(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		w.inject(t, listPath, "list_fail", 100000, nil)
		p := w.sellUnseen(t, register("order-0", ""))
		if _, refused := w.nothingSold(t, "order-0", false); refused == nil || refused.Retry < quiet/2 {
			t.Errorf("item %s was sold, but resolving as nothing sold gave %v", w.salesOf(t, "order-0")[0].ItemUID, refused)
		}
		pause(time.Until(quietEnd(p).Add(time.Minute)))
		if _, refused := w.nothingSold(t, "order-0", false); refused == nil {
			t.Error("nothing sold was accepted while the vendor's list could not be read")
		}
		w.box.Disarm()
		w.becomes(t, "order-0", purchase.Succeeded, time.Hour)
	})
}

// TestNothingSoldOnceItIsShown: the gateway accepts an operator's decision after as many reads as the
// reconciler itself needs.
func TestNothingSoldOnceItIsShown(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		w.inject(t, listPath, "list_fail", 100000, nil)
		p := w.lose(t, register("order-0", "FIRST_USE"))
		// The operator asks before the reconciler has made any complete read.
		pause(time.Until(quietEnd(p).Add(time.Second)))
		w.box.Disarm()
		for {
			got, refused := w.nothingSold(t, "order-0", false)
			if refused == nil {
				if got.Reason != purchase.ReasonOperator || got.SettledAt.Before(quietEnd(p).Add(2*quiet/4)) || len(w.salesOf(t, "order-0")) != 0 {
					t.Errorf("%s %s after %s", got.State, got.Reason, got.SettledAt.Sub(p.ClaimedAt))
				}
				return
			}
			if refused.Retry <= 0 || time.Since(w.began) > time.Hour {
				t.Fatal(refused)
			}
			pause(refused.Retry + time.Second)
		}
	})
}

// TestNothingSoldAgainstASuccess: the vendor answered with a success that could not be parsed, and its list does not
// show the sale. An operator cannot declare that nothing was sold.
func TestNothingSoldAgainstASuccess(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		w.inject(t, listPath, "list_no_metatags", 100000, nil)
		w.inject(t, registerPath, "garble", 1, nil)
		c := register("order-0", "")
		c.deadline = time.Second
		wants(t, w.buy(w.replica(0), c), unsettled)
		w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
		pause(time.Hour)
		if _, refused := w.nothingSold(t, "order-0", false); refused == nil || refused.Retry != 0 {
			t.Errorf("%d packages were sold, but resolving as nothing sold gave %v", len(w.salesOf(t, "order-0")), refused)
		}
	})
}

// TestNothingSoldForced: the history records that the decision was forced.
func TestNothingSoldForced(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		p := w.lose(t, register("order-0", ""))
		if got, refused := w.nothingSold(t, "order-0", true); refused != nil || got.Reason != purchase.ReasonOperator {
			t.Errorf("%s %s, %v", got.State, got.Reason, refused)
		}
		history, err := w.store.journal().History(t.Context(), p.ID)
		if last := history[len(history)-1]; err != nil || !last.Evidence.Forced || last.Evidence.Note != "portal" {
			t.Errorf("the history ends in %+v, %v", last, err)
		}
	})
}
