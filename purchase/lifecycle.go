package purchase

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"gigagate.internal/gigastore"
	"gigagate.internal/internal/fairshare"
)

// Config is what an Engine is made from.
type Config struct {
	Journal Journal
	Vendor  *gigastore.Client
	Logger  *slog.Logger
	// SendWindow is how long after the claim a permit may be given.
	SendWindow time.Duration
	// Reconcile configures how uncertain purchases are settled.
	Reconcile ReconcileConfig
	// MaxPurchasePrice is the most that any purchase may cost the reseller. An order can set a lower limit. nil
	// means no limit.
	MaxPurchasePrice *Price
	// Instruments may be nil.
	Instruments *Instruments
	// Budgets returns the callers' budgets as they are now, for the metrics. nil means that no caller has one.
	Budgets func() []CallerBudget
	// TracerProvider is OpenTelemetry's. nil means that the engine makes no spans of its own.
	TracerProvider trace.TracerProvider
}

// Engine buys each key at most once, whatever happens.
type Engine struct {
	journal     Journal
	vendor      *gigastore.Client
	logger      *slog.Logger
	timeout     time.Duration
	window      time.Duration
	lease       time.Duration
	maxPrice    *Price // nil means no limit
	reconciler  *reconciler
	instruments *Instruments
	budgets     func() []CallerBudget
	figures     figures
	tracer      trace.Tracer
	entropy     ulid.MonotonicReader
	watchers    watchers
	inFlight    inFlight

	// life ends when the engine is closed. Work that continues after a drain stops then.
	life context.Context
	end  context.CancelFunc
	// waits ends when a drain is complete. This process will settle none of the purchases that are still open.
	waits    context.Context
	endWaits context.CancelFunc

	places *fairshare.Limit // for owners

	mu       sync.Mutex
	draining bool
	owners   sync.WaitGroup
	loops    sync.WaitGroup
}

// NewEngine returns an engine. It does nothing on its own before Start.
func NewEngine(config Config) *Engine {
	if config.TracerProvider == nil {
		config.TracerProvider = noop.NewTracerProvider()
	}
	life, end := context.WithCancel(context.Background())
	waits, endWaits := context.WithCancel(life)
	e := &Engine{
		journal: config.Journal, vendor: config.Vendor, logger: config.Logger,
		timeout: config.Vendor.Timeout(), window: config.SendWindow,
		lease:       config.SendWindow + permitLife + config.Vendor.Timeout() + leaseSlack,
		maxPrice:    config.MaxPurchasePrice,
		instruments: config.Instruments, budgets: config.Budgets, entropy: increasing(rand.Reader),
		figures:  figures{nudged: make(chan struct{}, 1)},
		tracer:   config.TracerProvider.Tracer("gigagate.internal/purchase"),
		watchers: watchers{waiting: map[string]*settlement{}},
		places:   fairshare.New(maxOwners),
		life:     life, end: end, waits: waits, endWaits: endWaits,
	}
	e.reconciler = newReconciler(e, config.Reconcile)
	return e
}

// Start takes over the purchases that an earlier process left. Until Close, it also settles uncertain purchases, and finds out
// when a vendor that is down answers again.
func (e *Engine) Start() {
	e.loops.Go(e.takeUpLapsed)
	e.loops.Go(e.reconciler.run)
	e.loops.Go(func() { e.vendor.WatchOutages(e.life) })
	if e.instruments != nil {
		e.instruments.engine.Store(e)
		e.loops.Go(e.reportFigures)
	}
}

// outliving returns a context with the values of ctx, and with the end of the engine's life in place of ctx's end.
func (e *Engine) outliving(ctx context.Context) context.Context { return detached{e.life, ctx} }

// detached takes its values from another context too. context.WithoutCancel with an end needs three times the memory.
type detached struct {
	context.Context
	values context.Context //nolint:containedctx // this is a context
}

// Value implements [context.Context]. The context's own values come first, because package context finds in them what
// ends the context.
func (d detached) Value(key any) any {
	if value := d.Context.Value(key); value != nil {
		return value
	}
	return d.values.Value(key)
}

// AnswerWithin is the longest that a caller without a deadline waits for an answer.
func (e *Engine) AnswerWithin() time.Duration {
	return e.window + permitLife + e.timeout + AnswerMargin
}

// Drain refuses new purchases. It waits until all purchases under way are recorded, or until ctx ends. Once all
// are recorded, calls that still wait get the state that is known, because this process will settle nothing
// more.
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

// Close stops all work of the engine and waits for it. It does not close the journal.
func (e *Engine) Close() {
	e.mu.Lock()
	e.draining = true
	e.mu.Unlock()
	e.end()
	e.owners.Wait()
	e.loops.Wait()
}
