package simulation

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
)

func usd(t *testing.T, amount string) *purchase.Price {
	t.Helper()
	value, err := gigastore.ParseDecimal(amount)
	if err != nil {
		t.Fatal(err)
	}
	return &purchase.Price{Amount: value, Currency: "USD"}
}

// TestGuards: if the inventory shows that an order is a mistake, nothing is claimed or sent. If the
// inventory cannot be read, only an order with a price limit is refused.
func TestGuards(t *testing.T) {
	t.Parallel()
	euro := usd(t, "100")
	euro.Currency = "EUR"
	for _, c := range []struct {
		name       string
		order      purchase.Order
		unreadable bool
		refused    purchase.Reason // empty: sold
	}{
		{"price below the limit", purchase.Order{Kind: purchase.Register, MaxPurchasePrice: usd(t, "1.50")}, false, ""},
		{"price at the limit", purchase.Order{Kind: purchase.Register, MaxPurchasePrice: usd(t, "1.490")}, false, ""},
		{"price above the limit", purchase.Order{Kind: purchase.Register, MaxPurchasePrice: usd(t, "1.48")}, false, purchase.AbovePriceLimit},
		{"limit in another currency", purchase.Order{Kind: purchase.Register, MaxPurchasePrice: euro}, false, purchase.PriceUnreadable},
		{"limit, inventory unreadable", purchase.Order{Kind: purchase.Register, MaxPurchasePrice: usd(t, "9")}, true, purchase.PriceUnreadable},
		{
			"limit, no such item",
			purchase.Order{Kind: purchase.Register, InventoryItemID: "none", MaxPurchasePrice: usd(t, "9")},
			false, purchase.Reason(gigastore.ReasonInventoryItemNotFound),
		},
		{"no limit, inventory unreadable", purchase.Order{Kind: purchase.Register, ActivationMode: gigastore.ModeOnDemand}, true, ""},
		{
			"ON_DEMAND of one country",
			purchase.Order{Kind: purchase.Register, InventoryItemID: sandbox.ItemGreece2GB, ActivationMode: gigastore.ModeOnDemand},
			false, purchase.Reason(gigastore.ReasonModeNotOffered),
		},
		{"ON_DEMAND of a region of two letters", purchase.Order{Kind: purchase.Register, InventoryItemID: sandbox.ItemEurope5GB, ActivationMode: gigastore.ModeOnDemand}, false, ""},
		{"FIRST_USE of one country", purchase.Order{Kind: purchase.Register, InventoryItemID: sandbox.ItemGreece2GB, ActivationMode: gigastore.ModeFirstUse}, false, ""},
		{"top-up from the same country set", purchase.Order{Kind: purchase.TopUp, CustomerUID: theCustomer, InventoryItemID: sandbox.ItemWorldwide1GB}, false, ""},
		{
			"top-up from another country set",
			purchase.Order{Kind: purchase.TopUp, CustomerUID: theCustomer, InventoryItemID: sandbox.ItemGreece2GB},
			false, purchase.Reason(gigastore.ReasonCountrySetMismatch),
		},
		{
			"top-up with profile from another country set",
			purchase.Order{Kind: purchase.TopUpWithProfile, CustomerUID: theCustomer, InventoryItemID: sandbox.ItemEurope5GB},
			false, purchase.Reason(gigastore.ReasonCountrySetMismatch),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stage(t, plan{}, func(t *testing.T, w *world) {
				before := w.box.Ledger()
				if c.unreadable {
					w.inject(t, inventoryPath, "5xx", 100, nil)
				}
				o := order(c.order.Kind, c.order.ActivationMode, "order-0")
				o.MaxPurchasePrice = c.order.MaxPurchasePrice
				if c.order.InventoryItemID != "" {
					o.InventoryItemID = c.order.InventoryItemID
				}
				request := call{key: "order-0", order: w.forCustomer(o), personal: personal(o.Kind, false), deadline: time.Minute}
				a := w.buy(w.replica(0), request)
				if c.refused == "" {
					wants(t, a, told)
					// Guards do not apply to a known request id.
					w.inject(t, inventoryPath, "5xx", 100, nil)
					wants(t, w.buy(w.replica(0), request), told)
					return
				}
				guarded, ok := errors.AsType[*purchase.GuardError](a.err)
				if !ok || guarded.Reason != c.refused || w.posts(before) != 0 {
					t.Errorf("%s, %d POSTs; want the guard's %s", a, w.posts(before), c.refused)
				}
				if _, err := w.store.journal().Lookup(t.Context(), purchase.Key{Caller: "default", RequestID: "order-0"}); !errors.Is(err, purchase.ErrNotFound) {
					t.Errorf("the refused order is in the journal: %v", err)
				}
			})
		})
	}
}

