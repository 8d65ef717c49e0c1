package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

// pollFiles is how often the gateway looks for a changed callers file.
const pollFiles = 5 * time.Second

// Config says where the callers file is.
type Config struct {
	File          string
	Logger        *slog.Logger         // nil: no log
	MeterProvider metric.MeterProvider // nil: the global one
	Transport     http.RoundTripper    // reaches issuers. nil: the network
}

// Live is the callers file of a running gateway. It reads the file again when it changes. If the new file is broken, the file
// before it stays in force.
type Live struct {
	config      Config
	instruments *instruments
	ctx         context.Context // ends with Close
	stop        context.CancelFunc
	running     sync.WaitGroup

	current atomic.Pointer[Directory]

	mu      sync.Mutex             // for a reload
	broken  string                 // the error of the newest file, empty if it is in force
	remotes map[string]*remoteKeys // by issuer
}

// Watch reads the callers file and watches it until Close. A broken file is an error here, because there is none before it.
func Watch(config Config) (*Live, error) {
	config.Logger = cmp.Or(config.Logger, slog.New(slog.DiscardHandler))
	if config.MeterProvider == nil {
		config.MeterProvider = otel.GetMeterProvider()
	}
	instruments, err := newInstruments(config.MeterProvider)
	if err != nil {
		return nil, fmt.Errorf("access: metrics: %w", err)
	}
	l := &Live{config: config, instruments: instruments}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.load(); err != nil {
		l.stop()
		return nil, err
	}
	l.running.Go(l.watch)
	return l, nil
}

// Close stops watching the file.
func (l *Live) Close() {
	l.stop()
	l.running.Wait()
}

// Heir returns the name of the caller that inherits DefaultCaller, or "" if there is none.
func (l *Live) Heir() string { return l.current.Load().heir }

// Budgeted returns the principals that have a budget, sorted by name.
func (l *Live) Budgeted() []*Principal { return l.current.Load().budgeted }

// Identify returns who makes the call. Its only error is ErrUnauthenticated. A JWT with a key that is not known yet waits until
// the issuer has answered, for a few seconds at most.
func (l *Live) Identify(ctx context.Context, c Credentials) (*Principal, error) {
	p, why := l.current.Load().identify(ctx, c, time.Now())
	if why != "" {
		l.instruments.refused(ctx, why)
		return nil, ErrUnauthenticated
	}
	return p, nil
}

// Reload reads the callers file now. If it is broken, Reload returns the error, and the file before it stays in force.
func (l *Live) Reload(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.load()
	l.instruments.problem(ctx, problemFile, err != nil)
	switch {
	case err == nil:
		l.broken = ""
		l.config.Logger.InfoContext(ctx, "callers file loaded", "principals", len(l.current.Load().entries))
	case err.Error() != l.broken:
		l.broken = err.Error()
		l.config.Logger.WarnContext(ctx, "the callers file cannot be used, the one before it stays in force", "error", err)
	}
	return err
}

// errHeir: the caller that inherits DefaultCaller is not the same as before. Repeated calls would miss their purchases and buy
// again.
var errHeir = errors.New("inherits_default: it cannot be given to another caller, or taken away, while the gateway runs")

// load reads the file and puts it in force. The lock is held.
func (l *Live) load() error {
	d, err := Load(l.config.File)
	if err != nil {
		return err
	}
	if before := l.current.Load(); before != nil && before.heir != d.heir {
		return errHeir
	}
	remotes := map[string]*remoteKeys{}
	for name, i := range d.issuers {
		if i.static != nil {
			continue
		}
		// The keys that were fetched before stay. Otherwise a reload would refuse all tokens while the issuer is down.
		if i.remote = l.remotes[name]; i.remote == nil {
			i.remote = &remoteKeys{issuer: name, client: newIssuerClient(l.config.Transport), ctx: l.ctx, running: &l.running, logger: l.config.Logger}
			i.remote.refreshIfOld()
		}
		remotes[name] = i.remote
	}
	l.remotes = remotes
	if before := l.current.Load(); before != nil {
		d.countOn(before, time.Now())
	}
	l.current.Store(d)
	return nil
}

// watch looks for changed files and old keys.
func (l *Live) watch() {
	ticker := time.NewTicker(pollFiles)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-l.ctx.Done():
			return
		}
		if l.mayHaveChanged() {
			_ = l.Reload(l.ctx) // it is logged
		}
		l.refreshKeys()
	}
}

// mayHaveChanged reports whether the files differ from those in force. A broken file is tried again every time.
func (l *Live) mayHaveChanged() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken != "" || slices.ContainsFunc(l.current.Load().files, fileRead.hasChanged)
}

// refreshKeys fetches the keys of issuers that are old.
func (l *Live) refreshKeys() {
	l.mu.Lock()
	defer l.mu.Unlock()
	failing := false
	for _, remote := range l.remotes {
		remote.refreshIfOld()
		failing = failing || remote.isFailing()
	}
	l.instruments.problem(l.ctx, problemIssuer, failing)
}
