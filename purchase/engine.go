package purchase

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"gigagate.internal/gigastore"
	"gigagate.internal/internal/fairshare"
)

// Config is what an Engine is made of.
type Config struct {
	Journal Journal
	Vendor  *gigastore.Client
	Logger  *slog.Logger
	// SendWindow is how long after the claim a permit may be given.
	SendWindow time.Duration
	// Reconcile is how uncertain purchases are settled.
	Reconcile ReconcileConfig
	// MaxPurchasePrice is the most that any purchase may cost the reseller, beside what its own order says. nil: any price.
	MaxPurchasePrice *Price
	// Instruments may be nil.
	Instruments *Instruments
	// Entropy is what purchase ids are made of, crypto/rand's by default.
	Entropy io.Reader
}

const (
	// permitLife is how long after a permit its first byte may leave.
	permitLife = 10 * time.Second
	// leaseSlack is what a lease has beyond the longest a send can take.
	leaseSlack = 30 * time.Second
	// claimBudget is how long a claim whose commit is unknown is asked for again.
	claimBudget = 5 * time.Second
	// journalBudget bounds one call of the journal.
	journalBudget = 5 * time.Second
	// AnswerMargin is how long before the caller's deadline the answer leaves. At the deadline
	// itself gRPC's own status wins, and it carries no details.
	AnswerMargin = 250 * time.Millisecond
	// maxOwners bounds the purchases under way in one process. A purchase outlives its caller, so the
	// number of callers does not bound it.
	maxOwners = 2000
	// LeastTime is what must be left beside the margin for anything to be started that cannot be undone.
	LeastTime = 250 * time.Millisecond
	// lapsedAtOnce is how many lapsed purchases one transaction takes up.
	lapsedAtOnce = 100
	// listBudget bounds a page of a list: a filter may pass over years of purchases.
	listBudget = 30 * time.Second
)

// Engine spends: once per key, whatever happens.
type Engine struct {
	journal     Journal
	vendor      *gigastore.Client
	inventory   *gigastore.InventoryCache
	logger      *slog.Logger
	timeout     time.Duration
	window      time.Duration
	lease       time.Duration
	maxPrice    *Price // nil: any
	reconciler  *reconciler
	instruments *Instruments
	entropy     ulid.MonotonicReader
	watchers    watchers
	inFlight    inFlight

	// life ends when the engine is closed: work that outlives drain stops there.
	life context.Context
	end  context.CancelFunc
	// waits ends when a drain has nothing left to wait for: what is open then is not settled here.
	waits    context.Context
	endWaits context.CancelFunc

	places *fairshare.Limit // for owners

	mu       sync.Mutex
	draining bool
	owners   sync.WaitGroup
	loops    sync.WaitGroup
}

// NewEngine makes an engine. It does nothing by itself before Start.
func NewEngine(config Config) *Engine {
	life, end := context.WithCancel(context.Background())
	waits, endWaits := context.WithCancel(life)
	e := &Engine{
		journal: config.Journal, vendor: config.Vendor, logger: config.Logger,
		inventory: gigastore.NewInventoryCache(config.Vendor),
		timeout:   config.Vendor.Timeout(), window: config.SendWindow,
		lease:       config.SendWindow + permitLife + config.Vendor.Timeout() + leaseSlack,
		maxPrice:    config.MaxPurchasePrice,
		instruments: config.Instruments, entropy: increasing(config.random()),
		watchers: watchers{waiting: map[string]*settlement{}},
		places:   fairshare.New(maxOwners),
		life:     life, end: end, waits: waits, endWaits: endWaits,
	}
	e.reconciler = newReconciler(e, config.Reconcile)
	return e
}

// Start takes up what an earlier process left and keeps settling what is uncertain, until Close.
func (e *Engine) Start() {
	e.loops.Go(e.takeUpLapsed)
	e.loops.Go(e.reconciler.run)
}

