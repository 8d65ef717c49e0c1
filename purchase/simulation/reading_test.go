package simulation

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
)

const (
	topUpPath     = "/gigastore/activations/top-up"
	customersPath = "/gigastore/activations/customers/"
)

// TestCappedListIsReadNewestFirst: the vendor may cut its list. If the list is not in the order of sales, it could show an
// older and a younger purchase but not the sale between them. So the gateway asks for the order.
func TestCappedListIsReadNewestFirst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		unasked string // the order that the vendor uses by default
		item    string // the item of every purchase except the one that is looked for
		mode    gigastore.ActivationMode
	}{
		{"sort_by=NAME&sort_dir=ASC", sandbox.ItemGreece2GB, ""},
		{"sort_by=DATE&sort_dir=ASC", sandbox.ItemWorldwide1GB, gigastore.ModeOnDemand},
	} {
		t.Run(c.unasked, func(t *testing.T) {
			settings := sandbox.DefaultSettings()
			settings.ListCap = 2
			older := order(purchase.Register, c.mode, "older-0")
			older.InventoryItemID = c.item
			stage(t, plan{settings: settings, older: []purchase.Order{older}}, func(t *testing.T, w *world) {
				w.interceptWith(func(_ http.ResponseWriter, r *http.Request) bool {
					if r.URL.Path == listPath && !r.URL.Query().Has("sort_by") {
						r.URL.RawQuery += "&" + c.unasked
					}
					return false
				})
				another := func(key string) {
					other := register(key, "")
					other.order.InventoryItemID = c.item
					wants(t, w.buy(w.replica(0), other), told)
				}
				another("today-1")
				another("today-2")
				pause(time.Second)
				w.sellUnseen(t, register("order-0", c.mode))
				pause(lastByteAfter)
				another("younger")
				pause(time.Hour)
				if p := w.of(t, "order-0"); p.State != purchase.Succeeded {
					t.Errorf("it was sold, but is %s %s", p.State, p.Reason)
				}
			})
		})
	}
}

// topUps prepares n top-ups, each for its own customer.
func (w *world) topUps(t *testing.T, n int) []call {
	t.Helper()
	calls := make([]call, n)
	for i := range calls {
		a := w.buy(w.replica(0), register(fmt.Sprintf("customer-%d", i), ""))
		wants(t, a, told)
		o := order(purchase.TopUp, "", "m")
		o.CustomerUID = a.bought.Sale.Customer.UID
		calls[i] = call{key: fmt.Sprintf("top-up-%d", i), order: o, personal: personal(purchase.TopUp, false), deadline: 2 * time.Second}
	}
	return calls
}

// TestHangingCustomersDoNotHideTheList: reads of customers hang. The sales are still found in the list.
func TestHangingCustomersDoNotHideTheList(t *testing.T) {
	t.Parallel()
	const n = 12
	stage(t, plan{}, func(t *testing.T, w *world) {
		calls := w.topUps(t, n)
		w.inject(t, customersPath+"*", "hang", 1_000_000, nil)
		w.inject(t, topUpPath, "commit_then_reset", n, nil)
		for _, c := range calls {
			w.running.Go(func() { w.buy(w.replica(0), c) })
		}
		pause(5 * time.Minute)
		for _, c := range calls {
			if p := w.of(t, c.key); p.State != purchase.Succeeded {
				t.Errorf("%s is %s %s", c.key, p.State, p.Reason)
			}
		}
	})
}

// TestPurchasesOfOperatorsDelayNoOthers: while the list cannot be read, each purchase is looked for at its customer, new
// purchases first. Questions from callers do not multiply these reads.
func TestPurchasesOfOperatorsDelayNoOthers(t *testing.T) {
	t.Parallel()
	const owned = 25
	stage(t, plan{}, func(t *testing.T, w *world) {
		calls := w.topUps(t, owned+1)
		w.inject(t, listPath, "list_fail", 1_000_000, nil)
		w.inject(t, topUpPath, "reset_before", owned, m{"afterBytes": "request"})
		for _, c := range calls[:owned] {
			w.buy(w.replica(0), c)
		}
		pause(2 * giveUp)
		first, last := w.of(t, calls[0].key), calls[owned]
		if first.State != purchase.NeedsOperator {
			t.Fatalf("%s %s", first.State, first.Reason)
		}
		w.inject(t, topUpPath, "commit_then_reset", 1, nil)
		w.buy(w.replica(0), last)
		if _, took := w.becomes(t, last.key, purchase.Succeeded, time.Hour); took > time.Minute {
			t.Errorf("found after %s", took)
		}
		var reads atomic.Int64
		w.interceptWith(func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, customersPath) {
				reads.Add(1)
			}
			return false
		})
		const asked = 600
		for range asked {
			if _, _, err := w.replica(0).engine.Get(t.Context(), purchase.Everyone, first.ID); err != nil {
				t.Fatal(err)
			}
			pause(time.Second)
		}
		if n := reads.Load(); n > asked {
			t.Errorf("%d reads of customers, while a caller asked %d times about one of %d purchases", n, asked, owned)
		}
	})
}

// TestCloseWhileTheJournalHangs: Close does not wait for a hung journal. The next process settles what is left.
func TestCloseWhileTheJournalHangs(t *testing.T) {
	t.Parallel()
	const n = 20
	var faults []fault
	for i := range 10 * n {
		faults = append(faults, fault{step: "record BEYOND_EVIDENCE", nth: i + 1, do: doHang})
	}
	stage(t, plan{faults: faults}, func(t *testing.T, w *world) {
		w.inject(t, listPath, "list_fail", 1_000_000, nil)
		w.inject(t, registerPath, "commit_then_reset", n, nil)
		for i := range n {
			c := register(fmt.Sprintf("order-%d", i), "")
			c.deadline = 2 * time.Second
			w.running.Go(func() { w.buy(w.replica(0), c) })
		}
		for !w.visited("record BEYOND_EVIDENCE") {
			pause(time.Second)
		}
		began := time.Now()
		w.replica(0).engine.Close()
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("closed after %s", took)
		}
	})
}

// TestOrderOfALaterVersion: after a rollback, an order that a later version wrote does not stop other purchases from being
// settled.
func TestOrderOfALaterVersion(t *testing.T) {
	t.Parallel()
	older := []purchase.Order{order(purchase.Register, "", "older-0")}
	stage(t, plan{older: older}, func(t *testing.T, w *world) {
		w.unreadable.Store(true)
		w.sellUnseen(t, register("order-0", ""))
		w.becomes(t, "order-0", purchase.Succeeded, time.Minute)
		w.lose(t, register("order-1", ""))
		pause(lastByteAfter)
		wants(t, w.buy(w.replica(0), register("younger", "")), told)
		if p, _ := w.becomes(t, "order-1", purchase.Failed, time.Hour); p.Reason != purchase.ReasonPresumedAbsent {
			t.Error(p.Reason)
		}
		if !strings.Contains(w.logs.String(), purchase.ErrUnreadableOrder.Error()) {
			t.Error("the log does not report the order that cannot be read")
		}
	})
}

func (w *world) visited(step string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.visits[step] > 0
}
