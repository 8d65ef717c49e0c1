package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
)

// outcome is what a caller was told.
type outcome string

const (
	told       outcome = "OK"
	toldFailed outcome = "failed"
	unsettled  outcome = "unsettled"
	notStarted outcome = "not started"
	mismatch   outcome = "another order"
	noAnswer   outcome = "no answer" // the replica died, or none was running
)

// answer is what one call got.
type answer struct {
	call    call
	outcome outcome
	bought  *purchase.Bought
	failed  *purchase.FailedError
	err     error
	// began and ended are when the caller began and stopped waiting.
	began, ended time.Time
}

// classify turns the result of Buy into an answer.
func classify(bought *purchase.Bought, err error) answer {
	a := answer{bought: bought, err: err}
	var differs *purchase.MismatchError
	var open *purchase.UnsettledError
	var guarded *purchase.GuardError
	var over *purchase.BudgetError
	var journal *purchase.JournalError
	switch {
	case err == nil:
		a.outcome = told
	case errors.As(err, &a.failed):
		a.outcome = toldFailed
	case errors.As(err, &open):
		a.outcome = unsettled
	case errors.As(err, &differs):
		a.outcome = mismatch
	case errors.As(err, &guarded), errors.As(err, &over), errors.As(err, &journal), isFrozen(err), errors.Is(err, purchase.ErrDraining),
		errors.Is(err, purchase.ErrDeadlineTooShort), errors.Is(err, purchase.ErrVendorDown):
		a.outcome = notStarted
	default:
		a.outcome = "an error of no known kind"
	}
	return a
}

// String describes the answer for a reader.
func (a answer) String() string {
	switch a.outcome {
	case told:
		return fmt.Sprintf("OK, purchase %s, item %s, replayed %t", a.bought.Purchase.ID, a.bought.Purchase.ItemUID, a.bought.Replayed)
	case toldFailed:
		return fmt.Sprintf("failed, purchase %s, %s, replayed %t", a.failed.Purchase.ID, a.failed.Purchase.Reason, a.failed.Replayed)
	case noAnswer:
		return "no answer"
	default:
		return fmt.Sprintf("%s: %v", a.outcome, a.err)
	}
}

// buy makes one call on a replica. There is no answer if the replica dies.
func (w *world) buy(r *replica, c call) answer {
	began := time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if c.deadline > 0 {
		ctx, cancel = context.WithTimeout(ctx, c.deadline)
		defer cancel()
	}
	if c.gone > 0 {
		defer time.AfterFunc(c.gone, cancel).Stop()
	}
	done := make(chan answer, 1)
	stop := context.AfterFunc(r.life, cancel)
	defer stop()
	w.running.Go(func() {
		bought, err := r.engine.Buy(ctx, &purchase.Request{
			Key: purchase.Key{Caller: "default", RequestID: c.key}, Order: c.order, Personal: c.personal, Budget: c.budget,
		})
		r.stand()
		done <- classify(bought, err)
	})
	// A caller with a deadline leaves at its deadline, whatever the replica does.
	a := answer{outcome: noAnswer}
	select {
	case a = <-done:
	case <-r.life.Done():
	case <-after(c.deadline):
	}
	if r.isDead() {
		a = answer{outcome: noAnswer}
	}
	a.call, a.began, a.ended = c, began, time.Now()
	w.note(r.name, "answer for %s: %s", c.key, a)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = append(w.answers, a)
	return a
}

// after returns a channel that fires some time after the deadline. Without a deadline it never fires.
func after(deadline time.Duration) <-chan time.Time {
	if deadline == 0 {
		return nil
	}
	return time.After(deadline + 10*time.Second) // a known id is looked up even if the deadline is very short
}

// run plays a history and returns what is wrong with it.
func run(t *testing.T, p plan, open func(*testing.T, func() time.Time) store) (*world, []string) {
	t.Helper()
	w := newWorld(t, p, open)
	defer w.close()
	w.setUp()
	w.setFaulty(true)
	if w.plan.inTurn {
		w.callers.Go(w.callInTurn)
	} else {
		for _, c := range w.plan.calls {
			c.order, c.budget = w.forCustomer(c.order), w.plan.budget
			w.callers.Go(func() { w.callRepeatedly(c) })
		}
	}
	for _, o := range w.plan.operators {
		w.callers.Go(func() { w.lookIntoPortal(o) })
	}
	for _, f := range w.plan.freezers {
		w.callers.Go(func() { w.freezeAndThaw(f) })
	}
	pause(w.span(95 * time.Second)) // later than the start of the last call
	for i, o := range p.younger {
		w.callers.Go(func() {
			w.callRepeatedly(call{key: fmt.Sprintf("younger-%d", i), order: w.forCustomer(o), personal: personal(o.Kind, false), tries: 2, replica: i})
		})
	}
	pause(p.healAfter - time.Since(w.began))
	w.heal()
	w.settle()
	found := w.check()
	return w, found
}

