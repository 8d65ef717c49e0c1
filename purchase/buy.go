package purchase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/internal/stack"
)

const (
	// claimBudget is how long the engine retries a claim if it does not know whether the claim was written.
	claimBudget = 5 * time.Second
	// AnswerMargin is how long before the caller's deadline the answer leaves. At the deadline itself gRPC's
	// own status would win, and that status carries no details.
	AnswerMargin = 250 * time.Millisecond
	// LeastTime is the least time, besides AnswerMargin, that must be left to start a purchase.
	LeastTime = 250 * time.Millisecond
)

// Request is one call to buy.
type Request struct {
	Key      Key
	Order    Order
	Personal Personal
	// Budget is the caller's budget. nil means that the caller has none.
	Budget *Budget
	// Client is the client that makes the call. Clients share the places for purchases under way, and one
	// client gets at most half of them.
	Client string
	// AtOnce is how many purchases the client may have under way. 0 means as many as its share.
	AtOnce int
}

// Bought is a purchase that succeeded.
type Bought struct {
	Purchase Purchase
	// Sale is the vendor's record of the sale. Other callers share it, so nobody may change it. Its profile is
	// nil if none was ordered, or if the reconciler could not tell which profile is new.
	Sale *gigastore.Sale
	// Replayed: another call made the purchase.
	Replayed bool
}

// Errors of Buy. The types below are errors of Buy, too.
var (
	// ErrDraining: the gateway is shutting down and starts nothing new.
	ErrDraining = errors.New("the gateway is shutting down")
	// ErrOverloaded: this process owns as many purchases as it can.
	ErrOverloaded = errors.New("too many purchases are under way")
	// ErrTooManyAtOnce: the client has as many purchases under way as it may.
	ErrTooManyAtOnce = errors.New("the client has too many purchases under way")
	// ErrVendorDown: the vendor does not answer. Nothing new is started until it does.
	ErrVendorDown = errors.New("the vendor does not answer")
	// ErrDeadlineTooShort: too little of the caller's time is left to start a purchase.
	ErrDeadlineTooShort = errors.New("too little time is left to start a purchase")
)

// MismatchError says that the key belongs to another order. Fields names the fields that differ.
type MismatchError struct {
	Purchase Purchase
	Fields   []string
}

func (e *MismatchError) Error() string { return "the request id stands for another order" }

// FailedError says that the purchase failed. Purchase.Reason says why.
type FailedError struct {
	Purchase Purchase
	Replayed bool
}

func (e *FailedError) Error() string { return "the purchase failed: " + string(e.Purchase.Reason) }

// UnsettledError says that the outcome of the purchase is not known yet. ID is empty if it is not even known
// whether there is a purchase.
type UnsettledError struct{ ID string }

func (e *UnsettledError) Error() string { return "the purchase is not settled" }

// JournalError says that the journal cannot be used, and that this call sent nothing.
type JournalError struct {
	// LookedUp: the journal took no claim, but it could be read, and it held no purchase under the key.
	LookedUp bool
	Err      error
}

func (e *JournalError) Error() string { return "the journal cannot be used" }

func (e *JournalError) Unwrap() error { return e.Err }

// Buy makes the purchase that the request's key stands for, or returns what became of it. It returns
// AnswerMargin before ctx's deadline. The work continues without the caller.
//
// The functions below pass purchases and requests as pointers. A caller waits in them for the vendor, and with copies
// its goroutine would need a stack of 32 KB. None of them changes what a pointer points to.
func (e *Engine) Buy(ctx context.Context, request *Request) (bought *Bought, err error) {
	e.inFlight.enter(request.Key)
	defer func() { // also after a panic
		if others := e.inFlight.leave(request.Key); others && err != nil && !tellsOfKey(err) {
			bought, err = nil, &UnsettledError{}
		}
	}()
	bought, err = e.buy(ctx, request)
	e.instruments.replayed(ctx, request.Key.Caller, bought, err)
	return bought, err
}

func (e *Engine) buy(ctx context.Context, request *Request) (*Bought, error) {
	ctx, cancel := answerContext(ctx, e.AnswerWithin())
	defer cancel()
	var amount Micros
	if e.isGuarded(request.Order, request.Budget) {
		recorded, err := e.lookup(ctx, request.Key)
		switch {
		case err == nil:
			return e.attach(ctx, recorded, request)
		case !errors.Is(err, ErrNotFound):
			return nil, &JournalError{Err: err}
		}
		if err := e.mayStart(ctx); err != nil {
			return nil, err
		}
		if amount, err = e.guard(ctx, request.Order, e.priceLimits(request.Order, nil), request.Budget); err != nil {
			return e.refuse(ctx, request, "", err) // another call may have bought during the guard's reads
		}
	}
	if err := e.mayStart(ctx); err != nil {
		return e.refuse(ctx, request, "", err)
	}
	return e.buyNew(ctx, request, amount) // the claim tells whether the key is taken
}

