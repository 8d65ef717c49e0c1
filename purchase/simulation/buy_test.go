package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
)

// TestHundredCallersOneID: a hundred callers on three replicas use one request id at the same time.
func TestHundredCallersOneID(t *testing.T) {
	t.Parallel()
	stage(t, plan{replicas: 3}, func(t *testing.T, w *world) {
		before := w.box.Ledger()
		var callers sync.WaitGroup
		var mu sync.Mutex
		items, live := map[string]int{}, 0
		for i := range 100 {
			callers.Go(func() {
				a := w.buy(w.replica(i), register("order-0", ""))
				wants(t, a, told)
				mu.Lock()
				defer mu.Unlock()
				items[a.bought.Purchase.ItemUID+a.bought.Sale.ESIMProfile.ActivationCode]++
				if !a.bought.Replayed {
					live++
				}
			})
		}
		callers.Wait()
		if w.posts(before) != 1 || len(items) != 1 || live != 1 {
			t.Errorf("%d POSTs, %d different answers, %d of them not replayed; want 1 of each", w.posts(before), len(items), live)
		}
	})
}

func TestSameIDAnotherOrder(t *testing.T) {
	t.Parallel()
	stage(t, plan{replicas: 2}, func(t *testing.T, w *world) {
		var callers sync.WaitGroup
		var mu sync.Mutex
		outcomes := map[string]int{}
		for i := range 20 {
			c := register("order-0", "")
			if i%2 == 1 {
				c.order.InventoryItemID = sandbox.ItemWorldwide1GB
			}
			callers.Go(func() {
				a := w.buy(w.replica(i/2), c)
				mu.Lock()
				defer mu.Unlock()
				outcomes[fmt.Sprint(a.outcome, i%2)]++
				if differs, ok := errors.AsType[*purchase.MismatchError](a.err); ok && !slices.Equal(differs.Fields, []string{"inventory_item_id"}) {
					t.Errorf("the orders differ in %v", differs.Fields)
				}
			})
		}
		callers.Wait()
		first := outcomes["OK0"] == 10 && outcomes["another order1"] == 10
		second := outcomes["OK1"] == 10 && outcomes["another order0"] == 10
		if !first && !second || len(w.salesOf(t, "order-0")) != 1 {
			t.Errorf("%v, %d sales; want one order to win everywhere", outcomes, len(w.salesOf(t, "order-0")))
		}
	})
}

// TestDeadlines: an answer leaves AnswerMargin before the deadline. A call whose deadline is too short is not started.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		before := w.box.Ledger()
		for _, d := range []time.Duration{time.Millisecond, 499 * time.Millisecond} {
			c := register("short", "")
			c.deadline = d
			a := w.buy(w.replica(0), c)
			if !errors.Is(a.err, purchase.ErrDeadlineTooShort) || w.posts(before) != 0 {
				t.Errorf("with %s: %s, %d POSTs", d, a, w.posts(before))
			}
		}
		w.inject(t, registerPath, "commit_late", 1, m{"delay": "20s", "answer": true})
		c := register("slow", "")
		c.deadline = 2 * time.Second
		began := time.Now()
		a := w.buy(w.replica(0), c)
		wants(t, a, unsettled)
		if took := time.Since(began); took != 2*time.Second-purchase.AnswerMargin {
			t.Errorf("the answer took %s", took)
		}
		c.deadline = time.Millisecond // a known request id is answered whatever the deadline
		wants(t, w.buy(w.replica(0), c), unsettled)
		pause(20 * time.Second)
		wants(t, w.buy(w.replica(0), c), told)
		if len(w.salesOf(t, "slow")) != 1 {
			t.Errorf("%d sales", len(w.salesOf(t, "slow")))
		}
		w.inject(t, registerPath, "hang", 1, nil)
		began = time.Now()
		wants(t, w.buy(w.replica(0), register("hangs", "")), unsettled)
		if took := time.Since(began); took != w.replica(0).engine.AnswerWithin() {
			t.Errorf("without a deadline the answer took %s", took)
		}
	})
}

