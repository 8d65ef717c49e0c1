package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"gigagate.internal/purchase"
)

// totals are what a change adds to: those of a caller, a currency and a day. A claim has a zone instead of the day,
// because its day is today by the database's clock.
type totals struct{ caller, currency, day, zone any }

func totalsOfClaim(c purchase.Claim) *totals {
	if c.Budget == nil {
		return nil
	}
	return &totals{caller: c.Key.Caller, currency: c.Budget.Currency, zone: zoneOf(c.Budget)}
}

func zoneOf(b *purchase.Budget) string {
	if b.Zone == nil {
		return time.UTC.String()
	}
	return b.Zone.String()
}

// lockTotals adds the call that locks the totals of all changes, if they have any.
func (j *Journal) lockTotals(batch *pgx.Batch, group []*operation) {
	var callers, currencies, days, zones []any
	for _, o := range group {
		if t := o.Work.totals; t != nil {
			callers, currencies = append(callers, t.caller), append(currencies, t.currency)
			days, zones = append(days, t.day), append(zones, t.zone)
		}
	}
	if callers != nil {
		batch.Queue(j.sql.lockTotals, j.clock(), callers, currencies, days, zones)
	}
}

// budgetValues returns the values of a claim that the SQL function takes for its budget.
func budgetValues(c purchase.Claim) []any {
	if c.Budget == nil {
		return make([]any, 6) //nolint:mnd // as many as below
	}
	limits := c.Budget.Limits()
	return []any{c.Budget.Currency, int64(c.Amount), zoneOf(c.Budget), int64(limits[0]), int64(limits[1]), int64(limits[2])}
}

// addPosting adds the values of a step that the SQL function takes for the budget.
func (c *change) addPosting(s purchase.Step) {
	var charge any
	if p := s.At(epoch); p.Charge != nil {
		charge = int64(*p.Charge)
	}
	values := []any{charge, nil, nil, nil, nil, nil}
	if posting, ok := s.Posting(); ok {
		r := s.Before.Reservation
		c.totals = &totals{caller: s.Before.Key.Caller, currency: r.Currency, day: r.Day}
		values = []any{charge, s.Before.Key.Caller, r.Currency, r.Day, int64(posting.Released), int64(posting.Charged)}
	}
	c.values = append(c.values, values...)
}

// refusal returns the error of a claim that exceeds its budget.
func (c *change) refusal(claim purchase.Claim) error {
	var used [3]purchase.Micros
	for i, sum := range c.used {
		used[i] = purchase.Micros(sum)
	}
	if err := claim.Check(used, c.at); err != nil {
		return err
	}
	return notWritten(errors.New("the database says that the claim exceeds its budget"))
}

// checkZone returns an error if the database does not know the time zone of a budget. A claim with such a zone would make
// a whole group fail. The answer of the database is remembered.
func (j *Journal) checkZone(ctx context.Context, budget *purchase.Budget) error {
	if budget == nil {
		return nil
	}
	name := zoneOf(budget)
	if _, known := j.zones.Load(name); known {
		return nil
	}
	if _, err := one(ctx, j, pgx.RowTo[time.Time], j.sql.inZone, name); err != nil {
		return fmt.Errorf("the database cannot tell the time in the budget's zone %q: %w", name, err)
	}
	j.zones.Store(name, true)
	return nil
}

// BudgetTotals implements [purchase.Journal].
func (j *Journal) BudgetTotals(ctx context.Context, caller string) ([]purchase.BudgetTotal, error) {
	if !storable(caller) {
		return nil, nil
	}
	now, err := j.time(ctx)
	if err != nil {
		return nil, err
	}
	return many(ctx, j, pgx.RowToStructByPos[purchase.BudgetTotal], j.sql.totals, purchase.CurrentPeriods(now), caller, purchase.MaxBudgetTotals)
}

// time returns the time of the journal's clock.
func (j *Journal) time(ctx context.Context) (time.Time, error) {
	if j.now != nil {
		return j.now(), nil
	}
	return one(ctx, j, pgx.RowTo[time.Time], j.sql.now)
}
