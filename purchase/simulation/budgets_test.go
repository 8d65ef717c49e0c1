package simulation

import (
	"context"
	"maps"
	"slices"
	"time"

	"gigagate.internal/internal/tally"
	"gigagate.internal/purchase"
)

// budgetOf returns a budget in the sandbox's currency with a limit in micros for the total.
func budgetOf(total purchase.Micros) *purchase.Budget {
	return &purchase.Budget{Currency: "USD", Total: &total}
}

// budgets compares the totals of the journal with its purchases, and both with the ledger and the limit. The journal has
// no transaction for several reads, and a replica may still write. So a difference counts only if it stays.
func (v *verdict) budgets() {
	var wrong []string
	for range 3 {
		if wrong = v.budgetsNow(); len(wrong) == 0 {
			return
		}
		pause(v.world.span(time.Minute))
	}
	v.wrong = append(v.wrong, wrong...)
}

func (v *verdict) budgetsNow() (wrong []string) {
	add := func(kind, format string, args ...any) { wrong = append(wrong, tally.Finding(kind, format, args...)) }
	want := map[string]purchase.BudgetTotal{}
	var held, took purchase.Micros // by the purchases that did not fail, and by what the vendor sold for them
	for _, p := range v.world.purchases() {
		if p.Reservation == nil {
			continue
		}
		for _, period := range p.Reservation.Periods() {
			total := want[period]
			total.Caller, total.Currency, total.Period = p.Key.Caller, p.Reservation.Currency, period
			if !p.State.Settled() {
				total.Reserved += p.Reservation.Amount
			}
			if p.Charge != nil {
				total.Spent += *p.Charge
			}
			want[period] = total
		}
		switch {
		case !p.State.Settled():
			held += p.Reservation.Amount
		case p.State == purchase.Succeeded && p.Charge != nil:
			held += *p.Charge
		case p.State == purchase.Succeeded:
			add(tally.Untrue, "%s was sold on a budget and is not charged", p.ID)
		}
		for _, sale := range v.sales[p.Mark()] {
			price := purchase.Micros(sale.PurchasePrice) * 10_000 // from cents
			if p.State.Settled() && (p.Charge == nil || *p.Charge != price) && !v.world.plan.beyondQuiet {
				add(tally.Untrue, "%s was sold for %s, but is charged with %v", p.ID, price, p.Charge)
			}
			if p.State != purchase.Failed {
				took += price
			}
		}
	}
	totals, err := v.world.store.journal().BudgetTotals(context.Background(), "default")
	if err != nil {
		add(tally.Broken, "the totals cannot be read: %v", err)
	}
	got := map[string]purchase.BudgetTotal{}
	for _, total := range totals {
		got[total.Period] = total
	}
	maps.DeleteFunc(want, func(period string, total purchase.BudgetTotal) bool {
		return total.Reserved == 0 && total.Spent == 0 || !slices.Contains(purchase.CurrentPeriods(v.world.journalNow()), period)
	})
	if !maps.Equal(got, want) {
		add(tally.Untrue, "the totals are %v, the purchases make %v", got, want)
	}
	if b := v.world.plan.budget; b != nil && (held > *b.Total || took > *b.Total) {
		add(tally.Untrue, "%s are reserved or spent and %s sold on a budget of %s", held, took, b.Total)
	}
	return wrong
}