// TestGuardsTakeTime: the time that the guards' reads take counts against the deadline. A purchase with too little time
// left is not started.
func TestGuardsTakeTime(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		before := w.box.Ledger()
		w.inject(t, inventoryPath, "hang", 1, m{"duration": "3s"})
		c := register("order-0", gigastore.ModeOnDemand)
		c.deadline = 3 * time.Second
		wants(t, w.buy(w.replica(0), c), notStarted)
		pause(time.Minute)
		if w.posts(before) != 0 {
			t.Errorf("%d POSTs for a caller who left before the purchase began", w.posts(before))
		}
	})
}

// TestCallerGone: a purchase goes on when its caller hangs up.
func TestCallerGone(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		w.inject(t, registerPath, "commit_late", 1, m{"delay": "5s", "answer": true})
		c := register("order-0", "")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := w.replica(0).engine.Buy(ctx, &purchase.Request{Key: purchase.Key{Caller: "default", RequestID: c.key}, Order: c.order, Personal: c.personal})
		if _, ok := errors.AsType[*purchase.UnsettledError](err); !ok {
			t.Errorf("a caller who hangs up gets %v", err)
		}
		_, took := w.becomes(t, "order-0", purchase.Succeeded, time.Minute)
		if took > 5*time.Second {
			t.Errorf("it was settled %s after the caller left", took)
		}
	})
}

func TestDrain(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		engine := w.replica(0).engine
		w.inject(t, registerPath, "commit_late", 1, m{"delay": "5s", "answer": true})
		w.running.Go(func() { wants(t, w.buy(w.replica(0), register("order-0", "")), told) })
		pause(time.Second)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := engine.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a drain that is too short: %v", err)
		}
		a := w.buy(w.replica(0), register("order-1", ""))
		if !errors.Is(a.err, purchase.ErrDraining) {
			t.Errorf("a new purchase while draining: %s", a)
		}
		wants(t, w.buy(w.replica(0), register("customer", "")), told) // a known request id
		if err := engine.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if p := w.of(t, "order-0"); p.State != purchase.Succeeded {
			t.Errorf("after the drain it is %s", p.State)
		}
	})
}

// TestCloseIsPrompt: Close cuts off a send that is still running after the drain, and journals what is known of it.
func TestCloseIsPrompt(t *testing.T) {
	t.Parallel()
	stage(t, plan{replicas: 2}, func(t *testing.T, w *world) {
		w.inject(t, registerPath, "commit_late", 1, m{"delay": "20s"})
		w.running.Go(func() { w.buy(w.replica(0), register("order-0", "")) })
		pause(time.Second)
		began := time.Now()
		w.replica(0).engine.Close()
		if took := time.Since(began); took > time.Second {
			t.Errorf("Close took %s", took)
		}
		if p := w.of(t, "order-0"); p.State != purchase.Uncertain {
			t.Errorf("a send that was cut off is %s", p.State)
		}
		w.becomes(t, "order-0", purchase.Succeeded, time.Minute)
	})
}

// TestTurnedAway: after a 401 the token is renewed once, and the request is sent again under a new permit.
func TestTurnedAway(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		before := w.box.Ledger()
		w.inject(t, registerPath, "unauthorized", 1, nil)
		wants(t, w.buy(w.replica(0), register("once", "")), told)
		if p := w.of(t, "once"); p.Attempt != 2 || w.posts(before) != 2 {
			t.Errorf("attempt %d, %d POSTs", p.Attempt, w.posts(before))
		}
		if key := w.salesOf(t, "once")[0].IdempotencyKey; key != keyOf(w.of(t, "once")) {
			t.Errorf("the idempotency key is %q", key)
		}
		w.inject(t, registerPath, "unauthorized", 5, nil)
		began := time.Now()
		a := w.buy(w.replica(0), register("twice", ""))
		wants(t, a, toldFailed)
		if p := w.of(t, "twice"); p.Attempt != 2 || p.Reason != purchase.NeverSent || time.Since(began) > 5*time.Second {
			t.Errorf("attempt %d, %s after %s", p.Attempt, p.Reason, time.Since(began))
		}
	})
}

