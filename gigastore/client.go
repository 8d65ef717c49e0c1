package gigastore

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"log/slog"
	"net"
	"net/http"
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
	BaseURL      string // https, or http on loopback only; scheme and host, nothing else
	ClientID     string // of the portal's API section (docs api-authentification)
	ClientSecret Secret // likewise
	// FormerClientIDs are ids that the account of ClientID had before, at the same BaseURL. Nothing is sent with them.
	FormerClientIDs []string
	// ReadSecret reads the secret again, before each request for a token. Its error is logged, and must not hold a secret;
	// the secret read before is used then. nil: ClientSecret stays.
	ReadSecret func() (Secret, error)
	Timeout    time.Duration // one vendor call, whole, with every try and the token it may need; 0: 60 s
	UserAgent  string        // "": gigagate
	Refusals   []RefusalRule // nil: AssumedRefusals()

	// ThrottledHasNoEffect makes a whole 429 on a paid call count as no effect. Whether the vendor turns a call away
	// before any charge is unknown, so it is off unless someone has found out.
	ThrottledHasNoEffect bool

	Logger *slog.Logger // nil: nothing is logged

	// nil: OpenTelemetry's globals.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	Propagator     propagation.TextMapPropagator

	// Dial opens the connections, for tests and in-memory networks. nil: net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	Now  func() time.Time // nil: time.Now
}

// Client calls Gigastore for one account. It is safe for concurrent use.
type Client struct {
	base        string   // scheme and host, pinned
	accounts    []string // the account by each of its client ids, the present one first
	userAgent   string
	timeout     time.Duration
	classifier  classifier
	now         func() time.Time
	problems    *problems
	credentials *credentials
	tokens      *tokenSource
	tripper     http.RoundTripper // a transport, traced
}

// SettingError says which field of a [Config] is refused, and why. It does not repeat the value, which may be secret.
type SettingError struct {
	Setting string // the field's name
	Problem string // continues a sentence that begins with the setting
}

func (e *SettingError) Error() string { return "gigastore: " + e.Setting + " " + e.Problem }

// New checks cfg and returns a Client. It opens no connection. The error is a [SettingError].
func New(cfg Config) (*Client, error) { return newClient(cfg, nil) }

// newClient is New with the certificates to trust; nil: the system's.
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
	c := &Client{
		base:        base,
		accounts:    accountsOf(base, cfg.ClientID, cfg.FormerClientIDs),
		userAgent:   cfg.UserAgent,
		timeout:     cfg.Timeout,
		classifier:  classifier{rules: cfg.Refusals, throttledHasNoEffect: cfg.ThrottledHasNoEffect},
		now:         cfg.Now,
		problems:    problems,
		credentials: &credentials{id: cfg.ClientID, secret: cfg.ClientSecret, read: cfg.ReadSecret, problems: problems},
		tripper:     traced(newTransport(cfg.Dial, roots), cfg),
	}
	c.tokens = newTokenSource(cfg.Now, c.authenticate)
	return c, nil
}

// Account identifies the account that is spent from: the SHA-256 of base URL and client id, in hex.
func (c *Client) Account() string { return c.accounts[0] }

// Accounts is what Account is, and was with each of the former client ids. The present one is the first.
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

// Timeout is how long one vendor call may take, whole.
func (c *Client) Timeout() time.Duration { return c.timeout }

// pinnedBase returns scheme and host in lower case, without the scheme's own port. The errors do not repeat the text: it
// could hold a password.
func pinnedBase(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return "", &SettingError{"BaseURL", "is not an absolute URL"}
	}
	switch {
	case u.User != nil:
		return "", &SettingError{"BaseURL", "must not hold a user or password"}
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", &SettingError{"BaseURL", "must be scheme and host only, without path, query or fragment"}
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return "", &SettingError{"BaseURL", "must be https, or http on loopback"}
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host, nil
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

// A path segment starts with no dot, so that it is neither "." nor "..", and holds nothing that needs escaping but the
// space, so that no server reads it in two ways. Uids are UUIDs in practice; names of regional country sets are unknown.
var pathSegment = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_. -]{0,63}$`)

func checkSegment(field, value string) error {
	if !pathSegment.MatchString(value) {
		return &inputError{field, "must be 1 to 64 of letters, digits, space, dot, - and _, and not start with a dot or space"}
	}
	return nil
}
