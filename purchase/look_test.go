package purchase_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/memory"
)

// TestLookingReadsNothingFromTheVendor: somebody who looks at an uncertain purchase every second makes no read of the vendor's
// records that would not come anyway. A caller who asks for it does.
func TestLookingReadsNothingFromTheVendor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := memory.Open(nil)
		r := newReporting(t, journal, nil)
		const id = "01ARZ3NDEKTSV4RRFFQ69G5FA1"
		leaveUncertain(t, journal, r.vendor.Account(), id)
		r.engine.Start()
		defer r.engine.Close()
		<-time.After(10 * time.Minute) // the pace of the reconciler is slow now
		readsWhile := func(ask func(context.Context, purchase.Scope, string) (purchase.Purchase, []purchase.HistoryEntry, error)) (reads int) {
			var last time.Time
			for range 20 * 60 {
				<-time.After(time.Second)
				p, err := journal.Get(t.Context(), id)
				if err == nil && ask != nil {
					_, _, err = ask(t.Context(), purchase.Everyone, id)
				}
				if err != nil {
					t.Fatal(err)
				}
				if at := r.engine.Reconciliation(p).LastRead; !at.Equal(last) {
					last = at
					reads++
				}
			}
			return reads
		}
		nobody, looking, asking := readsWhile(nil), readsWhile(r.engine.Look), readsWhile(r.engine.Get)
		if nobody < 10 || looking > nobody+1 || asking < nobody+5 {
			t.Errorf("in 20 minutes there are %d reads, %d while somebody looks, and %d while a caller asks", nobody, looking, asking)
		}
	})
}
