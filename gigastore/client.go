package gigastore

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const (
	defaultTimeout   = 60 * time.Second
	defaultUserAgent = "gigagate"
)

// Config is what a [Client] needs. BaseURL, ClientID and ClientSecret are required.
type Config struct {
	BaseURL      string // scheme and host only; https, or http on loopback
	ClientID     string // from the API section of the portal (docs api-authentification)
	ClientSecret Secret // from the same place
	// FormerClientIDs are earlier client ids of the same account at the same BaseURL. They are never sent. See
	// [Client.Accounts].
	FormerClientIDs []string
	// ReadSecret reads the secret again before each request for a token. If it fails, the previous secret is used and
	// the error is logged, so the error must not hold a secret. nil: ClientSecret never changes.
	ReadSecret func() (Secret, error)
	Timeout    time.Duration // for one vendor call, with all its tries and the token it may need; 0: 60 s
	UserAgent  string        // "": gigagate
	Refusals   []RefusalRule // nil: AssumedRefusals()

	// ThrottledHasNoEffect makes a whole 429 on a paid call count as no effect. It is unknown whether the vendor turns
	// such a call away before it charges. Leave it off unless you have found out.
	ThrottledHasNoEffect bool

	Logger *slog.Logger // nil: nothing is logged

	// nil means OpenTelemetry's global ones.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	Propagator     propagation.TextMapPropagator

	// Dial opens the connections, for tests and in-memory networks. nil: net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	Now  func() time.Time // nil: time.Now
}

// Client calls Gigastore for one account. It is safe for concurrent use.
type Client struct {
	accounts    []string // the account's identifier for each of its client ids, the current one first
	userAgent   string
	timeout     time.Duration
	classifier  classifier
	now         func() time.Time
	problems    *problems
	breaker     *breaker
	credentials *credentials
	tokens      *tokenSource
	telemetry   *telemetry
	transport   *transport
	inventory   inventoryCache
}

// SettingError says which field of a [Config] is invalid, and why. It does not repeat the value, which may be secret.
type SettingError struct {
	Setting string // the field's name
	Problem string // completes a sentence that starts with the setting
}

func (e *SettingError) Error() string { return "gigastore: " + e.Setting + " " + e.Problem }

// New checks cfg and returns a Client. It opens no connection. If a field of cfg is invalid, the error is a
// [*SettingError].
func New(cfg Config) (*Client, error) { return newClient(cfg, nil) }

// newClient is New with the root certificates to trust. nil means the system's.
func newClient(cfg Config, roots *x509.CertPool) (*Client, error) {
	base, err := pinnedBase(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	switch {
	case !isClientID(cfg.ClientID):
		return nil, &SettingError{"ClientID", "must be visible ASCII text without a colon"}
	case !allClientIDs(cfg.FormerClientIDs):
		return nil, &SettingError{"FormerClientIDs", "must be visible ASCII texts without a colon"}
	case !isUsable(cfg.ClientSecret):
		return nil, &SettingError{"ClientSecret", "must be visible ASCII text"}
	case cfg.Timeout < 0:
		return nil, &SettingError{"Timeout", "must not be negative"}
	case strings.ContainsFunc(cfg.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }):
		return nil, &SettingError{"UserAgent", "must be printable ASCII text"}
	}
	if err := checkRefusals(cfg.Refusals); err != nil {
		return nil, &SettingError{"Refusals", "has a rule that is not valid: " + err.Error()}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = defaultUserAgent
	}
	if cfg.Refusals == nil {
		cfg.Refusals = AssumedRefusals()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}

	problems, err := newProblems(cfg.Logger, cfg.MeterProvider)
	if err != nil {
		return nil, err
	}
	telemetry, err := newTelemetry(base, cfg)
	if err != nil {
		return nil, err
	}
	c := &Client{
		accounts:    accountsOf(base.String(), cfg.ClientID, cfg.FormerClientIDs),
		userAgent:   cfg.UserAgent,
		timeout:     cfg.Timeout,
		classifier:  classifier{rules: cfg.Refusals, throttledHasNoEffect: cfg.ThrottledHasNoEffect},
		now:         cfg.Now,
		problems:    problems,
		breaker:     newBreaker(problems),
		credentials: &credentials{id: cfg.ClientID, secret: cfg.ClientSecret, read: cfg.ReadSecret, problems: problems},
		telemetry:   telemetry,
		transport:   newTransport(base, cfg.Dial, roots),
	}
	c.tokens = newTokenSource(cfg.Now, c.authenticate)
	return c, nil
}

// Account returns an identifier of the account whose credit is spent: the SHA-256 of base URL and client id, in hex.
func (c *Client) Account() string { return c.accounts[0] }

// Accounts returns the account's identifiers for all its client ids, current and former. The first one is
// [Client.Account].
func (c *Client) Accounts() []string { return slices.Clone(c.accounts) }

func accountsOf(base, clientID string, former []string) []string {
	var accounts []string
	for _, id := range append([]string{clientID}, former...) {
		sum := sha256.Sum256([]byte(base + "\n" + id))
		if account := hex.EncodeToString(sum[:]); !slices.Contains(accounts, account) {
			accounts = append(accounts, account)
		}
	}
	return accounts
}

// Timeout returns the limit for one vendor call with all its tries.
func (c *Client) Timeout() time.Duration { return c.timeout }

// pinnedBase returns scheme and host in lower case, without the scheme's default port. Its errors do not repeat the
// text, which could hold a password.
func pinnedBase(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return nil, &SettingError{"BaseURL", "is not an absolute URL"}
	}
	switch {
	case u.User != nil:
		return nil, &SettingError{"BaseURL", "must not hold a user or password"}
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, &SettingError{"BaseURL", "must be scheme and host only, without path, query or fragment"}
	case !isVisible(u.Host) || strings.Contains(u.Host, "%"):
		return nil, &SettingError{"BaseURL", "must name its host in ASCII, and without a zone"}
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return nil, &SettingError{"BaseURL", "must be https, or http on loopback"}
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return &url.URL{Scheme: u.Scheme, Host: host}, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func isClientID(s string) bool { return s != "" && !strings.Contains(s, ":") && isVisible(s) }

func allClientIDs(ids []string) bool {
	return !slices.ContainsFunc(ids, func(id string) bool { return !isClientID(id) })
}

func isVisible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// pathSegment matches a value that is safe in a path. It does not start with a dot, so it is neither "." nor "..".
// Apart from the space it has nothing that needs escaping, so no server can read it in two ways. Uids are UUIDs in
// practice. The names of regional country sets are unknown.
var pathSegment = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_. -]{0,63}$`)

func checkSegment(field, value string) error {
	if !pathSegment.MatchString(value) {
		return &inputError{field, "must be 1 to 64 of letters, digits, space, dot, - and _, and not start with a dot or space"}
	}
	return nil
}
