package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

// TestClaimUnknown: nothing is sent before the claim is known to be durable. If the caller was told that
// nothing was started, nothing is ever sent.
func TestClaimUnknown(t *testing.T) {
	t.Parallel()
	const guarded = "not looked up before the guards"
	for _, c := range []struct {
		name     string
		faults   []fault
		outcome  outcome
		state    purchase.State
		lookedUp bool
	}{
		{"answer lost once", []fault{{step: "claim", nth: 1, do: doLoseAfter}}, told, purchase.Succeeded, false},
		{"lost before the commit", []fault{{step: "claim", nth: 1, do: doLoseBefore}}, told, purchase.Succeeded, false},
		{"answer lost, then unreachable", []fault{
			{step: "claim", nth: 1, do: doLoseAfter}, {step: "claim", nth: 2, do: doOutage, d: 12 * time.Second},
		}, notStarted, purchase.Failed, false},
		{"answer lost, then refused", []fault{
			{step: "claim", nth: 1, do: doLoseAfter}, {step: "claim", nth: 2, do: doRefuse}, {step: "claim", nth: 3, do: doRefuse},
		}, told, purchase.Succeeded, false},
		{"full", []fault{{step: "claim", nth: 1, do: doFull}}, notStarted, "", true},
		{"unreachable", []fault{{step: "claim", nth: 1, do: doOutage, d: 12 * time.Second}}, notStarted, "", false},
		{"refused", []fault{{step: "claim", nth: 1, do: doRefuse}}, notStarted, "", true},
		{"refused, and not looked up", []fault{
			{step: "claim", nth: 1, do: doRefuse}, {step: "lookup", nth: 1, do: doOutage, d: 12 * time.Second},
		}, notStarted, "", false},
		{guarded, []fault{{step: "lookup", nth: 1, do: doOutage, d: 12 * time.Second}}, notStarted, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stage(t, plan{replicas: 2, faults: c.faults}, func(t *testing.T, w *world) {
				before := w.box.Ledger()
				order := register("order-0", "")
				if c.name == guarded {
					order = register("order-0", gigastore.ModeOnDemand)
				}
				a := w.buy(w.replica(0), order)
				wants(t, a, c.outcome)
				if broken, ok := errors.AsType[*purchase.JournalError](a.err); ok && broken.LookedUp != c.lookedUp {
					t.Errorf("LookedUp is %t", broken.LookedUp)
				}
				pause(5 * time.Minute)
				if c.outcome == notStarted && w.posts(before) != 0 {
					t.Errorf("%d POSTs, but the caller was told that nothing was started", w.posts(before))
				}
				if c.state != "" {
					w.becomes(t, "order-0", c.state, 0)
				} else if w.box.Ledger().CreditLeft != before.CreditLeft {
					t.Error("credit was spent")
				}
			})
		})
	}
}

// TestAbandonedAndKilled: a process tells its caller that nothing was started, and dies at each of the
// writes that journal this. On SQLite the next process owns every purchase at once. It sends nothing.
func TestAbandonedAndKilled(t *testing.T) {
	t.Parallel()
	for _, do := range []string{doKillBefore, doKillAfter} {
		faults := claimNotKnown()
		for _, event := range purchase.Events() {
			faults = append(faults, fault{step: "record " + string(event), nth: 1, do: do, d: time.Second})
		}
		stageOn(t, openSQLite, plan{faults: faults}, func(t *testing.T, w *world) {
			before := w.box.Ledger()
			// The process may die before its answer leaves.
			if a := w.buy(w.replica(0), register("order-0", "")); a.outcome != notStarted && a.outcome != noAnswer {
				t.Errorf("%s: told %s", do, a)
			}
			pause(5 * time.Minute)
			if w.posts(before) != 0 || w.box.Ledger().CreditLeft != before.CreditLeft {
				t.Errorf("%s: %d POSTs, but the caller was told that nothing was started", do, w.posts(before))
			}
			p := w.of(t, "order-0")
			if p.Attempt != 1 || do == doKillAfter && p.State != purchase.Failed {
				t.Errorf("%s: it is %s in attempt %d", do, p.State, p.Attempt)
			}
		})
	}
}

