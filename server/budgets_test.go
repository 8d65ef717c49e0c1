package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase/memory"
)

// units is an amount of a budget in whole units of its currency.
func units(n int64) int64 { return n * 1_000_000 }

// onBudget is a caller with a budget in US dollars. An order of these tests costs 4.20.
func onBudget(name string, b access.Budget) *access.Principal {
	p := caller(name)
	p.Budget = &b
	if b.Currency == "" {
		b.Currency = "USD"
	}
	if b.Zone == nil {
		b.Zone = noon()
	}
	return p
}

// noon is a time zone in which it is noon, so that no day ends during a test.
func noon() *time.Location {
	midnight := time.Now().UTC().Truncate(24 * time.Hour)
	return time.FixedZone("noon", int((12*time.Hour - time.Since(midnight)).Seconds()))
}

// openWithBudgets opens a gateway whose journal names the periods by the real time.
func openWithBudgets(t *testing.T, known *callers, edits ...func(*setup)) *gateway {
	t.Helper()
	return openFor(t, known, append(edits, func(s *setup) {
		if s.journal == nil {
			s.journal = memory.Open(nil)
		}
	})...)
}

var (
	overBudget      = want{codes.ResourceExhausted, http.StatusTooManyRequests, "BUDGET_EXCEEDED", "NOT_STARTED", nil}
	priceUnreadable = want{codes.FailedPrecondition, http.StatusBadRequest, "PURCHASE_PRICE_UNREADABLE", "NOT_STARTED", nil}
	noBudget        = want{codes.NotFound, http.StatusNotFound, "BUDGET_NOT_FOUND", "NOT_APPLIED", nil}
)

// Each limit refuses what exceeds it, over both transports. The answer says which limit, what is left, and how long to wait
// if waiting helps.
func TestEachLimitOfABudget(t *testing.T) {
	t.Parallel()
	const never = 0
	for name, c := range map[string]struct {
		budget access.Budget
		sold   int // before the limit is reached
		quota  string
		says   string
		wait   time.Duration // at most, and at least an hour less
	}{
		"one purchase":     {access.Budget{PerPurchase: units(4)}, 0, "PURCHASE", "it costs 4.2 USD, and one purchase may cost 4 USD", never},
		"a day":            {access.Budget{PerDay: units(9)}, 2, "DAY", "it costs 4.2 USD, and 0.6 USD of the 9 USD for this day are left", 12*time.Hour + time.Second},
		"a day, too small": {access.Budget{PerDay: units(4)}, 0, "DAY", "it costs 4.2 USD, and 4 USD of the 4 USD for this day are left", never},
		"exactly a day":    {access.Budget{PerDay: 8_400_000}, 2, "DAY", "it costs 4.2 USD, and 0 USD of the 8.4 USD for this day are left", 12*time.Hour + time.Second},
		"a month":          {access.Budget{PerMonth: units(5), PerDay: units(100)}, 1, "MONTH", "it costs 4.2 USD, and 0.8 USD of the 5 USD for this month are left", endOfMonth()},
		"in total":         {access.Budget{Total: units(5)}, 1, "TOTAL", "it costs 4.2 USD, and 0.8 USD of the 5 USD in total are left", never},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			known := newCallers(onBudget("shop", c.budget))
			g := openWithBudgets(t, known)
			var refused []proto.Message
			for i := range c.sold {
				g.transports()[i%2].call(t, t.Context(), ask(register()).as("shop")).ok(t)
			}
			for _, d := range g.transports() {
				message := register()
				a := d.call(t, t.Context(), ask(message).as("shop"))
				a.check(t, overBudget)
				a.echoesNothingOf(t, message)
				violations := a.quota.GetViolations()
				if len(violations) != 1 || violations[0].GetSubject() != "caller:shop" || violations[0].GetQuotaId() != c.quota || violations[0].GetDescription() != c.says {
					t.Errorf("%s: %v", d.name, a.quota)
				}
				if !strings.Contains(a.text, "the budget of this caller does not cover the purchase: "+c.says) {
					t.Errorf("%s: %s", d.name, a.text)
				}
				delay := a.outcome.GetRetryDelay()
				if wait := delay.AsDuration(); (delay != nil) != (c.wait != never) || wait > c.wait || wait < c.wait-time.Hour || delay.GetNanos() != 0 {
					t.Errorf("%s: wait for %v, want %v", d.name, wait, c.wait)
				}
				if d.name == "rest" && (a.header.Get("Retry-After") != "") != (c.wait != never) {
					t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
				}
				refused = append(refused, message)
			}
			if n := g.paid(); n != c.sold {
				t.Fatalf("%d sales, want %d", n, c.sold)
			}
			// The same request ids buy once the budget covers them.
			known.set(onBudget("shop", access.Budget{Total: units(1000)}))
			for _, message := range refused {
				g.overREST(t, t.Context(), ask(message).as("shop")).ok(t)
			}
		})
	}
}

