package simulation

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
)

// inventoryAt is an inventory with one price of the item that these tests buy.
func inventoryAt(price, currency string) m {
	return m{
		"code": 200, "contentType": "application/json",
		"body": `[{"id":"` + sandbox.ItemWorldwide50MB + `","countrySet":"WWW","prices":[{"priceValue":` + price + `,"currencyCode":"` + currency + `"}]}]`,
	}
}

// TestBudgetGuard: a purchase on a budget needs a price that can be read, in the budget's currency, and the budget has to
// cover it. Otherwise nothing is claimed, reserved or sent. The item costs 1.49.
func TestBudgetGuard(t *testing.T) {
	t.Parallel()
	const below, at = 1_480_000, 1_490_000
	usd := func(b purchase.Budget) purchase.Budget { b.Currency = "USD"; return b }
	for _, c := range []struct {
		name      string
		budget    purchase.Budget
		inventory m                     // nil: as it is
		period    purchase.BudgetPeriod // of the refusal
		reason    purchase.Reason       // of the guard's refusal
	}{
		{"no limit", usd(purchase.Budget{}), nil, "", ""},
		{"at all limits", usd(purchase.Budget{Purchase: new(purchase.Micros(at)), Day: new(purchase.Micros(at)), Month: new(purchase.Micros(at)), Total: new(purchase.Micros(at))}), nil, "", ""},
		{"above the limit of a purchase", usd(purchase.Budget{Purchase: new(purchase.Micros(below))}), nil, purchase.PerPurchase, ""},
		{"above the limit of the day", usd(purchase.Budget{Day: new(purchase.Micros(below))}), nil, purchase.PerDay, ""},
		{"above the limit of the month", usd(purchase.Budget{Month: new(purchase.Micros(below))}), nil, purchase.PerMonth, ""},
		{"above the limit in total", usd(purchase.Budget{Total: new(purchase.Micros(below))}), nil, purchase.InTotal, ""},
		{"a limit of zero", usd(purchase.Budget{Total: new(purchase.Micros(0))}), nil, purchase.InTotal, ""},
		{"in another currency", purchase.Budget{Currency: "EUR"}, nil, "", purchase.PriceUnreadable},
		{"the inventory cannot be read", usd(purchase.Budget{}), m{"code": 500}, "", purchase.PriceUnreadable},
		{"the item has no price", usd(purchase.Budget{}), m{
			"code": 200, "contentType": "application/json", "body": `[{"id":"` + sandbox.ItemWorldwide50MB + `","countrySet":"WWW","prices":[]}]`,
		}, "", purchase.PriceUnreadable},
		{"a negative price", usd(purchase.Budget{}), inventoryAt("-1.49", "USD"), "", purchase.PriceUnreadable},
		{"a price too high to count", usd(purchase.Budget{}), inventoryAt("1000000000.01", "USD"), "", purchase.PriceUnreadable},
		{"no such item", usd(purchase.Budget{}), m{"code": 200, "contentType": "application/json", "body": `[]`}, "", purchase.Reason(gigastore.ReasonInventoryItemNotFound)},
	} {
		for _, kind := range kinds {
			t.Run(c.name+", "+string(kind), func(t *testing.T) {
				t.Parallel()
				stage(t, plan{}, func(t *testing.T, w *world) {
					if c.inventory != nil {
						w.inject(t, inventoryPath, "status", 100, c.inventory)
					}
					before := w.box.Ledger()
					o := call{key: "order-0", order: w.forCustomer(order(kind, "", "order-0")), personal: personal(kind, false), deadline: time.Minute, budget: &c.budget}
					a := w.buy(w.replica(0), o)
					if c.period == "" && c.reason == "" {
						wants(t, a, told)
						w.hasTotal(t, 0, at)
						w.inject(t, inventoryPath, "5xx", 100, nil)
						o.budget = &purchase.Budget{Currency: "EUR", Total: new(purchase.Micros(0))}
						wants(t, w.buy(w.replica(0), o), told) // a known request id needs no budget
						return
					}
					wants(t, a, notStarted)
					guarded, _ := errors.AsType[*purchase.GuardError](a.err)
					over, _ := errors.AsType[*purchase.BudgetError](a.err)
					if guarded != nil && guarded.Reason != c.reason || over != nil && (over.Period != c.period || over.Asked != at || over.Currency != "USD") {
						t.Errorf("%v, want %s%s", a.err, c.period, c.reason)
					}
					if w.posts(before) != 0 {
						t.Errorf("%d requests were sent", w.posts(before))
					}
					if _, err := w.store.journal().Lookup(t.Context(), purchase.Key{Caller: "default", RequestID: "order-0"}); !errors.Is(err, purchase.ErrNotFound) {
						t.Errorf("the refused order is in the journal: %v", err)
					}
					w.hasTotal(t, 0, 0)
				})
			})
		}
	}
}

// hasTotal checks what the only caller has reserved and spent in total.
func (w *world) hasTotal(t *testing.T, reserved, spent purchase.Micros) {
	t.Helper()
	totals, err := w.replica(0).engine.BudgetTotals(t.Context(), "default")
	if err != nil {
		t.Error(err)
	}
	var total purchase.BudgetTotal
	for _, of := range totals {
		if of.Period == purchase.PeriodTotal {
			total = of
		}
	}
	if total.Reserved != reserved || total.Spent != spent {
		t.Errorf("%s reserved and %s spent, want %s and %s", total.Reserved, total.Spent, reserved, spent)
	}
}