// TestAbandonedKeepTheirPlaces: while the journal can be read but not written, claims that were written and must be
// abandoned pile up. Each keeps its place until it is abandoned. When all places are taken, callers are refused before
// they claim.
func TestAbandonedKeepTheirPlaces(t *testing.T) {
	t.Parallel()
	const places, outage = 2000, 15 * time.Second
	var faults []fault
	for nth := range places {
		faults = append(faults, fault{step: "claim", nth: nth + 1, do: doLoseAfter})
	}
	faults = append(faults, fault{step: "claim", nth: places + 1, do: doReadOnly, d: outage})
	stage(t, plan{faults: faults}, func(t *testing.T, w *world) {
		before := w.box.Ledger()
		var callers sync.WaitGroup
		for i := range places {
			callers.Go(func() { w.buy(w.replica(0), register(fmt.Sprintf("lost-%d", i), "")) })
		}
		callers.Wait()
		began := time.Now()
		if a := w.buy(w.replica(0), register("one-more", "")); !errors.Is(a.err, purchase.ErrOverloaded) {
			t.Errorf("one more caller was told %v", a.err)
		}
		if took := time.Since(began); took < time.Second {
			t.Errorf("it was refused after %s: it did not wait for a place", took)
		}
		pause(outage)
		wants(t, w.buy(w.replica(0), register("after", "")), told)
		if n := w.posts(before); n != 1 {
			t.Errorf("%d POSTs", n)
		}
	})
}

// TestCallWaitsForAPlace: when all places are taken, a call that gets one in time buys.
func TestCallWaitsForAPlace(t *testing.T) {
	t.Parallel()
	const places = 2000
	stage(t, plan{}, func(t *testing.T, w *world) {
		w.inject(t, registerPath, "hang", places, m{"duration": "500ms"})
		var callers sync.WaitGroup
		for i := range places {
			callers.Go(func() { w.buy(w.replica(0), register(fmt.Sprintf("first-%d", i), "")) })
		}
		pause(100 * time.Millisecond)
		began := time.Now()
		wants(t, w.buy(w.replica(0), register("one-more", "")), told)
		if took := time.Since(began); took < 300*time.Millisecond {
			t.Errorf("it took %s: there was a place", took)
		}
		callers.Wait()
	})
}

// TestAnswerLostAtRecord: a lost answer of the journal delays the caller only until the write is repeated.
func TestAnswerLostAtRecord(t *testing.T) {
	t.Parallel()
	for _, do := range []string{doLoseAfter, doLoseBefore, doRefuse} {
		p := plan{faults: []fault{{step: "record ANSWERED_APPLIED", nth: 1, do: do}}}
		stage(t, p, func(t *testing.T, w *world) {
			began := time.Now()
			wants(t, w.buy(w.replica(0), register("order-0", "")), told)
			if took := time.Since(began); took > 500*time.Millisecond {
				t.Errorf("%s: the caller waited %s", do, took)
			}
		})
	}
}

// TestConnectionDies: a paid request is not sent again when its connection dies. net/http would do that by itself for a
// request with an idempotency key.
func TestConnectionDies(t *testing.T) {
	t.Parallel()
	for _, do := range []string{doReset0Taken, doAnswerResets, doAnswerEnds, doResetWhole} {
		stage(t, plan{faults: []fault{{step: stepSend, nth: 2, do: do}}}, func(t *testing.T, w *world) {
			wants(t, w.buy(w.replica(0), register("first", "")), told)
			c := register("second", "")
			c.deadline = 5 * time.Second
			w.buy(w.replica(0), c)
			p := w.of(t, "second")
			w.mu.Lock()
			sends := len(w.sends[keyOf(p)])
			w.mu.Unlock()
			if sends != 1 || p.Attempt != 1 || len(w.salesOf(t, "second")) > 1 {
				t.Errorf("%s: %d times on the wire under %d permits, %d sales", do, sends, p.Attempt, len(w.salesOf(t, "second")))
			}
		})
	}
}

// TestPermitRunsOut: a process that is stopped between the claim and the send does not send under the old permit.
func TestPermitRunsOut(t *testing.T) {
	t.Parallel()
	p := plan{faults: []fault{{step: "claim", nth: 1, do: doStopAfter, d: 20 * time.Second}}}
	stage(t, p, func(t *testing.T, w *world) {
		before := w.box.Ledger()
		c := register("order-0", "")
		a := w.buy(w.replica(0), c)
		wants(t, a, told) // under a new permit, within the send window
		if p := w.of(t, "order-0"); p.Attempt != 2 || w.posts(before) != 1 {
			t.Errorf("%d permits, %d POSTs", p.Attempt, w.posts(before))
		}
	})
}