// TestSendWindow: if no connection can be opened, nothing is sent. At the end of the send window the purchase fails.
func TestSendWindow(t *testing.T) {
	t.Parallel()
	var refused []fault
	for nth := range 200 {
		refused = append(refused, fault{step: stepDial, nth: nth + 1, do: doDialRefused})
	}
	stage(t, plan{faults: refused}, func(t *testing.T, w *world) {
		pause(10 * time.Second) // idle connections end
		before := w.box.Ledger()
		began := time.Now()
		a := w.buy(w.replica(0), register("order-0", ""))
		wants(t, a, toldFailed)
		if took := time.Since(began); a.failed.Purchase.Reason != purchase.NeverSent || took > sendWindow+time.Second || took < sendWindow-6*time.Second {
			t.Errorf("%s after %s", a, took)
		}
		if a.failed.Purchase.Attempt < 3 || w.posts(before) != 0 {
			t.Errorf("%d permits, %d POSTs", a.failed.Purchase.Attempt, w.posts(before))
		}
		if entries, err := w.store.journal().History(t.Context(), a.failed.Purchase.ID); err != nil || len(entries) > maxHistory {
			t.Errorf("its history has %d entries, want %d at most: %v", len(entries), maxHistory, err)
		}
	})
}

// TestAcceptedIsTakenUpWithinItsWindow: a process that takes over a purchase of a dead owner does not
// start a new send window. The journal's clock jumps, so that lease and window both end at once.
func TestAcceptedIsTakenUpWithinItsWindow(t *testing.T) {
	t.Parallel()
	p := plan{
		replicas: 2, jumps: []jump{{at: 5 * time.Second, by: 50 * time.Minute}},
		faults: []fault{{step: "record ANSWERED_NO_EFFECT", nth: 1, do: doKillAfter, d: time.Hour}},
	}
	stage(t, p, func(t *testing.T, w *world) {
		before := w.box.Ledger()
		w.inject(t, registerPath, "unauthorized", 1, nil)
		w.buy(w.replica(0), register("order-0", ""))
		got, _ := w.becomes(t, "order-0", purchase.Failed, time.Minute)
		if got.Reason != purchase.NeverSent || got.Attempt != 1 || w.posts(before) != 1 {
			t.Errorf("%s, %d permits, %d POSTs", got.Reason, got.Attempt, w.posts(before))
		}
	})
}

// TestManyLapsedAreTakenUpTogether: a dead process can leave more purchases than one transaction takes over. All of them
// are taken over in the same pass.
func TestManyLapsedAreTakenUpTogether(t *testing.T) {
	t.Parallel()
	const many = 250
	stage(t, plan{}, func(t *testing.T, w *world) {
		before := w.box.Ledger()
		for i := range many {
			key := fmt.Sprintf("order-%d", i)
			if _, err := w.store.journal().Claim(t.Context(), purchase.Claim{
				ID: ulid.Make().String(), Key: purchase.Key{Caller: "default", RequestID: key}, Account: mainAccount,
				Order: register(key, "").order, PermitLife: permitLife, // and no lease
			}); err != nil {
				t.Fatal(err)
			}
		}
		pause(16 * time.Second) // the engine looks for lapsed purchases every 15 seconds
		left := 0
		for i := range many {
			if w.of(t, fmt.Sprintf("order-%d", i)).State == purchase.Sending {
				left++
			}
		}
		if left > 0 || w.posts(before) != 0 {
			t.Errorf("%d of %d are still SENDING, %d POSTs", left, many, w.posts(before))
		}
	})
}

// TestAcceptedOfAnotherAccount: an accepted purchase of another account fails at the end of its send window, although no
// process here may send it.
func TestAcceptedOfAnotherAccount(t *testing.T) {
	t.Parallel()
	p := plan{
		otherAccountAfterRestart: true,
		faults:                   []fault{{step: "record ANSWERED_NO_EFFECT", nth: 1, do: doKillAfter, d: time.Second}},
	}
	stage(t, p, func(t *testing.T, w *world) {
		w.inject(t, registerPath, "unauthorized", 1, nil)
		w.buy(w.replica(0), register("order-0", ""))
		got, _ := w.becomes(t, "order-0", purchase.Failed, 10*time.Minute)
		if got.Reason != purchase.NeverSent || got.Attempt != 1 {
			t.Errorf("%s, %d permits", got.Reason, got.Attempt)
		}
	})
}
