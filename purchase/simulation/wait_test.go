package simulation

import (
	"testing"
	"time"

	"gigagate.internal/purchase"
)

// TestOwnPurchaseIsNotRead: while a purchase waits for the vendor in the process of its caller, the journal is not read.
func TestOwnPurchaseIsNotRead(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		w.setFaulty(true) // the world counts the steps
		w.inject(t, registerPath, "commit_late", 1, m{"delay": "20s", "answer": true})
		wants(t, w.buy(w.replica(0), register("order-0", "")), told)
		if w.visited("get") || !w.visited("claim") {
			t.Error("the journal was read while the owner worked")
		}
	})
}

// TestSettledElsewhere: the owner of a purchase has ended, and another replica settles the purchase. The waiting caller gets
// the outcome within seconds.
func TestSettledElsewhere(t *testing.T) {
	t.Parallel()
	stage(t, plan{replicas: 2}, func(t *testing.T, w *world) {
		w.inject(t, listPath, "list_fail", 100000, nil)
		w.inject(t, registerPath, "reset_before", 1, m{"afterBytes": "request"})
		answers := make(chan answer, 1)
		began := time.Now()
		w.running.Go(func() { answers <- w.buy(w.replica(0), register("order-0", "")) })
		pause(10 * time.Second)
		p, _ := w.becomes(t, "order-0", purchase.Uncertain, time.Second)
		if _, err := w.replica(1).engine.Resolve(t.Context(), purchase.Everyone, p.ID, purchase.Resolution{By: "operator", Note: "portal", Force: true}); err != nil {
			t.Fatal(err)
		}
		wants(t, <-answers, toldFailed)
		if took := time.Since(began); took > 12*time.Second {
			t.Errorf("the answer took %s", took)
		}
	})
}