// TestPausedMachine: a machine is paused, with all its clocks, between the permit and the send. Meanwhile another replica
// presumes the purchase absent. When the machine goes on, its permit is still valid by its own clocks. It must not send.
func TestPausedMachine(t *testing.T) {
	t.Parallel()
	const long = 40 * time.Minute
	p := plan{
		replicas: 2, older: []purchase.Order{order(purchase.Register, "", "older-0")},
		faults: []fault{{step: "record PERMITTED", nth: 1, do: doStopAfter, d: long}}, // not the claim's permit, which ends with its caller
	}
	stage(t, p, func(t *testing.T, w *world) {
		w.replica(0).behind.Store(int64(long))
		w.inject(t, registerPath, "unauthorized", 1, nil)
		c := register("order-0", "")
		c.deadline = 5 * time.Second
		w.buy(w.replica(0), c) // there is no answer from a paused machine
		w.becomes(t, "order-0", purchase.Failed, long-time.Minute)
		pause(long)
		if p, sales := w.of(t, "order-0"), w.salesOf(t, "order-0"); p.State != purchase.Failed || p.Anomalies > 0 || len(sales) > 0 {
			t.Errorf("%s with %d anomalies, and %d sales", p.State, p.Anomalies, len(sales))
		}
	})
}

// TestItemTaken: the vendor answers with a package that is already bound to another purchase. That one
// was made with the same client id, or with a former one.
func TestItemTaken(t *testing.T) {
	t.Parallel()
	for _, newID := range []bool{false, true} {
		stage(t, plan{}, func(t *testing.T, w *world) {
			taken := w.of(t, "customer").ItemUID
			if newID {
				w.newClientID(true)
			}
			w.interceptWith(func(rw http.ResponseWriter, r *http.Request) bool {
				if !isPaid(r.URL.Path) {
					return false
				}
				body, _ := io.ReadAll(r.Body)
				var sent struct{ Metatag string }
				_ = json.Unmarshal(body, &sent)
				_ = json.NewEncoder(rw).Encode(m{"status": "success", "activatedItem": m{"uid": taken, "metatag": sent.Metatag}, "customer": m{"uid": "c"}})
				return true
			})
			c := register("order-0", "")
			c.deadline = 5 * time.Second
			wants(t, w.buy(w.replica(0), c), unsettled)
			p, _ := w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
			if !p.SuccessSeen || p.Anomalies != 1 {
				t.Errorf("success seen: %t, %d anomalies", p.SuccessSeen, p.Anomalies)
			}
		})
	}
}

// TestWait: Wait returns a purchase once it is settled. If the time is over first, it returns the current state.
func TestWait(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		engine := w.replica(0).engine
		w.inject(t, registerPath, "5xx", 1, nil)
		w.running.Go(func() {
			w.buy(w.replica(0), call{key: "open", order: order(purchase.Register, "", "open"), personal: personal(purchase.Register, false), deadline: time.Second})
		})
		w.inject(t, registerPath, "commit_late", 1, m{"delay": "5s", "answer": true})
		pause(time.Second)
		w.running.Go(func() { w.buy(w.replica(0), register("soon", "")) })
		pause(time.Second)
		began := time.Now()
		p, err := engine.Wait(t.Context(), purchase.Everyone, w.of(t, "soon").ID)
		if err != nil || p.State != purchase.Succeeded || time.Since(began) > 6*time.Second {
			t.Errorf("%s after %s, %v", p.State, time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		p, err = engine.Wait(ctx, purchase.Everyone, w.of(t, "open").ID)
		if err != nil || p.State != purchase.Uncertain {
			t.Errorf("%s, %v", p.State, err)
		}
		if _, err := engine.Wait(t.Context(), purchase.Everyone, strings.Repeat("0", 26)); !errors.Is(err, purchase.ErrNotFound) {
			t.Errorf("an unknown purchase: %v", err)
		}
		// A purchase that becomes UNCERTAIN during the wait is returned as UNCERTAIN.
		w.inject(t, registerPath, "commit_late", 1, m{"delay": "200s"})
		w.running.Go(func() { w.buy(w.replica(0), register("turns", "")) })
		pause(time.Second)
		ctx, cancel = context.WithTimeout(t.Context(), 65*time.Second)
		defer cancel()
		p, err = engine.Wait(ctx, purchase.Everyone, w.of(t, "turns").ID)
		if err != nil || p.State != purchase.Uncertain {
			t.Errorf("%s, %v; want its current state", p.State, err)
		}
	})
}