// onBudget is a call that registers on a budget.
func onBudget(key string, total purchase.Micros) call {
	c := register(key, "")
	c.budget, c.deadline = budgetOf(total), time.Minute
	return c
}

// TestBudgetWhileUncertain: the price stays reserved until it is known what became of the purchase.
func TestBudgetWhileUncertain(t *testing.T) {
	t.Parallel()
	for _, isSold := range []bool{true, false} {
		p := plan{settings: sandbox.DefaultSettings(), older: []purchase.Order{order(purchase.Register, "", "older-0")}}
		p.settings.ListLag, p.settings.ReadLag = sandbox.Duration(30*time.Second), sandbox.Duration(30*time.Second)
		stage(t, p, func(t *testing.T, w *world) {
			fault := map[bool]string{true: "commit_then_reset", false: "reset_before"}[isSold]
			w.inject(t, registerPath, fault, 1, nil)
			c := onBudget("order-0", 2_000_000)
			c.deadline = 2 * time.Second
			wants(t, w.buy(w.replica(0), c), unsettled)
			w.hasTotal(t, 1_490_000, 0)
			wants(t, w.buy(w.replica(0), onBudget("order-1", 2_000_000)), notStarted)
			if isSold {
				w.becomes(t, "order-0", purchase.Succeeded, time.Hour)
				w.hasTotal(t, 0, 1_490_000)
				return
			}
			w.callRepeatedly(call{key: "younger", order: order(purchase.Register, "", "younger"), personal: personal(purchase.Register, false), tries: 1})
			w.becomes(t, "order-0", purchase.Failed, time.Hour)
			w.hasTotal(t, 0, 0)
			wants(t, w.buy(w.replica(0), onBudget("order-1", 2_000_000)), told)
		})
	}
}

// TestPriceRisesAboveReservation: a later send must not cost more than what is reserved, also after a restart. Then the
// reservation is released.
func TestPriceRisesAboveReservation(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		w.inject(t, inventoryPath, "status", 1, inventoryAt("1.00", "USD"))
		w.inject(t, registerPath, "unauthorized", 1, nil)
		wants(t, w.buy(w.replica(0), onBudget("order-0", 2_000_000)), toldFailed)
		if p := w.of(t, "order-0"); p.Reason != purchase.NeverSent || len(w.salesOf(t, "order-0")) != 0 {
			t.Errorf("%s, %d sold", p.Reason, len(w.salesOf(t, "order-0")))
		}
		w.hasTotal(t, 0, 0)
	})
}

// TestSaleAboveReservation: if the vendor takes more than it said, the sale stands, the budget is charged with what was
// taken, and a human is told.
func TestSaleAboveReservation(t *testing.T) {
	t.Parallel()
	for _, isLost := range []bool{false, true} {
		stage(t, plan{}, func(t *testing.T, w *world) {
			w.inject(t, inventoryPath, "status", 100, inventoryAt("1.00", "USD"))
			if isLost {
				w.inject(t, registerPath, "commit_then_reset", 1, nil)
			}
			c := onBudget("order-0", 1_200_000)
			c.deadline = 0
			wants(t, w.buy(w.replica(0), c), told)
			if p := w.of(t, "order-0"); p.Anomalies != 1 {
				t.Errorf("%d anomalies", p.Anomalies)
			}
			w.hasTotal(t, 0, 1_490_000)
			wants(t, w.buy(w.replica(0), onBudget("order-1", 1_200_000)), notStarted)
		})
	}
}

// TestLastOfTheBudget: of many calls at once on two replicas, the budget pays for exactly as many as it covers.
func TestLastOfTheBudget(t *testing.T) {
	t.Parallel()
	stage(t, plan{replicas: 2}, func(t *testing.T, w *world) {
		before := len(w.box.Ledger().Sales)
		var calls sync.WaitGroup
		for i := range 40 {
			c := onBudget("order-"+string(rune('A'+i)), 10*1_490_000)
			calls.Go(func() { w.buy(w.replica(i), c) })
		}
		calls.Wait()
		if sold := len(w.box.Ledger().Sales) - before; sold != 10 {
			t.Errorf("%d sales on a budget for 10", sold)
		}
		w.hasTotal(t, 0, 10*1_490_000)
	})
}

// TestBoughtDuringTheBudget: while a call asks for the price, a call with the same id uses up the budget at another
// replica. The first call is answered with that purchase, and not with its refusal.
func TestBoughtDuringTheBudget(t *testing.T) {
	t.Parallel()
	stage(t, plan{replicas: 2}, func(t *testing.T, w *world) {
		c := onBudget("order-0", 1_490_000)
		var once sync.Once
		w.interceptWith(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == inventoryPath {
				once.Do(func() {
					w.interceptWith(func(http.ResponseWriter, *http.Request) bool { return false })
					wants(t, w.buy(w.replica(0), c), told)
				})
			}
			return false
		})
		a := w.buy(w.replica(1), c)
		wants(t, a, told)
		if a.bought != nil && !a.bought.Replayed || len(w.salesOf(t, "order-0")) != 1 {
			t.Errorf("%s, %d sold", a, len(w.salesOf(t, "order-0")))
		}
		w.hasTotal(t, 0, 1_490_000)
	})
}
