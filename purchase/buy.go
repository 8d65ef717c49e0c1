package purchase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gigagate.internal/gigastore"
)

const (
	// claimBudget is how long a claim whose commit is unknown is asked for again.
	claimBudget = 5 * time.Second
	// AnswerMargin is how long before the caller's deadline the answer leaves. At the deadline
	// itself gRPC's own status wins, and it carries no details.
	AnswerMargin = 250 * time.Millisecond
	// LeastTime is what must be left beside the margin for anything to be started that cannot be undone.
	LeastTime = 250 * time.Millisecond
)

// Request is one call to buy.
type Request struct {
	Key      Key
	Order    Order
	Personal Personal
	// Client is who shares the places for purchases under way with others. One client has half of them at most.
	Client string
}

// Bought is a purchase that succeeded.
type Bought struct {
	Purchase Purchase
	// Sale is the vendor's record of it, shared with other callers and not to be changed. Its profile
	// is nil where none was ordered, and where a reconciled purchase cannot tell which one is new.
	Sale *gigastore.Sale
	// Replayed: it had been settled before this call.
	Replayed bool
}

// Errors of Buy beside those below.
var (
	// ErrDraining: the gateway is shutting down and starts nothing new.
	ErrDraining = errors.New("the gateway is shutting down")
	// ErrOverloaded: as many purchases are under way as this process can own.
	ErrOverloaded = errors.New("too many purchases are under way")
	// ErrDeadlineTooShort: too little of the caller's time is left to start.
	ErrDeadlineTooShort = errors.New("too little time is left to start a purchase")
)

// MismatchError says that the key stands for another order.
type MismatchError struct {
	Purchase Purchase
	Fields   []string
}

func (e *MismatchError) Error() string { return "the request id stands for another order" }

// FailedError says that the purchase came to nothing; its reason says how.
type FailedError struct {
	Purchase Purchase
	Replayed bool
}

func (e *FailedError) Error() string { return "the purchase failed: " + string(e.Purchase.Reason) }

// UnsettledError says that it is not known yet what became of the purchase.
// ID is empty where it is not even known whether there is a purchase.
type UnsettledError struct{ ID string }

func (e *UnsettledError) Error() string { return "the purchase is not settled" }

// JournalError says that the journal cannot be used, and that nothing was sent.
type JournalError struct {
	// LookedUp: the journal was read before it failed, and had no purchase under the key.
	LookedUp bool
	Err      error
}

func (e *JournalError) Error() string { return "the journal cannot be used" }

func (e *JournalError) Unwrap() error { return e.Err }

// Buy makes the purchase that request's key stands for, or tells what became of it. It returns
// AnswerMargin before ctx's deadline; the work goes on without the caller.
func (e *Engine) Buy(ctx context.Context, request Request) (Bought, error) {
	e.inFlight.enter(request.Key)
	bought, err := e.buy(ctx, request)
	if others := e.inFlight.leave(request.Key); others && err != nil && !tellsOfKey(err) {
		return Bought{}, &UnsettledError{}
	}
	return bought, err
}

func (e *Engine) buy(ctx context.Context, request Request) (Bought, error) {
	ctx, cancel := answerContext(ctx, e.AnswerWithin())
	defer cancel()
	kept, err := e.lookup(ctx, request.Key)
	switch {
	case err == nil:
		return e.attach(ctx, kept, request)
	case !errors.Is(err, ErrNotFound):
		return Bought{}, &JournalError{Err: err}
	}
	if err := e.mayStart(ctx); err != nil {
		return Bought{}, err
	}
	if err := e.guard(ctx, request.Order); err != nil {
		return Bought{}, err
	}
	if err := e.mayStart(ctx); err != nil { // the guard's reads took time
		return Bought{}, err
	}
	return e.buyNew(ctx, request)
}

// answerContext ends when the answer has to leave.
func answerContext(ctx context.Context, longest time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-AnswerMargin))
	}
	return context.WithTimeout(ctx, longest)
}

// lookup reads by key even for a caller in a hurry: the answer to a known id needs no time.
func (e *Engine) lookup(ctx context.Context, key Key) (Purchase, error) {
	return bounded(context.WithoutCancel(ctx), journalBudget, func(ctx context.Context) (Purchase, error) { return e.journal.Lookup(ctx, key) })
}

// mayStart refuses a new purchase that would have to be abandoned.
func (e *Engine) mayStart(ctx context.Context) error {
	e.mu.Lock()
	draining := e.draining
	e.mu.Unlock()
	if draining {
		return ErrDraining
	}
	// A caller who is gone may be told of the same request id elsewhere, before a claim could be seen there.
	if deadline, _ := ctx.Deadline(); time.Until(deadline) < LeastTime || ctx.Err() != nil {
		return ErrDeadlineTooShort
	}
	return nil
}

// buyNew makes a purchase that the journal has not seen, unless another call makes it first.
func (e *Engine) buyNew(ctx context.Context, request Request) (Bought, error) {
	id := newID(e.entropy)
	settlement := e.watchers.join(id)
	defer e.watchers.leave(id, settlement)
	claimed, err := e.start(ctx, id, request)
	if err != nil {
		return Bought{}, err
	}
	if !claimed.ours {
		return e.attach(ctx, claimed.purchase, request)
	}
	return e.await(ctx, settlement, id, longestPoll, false)
}

// claimed is what came of a claim: our own purchase, or the one that has the key.
type claimed struct {
	purchase Purchase
	ours     bool
}

