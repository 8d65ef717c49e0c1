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

	// post adds to the three periods of a reservation.
	post = `INSERT INTO budget_total (period, caller, currency, reserved, spent)
		VALUES (?1, ?4, ?5, ?6, ?7), (?2, ?4, ?5, ?6, ?7), (?3, ?4, ?5, ?6, ?7)
		ON CONFLICT DO UPDATE SET reserved = reserved + excluded.reserved, spent = spent + excluded.spent`

	selectTotals = `SELECT caller, currency, period, reserved, spent FROM budget_total
		WHERE period IN (%s) AND (reserved <> 0 OR spent <> 0)%s ORDER BY caller, currency, period LIMIT ?`
)

// checkBudget returns an error if a claim exceeds its budget.
func (c *connection) checkBudget(claim purchase.Claim, r *purchase.Reservation, now time.Time) error {
	if r == nil {
		return nil
	}
	periods := r.Periods()
	var used [3]purchase.Micros
	err := c.each(selectUsed, []any{periods[0], periods[1], periods[2], claim.Key.Caller, r.Currency}, func(from *reader) error {
		i := slices.Index(periods[:], from.text())
		used[i] = from.micros()
		return nil
	})
	if err != nil {
		return err
	}
	return claim.Check(used, now)
}

// post adds to the totals of a purchase's budget, if it has one.
func (c *connection) post(p *purchase.Purchase, reserved, spent purchase.Micros) error {
	if p.Reservation == nil {
		return nil
	}
	periods := p.Reservation.Periods()
	return c.exec(post, periods[0], periods[1], periods[2], p.Key.Caller, p.Reservation.Currency, int64(reserved), int64(spent))
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
