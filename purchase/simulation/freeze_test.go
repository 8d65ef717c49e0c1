package simulation

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/internal/tally"
	"gigagate.internal/purchase"
)

// freezer is an operator who freezes a target and later thaws it. Each target has at most one.
type freezer struct {
	target    purchase.FreezeTarget
	at, lasts time.Duration
	replica   int
}

// freezeTargets are what freezers freeze.
var freezeTargets = []purchase.FreezeTarget{
	{Scope: purchase.FreezeAll}, {Scope: purchase.FreezeCaller, Name: "default"}, {Scope: purchase.FreezeItem, Name: sandbox.ItemWorldwide50MB},
}

var anna = purchase.AuditRecord{Actor: "anna", ActorKind: purchase.ActorOperator, Reason: "a leaked key"}

func isFrozen(err error) bool {
	_, ok := errors.AsType[*purchase.FrozenError](err)
	return ok
}

// moment is a place in the order of what happens in a world. Many things happen at one instant of virtual time.
type moment int

// frozenSpan is when a target was surely frozen: from the answer to the freeze until the thaw was called.
type frozenSpan struct {
	target   purchase.FreezeTarget
	from, to moment
}

// claimSpan is when a claim was written: after the first try began and before the first success was returned.
type claimSpan struct {
	targets  []purchase.FreezeTarget
	from, to moment // to is 0 if no try is known to have succeeded
}

// next returns the present moment.
func (w *world) next() moment {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moments++
	return w.moments
}

// claimBegins notes a try of a claim.
func (w *world) claimBegins(claim purchase.Claim) {
	now := w.next()
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, again := w.claims[claim.ID]; !again {
		w.claims[claim.ID] = claimSpan{targets: claim.Targets(), from: now}
	}
}

// claimWritten notes that a claim is written.
func (w *world) claimWritten(id string) {
	now := w.next()
	w.mu.Lock()
	defer w.mu.Unlock()
	if span := w.claims[id]; span.to == 0 {
		span.to = now
		w.claims[id] = span
	}
}

// freezeAndThaw plays a freezer. It tries until each is done.
func (w *world) freezeAndThaw(f freezer) {
	pause(w.span(f.at))
	w.operate(f.replica, "freeze", func(ctx context.Context, r *replica) error {
		_, err := r.engine.Freeze(ctx, f.target, anna)
		return err
	})
	span := frozenSpan{target: f.target, from: w.next()}
	pause(w.span(f.lasts))
	span.to = w.next()
	w.operate(f.replica, "thaw", func(ctx context.Context, r *replica) error { return r.engine.Thaw(ctx, f.target, anna) })
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen = append(w.frozen, span)
}

// operate calls a replica until it succeeds, and another one if that dies. A thaw whose answer was lost succeeds as one of
// what is not frozen.
func (w *world) operate(i int, what string, call func(context.Context, *replica) error) {
	for try := 0; ; try++ {
		r := w.replica(i + try)
		done := make(chan error, 1)
		if !r.isDead() {
			w.running.Go(func() { done <- call(r.life, r) })
			select {
			case err := <-done:
				w.note(r.name, "an operator calls %s: %v", what, err)
				if err == nil || errors.Is(err, purchase.ErrNotFrozen) {
					return
				}
			case <-r.life.Done():
			}
		}
		pause(w.span(time.Second))
	}
}

// claimedWhileFrozen checks that no purchase was claimed while one of its targets was frozen.
func (v *verdict) claimedWhileFrozen() {
	v.world.mu.Lock()
	defer v.world.mu.Unlock()
	for _, p := range v.byID {
		claim := v.world.claims[p.ID]
		for _, span := range v.world.frozen {
			for _, target := range claim.targets {
				if target == span.target && claim.to > 0 && claim.from > span.from && claim.to < span.to {
					v.add(tally.Broken, "%s was claimed while %+v was frozen", p.ID, target)
				}
			}
		}
	}
}

// TestFreezeStopsOtherReplicas: a freeze on one replica stops the next order on the other. Nothing is sent, and the answer
// says that nothing was started. Replays, and purchases under way, go on.
func TestFreezeStopsOtherReplicas(t *testing.T) {
	t.Parallel()
	freezeStopsOtherReplicas(t, openMemory)
}

