package purchase_test

import (
	"errors"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

func TestMicros(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0", "1": "1", "1.49": "1.49", "0.000001": "0.000001", "4.2": "4.2", "100": "100",
		"0.0000001": "0.000001", "1.4900001": "1.490001", "0.9999999": "1", // rounded up
		"1000000000": "1000000000", "1000000000.0000001": "", "9999999999999999999999999999": "",
		"-0.000001": "", "-1": "",
	} {
		amount, err := gigastore.ParseDecimal(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := purchase.MicrosOf(amount)
		switch {
		case want == "":
			if err == nil {
				t.Errorf("%s is %s, want an error", text, got)
			}
		case err != nil || got.String() != want || got.Decimal().String() != want:
			t.Errorf("%s is %s, %s as a decimal number, want %s; err = %v", text, got, got.Decimal(), want, err)
		}
	}
	if got := purchase.Micros(-1_500_000).String(); got != "-1.5" {
		t.Errorf("a negative amount is written %s", got)
	}
}

// TestBudgetNeverOverflows: without a limit, the sums still have one. So a settlement always fits.
func TestBudgetNeverOverflows(t *testing.T) {
	t.Parallel()
	const most = 1_000_000_000_000_000 // the highest price
	claim := purchase.Claim{Budget: &purchase.Budget{Currency: "EUR"}, Amount: most}
	var sum purchase.Micros
	for range 10_000 {
		if claim.Check([3]purchase.Micros{sum, 0, 0}, time.Now()) != nil {
			break
		}
		sum += most
	}
	if sum <= 0 || sum+1000*most <= 0 {
		t.Errorf("%d is reserved", sum)
	}
}

// TestPosting: what each event does to the totals of a purchase with a reservation.
func TestPosting(t *testing.T) {
	t.Parallel()
	claim := purchase.Claim{Budget: &purchase.Budget{Currency: "EUR"}, Amount: 5}
	paid := func(event purchase.Event, currency string) purchase.Transition {
		one, err := gigastore.ParseDecimal("0.000003")
		if err != nil {
			t.Fatal(err)
		}
		return purchase.Transition{Event: event, Attempt: 1, ItemUID: "item", Paid: &gigastore.Price{Value: one, Currency: currency}}
	}
	event := func(event purchase.Event) purchase.Transition {
		return purchase.Transition{Event: event, Attempt: 1, Reason: "REASON"}
	}
	for _, c := range []struct {
		name   string
		events []purchase.Transition
		last   purchase.Posting // of the last event
	}{
		{"sold", []purchase.Transition{paid(purchase.AnsweredApplied, "EUR")}, purchase.Posting{Released: 5, Charged: 3}},
		{"sold in another currency", []purchase.Transition{paid(purchase.AnsweredApplied, "USD")}, purchase.Posting{Released: 5, Charged: 5}},
		{"sold at an unknown price", []purchase.Transition{{Event: purchase.Found, Attempt: 1, ItemUID: "item"}}, purchase.Posting{Released: 5, Charged: 5}},
		{"refused", []purchase.Transition{event(purchase.AnsweredRefused)}, purchase.Posting{Released: 5}},
		{"no effect", []purchase.Transition{event(purchase.AnsweredNoEffect)}, purchase.Posting{}},
		{"no effect, and sent again", []purchase.Transition{event(purchase.AnsweredNoEffect), event(purchase.Permitted)}, purchase.Posting{}},
		{"unknown", []purchase.Transition{event(purchase.AnsweredUnknown)}, purchase.Posting{}},
		{"unknown, for an operator", []purchase.Transition{event(purchase.Lost), event(purchase.BeyondEvidence)}, purchase.Posting{}},
		{"unknown, then found", []purchase.Transition{event(purchase.Lost), paid(purchase.Found, "EUR")}, purchase.Posting{Released: 5, Charged: 3}},
		{"unknown, then absent", []purchase.Transition{event(purchase.Lost), event(purchase.PresumedAbsent)}, purchase.Posting{Released: 5}},
		{"refused, then found", []purchase.Transition{event(purchase.AnsweredRefused), paid(purchase.Found, "EUR")}, purchase.Posting{Charged: 3}},
		{
			"refused, then found twice",
			[]purchase.Transition{event(purchase.AnsweredRefused), paid(purchase.Found, "EUR"), paid(purchase.AnsweredApplied, "EUR")},
			purchase.Posting{},
		},
		{"sold, then found", []purchase.Transition{paid(purchase.AnsweredApplied, "EUR"), paid(purchase.Found, "EUR")}, purchase.Posting{}},
	} {
		p := purchase.New(claim, time.Now())
		var last purchase.Posting
		for _, transition := range c.events {
			step, err := purchase.Decide(p, transition)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			posting, changes := step.Posting()
			if changes != (posting != purchase.Posting{}) {
				t.Errorf("%s: posting %+v, but changes = %t", c.name, posting, changes)
			}
			p, last = step.At(time.Now()), posting
		}
		if last != c.last {
			t.Errorf("%s: posting %+v, want %+v", c.name, last, c.last)
		}
		free := purchase.New(purchase.Claim{}, time.Now())
		if step, err := purchase.Decide(free, c.events[0]); err != nil {
			t.Fatal(err)
		} else if posting, changes := step.Posting(); changes {
			t.Errorf("%s: posting %+v without a reservation", c.name, posting)
		}
	}
}

// TestBudgetOfSeveralLimits: of several limits that are exceeded, the error names the one that lasts longest.
func TestBudgetOfSeveralLimits(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 31, 23, 30, 0, 0, time.UTC)
	year := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		budget purchase.Budget
		used   purchase.Micros
		want   *purchase.BudgetError
	}{
		{purchase.Budget{}, 1000, nil},
		{purchase.Budget{Day: new(purchase.Micros(10)), Month: new(purchase.Micros(10)), Total: new(purchase.Micros(10))}, 7, nil},
		{purchase.Budget{Day: new(purchase.Micros(9))}, 7, &purchase.BudgetError{Period: purchase.PerDay, Limit: 9, Left: 2, Asked: 3, Until: year}},
		{purchase.Budget{Day: new(purchase.Micros(9)), Month: new(purchase.Micros(9))}, 7, &purchase.BudgetError{Period: purchase.PerMonth, Limit: 9, Left: 2, Asked: 3, Until: year}},
		{
			purchase.Budget{Day: new(purchase.Micros(9)), Month: new(purchase.Micros(9)), Total: new(purchase.Micros(6))},
			7,
			&purchase.BudgetError{Period: purchase.InTotal, Limit: 6, Asked: 3},
		},
	} {
		claim := purchase.Claim{Budget: &c.budget, Amount: 3}
		err := claim.Check([3]purchase.Micros{c.used, c.used, c.used}, now)
		over, ok := errors.AsType[*purchase.BudgetError](err)
		if ok != (c.want != nil) || ok && *over != *c.want {
			t.Errorf("%+v with %d used: %v, want %v", c.budget, c.used, err, c.want)
		}
	}
}

func TestCurrentPeriods(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 30, 11, 0, 0, 0, time.UTC) // in Kiritimati it is 1 December
	got := purchase.CurrentPeriods(at)
	want := []string{"total", "2026-11", "2026-11-29", "2026-11-30", "2026-12", "2026-12-01"}
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}
