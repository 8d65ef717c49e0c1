package journaltest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

func limit(units int64) *purchase.Micros {
	amount := purchase.Micros(units * 1_000_000)
	return &amount
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	location, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return location
}

// onBudget returns a claim of some units on a budget.
func onBudget(budget purchase.Budget, units int64) purchase.Claim {
	claim := newClaim()
	budget.Currency = "EUR"
	claim.Budget, claim.Amount = &budget, *limit(units)
	return claim
}

// totals compares the totals of a caller. Each one is "period reserved spent".
func (s *subject) totals(t *testing.T, what, caller string, want ...string) {
	t.Helper()
	list, err := s.Journal.BudgetTotals(t.Context(), caller)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, total := range list {
		got = append(got, fmt.Sprintf("%s %s %s", total.Period, total.Reserved, total.Spent))
	}
	equal(t, what, got, want)
}

// refused claims what the budget must refuse, and returns the refusal.
func (s *subject) refused(t *testing.T, claim purchase.Claim) purchase.BudgetError {
	t.Helper()
	_, err := s.Journal.Claim(t.Context(), claim)
	over, ok := errors.AsType[*purchase.BudgetError](err)
	if !ok || !errors.Is(err, purchase.ErrNotWritten) {
		t.Fatalf("err = %v, want a BudgetError that is an ErrNotWritten", err)
	}
	_, err = s.Journal.Get(t.Context(), claim.ID)
	isError(t, err, purchase.ErrNotFound)
	_, err = s.Journal.Lookup(t.Context(), claim.Key)
	isError(t, err, purchase.ErrNotFound)
	return *over
}

// paidFor returns the transition to Succeeded at a price.
func paidFor(t *testing.T, p purchase.Purchase, price, currency string) purchase.Transition {
	t.Helper()
	value, err := gigastore.ParseDecimal(price)
	if err != nil {
		t.Fatal(err)
	}
	transition := transitionOf(p, purchase.AnsweredApplied, p.Attempt)
	transition.Paid = &gigastore.Price{Value: value, Currency: currency}
	return transition
}

// testBudget: a claim reserves, a settlement posts or releases, and what is refused leaves nothing.
func testBudget(t *testing.T, s *subject) {
	budget := purchase.Budget{Total: limit(10)}
	first := s.claim(t, onBudget(budget, 4))
	equal(t, "the reservation", first.Reservation, &purchase.Reservation{Currency: "EUR", Amount: *limit(4), Day: "2026-03-01"})
	equal(t, "the purchase by its id", s.get(t, first.ID), first)
	s.totals(t, "the totals with one reservation", "shop", "2026-03 4 0", "2026-03-01 4 0", "total 4 0")
	s.totals(t, "the totals of all callers", "", "2026-03 4 0", "2026-03-01 4 0", "total 4 0")
	s.totals(t, "the totals of another caller", "sho")

	second := s.claim(t, onBudget(budget, 6))
	over := s.refused(t, onBudget(budget, 1))
	equal(t, "the refusal", over, purchase.BudgetError{Period: purchase.InTotal, Currency: "EUR", Limit: *limit(10), Asked: *limit(1)})
	s.totals(t, "the totals after a refusal", "shop", "2026-03 10 0", "2026-03-01 10 0", "total 10 0")
	s.claim(t, onBudget(budget, 0))
	other := onBudget(budget, 9)
	other.Key.Caller = "another"
	s.claim(t, other)
	s.claim(t, newClaim()) // without a budget
	s.totals(t, "the totals beside other purchases", "shop", "2026-03 10 0", "2026-03-01 10 0", "total 10 0")

	first = s.recordTransition(t, first, paidFor(t, first, "3.5000001", "EUR"), purchase.Moves)
	equal(t, "the charge", first.Charge.String(), "3.500001")
	equal(t, "the purchase by its id", s.get(t, first.ID), first)
	s.totals(t, "the totals after a sale", "shop", "2026-03 6 3.500001", "2026-03-01 6 3.500001", "total 6 3.500001")
	second = s.record(t, second, purchase.AnsweredRefused)
	equal(t, "the charge of a failed purchase", second.Charge, (*purchase.Micros)(nil))
	s.totals(t, "the totals after a refused send", "shop", "2026-03 0 3.500001", "2026-03-01 0 3.500001", "total 0 3.500001")
	over = s.refused(t, onBudget(budget, 7))
	equal(t, "what is left", over.Left.String(), "6.499999")
}

// testBudgetHolds: a purchase that is not settled keeps its reservation, whatever happens to it. A later send keeps it.
func testBudgetHolds(t *testing.T, s *subject) {
	budget := purchase.Budget{Month: limit(4)}
	for _, state := range []purchase.State{purchase.Sending, purchase.Accepted, purchase.Uncertain, purchase.NeedsOperator} {
		claim := onBudget(budget, 4)
		claim.Key.Caller = string(state)
		p := s.in(t, state, claim)
		s.totals(t, "the totals in "+string(state), string(state), "2026-03 4 0", "2026-03-01 4 0", "total 4 0")
		again := onBudget(budget, 1)
		again.Key.Caller = claim.Key.Caller
		s.refused(t, again)
		equal(t, "the purchase by its id", s.get(t, p.ID), p)
	}
}