// TestFreezeStopsOtherReplicasOnPostgres is the same on PostgreSQL.
func TestFreezeStopsOtherReplicasOnPostgres(t *testing.T) {
	t.Parallel()
	freezeStopsOtherReplicas(t, postgresStores(t))
}

func freezeStopsOtherReplicas(t *testing.T, open func(*testing.T, func() time.Time) store) {
	t.Helper()
	for _, target := range freezeTargets {
		stageOn(t, open, plan{replicas: 2}, func(t *testing.T, w *world) {
			wants(t, w.buy(w.replica(0), register("sold", "")), told)
			w.inject(t, registerPath, "commit_late", 1, m{"delay": "20s", "answer": true})
			underWay := make(chan answer, 1)
			go func() { underWay <- w.buy(w.replica(1), register("under way", "")) }()
			pause(time.Second)
			if _, err := w.replica(0).engine.Freeze(t.Context(), target, anna); err != nil {
				t.Fatal(err)
			}
			before := w.box.Ledger()
			for i := range 2 {
				a := w.buy(w.replica(i), register("new", ""))
				if !isFrozen(a.err) {
					t.Errorf("replica %d, %+v is frozen: %s", i, target, a)
				}
				wants(t, w.buy(w.replica(i), register("sold", "")), told)
			}
			wants(t, <-underWay, told)
			if w.posts(before) != 0 {
				t.Errorf("%d POSTs while %+v was frozen", w.posts(before), target)
			}
			if err := w.replica(1).engine.Thaw(t.Context(), target, anna); err != nil {
				t.Fatal(err)
			}
			wants(t, w.buy(w.replica(0), register("new", "")), told)
		})
	}
}

// TestFrozenPurchaseIsSentAgain: a purchase that was claimed before the freeze may be sent again.
func TestFrozenPurchaseIsSentAgain(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		before := w.box.Ledger()
		w.inject(t, registerPath, "unauthorized", 1, nil)
		var frozen error
		var once sync.Once
		w.interceptWith(func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, registerPath) {
				once.Do(func() { _, frozen = w.replica(0).engine.Freeze(t.Context(), freezeTargets[0], anna) })
			}
			return false
		})
		wants(t, w.buy(w.replica(0), register("order-0", "")), told)
		if frozen != nil || w.posts(before) != 2 || len(w.salesOf(t, "order-0")) != 1 {
			t.Errorf("%d POSTs, %d sales, freeze: %v", w.posts(before), len(w.salesOf(t, "order-0")), frozen)
		}
		if a := w.buy(w.replica(0), register("order-1", "")); !isFrozen(a.err) {
			t.Errorf("a new order: %s", a)
		}
	})
}

// TestFreezeBetweenTwoTriesOfAClaim: the first try of a claim is still on its way when a freeze refuses the second. The
// freeze ends, and then the first try is written. The call must not be told that nothing was started, and nothing is sent.
func TestFreezeBetweenTwoTriesOfAClaim(t *testing.T) {
	t.Parallel()
	late := fault{step: "claim", nth: 1, do: doCommitLate, d: 20 * time.Second}
	stage(t, plan{faults: []fault{late}}, func(t *testing.T, w *world) {
		before := w.box.Ledger()
		done := make(chan answer, 1)
		go func() { done <- w.buy(w.replica(0), register("order-0", "")) }()
		if _, err := w.replica(0).engine.Freeze(t.Context(), freezeTargets[0], anna); err != nil {
			t.Fatal(err)
		}
		a := <-done
		if journal, ok := errors.AsType[*purchase.JournalError](a.err); !ok || journal.LookedUp {
			t.Errorf("the call was told %s", a)
		}
		if err := w.replica(0).engine.Thaw(t.Context(), freezeTargets[0], anna); err != nil {
			t.Fatal(err)
		}
		pause(10 * time.Minute)
		if p := w.of(t, "order-0"); p.State != purchase.Failed || w.posts(before) != 0 {
			t.Errorf("the purchase is %s %s, %d POSTs", p.State, p.Reason, w.posts(before))
		}
	})
}
