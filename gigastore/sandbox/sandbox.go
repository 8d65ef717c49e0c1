package sandbox

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config is what a Sandbox is made from. The zero value works.
type Config struct {
	Seed     uint64           // the same seed and the same calls give the same ids, codes, ICCIDs and order
	Now      func() time.Time // the clock that Advance adds to; default time.Now
	Settings Settings         // the zero value means DefaultSettings()
	Logger   *slog.Logger     // one line per call at level debug, without personal data; default none
}

// Sandbox is a stand-in for the Gigastore service. It is an http.Handler for
// the vendor's API, and for a control API under /_sandbox/. Its methods are
// safe for concurrent use.
type Sandbox struct {
	config Config

	mu    sync.Mutex // guards world and closed
	world *world

	closed  bool
	closing chan struct{}  // closed by Close: ends every wait
	late    sync.WaitGroup // commits that outlive their call
}

// New makes a sandbox. The error names a setting that is invalid.
func New(config Config) (*Sandbox, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Settings == (Settings{}) {
		config.Settings = DefaultSettings()
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if err := config.Settings.validate(); err != nil {
		return nil, err
	}
	return &Sandbox{
		config:  config,
		world:   newWorld(config.Seed, config.Settings, config.Now),
		closing: make(chan struct{}),
	}, nil
}

// Close ends every wait for latency and faults. It drops the late commits and
// waits until they have stopped. Later calls are served without any wait. The
// error is always nil.
func (s *Sandbox) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.late.Wait()
	return nil
}

// Reset replaces the world with a fresh one: credit, customers, keys, faults
// and clock. If settings is nil, it uses those that New was given. Access
// tokens stay valid.
func (s *Sandbox) Reset(seed uint64, settings *Settings) error {
	if settings == nil {
		settings = &s.config.Settings
	}
	if err := settings.validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world = newWorld(seed, *settings, s.config.Now)
	return nil
}

// current returns the current world after enter. The caller unlocks it.
func (s *Sandbox) current() *world {
	s.mu.Lock()
	w := s.world
	s.mu.Unlock()
	w.enter()
	return w
}

// Ledger returns what truly happened.
func (s *Sandbox) Ledger() Ledger {
	w := s.current()
	defer w.mu.Unlock()
	return w.ledger()
}

// Settings returns the settings of the current world.
func (s *Sandbox) Settings() Settings {
	w := s.current()
	defer w.mu.Unlock()
	return w.settings
}

// Now returns the time on the sandbox's clock.
func (s *Sandbox) Now() time.Time {
	w := s.current()
	defer w.mu.Unlock()
	return w.now
}

// Advance moves the clock forward, at most 100 years in all. Packages whose
// deadline passes start at that deadline.
func (s *Sandbox) Advance(by time.Duration) error {
	w := s.current()
	err := w.move(by)
	w.mu.Unlock()
	return err
}

// Connect makes an eSIM connect to a network in a country (ISO 3166-1 alpha-2;
// "" means a country inside its coverage). It installs the profile. It starts
// the FIRST_USE package that the vendor's rules pick, if any.
func (s *Sandbox) Connect(iccid, country string) error {
	w := s.current()
	defer w.mu.Unlock()
	return w.connect(iccid, country)
}

// Use consumes data. id is the uid of a package or the ICCID of an eSIM. The
// packages of an eSIM are used in the vendor's order. If bytes is more than is
// left, all that is left is used.
func (s *Sandbox) Use(id string, bytes int64) error {
	if bytes <= 0 {
		return errors.New("bytes must be positive")
	}
	w := s.current()
	defer w.mu.Unlock()
	if w.profiles[id] != nil {
		return w.useProfile(id, bytes)
	}
	return w.useItem(id, bytes)
}

// call is one vendor call as its handler sees it.
type call struct {
	route          *route
	path           string
	values         map[string]string // the values of the path's variable segments
	query          url.Values
	body           []byte
	idempotencyKey string
	keyUnknown     bool // the key was unknown when the call arrived
	basicAuth      bool
	tamper         tamper
}

func (c *call) value(name string) string { return c.values[name] }

const (
	// maxBody is far above any request of the vendor's API.
	maxBody = 64 << 10
	// maxQuery limits the cost of parsing a query.
	maxQuery = 8 << 10
)

// ServeHTTP serves the vendor's API and, under /_sandbox/, the control API.
func (s *Sandbox) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, controlPrefix) {
		s.serveControl(rw, r)
		return
	}
	w := s.current()
	c, x, refused := w.admit(rw, r)
	w.mu.Unlock()
	if refused != nil {
		refused.write(rw)
		return
	}
	x.sandbox = s
	s.config.Logger.DebugContext(r.Context(), "gigastore sandbox call",
		"method", r.Method, "path", c.route.pattern, "fault", x.faultName())
	x.serve()
}

// admit finds the route, checks the token and takes the next armed fault. If
// the call is not admitted, it returns the refusal.
func (w *world) admit(rw http.ResponseWriter, r *http.Request) (*call, *exchange, *answer) {
	c := &call{path: r.URL.Path}
	found, values := routesAt(r.URL.EscapedPath())
	found = slices.DeleteFunc(found, func(at *route) bool { return at.exists != nil && !at.exists(&w.settings) })
	for _, at := range found {
		if at.method == r.Method {
			c.route, c.values = at, values
		}
	}
	if c.route == nil {
		refused := w.refuse(c, w.settings.Statuses.NotFound, SentenceNotFound)
		if methods := methodsOf(found); len(methods) > 0 {
			refused = w.refuse(c, http.StatusMethodNotAllowed, SentenceMethodNotAllowed)
			refused.header = map[string]string{"Allow": strings.Join(methods, ", ")}
		}
		return nil, nil, &refused
	}
	w.arrived(c.route)
	if !c.route.open && !w.authorized(r) {
		refused := w.refuse(c, w.settings.Statuses.Unauthorized, SentenceUnauthorized)
		return nil, nil, &refused
	}
	if len(r.URL.RawQuery) > maxQuery {
		refused := w.refuse(c, http.StatusRequestURITooLong, "The query is too long.")
		return nil, nil, &refused
	}
	c.query = r.URL.Query()
	c.idempotencyKey = r.Header.Get("Idempotency-Key")
	c.basicAuth = hasCredentials(r)
	return c, &exchange{world: w, call: c, rw: rw, r: r, armed: w.takeFault(r.URL.Path, c.route)}, nil
}

// execute runs a call's handler on the up-to-date world, as one atomic step.
func (w *world) execute(c *call) answer {
	w.enter()
	defer w.mu.Unlock()
	if c.route.paid {
		return w.once(c)
	}
	return c.route.handle(w, c)
}

// wait waits in real time. It returns false if the context or the sandbox ended
// first. A negative duration never ends by itself.
func (s *Sandbox) wait(ctx context.Context, d time.Duration) bool {
	var elapsed <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		elapsed = timer.C
	}
	select {
	case <-elapsed:
		return true
	case <-ctx.Done():
	case <-s.closing:
	}
	return false
}

// goLate runs a function that outlives its call. It returns false if the
// sandbox is closed.
func (s *Sandbox) goLate(run func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.late.Go(run)
	return true
}