// AnswerWithin is how long a caller without a deadline can wait for an answer.
func (e *Engine) AnswerWithin() time.Duration {
	return e.window + permitLife + e.timeout + AnswerMargin
}

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
	answer, cancel := answerContext(ctx, e.AnswerWithin())
	defer cancel()
	kept, err := e.lookup(answer, request.Key)
	switch {
	case err == nil:
		return e.attach(answer, kept, request)
	case !errors.Is(err, ErrNotFound):
		return Bought{}, &JournalError{Err: err}
	}
	if err := e.mayStart(answer); err != nil {
		return Bought{}, err
	}
	if err := e.guard(answer, request.Order); err != nil {
		return Bought{}, err
	}
	if err := e.mayStart(answer); err != nil { // the guard's reads took time
		return Bought{}, err
	}
	return e.buyNew(answer, request)
}

// buyNew makes a purchase that the journal has not seen, unless another call makes it first.
func (e *Engine) buyNew(answer context.Context, request Request) (Bought, error) {
	id := newID(e.entropy)
	settlement := e.watchers.join(id)
	defer e.watchers.leave(id, settlement)
	claimed, err := e.start(answer, id, request)
	if err != nil {
		return Bought{}, err
	}
	if !claimed.ours {
		return e.attach(answer, claimed.purchase, request)
	}
	return e.await(answer, settlement, id, longestPoll, false)
}

// answerContext ends when the answer has to leave.
func answerContext(ctx context.Context, longest time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-AnswerMargin))
	}
	return context.WithTimeout(ctx, longest)
}

// lookup reads by key even for a caller in a hurry: the answer to a known id needs no time.
func (e *Engine) lookup(answer context.Context, key Key) (Purchase, error) {
	return bounded(context.WithoutCancel(answer), journalBudget, func(ctx context.Context) (Purchase, error) { return e.journal.Lookup(ctx, key) })
}

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

// mayStart refuses a new purchase that would have to be abandoned.
func (e *Engine) mayStart(answer context.Context) error {
	e.mu.Lock()
	draining := e.draining
	e.mu.Unlock()
	if draining {
		return ErrDraining
	}
	// A caller who is gone may be told of the same request id elsewhere, before a claim could be seen there.
	if deadline, _ := answer.Deadline(); time.Until(deadline) < LeastTime || answer.Err() != nil {
		return ErrDeadlineTooShort
	}
	return nil
}

// attach answers for a purchase that exists: it compares, and then waits or replays.
func (e *Engine) attach(answer context.Context, kept Purchase, request Request) (Bought, error) {
	secrets, err := e.secrets(context.WithoutCancel(answer), kept.ID)
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
	return e.await(answer, settlement, kept.ID, firstPoll, true)
}

// await waits until the purchase is settled or the answer has to leave.
func (e *Engine) await(answer context.Context, s *settlement, id string, pause time.Duration, replayed bool) (Bought, error) {
	wait, cancel := endingWith(answer, e.waits)
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
	secrets, err := e.secrets(context.WithoutCancel(answer), id)
	if err != nil {
		return Bought{}, &UnsettledError{ID: id}
	}
	return e.tell(p, secrets.Sale, replayed)
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

// newID makes the id of a purchase. Nobody can compute the next id from earlier ones. ulid.Make does not give that: its
// entropy is seeded with the time of the process's start.
func newID(entropy ulid.MonotonicReader) string {
	for {
		id, err := ulid.New(ulid.Now(), entropy)
		switch {
		case err == nil:
			return id.String()
		case !errors.Is(err, ulid.ErrMonotonicOverflow): // which begins anew
			panic(err)
		}
	}
}

func (c Config) random() io.Reader { return cmp.Or[io.Reader](c.Entropy, rand.Reader) }

// increasing makes ids of the same millisecond sort in the order they were made. Each adds up to 64 random bits to the one
// before.
func increasing(random io.Reader) ulid.MonotonicReader {
	return &ulid.LockedMonotonicReader{MonotonicReader: ulid.Monotonic(random, math.MaxUint64)}
}
