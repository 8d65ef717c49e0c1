package server_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
	"gigagate.internal/purchase/memory"
	"gigagate.internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gateway is a whole gateway with both transports on real connections, and with the sandbox as its vendor.
type gateway struct {
	box    *sandbox.Sandbox
	server *server.Server
	vendor *gigastore.Client
	engine *purchase.Engine
	sends  *sends
	life   context.Context // ends with the test

	conn     *grpc.ClientConn
	restURL  string
	restAddr string
	restTLS  *tls.Config // of a client; nil if REST does not speak TLS
	client   *http.Client

	spans *spanStore
	logs  *logStore
}

// setup is what a test changes in the gateway.
type setup struct {
	settings func(*sandbox.Settings)
	// timeout of one vendor call, by default 10 s.
	timeout time.Duration
	// window is the send window, by default 1 s.
	window time.Duration
	// quiet is the quiet time of the reconciler and also its wait for a witness, by default 400 ms.
	quiet time.Duration
	// journal keeps the purchases, by default in memory.
	journal purchase.Journal
	now     func() time.Time
	// vendorNow is the vendor client's clock.
	vendorNow func() time.Time
	// restWriteTimeout is the write timeout of the HTTP server, by default none.
	restWriteTimeout func(*server.Server) time.Duration
	// access finds out who makes a call, by default nobody does.
	access server.Access
	// refusalPause is [server.Config.RefusalPause], by default almost nothing.
	refusalPause time.Duration
	// knownHost is [server.Config.KnownHost].
	knownHost func(host string) bool
	// restTLS makes REST speak TLS, with HTTP/1.1. Only connections that a test makes by itself reach it.
	restTLS bool
	// wrap is a middleware in front of the sandbox.
	wrap func(http.Handler) http.Handler
}

// newJournal makes a journal whose clock is a minute slow, so that tests need not wait. An absence counts only after the
// last moment at which a byte may have left. That is ten seconds after the claim on the journal's clock, and so already in
// the past on the gateway's clock.
func newJournal() *memory.Journal {
	return memory.Open(func() time.Time { return time.Now().Add(-time.Minute) })
}