func endOfMonth() time.Duration {
	now := time.Now().In(noon())
	year, month, _ := now.Date()
	return time.Until(time.Date(year, month+1, 1, 0, 0, 0, 0, now.Location())) + time.Second
}

// A caller with a budget tries to buy past it. Each attempt is refused, and nothing is sent.
func TestNoWayAroundABudget(t *testing.T) {
	t.Parallel()
	known := newCallers(onBudget("shop", access.Budget{Total: units(5)}), caller("other"))
	g := openWithBudgets(t, known)
	first := register()
	a := g.overGRPC(t, t.Context(), ask(first).as("shop"))
	a.ok(t)
	customer := a.reply.(*gigagatev1.RegisterResponse).GetCustomer().GetUid()
	price := func(currency, amount string) *gigagatev1.Money {
		return &gigagatev1.Money{CurrencyCode: currency, Amount: amount}
	}
	for _, d := range g.transports() {
		for name, attempt := range map[string]struct {
			message proto.Message
			want    want
		}{
			"another transport":                    {register(), overBudget},
			"a top-up":                             {topUp(customer), overBudget},
			"a top-up with a profile":              {topUp(customer, withProfile()), overBudget},
			"a limit of its own":                   {register(func(r *reg) { r.MaxPurchasePrice = price("USD", "900") }), overBudget},
			"an expected price":                    {register(func(r *reg) { r.ExpectedPrice = price("USD", "9.99") }), overBudget},
			"a limit in another currency":          {register(func(r *reg) { r.MaxPurchasePrice = price("EUR", "900") }), priceUnreadable},
			"an expected price in another":         {register(func(r *reg) { r.ExpectedPrice = price("EUR", "0.01") }), overBudget},
			"an item that is not in the inventory": {register(func(r *reg) { r.InventoryItemId = "no-such-item" }), want{codes.NotFound, http.StatusNotFound, "INVENTORY_ITEM_NOT_FOUND", "NOT_STARTED", nil}},
		} {
			t.Run(name, func(t *testing.T) { d.call(t, t.Context(), ask(attempt.message).as("shop")).check(t, attempt.want) })
		}
		// Without a principal, there is no budget, and no purchase either.
		d.call(t, t.Context(), ask(register()).as("")).check(t, unidentified)
		// A replay needs no budget and takes nothing from it.
		a := d.call(t, t.Context(), ask(first).as("shop"))
		a.ok(t)
		if a.replayed != "true" || a.reply.(*gigagatev1.RegisterResponse).GetEsimProfile().GetActivationCode() == "" {
			t.Errorf("%s: %s", d.name, a.text)
		}
		// The price cannot be read.
		g.injectMany(t, pathInventory, "5xx", 9, nil)
		d.call(t, t.Context(), ask(register()).as("shop")).check(t, priceUnreadable)
		g.box.Disarm()
	}
	if n := g.paid(); n != 1 {
		t.Errorf("%d sales", n)
	}
	// The budget of one caller is not that of another.
	g.overREST(t, t.Context(), ask(register()).as("other")).ok(t)
}

// Nothing is sold in the currency of the budget, so nothing can be bought on it.
func TestBudgetInAnotherCurrency(t *testing.T) {
	t.Parallel()
	g := openWithBudgets(t, newCallers(onBudget("shop", access.Budget{Currency: "EUR", Total: units(1000)})))
	for _, d := range g.transports() {
		for _, limit := range []*gigagatev1.Money{nil, {CurrencyCode: "USD", Amount: "900"}, {CurrencyCode: "EUR", Amount: "900"}} {
			d.call(t, t.Context(), ask(register(func(r *reg) { r.MaxPurchasePrice = limit })).as("shop")).check(t, priceUnreadable)
		}
	}
	if n := g.paid(); n != 0 {
		t.Errorf("%d sales", n)
	}
}