// setUp buys the older witnesses. The first purchase creates the customer that the top-ups use.
func (w *world) setUp() {
	first := call{key: "customer", order: order("register", "", "customer"), personal: personal("register", false)}
	w.buy(w.replica(0), first)
	for i, o := range w.plan.older {
		w.buy(w.replica(i), call{key: fmt.Sprintf("older-%d", i), order: w.forCustomer(o), personal: personal(o.Kind, false)})
	}
	pause(w.span(time.Second)) // purchases of one instant have no order of age
}

// forCustomer puts the uid of the first sale's customer into an order, if there was a sale.
func (w *world) forCustomer(o purchase.Order) purchase.Order {
	if sales := w.box.Ledger().Sales; o.CustomerUID == theCustomer && len(sales) > 0 {
		o.CustomerUID = sales[0].CustomerUID
	}
	return o
}

// callRepeatedly plays a caller that repeats its request id until it has a final answer.
func (w *world) callRepeatedly(c call) {
	pause(c.at)
	for try := range c.tries {
		r := w.replica(c.replica + try)
		if r.isDead() {
			r = w.replica(c.replica + try + 1)
		}
		if r.isDead() {
			w.note("", "no replica is running for %s", c.key)
		} else if a := w.buy(r, c); a.outcome == told || a.outcome == toldFailed || a.outcome == mismatch {
			return
		}
		pause(w.span(time.Duration(try+1) * 2 * time.Second))
	}
}

// callInTurn makes each planned call once. The next one begins after the one before has ended.
func (w *world) callInTurn() {
	for _, c := range w.plan.calls {
		pause(c.at)
		c.order, c.budget = w.forCustomer(c.order), w.plan.budget
		if r := w.replica(c.replica); !r.isDead() {
			w.buy(r, c)
		}
	}
}

// portalLag is the time until the portal shows a sale.
const portalLag = 30 * time.Second

// lookIntoPortal plays an operator who looks into the portal and, if it shows no sale, declares that nothing was sold. The
// gateway must refuse this as long as it may be too early.
func (w *world) lookIntoPortal(o operator) {
	pause(w.span(o.at))
	r := w.replica(o.replica)
	p, err := w.store.journal().Lookup(context.Background(), purchase.Key{Caller: "default", RequestID: o.key})
	if err != nil || p.State.Settled() || r.isDead() {
		return
	}
	for _, sale := range w.box.Ledger().Sales {
		if strings.HasPrefix(sale.Metatag, p.Mark()) && time.Since(sale.Time) > w.span(portalLag) {
			return
		}
	}
	ctx, cancel := context.WithCancel(r.life)
	defer cancel()
	done := make(chan struct{})
	w.running.Go(func() {
		defer close(done)
		resolved, err := r.engine.Resolve(ctx, purchase.Everyone, p.ID, purchase.Resolution{By: "operator", Note: "nothing in the portal"})
		w.note(r.name, "an operator says that nothing was sold for %s: %s, %v", o.key, resolved.State, err)
	})
	select {
	case <-done:
	case <-r.life.Done():
	}
}

// heal ends all faults: the vendor and the journal work again, and every process runs.
func (w *world) heal() {
	w.setFaulty(false)
	w.box.Disarm()
	for _, r := range w.live() {
		r.mu.Lock()
		r.outage, r.readOnly = time.Time{}, time.Time{}
		r.mu.Unlock()
		r.wake()
	}
	w.note("", "all faults end")
}

// settle waits for the callers, which may begin a purchase late. Then it waits until every purchase is
// final or needs an operator, but no longer than that may take.
func (w *world) settle() {
	w.callers.Wait()
	longest, look, looks := w.span(90*time.Minute), w.span(20*time.Second), 1
	if w.plan.pace > 1 {
		longest += time.Minute // the engine's fixed times are not faster
		// A caller may have left before its claim was in the journal. On a busy database, that takes seconds.
		looks = int(7 * time.Second / look)
	}
	settled := 0
	for range int(longest / look) {
		pause(look)
		if settled++; len(w.live()) == 0 || len(w.unsettledPurchases()) > 0 {
			settled = 0
		}
		if settled == looks {
			break
		}
	}
	switch {
	case w.plan.beyondQuiet:
		w.probe()
	case slices.ContainsFunc(w.plan.faults, fault.isLate):
		pause(w.span(2 * time.Minute)) // for requests that the vendor still works on
	}
}

// probe makes the reconciler read the list once more, long after a late sale by the vendor. It opens a
// purchase for this, because the list is read only while a purchase is open.
func (w *world) probe() {
	pause(20 * time.Minute)
	_ = w.box.Inject(sandbox.Fault{Path: "/gigastore/activations/register", Fault: "commit_then_reset"})
	w.callRepeatedly(call{key: "probe", order: order(purchase.Register, "", "probe"), personal: personal(purchase.Register, false), tries: 3})
	pause(time.Minute)
}

func (w *world) purchases() []purchase.Purchase {
	list, _, err := w.store.journal().List(context.Background(), purchase.Filter{}, purchase.Page{Size: 1000})
	if err != nil {
		w.note("", "the journal cannot be read at the end: %v", err)
	}
	return list
}

func (w *world) unsettledPurchases() []purchase.Purchase {
	var open []purchase.Purchase
	for _, p := range w.purchases() {
		if !p.State.Settled() && p.State != purchase.NeedsOperator {
			open = append(open, p)
		}
	}
	return open
}
