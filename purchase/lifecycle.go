package purchase

import (
	"context"
	"io"
	"log/slog"
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
	// firstPause and longestPause bound the wait between tries of anything that is tried again.
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
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

// sleep waits, and reports false when ctx or the engine ends first.
func (e *Engine) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-e.life.Done():
		return false
	}
}
