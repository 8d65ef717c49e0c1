package server_test

import (
	"context"
	"testing"
	"time"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// passesJournal says when the reconciler begins a pass.
type passesJournal struct {
	purchase.Journal
	passes chan time.Time
}

func (j *passesJournal) Watched(ctx context.Context, absentFor time.Duration) ([]purchase.Purchase, error) {
	if absentFor > 0 { // the figures ask with 0
		j.passes <- time.Now()
	}
	return j.Journal.Watched(ctx, absentFor)
}

// TestConsoleLeavesTheReconcilerItsPace: somebody who looks at an uncertain purchase on a page does not wake the reconciler,
// which would read the vendor's whole list. A caller who asks for the purchase does.
func TestConsoleLeavesTheReconcilerItsPace(t *testing.T) {
	t.Parallel()
	journal := &passesJournal{Journal: newJournal(), passes: make(chan time.Time, 1000)}
	g := open(t, setup{journal: journal, quiet: time.Hour, timeout: time.Second})
	g.inject(t, pathRegister, "commit_then_reset", nil)
	g.injectMany(t, "/gigastore/activations/activated-items", "list_fail", 1000, nil)
	id := g.overGRPC(t, t.Context(), ask(register())).purchaseID(t)
	last := <-journal.passes
	for next := range journal.passes {
		pause := next.Sub(last)
		if last = next; pause > 4*time.Second {
			break // the next one is not much shorter
		}
	}
	console := gigagatev1.NewPurchaseServiceClient(g.server.Console())
	if _, err := console.GetPurchase(access.With(t.Context(), access.Open), &gigagatev1.GetPurchaseRequest{Id: id}); err != nil {
		t.Fatal(err)
	}
	if pause := (<-journal.passes).Sub(last); pause < 2*time.Second { // somebody who asks waits for one second
		t.Errorf("a pass came %v after the one before, when the console looked", pause)
	}
	g.read(t, g.transports()[0], id)
	<-journal.passes
}