// start claims the key and, if it is ours, leaves the purchase to an owner that runs on the
// engine's own time. It returns once the claim is known durable, or the answer has to leave.
func (e *Engine) start(ctx context.Context, id string, request Request) (claimed, error) {
	if err := e.addOwner(request.Client); err != nil {
		return claimed{}, err
	}
	claim := Claim{
		ID: id, Key: request.Key, Account: e.vendor.Account(),
		Order: request.Order, Personal: request.Personal, PermitLife: permitLife, Lease: e.lease,
	}
	type result struct {
		claimed claimed
		err     error
	}
	done := make(chan result, 1)
	work, cancel := endingWith(context.WithoutCancel(ctx), e.life)
	e.inFlight.enter(request.Key)
	go func() {
		defer e.ownerDone(request.Client)
		defer cancel()
		defer e.recoverOwner(work, id)
		// The journal counts the permit's life from its own, later, start: ours ends first.
		began := time.Now()
		p, ours, err := e.claim(work, claim)
		e.inFlight.leave(request.Key)
		if err == nil && ours && isOver(ctx) {
			// Its caller may have asked again elsewhere, where the claim could not be seen yet, and have been told that
			// nothing was started.
			e.disown(p.ID, "the caller had gone before the claim was durable, nothing sent")
			err = &UnsettledError{}
		}
		done <- result{claimed{p, ours}, err}
		if err == nil && ours {
			e.own(work, p, request.Personal, began)
		}
	}()
	select {
	case r := <-done:
		return r.claimed, r.err
	case <-ctx.Done():
		// The id is not told: as long as the claim waits for the journal, nothing is found under it,
		// and that reads as if nothing would ever come of it.
		return claimed{}, &UnsettledError{}
	}
}

// isOver reports whether a caller waits no more. After a pause of the whole process the clock may know it first.
func isOver(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// claim asks for the claim until it is known what became of it. Where that cannot be known,
// nothing is sent.
func (e *Engine) claim(ctx context.Context, claim Claim) (Purchase, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, claimBudget)
	defer cancel()
	unknown := false
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		p, _, err := e.journal.Claim(ctx, claim)
		switch {
		case err == nil:
			// An earlier try may have written it, though its answer was lost: the id tells.
			return p, p.ID == claim.ID, nil
		case errors.Is(err, ErrNotWritten) && !unknown:
			return Purchase{}, false, &JournalError{LookedUp: true, Err: err}
		case !e.sleep(ctx, pause):
			e.disown(claim.ID, "claim not known durable, nothing sent")
			return Purchase{}, false, &JournalError{Err: err}
		}
		unknown = true
	}
}

// disown settles a claim that may have been written although its caller was told otherwise, or waits no more. Nothing was sent
// for it. It retries until the journal can be reached, and has the place of an owner until then: while a journal
// takes no writes, callers must not add to what waits for it without end. It is one write: after the first of two, a
// process could die, and the next process would take the purchase up and send it.
func (e *Engine) disown(id, why string) {
	e.places.Hold("")
	e.loops.Go(func() {
		defer e.places.Release("")
		e.record(e.life, id, Change{Event: Disowned, Attempt: 1, Reason: NeverSent, By: ByGateway, Evidence: Evidence{Note: why}})
	})
}

// attach answers for a purchase that exists: it compares, and then waits or replays.
func (e *Engine) attach(ctx context.Context, kept Purchase, request Request) (Bought, error) {
	secrets, err := e.secrets(context.WithoutCancel(ctx), kept.ID)
	if err != nil {
		return Bought{}, &JournalError{Err: err}
	}
	if fields := Differences(kept.Order, request.Order, secrets.Personal, request.Personal, secrets.Purged); len(fields) > 0 {
		return Bought{}, &MismatchError{Purchase: kept, Fields: fields}
	}
	if kept.State.Settled() {
		return e.tell(kept, secrets.Sale, true)
	}
	e.reconciler.nudge()
	settlement := e.watchers.join(kept.ID)
	defer e.watchers.leave(kept.ID, settlement)
	return e.await(ctx, settlement, kept.ID, firstPoll, true)
}

// await waits until the purchase is settled or the answer has to leave.
func (e *Engine) await(ctx context.Context, s *settlement, id string, pause time.Duration, replayed bool) (Bought, error) {
	wait, cancel := endingWith(ctx, e.waits)
	defer cancel()
	p, sale, settled := s.await(wait, id, pause, e.get)
	switch {
	case !settled:
		return Bought{}, &UnsettledError{ID: id}
	case p.State == Failed:
		return e.tell(p, nil, replayed)
	case sale != nil:
		return Bought{Purchase: p, Sale: sale, Replayed: replayed}, nil
	}
	secrets, err := e.secrets(context.WithoutCancel(ctx), id)
	if err != nil {
		return Bought{}, &UnsettledError{ID: id}
	}
	return e.tell(p, secrets.Sale, replayed)
}

// tell turns a settled purchase into an answer.
func (e *Engine) tell(p Purchase, text []byte, replayed bool) (Bought, error) {
	if p.State == Failed {
		return Bought{}, &FailedError{Purchase: p, Replayed: replayed}
	}
	sale := &gigastore.Sale{}
	if text == nil {
		// Purged, or resolved by an operator without details: the binding is what is left to tell.
		sale.ActivatedItem.UID, sale.Customer.UID = p.ItemUID, p.CustomerUID
		sale.ActivatedItem.Metatag = p.Token() + " " + p.Order.Metatag
	} else if err := json.Unmarshal(text, sale); err != nil {
		return Bought{}, fmt.Errorf("read a kept answer of the vendor: %w", err)
	}
	return Bought{Purchase: p, Sale: sale, Replayed: replayed}, nil
}

// endingWith is ctx that also ends with another context.
func endingWith(ctx, other context.Context) (context.Context, context.CancelFunc) {
	ending, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(other, cancel)
	return ending, func() {
		stop()
		cancel()
	}
}