// What was spent stays spent, whatever the callers file says in between. A purchase under way keeps its reservation.
func TestBudgetSurvivesTheCallersFile(t *testing.T) {
	t.Parallel()
	held := newGate(t, "/register")
	budget := access.Budget{Total: units(13)}
	known := newCallers(onBudget("shop", budget))
	g := openWithBudgets(t, known, func(s *setup) { s.wrap = held.wrap })
	answered := make(chan answer, 1)
	ctx := t.Context()
	go func() { answered <- g.overGRPC(t, ctx, ask(register()).as("shop")) }()
	<-held.entered
	checkTotal(t, g, "shop", "4.2", "0", "8.8")
	known.set(caller("shop")) // its budget is gone from the file
	g.overREST(t, t.Context(), ask(getBudget("shop")).as("shop")).check(t, noBudget)
	close(held.open)
	a := <-answered
	a.ok(t)
	g.overGRPC(t, t.Context(), ask(register()).as("shop")).ok(t) // without a limit, and so it counts nowhere
	known.set(onBudget("shop", access.Budget{Currency: "EUR", Total: units(1)}))
	g.overGRPC(t, t.Context(), ask(register()).as("shop")).check(t, priceUnreadable)
	known.set(onBudget("shop", budget)) // it is back
	checkTotal(t, g, "shop", "0", "4.2", "8.8")
	for range 2 {
		g.overGRPC(t, t.Context(), ask(register()).as("shop")).ok(t)
	}
	g.overGRPC(t, t.Context(), ask(register()).as("shop")).check(t, overBudget)
	known.set(onBudget("shop", access.Budget{Total: units(5)})) // less than was spent
	checkTotal(t, g, "shop", "0", "12.6", "0")
	g.overGRPC(t, t.Context(), ask(register()).as("shop")).check(t, overBudget)
	if n := g.paid(); n != 4 {
		t.Errorf("%d sales", n)
	}
}

func getBudget(name string) *gigagatev1.GetBudgetRequest {
	return &gigagatev1.GetBudgetRequest{Caller: name}
}

// checkTotal compares what the caller is told of its budget.
func checkTotal(t *testing.T, g *gateway, name, reserved, spent, left string) {
	t.Helper()
	for _, d := range g.transports() {
		a := d.call(t, t.Context(), ask(getBudget(name)).as(name))
		a.ok(t)
		total := a.reply.(*gigagatev1.GetBudgetResponse).GetBudget().GetPeriods()[2]
		if total.GetReserved().GetAmount() != reserved || total.GetSpent().GetAmount() != spent || total.GetLeft().GetAmount() != left {
			t.Errorf("%s: %v, want %s reserved, %s spent, %s left", d.name, total, reserved, spent, left)
		}
	}
}

// What was spent in one currency is not shown in another.
func TestSpendingOfAnotherCurrency(t *testing.T) {
	t.Parallel()
	known := newCallers(onBudget("shop", access.Budget{Total: units(5)}))
	g := openWithBudgets(t, known)
	g.overGRPC(t, t.Context(), ask(register()).as("shop")).ok(t)
	known.set(onBudget("shop", access.Budget{Currency: "EUR", Total: units(5)}))
	checkTotal(t, g, "shop", "0", "0", "5")
}

// The heir of the purchases of before spends its own budget. Its purchases are kept under another name.
func TestBudgetOfTheHeir(t *testing.T) {
	t.Parallel()
	heir := onBudget("shop", access.Budget{Total: units(5)})
	heir.Rights.InheritsDefault = true
	g := openWithBudgets(t, newCallers(heir))
	g.overGRPC(t, t.Context(), ask(register()).as("shop")).ok(t)
	g.overGRPC(t, t.Context(), ask(register()).as("shop")).check(t, overBudget)
	checkTotal(t, g, "shop", "0", "4.2", "0.8")
}

