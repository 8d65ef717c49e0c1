package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gigagate.internal/purchase"
)

const (
	selectUsed = `SELECT period, reserved + spent FROM budget_total WHERE period IN (?, ?, ?) AND caller = ? AND currency = ?`

	addToTotal = `INSERT INTO budget_total (period, caller, currency, reserved, spent) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET reserved = reserved + excluded.reserved, spent = spent + excluded.spent`

	selectTotals = `SELECT caller, currency, period, reserved, spent FROM budget_total
		WHERE period IN (%s) AND (reserved <> 0 OR spent <> 0)%s ORDER BY caller, currency, period LIMIT ?`
)

// postings are what the writes of one group change in the totals of budgets. Each total is read and written once for the
// whole group. For each write on its own, that would cost a third of what the journal costs.
type postings map[totalKey]*posting

type totalKey struct{ period, caller, currency string }

type posting struct {
	reserved, spent purchase.Micros // what the group adds
	before          purchase.Micros // what the table had reserved and spent before the group, if known
	known           bool
}

// of returns the postings to the totals of a reservation's periods.
func (p postings) of(caller string, r *purchase.Reservation) (list [3]*posting) {
	for i, period := range r.Periods() {
		key := totalKey{period, caller, r.Currency}
		if p[key] == nil {
			p[key] = &posting{}
		}
		list[i] = p[key]
	}
	return list
}

// checkBudget returns an error if a claim exceeds its budget.
func (c *connection) checkBudget(claim purchase.Claim, r *purchase.Reservation, now time.Time) error {
	if r == nil {
		return nil
	}
	periods, totals := r.Periods(), c.postings.of(claim.Key.Caller, r)
	if slices.ContainsFunc(totals[:], func(t *posting) bool { return !t.known }) {
		err := c.each(selectUsed, []any{periods[0], periods[1], periods[2], claim.Key.Caller, r.Currency}, func(from *reader) error {
			i := slices.Index(periods[:], from.text())
			totals[i].before = from.micros()
			return nil
		})
		if err != nil {
			return err
		}
	}
	var used [3]purchase.Micros
	for i, t := range totals {
		t.known = true
		used[i] = t.before + t.reserved + t.spent
	}
	return claim.Check(used, now)
}

// post adds to the totals of a purchase's budget, if it has one. writePostings writes them.
func (c *connection) post(p *purchase.Purchase, reserved, spent purchase.Micros) {
	if p.Reservation == nil {
		return
	}
	for _, t := range c.postings.of(p.Key.Caller, p.Reservation) {
		t.reserved += reserved
		t.spent += spent
	}
}

// writePostings writes what the group has added to the totals.
func (c *connection) writePostings() error {
	for key, t := range c.postings {
		if t.reserved == 0 && t.spent == 0 {
			continue
		}
		if err := c.exec(addToTotal, key.period, key.caller, key.currency, int64(t.reserved), int64(t.spent)); err != nil {
			return err
		}
	}
	return nil
}

// reservation returns the values of the columns that hold a reservation.
func reservation(r *purchase.Reservation) (currency, amount, day any) {
	if r == nil {
		return nil, nil, nil
	}
	return r.Currency, int64(r.Amount), r.Day
}

// charge returns the value of a column that holds a charge.
func charge(m *purchase.Micros) any {
	if m == nil {
		return nil
	}
	return int64(*m)
}

// BudgetTotals implements [purchase.Journal].
func (j *Journal) BudgetTotals(ctx context.Context, caller string) ([]purchase.BudgetTotal, error) {
	var totals []purchase.BudgetTotal // the writer may set it after this call has returned
	err := j.read(ctx, func(c *connection) (err error) {
		var args []any
		for _, period := range purchase.CurrentPeriods(j.time()) {
			args = append(args, period)
		}
		periods, ofCaller := marks(len(args)), ""
		if caller != "" {
			args, ofCaller = append(args, caller), " AND caller = ?"
		}
		totals, err = all(c, scanTotal, fmt.Sprintf(selectTotals, periods, ofCaller), append(args, purchase.MaxBudgetTotals)...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return totals, nil
}

func scanTotal(r *reader) (purchase.BudgetTotal, error) {
	return purchase.BudgetTotal{Caller: r.text(), Currency: r.text(), Period: r.text(), Reserved: r.micros(), Spent: r.micros()}, nil
}