// refuse returns a refusal, unless the key has a purchase. Then it answers for that one. own is the id that this call
// has claimed, if any. A purchase with that id is one that the refusal is about.
func (e *Engine) refuse(ctx context.Context, request *Request, own string, refusal error) (*Bought, error) {
	recorded, err := e.lookup(ctx, request.Key)
	switch {
	case err == nil && recorded.ID != own:
		return e.attach(ctx, recorded, request)
	case err != nil && !errors.Is(err, ErrNotFound):
		return nil, &JournalError{Err: err}
	}
	return nil, refusal
}

// answerContext returns a context that ends when the answer must leave.
func answerContext(ctx context.Context, longest time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-AnswerMargin))
	}
	return context.WithTimeout(ctx, longest)
}

// lookup reads a purchase by its key. It ignores the caller's deadline: a known id is answered even if there is
// little time.
func (e *Engine) lookup(ctx context.Context, key Key) (*Purchase, error) {
	return bounded(context.WithoutCancel(ctx), journalBudget, func(ctx context.Context) (*Purchase, error) {
		p, err := e.journal.Lookup(ctx, key)
		return &p, err
	})
}

// mayStart refuses a new purchase while the engine drains or the vendor is down, or if its caller has too little time left.
func (e *Engine) mayStart(ctx context.Context) error {
	e.mu.Lock()
	draining := e.draining
	e.mu.Unlock()
	switch {
	case draining:
		return ErrDraining
	case e.vendor.IsDown():
		return ErrVendorDown
	}
	// A caller that is gone may ask again at another replica before the claim can be seen there. That replica
	// would say that nothing was started.
	if deadline, _ := ctx.Deadline(); time.Until(deadline) < LeastTime || ctx.Err() != nil {
		return ErrDeadlineTooShort
	}
	return nil
}

// buyNew makes a purchase that the journal does not hold. If another call makes it first, buyNew answers for
// that one. amount is what the purchase reserves in the request's budget.
func (e *Engine) buyNew(ctx context.Context, request *Request, amount Micros) (*Bought, error) {
	id := newID(e.entropy)
	settlement := e.watchers.join(id)
	defer e.watchers.leave(id, settlement)
	claimed, err := e.start(ctx, id, request, amount)
	if _, inDoubt := errors.AsType[*UnsettledError](err); inDoubt {
		return nil, err
	}
	if err != nil {
		return e.refuse(ctx, request, id, err)
	}
	if !claimed.ours {
		return e.attach(ctx, claimed.purchase, request)
	}
	p, sale := e.awaitOwned(ctx, settlement, id, claimed.ended)
	return e.answer(ctx, id, p, sale, false)
}

// claimed is the result of a claim: our own purchase, or the one that already has the key.
type claimed struct {
	purchase *Purchase
	ours     bool
	ended    <-chan struct{} // closed once the owner of our own purchase has ended
}

// start claims the key. If the claim is ours, an owner continues the purchase on the engine's own time. start
// returns once the claim is known to be durable, or when the answer must leave.
func (e *Engine) start(ctx context.Context, id string, request *Request, amount Micros) (claimed, error) {
	trial, may := e.vendor.MaySell() // before the claim, which gives the first permit
	if !may {
		return claimed{}, ErrVendorDown
	}
	if err := e.addOwner(ctx, request.Client, request.AtOnce); err != nil {
		trial.NotTried()
		return claimed{}, err
	}
	type result struct {
		claimed claimed
		err     error
	}
	done, ended := make(chan result, 1), make(chan struct{})
	work := e.outliving(ctx)
	e.inFlight.enterClaim(request.Key)
	go func() {
		stack.Grow()
		defer close(ended)
		defer e.ownerDone(request.Client)
		defer e.recoverOwner(work, id)
		// The journal counts the permit's life from a later moment, so the engine's permit ends first.
		began := time.Now()
		p, ours, err := e.claim(work, id, request, amount)
		if err == nil && ours && isOver(ctx) {
			// The caller may have asked again at another replica. That replica could not see the claim yet, and
			// may have said that nothing was started.
			e.abandon(p, "the caller was gone before the claim was durable; nothing was sent")
			err = &UnsettledError{}
		}
		if err != nil || !ours {
			trial.NotTried()
		}
		done <- result{claimed{p, ours, ended}, err}
		if err == nil && ours {
			e.own(work, p, &request.Personal, began, trial)
		}
	}()
	select {
	case r := <-done:
		return r.claimed, r.err
	case <-ctx.Done():
		// Do not tell the id. While the claim waits for the journal, a look-up of the id finds nothing. The
		// caller would conclude that there will never be a purchase.
		return claimed{}, &UnsettledError{}
	}
}

