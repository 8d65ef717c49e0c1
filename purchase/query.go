package purchase

import (
	"context"
	"errors"
	"time"
)

const (
	// journalBudget bounds one call of the journal.
	journalBudget = 5 * time.Second
	// listBudget bounds a page of a list: a filter may pass over years of purchases.
	listBudget = 30 * time.Second
)

// Get reads a purchase, and has the reconciler look at it soon if it is open.
func (e *Engine) Get(ctx context.Context, id string) (Purchase, []Entry, error) {
	p, err := e.get(ctx, id)
	if err != nil {
		return Purchase{}, nil, err
	}
	history, err := bounded(ctx, journalBudget, func(ctx context.Context) ([]Entry, error) { return e.journal.History(ctx, id) })
	if err != nil {
		return Purchase{}, nil, err
	}
	if !p.State.Settled() {
		e.reconciler.nudge()
	}
	return p, history, nil
}

// List pages through purchases.
func (e *Engine) List(ctx context.Context, filter Filter, page Page) ([]Purchase, error) {
	return bounded(ctx, listBudget, func(ctx context.Context) ([]Purchase, error) { return e.journal.List(ctx, filter, page) })
}

// Wait returns the purchase once it is settled, or as it is when ctx ends.
func (e *Engine) Wait(ctx context.Context, id string) (Purchase, error) {
	settlement := e.watchers.join(id)
	defer e.watchers.leave(id, settlement)
	p, err := e.get(context.WithoutCancel(ctx), id)
	if err != nil || p.State.Settled() {
		return p, err
	}
	e.reconciler.nudge()
	wait, cancel := endingWith(ctx, e.waits)
	defer cancel()
	if settled, _, ok := settlement.await(wait, id, firstPoll, e.get); ok {
		return settled, nil
	}
	return e.get(context.WithoutCancel(ctx), id)
}

// Reconciliation tells why a purchase is not settled yet; nil where it is, or is still under way.
func (e *Engine) Reconciliation(p Purchase) *Reconciliation { return e.reconciler.reconciliation(p) }

// errInFlight: a call of this process may still make a purchase under the key.
var errInFlight = errors.New("another call with the same key is under way")

// Known is the purchase that a key stands for, or ErrNotFound where there is none and none is under way. It is for refusals
// that come before Buy.
func (e *Engine) Known(ctx context.Context, key Key) (Purchase, error) {
	// In this order: a call that ends in between has its purchase in the journal by then.
	others := e.inFlight.has(key)
	p, err := e.lookup(ctx, key)
	if errors.Is(err, ErrNotFound) && others {
		err = errInFlight
	}
	return p, err
}

// get is journal.Get, bounded.
func (e *Engine) get(ctx context.Context, id string) (Purchase, error) {
	return bounded(ctx, journalBudget, func(ctx context.Context) (Purchase, error) { return e.journal.Get(ctx, id) })
}

// secrets is journal.Secrets, bounded.
func (e *Engine) secrets(ctx context.Context, id string) (Secrets, error) {
	return bounded(ctx, journalBudget, func(ctx context.Context) (Secrets, error) { return e.journal.Secrets(ctx, id) })
}

// bounded keeps a journal that hangs from keeping what has other means, or other work.
func bounded[T any](ctx context.Context, budget time.Duration, read func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	return read(ctx)
}