func open(t *testing.T, s setup) *gateway {
	t.Helper()
	settings := sandbox.DefaultSettings()
	if s.settings != nil {
		s.settings(&settings)
	}
	s.timeout = cmp.Or(s.timeout, 10*time.Second)
	s.quiet = cmp.Or(s.quiet, 400*time.Millisecond)
	if s.now == nil {
		s.now = time.Now
	}
	if s.journal == nil {
		s.journal = newJournal()
	}
	g := &gateway{
		sends: newSends(), life: t.Context(),
		spans: &spanStore{InMemoryExporter: tracetest.NewInMemoryExporter(), changes: newChanges()},
		logs:  &logStore{changes: newChanges()},
	}
	var err error
	if g.box, err = sandbox.New(sandbox.Config{Seed: 1, Settings: settings}); err != nil {
		t.Fatal(err)
	}
	var vendor http.Handler = g.box
	if s.wrap != nil {
		vendor = s.wrap(vendor)
	}
	vendorServer := httptest.NewServer(g.sends.wrap(vendor))
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(g.spans))
	if g.vendor, err = gigastore.New(gigastore.Config{
		BaseURL: vendorServer.URL, ClientID: "test", ClientSecret: "test-secret", Timeout: s.timeout,
		TracerProvider: tracer, MeterProvider: noop.NewMeterProvider(), Propagator: propagation.TraceContext{},
		Now: s.vendorNow,
	}); err != nil {
		t.Fatal(err)
	}
	g.engine = purchase.NewEngine(purchase.Config{
		Journal: s.journal, Vendor: g.vendor, Logger: g.logs.logger(), TracerProvider: tracer,
		SendWindow: cmp.Or(s.window, time.Second),
		Reconcile:  purchase.ReconcileConfig{Quiet: s.quiet, Wait: s.quiet, GiveUp: time.Minute},
	})
	if g.server, err = server.New(server.Config{
		Vendor: g.vendor, Engine: g.engine, MetatagMax: 255, Logger: g.logs.logger(),
		TracerProvider: tracer, MeterProvider: noop.NewMeterProvider(), Propagator: propagation.TraceContext{},
		Now: s.now, Access: s.access, KnownHost: s.knownHost, RefusalPause: cmp.Or(s.refusalPause, time.Nanosecond),
	}); err != nil {
		t.Fatal(err)
	}
	g.engine.Start()
	g.server.SetServing()
	grpcAddr := g.serveGRPC(t)
	rest := httptest.NewUnstartedServer(g.server.REST())
	if s.restTLS {
		rest.Listener, g.restTLS = overTLS(rest.Listener)
	}
	rest.Listener, rest.Config.ConnContext = server.Framed(rest.Listener), server.WithConnection
	if s.restWriteTimeout != nil {
		rest.Config.WriteTimeout = s.restWriteTimeout(g.server)
	}
	rest.Start()
	g.restURL, g.restAddr = rest.URL, rest.Listener.Addr().String()
	g.client = &http.Client{
		Transport:     &http.Transport{DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if g.conn, err = grpc.NewClient(grpcAddr, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = g.box.Close() // ends every wait of a fault, and so every call that still waits for the vendor
		_ = g.conn.Close()
		g.client.CloseIdleConnections()
		rest.Close()
		g.server.GRPC().Stop()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer cancel()
		if err := g.server.Drain(ctx); err != nil {
			t.Error(err)
		}
		g.engine.Close()
		vendorServer.Close()
		if err := s.journal.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// overTLS makes a listener speak TLS, and returns the configuration of a client.
func overTLS(listener net.Listener) (net.Listener, *tls.Config) {
	certificates := httptest.NewUnstartedServer(nil)
	certificates.StartTLS()
	defer certificates.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(certificates.Certificate())
	return handshakes{tls.NewListener(listener, &tls.Config{Certificates: certificates.TLS.Certificates, MinVersion: tls.VersionTLS13})},
		&tls.Config{RootCAs: trusted, ServerName: "example.com", MinVersion: tls.VersionTLS13}
}

// handshakes is a listener whose connections have made their handshake.
type handshakes struct{ net.Listener }

// Accept implements [net.Listener].
func (l handshakes) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if secured, ok := conn.(*tls.Conn); ok {
		_ = secured.Handshake() // after a failure, the first read fails
	}
	return conn, err
}

func (g *gateway) serveGRPC(t *testing.T) (addr string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.server.GRPC().Serve(listener) }()
	t.Cleanup(func() {
		g.server.GRPC().Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) { // the test may end before Serve begins
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// sends counts the paid POSTs that reach the vendor, by their idempotency key. The key is a function of the request id,
// and it is in the header even if the body is lost.
type sends struct {
	*changes
	mu   sync.Mutex
	keys map[string]int
}

func newSends() *sends { return &sends{changes: newChanges(), keys: map[string]int{}} }

func (s *sends) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if key := r.Header.Get("Idempotency-Key"); key != "" {
			s.mu.Lock()
			s.keys[key]++
			s.mu.Unlock()
			s.happened()
		}
		next.ServeHTTP(w, r)
	})
}

// of is how often the purchase with a request id was sent.
func (s *sends) of(requestID string) int {
	key := sha256.Sum256([]byte("default\x00" + requestID))
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[hex.EncodeToString(key[:])]
}

// gate holds the POSTs whose path has a certain end before they reach the sandbox.
type gate struct {
	life    context.Context
	end     string
	entered chan struct{} // gets one value for each POST that arrived
	open    chan struct{}
}

func newGate(t *testing.T, end string) *gate {
	t.Helper()
	return &gate{life: t.Context(), end: end, entered: make(chan struct{}, 1000), open: make(chan struct{})}
}

func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, g.end) && r.Method == http.MethodPost {
			g.entered <- struct{}{}
			select {
			case <-g.open:
			case <-g.life.Done(): // the test has failed
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// inject arms a fault for the next call of path.
func (g *gateway) inject(t *testing.T, path, fault string, params map[string]any) {
	t.Helper()
	g.injectMany(t, path, fault, 1, params)
}

func (g *gateway) injectMany(t *testing.T, path, fault string, count int, params map[string]any) {
	t.Helper()
	if err := g.box.Inject(sandbox.Fault{Path: path, Fault: fault, Count: count, Params: params}); err != nil {
		t.Fatal(err)
	}
}

// calls is how many vendor calls have arrived so far, without calls for access tokens.
func (g *gateway) calls() int {
	n := 0
	for call, count := range g.box.Ledger().Calls {
		if call != "POST /reseller/authenticate" {
			n += count
		}
	}
	return n
}

// sameCalls compares the counts of calls of a ledger. It leaves out the calls that the gateway makes by itself.
func sameCalls(before, after map[string]int) bool {
	for call, count := range after {
		if before[call] != count && call != "POST /reseller/authenticate" && call != "GET /gigastore/activations/activated-items" {
			return false
		}
	}
	return true
}

// changes lets a test wait for events that happen after an answer or at the same time.
type changes struct {
	mu   sync.Mutex
	next chan struct{}
}

func newChanges() *changes { return &changes{next: make(chan struct{})} }

func (c *changes) happened() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.next)
	c.next = make(chan struct{})
}

// until waits until ok returns true. It calls ok again after every change.
func (c *changes) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for {
		c.mu.Lock()
		next := c.next
		c.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-next:
		case <-limit.C:
			t.Fatalf("it did not happen in time: %s", what)
		}
	}
}

// logStore keeps everything logged, at every level.
type logStore struct {
	*changes
	text lockedBuffer
}

func (l *logStore) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (l *logStore) Write(p []byte) (int, error) {
	defer l.happened()
	return l.text.Write(p)
}

func (l *logStore) String() string { return l.text.String() }

// line waits for a log line that contains all of parts.
func (l *logStore) line(t *testing.T, parts ...string) string {
	t.Helper()
	var found string
	l.until(t, "a log line with "+strings.Join(parts, " and "), func() bool {
		for line := range strings.Lines(l.String()) {
			if containsAll(line, parts) {
				found = line
			}
		}
		return found != ""
	})
	return found
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// spanStore keeps the spans that have ended. A server's span ends after its answer.
type spanStore struct {
	*tracetest.InMemoryExporter
	*changes
}

func (s *spanStore) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	defer s.happened()
	return s.InMemoryExporter.ExportSpans(ctx, spans)
}