// testBudgetOfTakenKey: a key that is taken is answered although the budget is used up, and reserves nothing.
func testBudgetOfTakenKey(t *testing.T, s *subject) {
	claim := onBudget(purchase.Budget{Total: limit(4)}, 4)
	first := s.claim(t, claim)
	equal(t, "the same claim again", s.claim(t, claim), first)
	other := onBudget(purchase.Budget{Total: limit(100)}, 4)
	for _, total := range []*purchase.Micros{limit(100), limit(4), limit(0)} {
		other.Key, other.Budget.Total = claim.Key, total
		p, err := s.Journal.Claim(t.Context(), other)
		if err != nil {
			t.Fatalf("a claim of a taken key: %v", err)
		}
		equal(t, "the purchase of the taken key", p, first)
	}
	s.totals(t, "the totals", "shop", "2026-03 4 0", "2026-03-01 4 0", "total 4 0")
}

// testBudgetOnce: of many equal settlements, one posts. A stale or a repeated one posts nothing.
func testBudgetOnce(t *testing.T, s *subject) {
	journals := []purchase.Journal{s.Journal, s.replica(t)}
	p := s.claim(t, onBudget(purchase.Budget{}, 4))
	transition := paidFor(t, p, "3", "EUR")
	step, err := purchase.Decide(p, transition)
	if err != nil {
		t.Fatal(err)
	}
	var writes sync.WaitGroup
	for i := range 20 {
		writes.Go(func() {
			if _, err := journals[i%2].Write(t.Context(), step); err != nil && !errors.Is(err, purchase.ErrStale) {
				t.Errorf("write: %v", err)
			}
		})
	}
	writes.Wait()
	transition.Event, transition.Evidence.Explanation = purchase.Found, "seen again"
	s.recordTransition(t, p, transition, purchase.Stays)
	s.totals(t, "the totals", "shop", "2026-03 0 3", "2026-03-01 0 3", "total 0 3")
	equal(t, "the charge", *s.get(t, p.ID).Charge, *limit(3))
	// A package that is bound to another purchase settles nothing, and keeps the reservation.
	second := s.claim(t, onBudget(purchase.Budget{}, 5))
	taken := paidFor(t, second, "5", "EUR")
	taken.ItemUID = itemOf(p.ID)
	_, _, err = purchase.Record(t.Context(), s.Journal, second, taken)
	isError(t, err, purchase.ErrItemTaken)
	s.totals(t, "the totals after a taken item", "shop", "2026-03 5 3", "2026-03-01 5 3", "total 5 3")
}

// testBudgetLateSale: a sale that is found after the purchase failed is charged once, even above the limit.
func testBudgetLateSale(t *testing.T, s *subject) {
	budget := purchase.Budget{Total: limit(4)}
	p := s.record(t, s.claim(t, onBudget(budget, 4)), purchase.AnsweredRefused)
	s.record(t, s.claim(t, onBudget(budget, 4)), purchase.AnsweredApplied) // without a price: what was reserved
	s.totals(t, "the totals before", "shop", "2026-03 0 4", "2026-03-01 0 4", "total 0 4")
	late := paidFor(t, p, "3.5", "EUR")
	after := s.recordTransition(t, p, late, purchase.Contradicts)
	equal(t, "the charge", after.Charge.String(), "3.5")
	equal(t, "the purchase by its id", s.get(t, p.ID), after)
	s.totals(t, "the totals after the late sale", "shop", "2026-03 0 7.5", "2026-03-01 0 7.5", "total 0 7.5")
	late.Event = purchase.Found
	after = s.recordTransition(t, after, late, purchase.Contradicts)
	after = s.recordTransition(t, after, transitionOf(p, purchase.AnsweredUnknown, 1), purchase.Stays)
	equal(t, "the purchase by its id", s.get(t, p.ID), after)
	s.totals(t, "the totals after it was found again", "shop", "2026-03 0 7.5", "2026-03-01 0 7.5", "total 0 7.5")
	equal(t, "what is left", s.refused(t, onBudget(budget, 1)).Left, purchase.Micros(0))
	// Without a reservation, nothing is charged.
	free := s.claim(t, newClaim())
	free = s.recordTransition(t, free, paidFor(t, free, "9", "EUR"), purchase.Moves)
	equal(t, "the charge without a budget", free.Charge, (*purchase.Micros)(nil))
	dollars := s.claim(t, onBudget(purchase.Budget{}, 2))
	dollars = s.recordTransition(t, dollars, paidFor(t, dollars, "9", "USD"), purchase.Moves)
	equal(t, "the charge of a sale in another currency", *dollars.Charge, *limit(2))
}

