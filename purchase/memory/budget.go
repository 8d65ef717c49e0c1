package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"gigagate.internal/purchase"
)

// reserve reserves the amount of a claim in its budget, or refuses the claim.
func (j *Journal) reserve(claim purchase.Claim, now time.Time) error {
	if claim.Budget == nil {
		return nil
	}
	reservation := claim.Reservation(now)
	var used [3]purchase.Micros
	for i, name := range reservation.Periods() {
		total := j.totals[period{claim.Key.Caller, claim.Budget.Currency, name}]
		used[i] = total.Reserved + total.Spent
	}
	err := claim.Check(used, now)
	if err == nil {
		j.post(claim.Key.Caller, reservation, claim.Amount, 0)
	}
	return err
}

// post adds to the totals of the periods of a reservation.
func (j *Journal) post(caller string, r *purchase.Reservation, reserved, spent purchase.Micros) {
	for _, name := range r.Periods() {
		key := period{caller, r.Currency, name}
		total := j.totals[key]
		total.Reserved += reserved
		total.Spent += spent
		j.totals[key] = total
	}
}

// BudgetTotals implements [purchase.Journal].
func (j *Journal) BudgetTotals(ctx context.Context, caller string) ([]purchase.BudgetTotal, error) {
	if err := j.enter(ctx); err != nil {
		return nil, err
	}
	defer j.mu.Unlock()
	current := purchase.CurrentPeriods(j.time())
	var list []purchase.BudgetTotal
	for key, total := range j.totals {
		if (caller == "" || caller == key.caller) && slices.Contains(current, key.name) && (total.Reserved != 0 || total.Spent != 0) {
			total.Caller, total.Currency, total.Period = key.caller, key.currency, key.name
			list = append(list, total)
		}
	}
	slices.SortFunc(list, func(a, b purchase.BudgetTotal) int {
		return cmp.Or(cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Period, b.Period))
	})
	return list[:min(len(list), purchase.MaxBudgetTotals)], nil
}
