package simulation

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/propagation"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
	"gigagate.internal/purchase/simulation/network"
)

const (
	vendorTimeout = 60 * time.Second
	sendWindow    = 30 * time.Second
	quiet         = 120 * time.Second
	absenceWait   = 45 * time.Second
	giveUp        = 10 * time.Minute

	// Personal data that no log line and no history may show.
	canaryEmail = "canary@example.com"
	canaryIP    = "203.0.113.77"
)

// world is one running history: a vendor, a journal, the callers, and the replicas between them.
type world struct {
	began  time.Time
	plan   plan
	box    *sandbox.Sandbox
	apart  *sandbox.Sandbox // the other account's vendor, with accountsApart
	net    *network.Network
	server *http.Server
	// vendorURL is where replicas reach the vendor.
	vendorURL string
	store     store
	logs      safeBuffer
	// unreadable makes the journal's lists leave out an order that a later version wrote.
	unreadable atomic.Bool
	callers    sync.WaitGroup // the planned callers
	running    sync.WaitGroup // everything else that must end
	over       chan struct{}  // closed at the end, when no process may start again

	// intercept, if set, may answer a request instead of the vendor.
	intercept atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	// dials is how every dial ends for which no fault is planned, a [network.DialFault].
	dials atomic.Uint32

	mu       sync.Mutex
	faulty   bool           // whether planned faults play
	visits   map[string]int // how often each step was visited while faulty
	played   map[string]int // how often each fault was played
	replicas []*replica
	sends    map[string][]time.Time // when paid requests were put on the wire, by idempotency key
	reused   int                    // paid requests on a connection that had carried another
	answers  []answer
	moments  moment
	claims   map[string]claimSpan // by purchase id
	frozen   []frozenSpan
	trace    []traced
}

// traced is one line of a history.
type traced struct {
	at     time.Time
	who    string
	format string
	args   []any // never changed after the line was added
}

// newWorld starts the vendor and the replicas. It runs inside a bubble.
func newWorld(t *testing.T, p plan, open func(*testing.T, func() time.Time) store) *world {
	t.Helper()
	box, err := sandbox.New(sandbox.Config{Seed: p.seed, Settings: p.settings})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{began: time.Now(), plan: p, box: box, net: network.New(), over: make(chan struct{}), visits: map[string]int{}, played: map[string]int{}, claims: map[string]claimSpan{}, sends: map[string][]time.Time{}}
	if w.apart = box; p.accountsApart {
		if w.apart, err = sandbox.New(sandbox.Config{Seed: p.seed + 1, Settings: p.settings}); err != nil {
			t.Fatal(err)
		}
	}
	w.server = &http.Server{
		Handler: http.HandlerFunc(w.serve), ReadHeaderTimeout: time.Hour,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	listener, scheme := w.net.Listener(), "http"
	if p.tls {
		known, _ := certified()
		listener, scheme = tls.NewListener(listener, serverTLS(known)), "https"
	}
	w.vendorURL = scheme + "://127.0.0.1"
	w.running.Go(func() { _ = w.server.Serve(listener) })
	w.store = open(t, w.journalNow)
	for i := range max(1, p.replicas) {
		account := mainAccount
		if i == 1 && p.otherAccountBeside {
			account = otherAccount
		}
		r, err := newReplica(w, fmt.Sprintf("r%d", i+1), account)
		if err != nil {
			w.close() // otherwise the bubble reports what still runs and hides this error
			t.Fatalf("replica %d: %v", i+1, err)
		}
		w.replicas = append(w.replicas, r)
	}
	return w
}

// interceptWith may be called while requests come in.
func (w *world) interceptWith(intercept func(http.ResponseWriter, *http.Request) bool) {
	w.intercept.Store(&intercept)
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	if intercept := w.intercept.Load(); intercept != nil && (*intercept)(rw, r) {
		return
	}
	if r.UserAgent() == otherAccount {
		w.apart.ServeHTTP(rw, r)
		return
	}
	w.box.ServeHTTP(rw, r)
}

// journalNow is the journal's clock. It differs from the replicas' clocks as planned.
func (w *world) journalNow() time.Time {
	now := time.Now()
	for _, jump := range w.plan.jumps {
		if now.Sub(w.began) >= jump.at {
			now = now.Add(jump.by)
		}
	}
	return now
}

// close ends everything and waits for it.
func (w *world) close() {
	w.mu.Lock()
	close(w.over) // no replica is added from here on
	w.mu.Unlock()
	for _, r := range w.live() {
		r.sweep()
	}
	_, _ = w.box.Close(), w.apart.Close()
	_ = w.server.Close()
	_ = w.net.Listener().Close()
	w.running.Wait()
	w.store.close()
	// A read that callers share may outlive them, at most by the time of a vendor call.
	pause(w.span(2 * vendorTimeout))
}

func (w *world) live() []*replica {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.replicas), (*replica).isDead)
}

// replica is the i-th replica, in its current process.
func (w *world) replica(i int) *replica {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.replicas[i%len(w.replicas)]
}

func (w *world) note(who, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, traced{time.Now(), who, format, args})
}

// visit counts a visit of a step, and returns the fault planned for this visit.
func (w *world) visit(who, step string) (fault, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.faulty {
		return fault{}, false
	}
	w.visits[step]++
	for _, f := range w.plan.faults {
		if f.step == step && f.nth == w.visits[step] {
			w.trace = append(w.trace, traced{time.Now(), who, "FAULT %s", []any{f}})
			w.played[f.what()]++
			return f, true
		}
	}
	return fault{}, false
}