// A caller sees its own budget, and an operator sees all of them. The budget of another caller looks as if it did not exist.
func TestWhoSeesABudget(t *testing.T) {
	t.Parallel()
	full := access.Budget{PerPurchase: 9_990_000, PerDay: units(50), PerMonth: units(500), Total: units(5000), Zone: time.UTC}
	g := openWithBudgets(t, newCallers(onBudget("shop", full), onBudget("billing", access.Budget{Currency: "EUR", PerDay: units(1)}), caller("free"), operator("anna")))
	g.overGRPC(t, t.Context(), ask(register()).as("shop")).ok(t)
	for _, d := range g.transports() {
		for by, sees := range map[string][]string{"shop": {"shop"}, "billing": {"billing"}, "free": nil, "anna": {"billing", "shop"}} {
			a := d.call(t, t.Context(), ask(&gigagatev1.ListBudgetsRequest{}).as(by))
			a.ok(t)
			var names []string
			for _, b := range a.reply.(*gigagatev1.ListBudgetsResponse).GetBudgets() {
				names = append(names, b.GetCaller())
			}
			if !slices.Equal(names, sees) {
				t.Errorf("%s: %s sees %v", d.name, by, names)
			}
			for _, name := range []string{"shop", "billing", "free", "anna", "nobody", "default"} {
				a := d.call(t, t.Context(), ask(getBudget(name)).as(by))
				if slices.Contains(sees, name) {
					a.ok(t)
				} else {
					a.check(t, noBudget)
				}
			}
		}
		a := d.call(t, t.Context(), ask(getBudget("shop")).as("anna"))
		a.ok(t)
		usd := func(amount string) *gigagatev1.Money {
			return &gigagatev1.Money{CurrencyCode: "USD", Amount: amount}
		}
		got, now := a.reply.(*gigagatev1.GetBudgetResponse).GetBudget(), time.Now().UTC()
		expected := &gigagatev1.Budget{Caller: "shop", CurrencyCode: "USD", PurchaseLimit: usd("9.99"), TimeZone: "UTC", Periods: []*gigagatev1.BudgetPeriod{
			{Type: gigagatev1.BudgetPeriodType_BUDGET_PERIOD_TYPE_DAY, Name: now.Format("2006-01-02"), Limit: usd("50"), Reserved: usd("0"), Spent: usd("4.2"), Left: usd("45.8")},
			{Type: gigagatev1.BudgetPeriodType_BUDGET_PERIOD_TYPE_MONTH, Name: now.Format("2006-01"), Limit: usd("500"), Reserved: usd("0"), Spent: usd("4.2"), Left: usd("495.8")},
			{Type: gigagatev1.BudgetPeriodType_BUDGET_PERIOD_TYPE_TOTAL, Name: "total", Limit: usd("5000"), Reserved: usd("0"), Spent: usd("4.2"), Left: usd("4995.8")},
		}}
		day, month := got.GetPeriods()[0].GetEndTime().AsTime(), got.GetPeriods()[1].GetEndTime().AsTime()
		if until := day.Sub(now); until < 0 || until > 24*time.Hour || day.Hour() != 0 || month.Day() != 1 || month.Before(day) {
			t.Errorf("%s: the day ends at %v, and the month at %v", d.name, day, month)
		}
		for _, period := range got.GetPeriods()[:2] {
			period.EndTime = nil
		}
		if now.Format("1504") != "2359" && !proto.Equal(got, expected) {
			t.Errorf("%s:\n%v\nwant\n%v", d.name, got, expected)
		}
	}
}

// The list has pages. A page token of another list is refused.
func TestPagesOfBudgets(t *testing.T) {
	t.Parallel()
	known := newCallers(operator("anna"))
	for i := range 120 {
		known.set(onBudget(fmt.Sprintf("caller-%03d", i), access.Budget{Total: units(1)}))
	}
	g := openWithBudgets(t, known)
	for _, d := range g.transports() {
		for size, pages := range map[int32][]int{0: {50, 50, 20}, 40: {40, 40, 40}, 1000: {100, 20}} {
			var sizes []int
			seen := map[string]bool{}
			for token := ""; ; {
				a := d.call(t, t.Context(), ask(&gigagatev1.ListBudgetsRequest{PageSize: size, PageToken: token}).as("anna"))
				a.ok(t)
				page := a.reply.(*gigagatev1.ListBudgetsResponse)
				sizes = append(sizes, len(page.GetBudgets()))
				for _, b := range page.GetBudgets() {
					seen[b.GetCaller()] = true
				}
				if token = page.GetNextPageToken(); token == "" {
					break
				}
			}
			if !slices.Equal(sizes, pages) || len(seen) != 120 {
				t.Errorf("%s: pages of %v with %d budgets, want %v", d.name, sizes, len(seen), pages)
			}
		}
		d.call(t, t.Context(), ask(&gigagatev1.ListBudgetsRequest{PageToken: "bm8tdG9rZW4"}).as("anna")).check(t,
			want{codes.InvalidArgument, http.StatusBadRequest, "INVALID_FIELD", "NOT_STARTED", []string{"page_token"}})
		d.call(t, t.Context(), ask(getBudget("No Caller")).as("anna")).check(t,
			want{codes.InvalidArgument, http.StatusBadRequest, "INVALID_FIELD", "NOT_STARTED", []string{"caller"}})
	}
}

// Without a callers file there are no budgets. Without the journal, no budget is shown as unspent.
func TestBudgetsThatCannotBeShown(t *testing.T) {
	t.Parallel()
	open1 := open(t, setup{})
	journal := newFaultyJournal()
	journal.reads.Store(&errJournal)
	broken := openWithBudgets(t, newCallers(onBudget("shop", access.Budget{Total: units(1)})), func(s *setup) { s.journal = journal })
	for i, d := range open1.transports() {
		d.call(t, t.Context(), ask(getBudget("default"))).check(t, noBudget)
		a := d.call(t, t.Context(), ask(&gigagatev1.ListBudgetsRequest{}))
		a.ok(t)
		if n := len(a.reply.(*gigagatev1.ListBudgetsResponse).GetBudgets()); n != 0 {
			t.Errorf("%s: %d budgets", d.name, n)
		}
		d = broken.transports()[i]
		d.call(t, t.Context(), ask(getBudget("shop")).as("shop")).check(t, journalUnavailable)
		d.call(t, t.Context(), ask(&gigagatev1.ListBudgetsRequest{}).as("shop")).check(t, journalUnavailable)
	}
}
