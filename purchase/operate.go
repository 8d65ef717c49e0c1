package purchase

import (
	"context"
	"errors"
	"slices"
	"time"

	"gigagate.internal/gigastore"
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

// Reconciliation tells why a purchase is not settled yet; nil where it is, or is still under way.
func (e *Engine) Reconciliation(p Purchase) *Reconciliation { return e.reconciler.reconciliation(p) }

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

// Resolution is an operator's word on what became of a purchase.
type Resolution struct {
	// ItemUID names the package that was sold; empty says that nothing was.
	ItemUID string
	// By names the operator, and Note says what the word rests on.
	By, Note string
	// Force says that nothing was sold before the vendor's records show it. It stays in the history.
	Force bool
}

// Errors of Resolve beside the journal's.
var (
	// ErrNotResolvable: the purchase is settled, or still under way.
	ErrNotResolvable = errors.New("only an uncertain purchase, or one that needs an operator, can be resolved")
	// ErrForeignItem: the vendor knows the named package as that of another purchase, or it bears no
	// token and was sold to another customer or in another mode.
	ErrForeignItem = errors.New("the named activated item cannot be this purchase's")
)

// OtherAccountError says that the present client id does not show that a package is that of a purchase
// made with another one.
type OtherAccountError struct {
	// Err is what it would be for a purchase of the present client id: the vendor's refusal, or ErrForeignItem.
	Err error
	why string
}

func (e *OtherAccountError) Error() string {
	return "the purchase was made with another client id, and the present one " + e.why + "; " + sameAccount
}

func (e *OtherAccountError) Unwrap() error { return e.Err }

// sameAccount tells an operator what to do about a purchase of a former client id.
const sameAccount = "if both ids are of one account, serve with the other in --gigastore-former-client-ids"

// Resolve settles a purchase by an operator's word. A named package is checked with the vendor.
func (e *Engine) Resolve(ctx context.Context, id string, resolution Resolution) (Purchase, error) {
	p, err := e.get(ctx, id)
	if err != nil {
		return Purchase{}, err
	}
	if p.State != Uncertain && p.State != NeedsOperator {
		return p, ErrNotResolvable
	}
	change := Change{Event: ResolvedAbsent, Attempt: p.Attempt, Reason: ReasonOperator}
	if resolution.ItemUID != "" {
		if change, err = e.resolveApplied(ctx, p, resolution.ItemUID); err != nil {
			return p, err
		}
	} else if !resolution.Force {
		if err := e.reconciler.checkAbsent(ctx, p); err != nil {
			return p, err
		}
	}
	change.Evidence.Forced = resolution.Force && resolution.ItemUID == ""
	change.By = ByOperator(resolution.By)
	change.Evidence.Note = resolution.Note
	resolved, err := e.bind(ctx, p, change)
	switch {
	case errors.Is(err, ErrIllegal):
		return e.resolvedTooLate(ctx, p, change), ErrNotResolvable
	case err != nil:
		return p, err
	}
	return resolved, nil
}

// resolvedTooLate is p as somebody else settled it meanwhile. Where that was by an absence, the
// package that the operator named and the vendor showed is kept as what contradicts it: nobody else
// may ever see it.
func (e *Engine) resolvedTooLate(ctx context.Context, p Purchase, change Change) Purchase {
	now, err := e.get(ctx, p.ID)
	if err != nil {
		return p
	}
	if now.State == Failed && change.ItemUID != "" {
		change.Event = Found
		if _, err := e.bind(ctx, p, change); err != nil {
			e.logger.ErrorContext(ctx, "an operator's word against an absence could not be kept", "purchase_id", p.ID, "error", err.Error())
		}
	}
	return now
}

// resolveApplied checks the named package. Its metatag may have lost our token, which is why an
// operator is asked; it must not bear another purchase's. One that bears this purchase's is what was
// sold for it, whatever the vendor made of the order, and whichever client id it was sold with.
func (e *Engine) resolveApplied(ctx context.Context, p Purchase, uid string) (Change, error) {
	foreign := !e.owns(p.Account)
	record, err := e.vendor.ActivatedItem(ctx, uid)
	if err != nil {
		if vendor, ok := errors.AsType[*gigastore.Error](err); ok && foreign && vendor.Effect == gigastore.EffectRefused {
			err = &OtherAccountError{Err: err, why: "is not shown that package"}
		}
		return Change{}, err
	}
	bearer, _ := SplitMetatag(record.ActivatedItem.Metatag)
	if bearer != "" && bearer != p.ID || bearer == "" && !plausible(p, *record) {
		return Change{}, ErrForeignItem
	}
	if bearer == "" && foreign {
		return Change{}, &OtherAccountError{Err: ErrForeignItem, why: "is shown that package without the purchase's mark"}
	}
	change, err := found(p, e.priceLimits(p.Order), *record)
	change.Event = ResolvedApplied
	return change, err
}

// bind journals a change once, and tells of it.
func (e *Engine) bind(ctx context.Context, p Purchase, change Change) (Purchase, error) {
	change.Aliases = e.aliases(p)
	p, verdict, err := e.recordOnce(ctx, p.ID, change)
	if err != nil {
		return Purchase{}, err
	}
	e.recorded(ctx, p, change, verdict)
	return p, nil
}

// owns reports whether an account is the one that can be read, by its present client id or a former one.
func (e *Engine) owns(account string) bool { return slices.Contains(e.vendor.Accounts(), account) }

// aliases are the names, beside p's own, of the account in which p's package is: the vendor shows it
// there, whichever client id p was sent with.
func (e *Engine) aliases(p Purchase) []string {
	return slices.DeleteFunc(e.vendor.Accounts(), func(account string) bool { return account == p.Account })
}

// takeUpLapsed takes up what other processes, or an earlier life of this one, left unanswered.
func (e *Engine) takeUpLapsed() {
	for {
		for e.takeLapsed() { // nothing is taken twice, so it ends
		}
		if !e.sleep(e.life, min(e.lease/4, 15*time.Second)) {
			return
		}
	}
}

// takeLapsed takes up one page of what has lapsed, and reports whether there may be another.
func (e *Engine) takeLapsed() bool {
	taken, err := bounded(e.life, journalBudget, func(ctx context.Context) ([]Purchase, error) {
		return e.journal.TakeLapsed(ctx, e.lease, lapsedAtOnce)
	})
	if err != nil && e.life.Err() == nil {
		e.logger.WarnContext(e.life, "lapsed purchases cannot be taken up", "error", err.Error())
	}
	for _, p := range taken {
		e.takeUp(p)
	}
	// Where some orders cannot be read, the page may have been full of them.
	return len(taken) == lapsedAtOnce || errors.Is(err, ErrUnreadableOrder)
}

func (e *Engine) takeUp(p Purchase) {
	if p.State == Uncertain {
		e.logger.WarnContext(e.life, "the owner of a send is gone: its outcome is uncertain", "purchase_id", p.ID)
		e.recorded(e.life, p, Change{Event: Lost, Attempt: p.Attempt}, Moves)
		return
	}
	if e.addOwner("") != nil {
		return // its lease lapses again
	}
	go func() {
		defer e.ownerDone("")
		defer e.survive(e.life, p.ID)
		// How much of the window is gone is known by the journal's clock alone, which gave the lease.
		gone := p.LeaseUntil.Add(-e.lease).Sub(p.ClaimedAt)
		if gone >= e.window {
			e.record(e.life, p.ID, Change{Event: WindowOver, Attempt: p.Attempt, Reason: NeverSent, By: ByGateway})
			return
		}
		secrets, err := e.secrets(e.life, p.ID)
		// A purchase is sent with one client id alone, so that p.Account tells who sold it even if an
		// operator's word on former ids was wrong.
		if err != nil || secrets.Purged || p.Account != e.vendor.Account() {
			return // its lease lapses again, and then its window is over
		}
		e.own(e.life, p, secrets.Personal, time.Now().Add(-gone))
	}()
}

// Drain refuses new purchases and waits for those under way to be journaled, or for ctx. Then calls
// that wait for a purchase are answered with what is known: nothing here settles it any more.
func (e *Engine) Drain(ctx context.Context) error {
	e.mu.Lock()
	e.draining = true
	e.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		e.owners.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		e.endWaits()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends all work of the engine and waits for it. The journal stays open.
func (e *Engine) Close() {
	e.mu.Lock()
	e.draining = true
	e.mu.Unlock()
	e.end()
	e.owners.Wait()
	e.loops.Wait()
}