// TestGatewaysPriceLimit: no purchase costs more than the gateway allows, whatever its order says. If the
// price cannot be read, nothing is bought.
func TestGatewaysPriceLimit(t *testing.T) {
	t.Parallel()
	euro := usd(t, "100")
	euro.Currency = "EUR"
	const below, at, above = "1.50", "1.490", "1.48"
	for _, c := range []struct {
		name           string
		gateway, order *purchase.Price
		unreadable     bool
		refused        purchase.Reason // empty: sold
	}{
		{"below the limit", usd(t, below), nil, false, ""},
		{"at the limit", usd(t, at), nil, false, ""},
		{"above the limit", usd(t, above), nil, false, purchase.AbovePriceLimit},
		{"a limit of zero", usd(t, "0"), nil, false, purchase.AbovePriceLimit},
		{"in another currency", euro, nil, false, purchase.PriceUnreadable},
		{"inventory unreadable", usd(t, "9"), nil, true, purchase.PriceUnreadable},
		{"the order allows more", usd(t, above), usd(t, below), false, purchase.AbovePriceLimit},
		{"the order allows less", usd(t, below), usd(t, above), false, purchase.AbovePriceLimit},
		{"both allow it", usd(t, below), usd(t, at), false, ""},
		{"the order allows it in another currency", usd(t, below), euro, false, purchase.PriceUnreadable},
	} {
		for _, kind := range []purchase.Kind{purchase.Register, purchase.TopUp, purchase.TopUpWithProfile} {
			t.Run(c.name+", "+string(kind), func(t *testing.T) {
				t.Parallel()
				stage(t, plan{maxPurchasePrice: c.gateway}, func(t *testing.T, w *world) {
					before := w.box.Ledger()
					if c.unreadable {
						w.inject(t, inventoryPath, "5xx", 100, nil)
					}
					o := order(kind, gigastore.ModeNow, "order-0")
					o.MaxPurchasePrice = c.order
					request := call{key: "order-0", order: w.forCustomer(o), personal: personal(kind, false), deadline: time.Minute}
					a := w.buy(w.replica(0), request)
					sold := len(w.box.Ledger().Sales) - len(before.Sales)
					if c.refused == "" {
						if wants(t, a, told); sold != 1 {
							t.Errorf("%d sales", sold)
						}
						return
					}
					guarded, ok := errors.AsType[*purchase.GuardError](a.err)
					if !ok || guarded.Reason != c.refused || w.posts(before) != 0 || sold != 0 {
						t.Errorf("%s, %d POSTs, %d sales; want the guard's %s", a, w.posts(before), sold, c.refused)
					}
				})
			})
		}
	}
}

// TestExcessAfterTheSale: if the vendor charged more than the limit, the sale stands and operators are alerted.
func TestExcessAfterTheSale(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		lost, gateways := i%2 == 1, i/2 == 1
		p := plan{}
		if gateways {
			p.maxPurchasePrice = usd(t, "1.20")
		}
		stage(t, p, func(t *testing.T, w *world) {
			w.inject(t, inventoryPath, "status", 100, m{
				"code": 200, "contentType": "application/json",
				"body": `[{"id":"` + sandbox.ItemWorldwide50MB + `","countrySet":"WWW","prices":[{"priceValue":1.00,"currencyCode":"USD"}]}]`,
			})
			if lost {
				w.inject(t, registerPath, "commit_then_reset", 1, nil)
			}
			c := register("order-0", "")
			if !gateways {
				c.order.MaxPurchasePrice = usd(t, "1.20")
			}
			wants(t, w.buy(w.replica(0), c), told)
			if p := w.of(t, "order-0"); p.Anomalies != 1 || p.State != purchase.Succeeded {
				t.Errorf("%s with %d anomalies, answer lost: %t, the gateway's limit: %t", p.State, p.Anomalies, lost, gateways)
			}
		})
	}
}

