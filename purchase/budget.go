package purchase

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gigagate.internal/gigastore"
)

// Budget limits what a caller may spend in one currency. A nil limit limits nothing.
type Budget struct {
	Currency string
	// Purchase limits the price of one purchase. The others limit the sum of what is reserved and what is spent in a
	// period.
	Purchase, Day, Month, Total *Micros
	// Zone is the time zone of the days and months. nil means UTC.
	Zone *time.Location
}

// BudgetPeriod says which limit of a budget a purchase exceeds.
type BudgetPeriod string

// The periods of a budget.
const (
	PerPurchase BudgetPeriod = "PURCHASE"
	PerDay      BudgetPeriod = "DAY"
	PerMonth    BudgetPeriod = "MONTH"
	InTotal     BudgetPeriod = "TOTAL"
)

// BudgetError says that the purchase would exceed the caller's budget. Nothing was claimed, reserved or sent.
type BudgetError struct {
	Period   BudgetPeriod
	Currency string
	Limit    Micros
	Left     Micros // of the limit, for new purchases; never negative
	Asked    Micros // what the purchase would reserve
	// Until is the end of the day or the month. It is zero for the other periods.
	Until time.Time
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("the purchase of %s %s exceeds the budget: %s of %s are left (%s)", e.Asked, e.Currency, e.Left, e.Limit, e.Period)
}

// PeriodTotal is the name of the period that never ends. A day is named like 2026-11-30, and a month like 2026-11.
const PeriodTotal = "total"

// BudgetTotal is what the purchases of one caller, currency and period hold and have taken.
type BudgetTotal struct {
	Caller, Currency, Period string
	Reserved                 Micros // for the purchases that are not settled
	Spent                    Micros // for sales
}

// MaxBudgetTotals limits the result of [Journal.BudgetTotals].
const MaxBudgetTotals = 10_000

// CurrentPeriods returns the names of the periods that are not over everywhere on earth at the time now.
func CurrentPeriods(now time.Time) []string {
	periods := []string{PeriodTotal}
	for _, ahead := range []time.Duration{-12 * time.Hour, 0, 14 * time.Hour} { // the zones farthest from UTC
		local := now.UTC().Add(ahead)
		for _, period := range []string{local.Format(monthLayout), local.Format(time.DateOnly)} {
			if !slices.Contains(periods, period) {
				periods = append(periods, period)
			}
		}
	}
	return periods
}

const monthLayout = "2006-01"

// Reservation is what a claim reserved in its caller's budget.
type Reservation struct {
	Currency string
	Amount   Micros
	// Day is the day of the claim in the budget's time zone. What the purchase costs counts for this day and its month,
	// also if the purchase is settled later.
	Day string
}

// Periods returns the periods in which the reservation counts.
func (r *Reservation) Periods() [3]string {
	return [3]string{PeriodTotal, r.Day[:len(monthLayout)], r.Day}
}

// Reservation returns what the claim reserves if it is written at now. It is nil for a claim without a budget.
func (c *Claim) Reservation(now time.Time) *Reservation {
	if c.Budget == nil {
		return nil
	}
	return &Reservation{Currency: c.Budget.Currency, Amount: c.Amount, Day: now.In(c.Budget.zone()).Format(time.DateOnly)}
}

func (b *Budget) zone() *time.Location {
	if b.Zone == nil {
		return time.UTC
	}
	return b.Zone
}

// maxTotal limits the sums of a period without a limit, so that no sum ever overflows.
const maxTotal Micros = 1 << 62

// Limits returns the limits of the periods of [Reservation.Periods]. A period without a limit has one that nothing
// reaches.
func (b *Budget) Limits() (limits [3]Micros) {
	for i, limit := range [3]*Micros{b.Total, b.Month, b.Day} {
		limits[i] = maxTotal
		if limit != nil {
			limits[i] = min(*limit, maxTotal)
		}
	}
	return limits
}

// Check returns an error with a [BudgetError] and ErrNotWritten in its chain if the claim exceeds its budget. used is
// what is reserved and spent in each of the periods of [Reservation.Periods] at the time now. If several limits are
// exceeded, the error is about the one that lasts longest.
func (c *Claim) Check(used [3]Micros, now time.Time) error {
	local := now.In(c.Budget.zone())
	year, month, day := local.Date()
	ends := [3]time.Time{
		{}, // the total has no end
		time.Date(year, month+1, 1, 0, 0, 0, 0, local.Location()),
		time.Date(year, month, day+1, 0, 0, 0, 0, local.Location()),
	}
	for i, limit := range c.Budget.Limits() {
		if c.Amount > limit-used[i] {
			return fmt.Errorf("%w: %w", ErrNotWritten, &BudgetError{
				Period: [3]BudgetPeriod{InTotal, PerMonth, PerDay}[i], Currency: c.Budget.Currency,
				Limit: limit, Left: max(limit-used[i], 0), Asked: c.Amount, Until: ends[i],
			})
		}
	}
	return nil
}

// Posting is how a step changes the totals of the reservation's periods. A journal writes it in the transaction of the
// step.
type Posting struct {
	Released Micros // is no longer reserved
	Charged  Micros // is spent
}

// Posting returns the step's posting. It is false if the step changes no totals. A purchase releases its reservation
// once, when it settles. It is charged once: with the first sale that is seen, even if that was after it failed.
func (s Step) Posting() (Posting, bool) {
	var posting Posting
	if s.Before.Reservation == nil {
		return posting, false
	}
	settles, charge := s.Settles(), s.At(time.Time{}).Charge
	if settles {
		posting.Released = s.Before.Reservation.Amount
	}
	isCharged := s.Before.Charge == nil && charge != nil
	if isCharged {
		posting.Charged = *charge
	}
	return posting, settles || isCharged
}

// charge returns what a sale takes from the budget: what the vendor took. If that is not known, or is in another
// currency, it is the reserved amount.
func (r *Reservation) charge(paid *gigastore.Price) *Micros {
	amount := r.Amount
	if paid != nil && paid.Currency == r.Currency {
		if exact, err := MicrosOf(paid.Value); err == nil {
			amount = exact
		}
	}
	return &amount
}

// limit returns the reservation as a limit on the price. A later send of the purchase must not cost more.
func (r *Reservation) limit() Price { return Price{Amount: r.Amount.Decimal(), Currency: r.Currency} }

// reserve returns the amount that a purchase of the item reserves in the budget.
func (b *Budget) reserve(item gigastore.InventoryItem) (Micros, error) {
	price, ok := priceIn(item.Prices, b.Currency)
	if !ok {
		return 0, &GuardError{Reason: PriceUnreadable}
	}
	amount, err := MicrosOf(price)
	if err != nil {
		return 0, &GuardError{Reason: PriceUnreadable}
	}
	if b.Purchase != nil && amount > *b.Purchase {
		return 0, &BudgetError{Period: PerPurchase, Currency: b.Currency, Limit: *b.Purchase, Left: *b.Purchase, Asked: amount}
	}
	return amount, nil
}

// BudgetTotals returns the totals of the current periods, see [Journal.BudgetTotals].
func (e *Engine) BudgetTotals(ctx context.Context, caller string) ([]BudgetTotal, error) {
	return bounded(ctx, journalBudget, func(ctx context.Context) ([]BudgetTotal, error) {
		return e.journal.BudgetTotals(ctx, caller)
	})
}
