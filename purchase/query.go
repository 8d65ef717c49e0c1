package purchase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// journalBudget limits one call of the journal.
const journalBudget = 5 * time.Second

// Scope says whose purchases a call can see. All other purchases look as if they did not exist. The zero value sees
// nothing.
type Scope struct {
	// Caller sees its own purchases.
	Caller string
	// All sees the purchases of all callers.
	All bool
}

// Everyone is the scope of a call that sees all purchases.
var Everyone = Scope{All: true}

// Sees reports whether a purchase is in the scope.
func (s Scope) Sees(p Purchase) bool { return s.All || s.Caller != "" && s.Caller == p.Key.Caller }

// seen returns a purchase that the scope sees, or ErrNotFound. It reads the journal once in any case, so that the time
// tells nothing about purchases of others.
func (e *Engine) seen(ctx context.Context, scope Scope, id string) (*Purchase, error) {
	p, err := e.get(ctx, id)
	if err == nil && !scope.Sees(*p) {
		return nil, ErrNotFound
	}
	return p, err
}

// Get returns a purchase and its history. If the purchase is open, the reconciler looks at it soon.
func (e *Engine) Get(ctx context.Context, scope Scope, id string) (Purchase, []HistoryEntry, error) {
	p, history, err := e.Look(ctx, scope, id)
	if err == nil && !p.State.Settled() {
		e.reconciler.nudge()
	}
	return p, history, err
}

// Look returns a purchase and its history, and leaves the reconciler its pace.
func (e *Engine) Look(ctx context.Context, scope Scope, id string) (Purchase, []HistoryEntry, error) {
	p, err := e.seen(ctx, scope, id)
	if err != nil {
		return Purchase{}, nil, err
	}
	history, err := bounded(ctx, journalBudget, func(ctx context.Context) ([]HistoryEntry, error) { return e.journal.History(ctx, id) })
	if err != nil {
		return Purchase{}, nil, err
	}
	return *p, history, nil
}

// List returns one page of the purchases that the scope sees, see [Journal.List].
func (e *Engine) List(ctx context.Context, scope Scope, filter Filter, page Page) (list []Purchase, next string, err error) {
	if !scope.All {
		if scope.Caller == "" {
			return nil, "", nil // a filter without a caller would show everything
		}
		filter.Caller = scope.Caller
	}
	ctx, cancel := context.WithTimeout(ctx, journalBudget)
	defer cancel()
	return e.journal.List(ctx, filter, page)
}

// OfItem returns the purchase that sold a package of the present account. It returns ErrNotFound if the gateway did not sell
// the package.
func (e *Engine) OfItem(ctx context.Context, uid string) (Purchase, error) {
	return bounded(ctx, journalBudget, func(ctx context.Context) (Purchase, error) {
		return e.journal.OfItem(ctx, uid, e.vendor.Accounts())
	})
}

// Wait returns the purchase once it is settled. If ctx ends first, it returns the purchase as it is.
func (e *Engine) Wait(ctx context.Context, scope Scope, id string) (Purchase, error) {
	settlement := e.watchers.join(id)
	defer e.watchers.leave(id, settlement)
	p, err := e.seen(context.WithoutCancel(ctx), scope, id)
	if err != nil {
		return Purchase{}, err
	}
	if p.State.Settled() {
		return *p, nil
	}
	e.reconciler.nudge()
	if settled, _ := e.await(ctx, settlement, id); settled != nil {
		return *settled, nil
	}
	if p, err = e.get(context.WithoutCancel(ctx), id); err != nil {
		return Purchase{}, err
	}
	return *p, nil
}

// Reconciliation says why a purchase is not settled yet. It returns nil if the purchase is settled or still
// under way.
func (e *Engine) Reconciliation(p Purchase) *Reconciliation { return e.reconciler.reconciliation(p) }

// errInFlight: another call of this process may still make a purchase under the key.
var errInFlight = errors.New("another call with the same key is under way")

// Known returns the purchase of a key. It returns ErrNotFound if there is none and no call is making one. It
// serves refusals that come before Buy.
func (e *Engine) Known(ctx context.Context, key Key) (Purchase, error) {
	e.inFlight.enter(key)
	p, err := e.lookup(ctx, key)
	if others := e.inFlight.leave(key); others && errors.Is(err, ErrNotFound) {
		err = errInFlight
	}
	return *p, err
}

// get calls journal.Get with a timeout.
func (e *Engine) get(ctx context.Context, id string) (*Purchase, error) {
	return bounded(ctx, journalBudget, func(ctx context.Context) (*Purchase, error) {
		p, err := e.journal.Get(ctx, id)
		return &p, err
	})
}

// details are the secrets of a purchase, decoded as far as the engine needs them.
type details struct {
	personal Personal
	sale     []byte // nil until there is a sale
	purged   bool
}

// details calls journal.Secrets with a timeout.
func (e *Engine) details(ctx context.Context, id string) (details, error) {
	secrets, err := bounded(ctx, journalBudget, func(ctx context.Context) (Secrets, error) { return e.journal.Secrets(ctx, id) })
	if err != nil || secrets.Purged {
		return details{purged: secrets.Purged}, err
	}
	d := details{sale: secrets.Sale}
	if json.Unmarshal(secrets.Personal, &d.personal) != nil { // its error may quote the text
		return details{}, fmt.Errorf("the personal data of %s cannot be decoded", id)
	}
	return d, nil
}

// bounded reads the journal with a timeout, so that a hung journal cannot block callers.
func bounded[T any](ctx context.Context, budget time.Duration, read func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	return read(ctx)
}