// TestRefusedBesideAClaim: a call is refused while an earlier call with the same request id waits for its claim. The journal
// has nothing under the id yet. The refusal must still not say that a new request id is safe.
func TestRefusedBesideAClaim(t *testing.T) {
	t.Parallel()
	stage(t, plan{faults: []fault{{step: "claim", nth: 1, do: doSlow, d: 4 * time.Second}}}, func(t *testing.T, w *world) {
		c := register("order-0", "")
		c.deadline = 2 * time.Second
		wants(t, w.buy(w.replica(0), c), unsettled)
		c.deadline = 100 * time.Millisecond
		wants(t, w.buy(w.replica(0), c), unsettled)
		if p, err := w.replica(0).engine.Known(t.Context(), purchase.Key{Caller: "default", RequestID: c.key}); err == nil || errors.Is(err, purchase.ErrNotFound) {
			t.Errorf("Known, which a refusal relies on, gives %s, %v", p.State, err)
		}
		pause(4 * time.Second) // the claim's caller has left
		if p, _ := w.becomes(t, "order-0", purchase.Failed, time.Minute); p.Reason != purchase.NeverSent {
			t.Errorf("it failed: %s", p.Reason)
		}
	})
}

// TestRefusedElsewhereDuringAClaim: a caller leaves before its claim is durable. It asks another replica, which cannot see the
// claim yet, and is told that nothing was started. The first replica must keep that true.
func TestRefusedElsewhereDuringAClaim(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]call{
		"deadline": {deadline: time.Second},
		"hangs up": {gone: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := []fault{{step: "claim", nth: 1, do: doSlow, d: 4 * time.Second}}
			stage(t, plan{replicas: 2, faults: faults}, func(t *testing.T, w *world) {
				before := w.box.Ledger()
				c := register("order-0", "")
				c.deadline, c.gone = leave.deadline, leave.gone
				wants(t, w.buy(w.replica(0), c), unsettled)
				c.deadline, c.gone = 100*time.Millisecond, 0
				wants(t, w.buy(w.replica(1), c), notStarted)
				pause(4 * time.Second)
				w.becomes(t, "order-0", purchase.Failed, time.Minute)
				if n := w.posts(before); n != 0 {
					t.Errorf("%d POSTs, but the caller was told that nothing was started", n)
				}
				c.deadline = 0
				wants(t, w.buy(w.replica(1), c), toldFailed)
			})
		})
	}
}

// TestCallerGoneBeforeTheClaim: if the caller leaves before the claim, the purchase is not started.
func TestCallerGoneBeforeTheClaim(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		before := w.box.Ledger()
		w.inject(t, inventoryPath, "hang", 1, m{"duration": "3s"})
		c := register("order-0", gigastore.ModeOnDemand)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		key := purchase.Key{Caller: "default", RequestID: c.key}
		_, err := w.replica(0).engine.Buy(ctx, &purchase.Request{Key: key, Order: c.order, Personal: c.personal})
		if pause(time.Minute); err == nil || w.posts(before) != 0 {
			t.Errorf("%v, %d POSTs for a caller who left before the purchase began", err, w.posts(before))
		}
		if p, err := w.replica(0).engine.Known(t.Context(), key); !errors.Is(err, purchase.ErrNotFound) {
			t.Errorf("the journal has %s in %s: %v", p.ID, p.State, err)
		}
	})
}

// TestRefusedCallsAreLookedUp: a call that starts nothing is answered for the purchase that its key has. This holds for
// orders with guards and without.
func TestRefusedCallsAreLookedUp(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(t *testing.T, w *world, c *call){
		"too little time":        func(_ *testing.T, _ *world, c *call) { c.deadline = time.Millisecond },
		"draining":               func(t *testing.T, w *world, _ *call) { _ = w.replica(0).engine.Drain(t.Context()) },
		"the journal takes none": func(_ *testing.T, w *world, _ *call) { w.plan.faults = []fault{{step: "claim", nth: 1, do: doRefuse}} },
		"the journal is full":    func(_ *testing.T, w *world, _ *call) { w.plan.faults = []fault{{step: "claim", nth: 1, do: doFull}} },
		"the journal says nothing": func(_ *testing.T, w *world, _ *call) {
			w.plan.faults = []fault{{step: "claim", nth: 1, do: doLoseBefore}, {step: "claim", nth: 2, do: doReadOnly, d: time.Minute}}
		},
	} {
		for _, mode := range []gigastore.ActivationMode{gigastore.ModeNow, gigastore.ModeOnDemand} {
			t.Run(name+", "+string(mode), func(t *testing.T) {
				t.Parallel()
				stage(t, plan{}, func(t *testing.T, w *world) {
					c := register("order-0", mode)
					wants(t, w.buy(w.replica(0), c), told)
					w.mu.Lock()
					w.visits = map[string]int{}
					w.mu.Unlock()
					refuse(t, w, &c)
					a := w.buy(w.replica(0), c)
					wants(t, a, told)
					if !a.bought.Replayed {
						t.Error("it was bought again")
					}
				})
			})
		}
	}
}
