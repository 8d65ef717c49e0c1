package server_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// totalsJournal counts the reads of totals. If it is cut, the totals of all callers are those of others.
type totalsJournal struct {
	purchase.Journal
	cut   bool
	reads atomic.Int64
}

func (j *totalsJournal) BudgetTotals(ctx context.Context, caller string) ([]purchase.BudgetTotal, error) {
	j.reads.Add(1)
	if caller == "" && j.cut {
		return slices.Repeat([]purchase.BudgetTotal{{Caller: "a", Currency: "USD", Period: "total", Spent: 1}}, purchase.MaxBudgetTotals), nil
	}
	return j.Journal.BudgetTotals(ctx, caller)
}

// TestBudgetsInOneRead: a list of budgets reads the journal once, however long it is. It reads again only if some totals may
// be missing, and never shows a budget as unspent.
func TestBudgetsInOneRead(t *testing.T) {
	t.Parallel()
	for cut, reads := range map[bool]int64{false: 1, true: 4} {
		known := newCallers(operator("anna"))
		for _, name := range []string{"shop", "web", "zoo"} {
			known.set(onBudget(name, access.Budget{Total: units(100)}))
		}
		journal := &totalsJournal{Journal: newJournal(), cut: cut}
		g := openWithBudgets(t, known, func(s *setup) { s.journal = journal })
		d := g.transports()[0]
		d.call(t, t.Context(), ask(register()).as("web")).ok(t)
		journal.reads.Store(0)
		a := d.call(t, t.Context(), ask(&gigagatev1.ListBudgetsRequest{}).as("anna"))
		a.ok(t)
		var spent []string
		for _, b := range a.reply.(*gigagatev1.ListBudgetsResponse).GetBudgets() {
			spent = append(spent, b.GetCaller()+" "+b.GetPeriods()[2].GetSpent().GetAmount())
		}
		if want := []string{"shop 0", "web 4.2", "zoo 0"}; !slices.Equal(spent, want) || journal.reads.Load() != reads {
			t.Errorf("%q in %d reads, want %q in %d", spent, journal.reads.Load(), want, reads)
		}
	}
}