// isOver reports whether the caller no longer waits. After a pause of the whole process, the clock may show
// this before ctx does.
func isOver(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// claim retries the claim until its outcome is known. If the outcome stays unknown, nothing is sent. inFlight knows the claim
// until claim ends, also with a panic.
func (e *Engine) claim(ctx context.Context, id string, request *Request, amount Micros) (*Purchase, bool, error) {
	defer e.inFlight.leave(request.Key)
	claim := Claim{
		ID: id, Key: request.Key, Account: e.vendor.Account(),
		Order: request.Order, Personal: request.Personal.Encode(), Origin: originOf(ctx), Budget: request.Budget, Amount: amount,
		PermitLife: permitLife, Lease: e.lease,
	}
	ctx, cancel := context.WithTimeout(ctx, claimBudget)
	defer cancel()
	unknown := false // whether a try may have written the claim
	p, err := retry(ctx, func() (*Purchase, error) {
		p, err := e.journal.Claim(ctx, claim)
		unknown = unknown || err != nil && !errors.Is(err, ErrNotWritten)
		return &p, err
	}, func(error) bool { return !unknown })
	switch {
	case err == nil:
		// An earlier try may have written the claim although its answer was lost. The id tells.
		return p, p.ID == claim.ID, nil
	case !unknown && refusalOf(err) != nil:
		return nil, false, refusalOf(err)
	case !unknown:
		return nil, false, &JournalError{LookedUp: true, Err: err}
	}
	e.abandon(&Purchase{ID: claim.ID}, "the claim was not known to be durable; nothing was sent")
	return nil, false, &JournalError{Err: err}
}

// refusalOf returns the error of a budget or a freeze that refused a claim, or nil. Another try would be refused, too.
func refusalOf(err error) error {
	if over, ok := errors.AsType[*BudgetError](err); ok {
		return over
	}
	if frozen, ok := errors.AsType[*FrozenError](err); ok {
		return frozen
	}
	return nil
}

// abandon ends a claim that must not be sent. The claim may have been written although its caller was told
// otherwise, or its caller is gone. Nothing was sent for it.
//
// abandon retries until the journal can be reached. If the journal does not have the purchase then, the claim was not
// written, or its transaction is still open. In the second case the lease expires, and the reconciler gets the purchase.
// Until the journal can be reached, abandon holds the place of an owner, so that callers cannot pile up work for a
// journal that takes no writes. It makes one write only. With two, the process could die between them, and the next
// process would take the purchase over and send it.
func (e *Engine) abandon(p *Purchase, why string) {
	e.places.Hold("")
	e.loops.Go(func() {
		defer e.places.Release("")
		e.record(e.life, p, &Transition{Event: Abandoned, Attempt: 1, Reason: NeverSent, By: ByGateway, Evidence: Evidence{Explanation: why}})
	})
}

// attach answers for a purchase that exists. It compares the orders, and then replays the outcome or waits for
// it.
func (e *Engine) attach(ctx context.Context, recorded *Purchase, request *Request) (*Bought, error) {
	known, err := e.details(context.WithoutCancel(ctx), recorded.ID)
	if err != nil {
		return nil, &JournalError{Err: err}
	}
	if fields := Differences(recorded.Order, request.Order, known.personal, request.Personal, known.purged); len(fields) > 0 {
		return nil, &MismatchError{Purchase: *recorded, Fields: fields}
	}
	if recorded.State.Settled() {
		return e.reply(recorded, known.sale, true)
	}
	e.reconciler.nudge()
	defer e.instruments.waits(ctx)()
	settlement := e.watchers.join(recorded.ID)
	defer e.watchers.leave(recorded.ID, settlement)
	p, sale := e.await(ctx, settlement, recorded.ID)
	return e.answer(ctx, recorded.ID, p, sale, true)
}

// answer answers for a purchase whose call has waited. p is nil if the purchase is not settled. sale may be nil.
func (e *Engine) answer(ctx context.Context, id string, p *Purchase, sale *gigastore.Sale, replayed bool) (*Bought, error) {
	switch {
	case p == nil:
		return nil, &UnsettledError{ID: id}
	case p.State == Failed:
		return e.reply(p, nil, replayed)
	case sale != nil:
		return &Bought{Purchase: *p, Sale: sale, Replayed: replayed}, nil
	}
	known, err := e.details(context.WithoutCancel(ctx), id)
	if err != nil {
		return nil, &UnsettledError{ID: id}
	}
	return e.reply(p, known.sale, replayed)
}

// reply turns a settled purchase into an answer. text is the stored sale.
func (e *Engine) reply(p *Purchase, text []byte, replayed bool) (*Bought, error) {
	if p.State == Failed {
		return nil, &FailedError{Purchase: *p, Replayed: replayed}
	}
	sale := &gigastore.Sale{}
	if text == nil {
		// The sale was purged, or an operator named the package. Only the binding is left to return.
		sale.ActivatedItem.UID, sale.Customer.UID = p.ItemUID, p.CustomerUID
		sale.ActivatedItem.Metatag = p.metatag()
	} else if err := json.Unmarshal(text, sale); err != nil {
		return nil, fmt.Errorf("read a stored answer of the vendor: %w", err)
	}
	return &Bought{Purchase: *p, Sale: sale, Replayed: replayed}, nil
}