// unvisit takes back a visit at which the planned fault cannot play. It plays at the next visit.
func (w *world) unvisit(f fault) {
	w.note("", "the fault cannot play here")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.visits[f.step]--
	w.played[f.what()]--
}

// setFaulty lets the planned faults play, or ends them all.
func (w *world) setFaulty(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faulty = yes
}

// pause waits for d in the world's time.
func pause(d time.Duration) { <-time.After(d) }

// span is how long a planned time takes in this world.
func (w *world) span(d time.Duration) time.Duration { return d / time.Duration(max(1, w.plan.pace)) }

const (
	mainAccount  = "client-1"
	otherAccount = "client-2"
)

// replica is one process of the gateway, on its own machine.
type replica struct {
	world   *world
	name    string
	account string
	host    *network.Host
	client  *gigastore.Client
	engine  *purchase.Engine
	way     way

	life  context.Context //nolint:containedctx // a process has a life
	end   context.CancelFunc
	dying atomic.Bool

	mu        sync.Mutex
	gate      chan struct{} // closed when a stopped process goes on; nil while it runs
	outage    time.Time     // the journal cannot be reached until then
	handshake string        // the TLS fault of the next dial
	// readOnly is until when the journal refuses writes.
	readOnly time.Time
	// behind is how far the machine's clocks are behind the world's, because they stood still during a pause.
	behind atomic.Int64
}

func newReplica(w *world, name, account string) (*replica, error) {
	opened, err := w.store.open()
	if err != nil {
		return nil, err
	}
	r := &replica{world: w, name: name, account: account, way: opened}
	r.life, r.end = context.WithCancel(context.Background())
	r.host = &network.Host{Network: w.net, OnDial: r.onDial, OnRequest: r.onRequest, OnAnswer: r.onAnswer}
	var former []string
	if w.plan.formerSaid {
		former = []string{mainAccount, otherAccount}
	}
	client, err := gigastore.New(gigastore.Config{
		BaseURL: w.vendorURL, ClientID: account, FormerClientIDs: former, UserAgent: account, ClientSecret: "secret", Timeout: w.span(vendorTimeout), Dial: r.dial,
		TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: metricnoop.NewMeterProvider(),
		Propagator:           propagation.NewCompositeTextMapPropagator(),
		ThrottledHasNoEffect: w.plan.throttledHasNoEffect,
		Logger:               slog.New(slog.NewTextHandler(&w.logs, nil)),
		Now:                  func() time.Time { return time.Now().Add(-time.Duration(r.behind.Load())) },
	})
	if err != nil {
		panic(err) // the configuration above is wrong
	}
	r.client = client
	r.engine = purchase.NewEngine(purchase.Config{
		Journal: &journal{Journal: r.way, replica: r}, Vendor: client, Logger: slog.New(slog.NewTextHandler(&w.logs, nil)),
		SendWindow: w.span(sendWindow), MaxPurchasePrice: w.plan.maxPurchasePrice,
		Reconcile: purchase.ReconcileConfig{Quiet: w.span(quiet), Wait: w.span(absenceWait), GiveUp: w.span(giveUp)},
	})
	r.engine.Start()
	return r, nil
}

func (r *replica) isDead() bool { return r.life.Err() != nil }

// kill ends the process at once. Nothing that it does afterwards has an effect. Its goroutines are ended in
// the background, and after a while the process starts again.
func (r *replica) kill(restart time.Duration) {
	w := r.world
	if !r.dying.CompareAndSwap(false, true) {
		return
	}
	w.note(r.name, "killed, restarts in %s", restart)
	r.end()
	r.wake()
	r.host.Kill()
	r.way.cut()
	w.running.Go(r.sweep)
	w.running.Go(func() {
		select {
		case <-time.After(restart):
			w.restart(r)
		case <-w.over:
		}
	})
}

// sweep ends what still runs of a dead process, and waits for it.
func (r *replica) sweep() {
	r.engine.Close()
	r.way.close()
}

// restart replaces a dead process with a new one.
func (w *world) restart(r *replica) {
	account := r.account
	if w.plan.otherAccountAfterRestart {
		account = otherAccount
	}
	next, err := newReplica(w, r.name+"'", account)
	if err != nil {
		w.note(r.name, "the journal cannot be opened again: %v", err)
		return
	}
	w.note(next.name, "started, account %s", account)
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.over: // the world ended during the restart
		next.end()
		w.running.Go(next.sweep)
	default:
		w.replicas[slices.Index(w.replicas, r)] = next
	}
}

// stop pauses the process for a while, as SIGSTOP does.
func (r *replica) stop(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gate == nil && !r.isDead() {
		r.gate = make(chan struct{})
		time.AfterFunc(d, r.wake)
	}
}

func (r *replica) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gate != nil {
		close(r.gate)
		r.gate = nil
	}
}

// stand waits while the process is stopped.
func (r *replica) stand() {
	r.mu.Lock()
	gate := r.gate
	r.mu.Unlock()
	if gate != nil {
		<-gate
	}
}

// safeBuffer is a buffer for many writers.
type safeBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

var _ io.Writer = (*safeBuffer)(nil)

// Write implements [io.Writer].
func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// story prints the whole history for a reader.
func (w *world) story() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var text strings.Builder
	fmt.Fprintf(&text, "plan: %s\n", w.plan)
	for _, line := range w.trace {
		fmt.Fprintf(&text, "%+9.3fs %-5s %s\n", line.at.Sub(w.began).Seconds(), line.who, fmt.Sprintf(line.format, line.args...))
	}
	return text.String()
}