// TestPriceLimitHoldsForEverySend: the limit is checked before each send. The price may rise while a purchase waits for its
// next send, and the gateway may restart with a lower limit.
func TestPriceLimitHoldsForEverySend(t *testing.T) {
	t.Parallel()
	cheap := m{
		"code": 200, "contentType": "application/json",
		"body": `[{"id":"` + sandbox.ItemWorldwide50MB + `","countrySet":"WWW","prices":[{"priceValue":1.00,"currencyCode":"USD"}]}]`,
	}
	unsold := func(t *testing.T, w *world) {
		t.Helper()
		p, took := w.becomes(t, "order-0", purchase.Failed, time.Hour)
		if p.Reason != purchase.NeverSent || len(w.salesOf(t, "order-0")) != 0 || took > sendWindow {
			t.Errorf("%s after %s, %d sold", p.Reason, took, len(w.salesOf(t, "order-0")))
		}
	}
	for _, limit := range []string{"order", "gateway"} {
		t.Run(limit+", the price rises", func(t *testing.T) {
			t.Parallel()
			p, c := plan{}, register("order-0", "")
			if c.order.MaxPurchasePrice = usd(t, "1.20"); limit == "gateway" {
				p.maxPurchasePrice, c.order.MaxPurchasePrice = c.order.MaxPurchasePrice, nil
			}
			stage(t, p, func(t *testing.T, w *world) {
				w.inject(t, inventoryPath, "status", 1, cheap)
				w.inject(t, registerPath, "unauthorized", 1, nil)
				wants(t, w.buy(w.replica(0), c), toldFailed)
				unsold(t, w)
			})
		})
	}
	t.Run("the gateway's limit is lowered", func(t *testing.T) {
		t.Parallel()
		// On SQLite, because there a restarted gateway takes over its purchases at once.
		stageOn(t, openSQLite, plan{throttledHasNoEffect: true}, func(t *testing.T, w *world) {
			w.inject(t, registerPath, "throttle", 5, nil)
			c := register("order-0", "")
			c.deadline = time.Second
			w.buy(w.replica(0), c)
			w.plan.maxPurchasePrice = usd(t, "1.20")
			w.replica(0).kill(time.Second)
			pause(2 * time.Second)
			unsold(t, w)
		})
	})
	t.Run("the price cannot be read for a while", func(t *testing.T) {
		t.Parallel()
		stage(t, plan{}, func(t *testing.T, w *world) {
			w.inject(t, inventoryPath, "status", 1, cheap)
			w.inject(t, registerPath, "unauthorized", 1, nil)
			w.inject(t, inventoryPath, "5xx", 6, nil)
			c := register("order-0", "")
			c.order.MaxPurchasePrice = usd(t, "1.50")
			wants(t, w.buy(w.replica(0), c), told)
		})
	})
}

// TestNegativePriceIsNoPrice: a negative price is below any limit, but it cannot be right. The purchase is refused.
func TestNegativePriceIsNoPrice(t *testing.T) {
	t.Parallel()
	stage(t, plan{maxPurchasePrice: usd(t, "1.20")}, func(t *testing.T, w *world) {
		before := w.box.Ledger()
		w.inject(t, inventoryPath, "status", 1, m{
			"code": 200, "contentType": "application/json",
			"body": `[{"id":"` + sandbox.ItemWorldwide50MB + `","countrySet":"WWW","prices":[{"priceValue":-1.49,"currencyCode":"USD"}]}]`,
		})
		a := w.buy(w.replica(0), register("order-0", ""))
		if guarded, ok := errors.AsType[*purchase.GuardError](a.err); !ok || guarded.Reason != purchase.PriceUnreadable || w.posts(before) != 0 {
			t.Errorf("%s, %d POSTs", a, w.posts(before))
		}
	})
}

// TestBoughtDuringTheGuard: while the guard of one call reads the inventory, a call with the same id buys at another
// replica. Then the read fails. The refusal of the guard must not say that nothing was started.
func TestBoughtDuringTheGuard(t *testing.T) {
	t.Parallel()
	stage(t, plan{replicas: 2}, func(t *testing.T, w *world) {
		c := register("order-0", "")
		c.order.MaxPurchasePrice = usd(t, "9")
		c.deadline = time.Minute
		var bought atomic.Bool
		w.interceptWith(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == inventoryPath && bought.CompareAndSwap(false, true) {
				wants(t, w.buy(w.replica(0), c), told)
				w.inject(t, inventoryPath, "5xx", 100, nil)
			}
			return false
		})
		a := w.buy(w.replica(1), c)
		wants(t, a, told)
		if !a.bought.Replayed || len(w.salesOf(t, "order-0")) != 1 {
			t.Errorf("%s, %d sold", a, len(w.salesOf(t, "order-0")))
		}
	})
}