// testBudgetPeriods: days and months are those of the budget's zone by the journal's clock, also when clocks change. A
// purchase counts in the day of its claim.
func testBudgetPeriods(t *testing.T, s *subject) {
	budget := purchase.Budget{Day: limit(5), Month: limit(8), Zone: zone(t, "Europe/Berlin")}
	at := func(text string) {
		want, err := time.ParseInLocation(time.DateTime, text, budget.Zone)
		if err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(want.Sub(s.clock.Now()))
	}
	at("2026-03-28 23:59:59")
	yesterday := s.claim(t, onBudget(budget, 5))
	equal(t, "the day of the reservation", yesterday.Reservation.Day, "2026-03-28")
	over := s.refused(t, onBudget(budget, 1))
	equal(t, "the refusal of the day", over, purchase.BudgetError{
		Period: purchase.PerDay, Currency: "EUR", Limit: *limit(5), Asked: *limit(1), Until: over.Until,
	})
	equal(t, "the end of the day", over.Until.Format(time.RFC3339), "2026-03-29T00:00:00+01:00")
	at("2026-03-29 00:00:00") // a day of 23 hours
	today := s.claim(t, onBudget(budget, 2))
	equal(t, "the day of the reservation", today.Reservation.Day, "2026-03-29")
	at("2026-03-29 23:59:59")
	equal(t, "the day at its end", s.claim(t, onBudget(budget, 1)).Reservation.Day, "2026-03-29")
	over = s.refused(t, onBudget(budget, 1))
	equal(t, "the period that is used up for longer", over.Period, purchase.PerMonth)
	equal(t, "the end of the month", over.Until.Format(time.RFC3339), "2026-04-01T00:00:00+02:00")
	s.record(t, yesterday, purchase.AnsweredRefused)
	at("2026-03-31 23:59:59")
	s.claim(t, onBudget(budget, 5))
	s.totals(t, "the totals at the end of the month", "shop", "2026-03 8 0", "2026-03-31 5 0", "total 8 0")
	at("2026-04-01 00:00:00")
	s.claim(t, onBudget(budget, 5))
	s.totals(t, "the totals in the new month", "shop", "2026-03 8 0", "2026-03-31 5 0", "2026-04 5 0", "2026-04-01 5 0", "total 13 0")
	at("2026-10-25 00:00:00") // a day of 25 hours
	for _, text := range []string{"2026-10-25 01:30:00", "2026-10-25 23:59:59"} {
		equal(t, "the day at "+text, s.claim(t, onBudget(budget, 1)).Reservation.Day, "2026-10-25")
		at(text)
	}
	behind := onBudget(purchase.Budget{Zone: zone(t, "Pacific/Pago_Pago")}, 1)
	equal(t, "the day far in the west", s.claim(t, behind).Reservation.Day, "2026-10-25")
	ahead := onBudget(purchase.Budget{Zone: zone(t, "Pacific/Kiritimati")}, 1)
	equal(t, "the day far in the east", s.claim(t, ahead).Reservation.Day, "2026-10-26")
}

// testBudgetRace: claims of two replicas never reserve more than the budget has, and one that is refused does not
// disturb the others. Settlements and claims of several callers do not block each other.
func testBudgetRace(t *testing.T, s *subject) {
	journals := []purchase.Journal{s.Journal, s.replica(t)}
	budget := purchase.Budget{Day: limit(100), Total: limit(60)}
	var calls sync.WaitGroup
	var won, refused atomic.Int64
	for i := range 300 {
		claim := onBudget(budget, 2)
		claim.Key.Caller = fmt.Sprintf("shop-%d", i%3)
		if i%10 == 9 {
			claim.Budget = nil
		}
		calls.Go(func() {
			journal := journals[i%2]
			p, err := journal.Claim(t.Context(), claim)
			_, over := errors.AsType[*purchase.BudgetError](err)
			switch {
			case over && claim.Budget != nil:
				refused.Add(1)
				return
			case err != nil:
				t.Errorf("claim: %v", err)
				return
			case claim.Budget != nil:
				won.Add(1)
			}
			event := purchase.AnsweredApplied
			if i%4 == 0 {
				event = purchase.AnsweredUnknown
			}
			if _, _, err := purchase.Record(t.Context(), journals[(i+1)%2], p, transitionOf(p, event, 1)); err != nil {
				t.Errorf("record: %v", err)
			}
		})
	}
	calls.Wait()
	if won.Load() != 90 || refused.Load() != 180 {
		t.Errorf("%d claims won and %d were refused, want 90 and 180", won.Load(), refused.Load())
	}
	list, err := s.Journal.BudgetTotals(t.Context(), "")
	if err != nil || len(list) != 9 {
		t.Fatalf("%d totals, want 9, err = %v", len(list), err)
	}
	for _, total := range list {
		if total.Reserved+total.Spent != *limit(60) {
			t.Errorf("%s, %s: %s reserved and %s spent, want 60 together", total.Caller, total.Period, total.Reserved, total.Spent)
		}
	}
}
