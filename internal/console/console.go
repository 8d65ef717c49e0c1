// Package console serves the web pages on which operators see what the gateway does and settle what it cannot.
//
// The console is a client of the gateway's own services. Each call is made by the operator who looks at the page, so rights,
// validation and audit records are those of every other call. The only other sources are the metrics and the health of this
// process.
//
// Start with [New]. Where things are:
//
//	console.go           the configuration, the routes and the headers of every answer
//	page.go              how a page is made, and how an open page moves by itself
//	identity.go          who looks at a page
//	session.go           the sessions of operators who signed in
//	issuer.go            how operators sign in at an issuer
//	now.go               the first page: what this process does now
//	series.go            its samples of the metrics
//	chart.go             its charts
//	purchases.go         the search
//	purchase.go          one purchase
//	timeline.go          the picture of its history
//	record.go            the vendor's record of its package, and its secrets
//	operator_pages.go    the pages on which an operator changes something
//	needs.go             what waits for an operator
//	questions.go         what the operator is asked
//	settle.go            the answers
//	money.go             budgets, freezes and the audit
//	sandbox.go           the sandbox, scenarios.go what breaks it, sandbox_control.go the calls to it
//	words.go             texts and numbers for a person
package console

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"embed"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
	"gigagate.internal/internal/fairshare"
)

// Root is the path under which everything of the console is.
const Root = "/console/"

const (
	// maxForm is the largest form in bytes.
	maxForm = 64 << 10
	// maxStreams is the most pages that move by themselves at a time.
	maxStreams = 100
	// maxRequests is the most requests at a time, without those of open pages.
	maxRequests = 100
	// callTime is how long a call to a service may take.
	callTime = 10 * time.Second
)

// AnswerWithin is the longest time that an answer can take. The answer of a page that moves by itself is not bounded.
const AnswerWithin = 3 * callTime

// Access finds out who an operator is.
type Access interface {
	// Identify returns the principal that the credentials name. After an error, nobody is identified.
	Identify(ctx context.Context, credentials access.Credentials) (*access.Principal, error)
}

// Metrics are the metrics of this process.
type Metrics interface {
	// Collect reads all metrics.
	Collect(ctx context.Context, into *metricdata.ResourceMetrics) error
}

// Config is what a Console is made of. Access, Trusted, SignIn and Sandbox may be nil.
type Config struct {
	// Services is a connection to the gateway's services. A call is made by the principal of its context.
	Services grpc.ClientConnInterface
	// Access finds out who an operator is. If it is nil, everybody who reaches the console may do everything.
	Access Access
	// Trusted returns the client's certificate of a connection if it is trusted now. If it is nil, no certificate
	// identifies an operator.
	Trusted func(tls.ConnectionState) *x509.Certificate
	// SignIn signs operators in at an issuer. It needs Access.
	SignIn *access.SignIn
	// URL is the address of the console in browsers, without a path. It is only for SignIn.
	URL string
	// Metrics are the metrics of this process.
	Metrics Metrics
	// Ready returns an error that says why the gateway accepts no new calls, or nil if it does.
	Ready func(context.Context) error
	// VendorProblems says what is wrong with the vendor.
	VendorProblems func() []string
	// Sandbox is the sandbox in this process. It is nil if there is none.
	Sandbox http.Handler
	// SandboxItem is the inventory item that the page of the sandbox buys.
	SandboxItem string
	// TraceURL is the address of a trace in a program that shows traces. "{trace_id}" stands for its id. It may be empty.
	TraceURL string
	// Version is the gateway's version.
	Version string
	// Logger gets what goes wrong.
	Logger *slog.Logger
	// Now is the clock of the pages.
	Now func() time.Time
}

// Console is the handler of the console.
type Console struct {
	config    Config
	purchases gigagatev1.PurchaseServiceClient
	customers gigagatev1.CustomerServiceClient
	budgets   gigagatev1.BudgetServiceClient
	freezes   gigagatev1.FreezeServiceClient
	audit     gigagatev1.AuditServiceClient
	inventory gigagatev1.InventoryServiceClient

	templates *template.Template
	mux       *http.ServeMux
	handler   http.Handler
	sessions  *sessions
	attempts  *attempts
	series    *series
	signIns   *fairshare.Limit
	requests  *fairshare.Limit
	streams   *fairshare.Limit
	ending    context.Context // ends with Close
	end       context.CancelFunc
}

//go:embed templates/*.html
var templates embed.FS

//go:embed static
var static embed.FS

// New makes a Console. Run takes its samples, and Close ends its open pages.
func New(config Config) (*Console, error) {
	c := &Console{
		config:    config,
		purchases: gigagatev1.NewPurchaseServiceClient(config.Services),
		customers: gigagatev1.NewCustomerServiceClient(config.Services),
		budgets:   gigagatev1.NewBudgetServiceClient(config.Services),
		freezes:   gigagatev1.NewFreezeServiceClient(config.Services),
		audit:     gigagatev1.NewAuditServiceClient(config.Services),
		inventory: gigagatev1.NewInventoryServiceClient(config.Services),
		mux:       http.NewServeMux(),
		sessions:  newSessions(config.Now),
		attempts:  newAttempts(),
		series:    newSeries(),
		signIns:   fairshare.New(maxSignIns),
		requests:  fairshare.New(maxRequests),
		streams:   fairshare.New(maxStreams),
	}
	c.ending, c.end = context.WithCancel(context.Background())
	var err error
	if c.templates, err = template.New("").Funcs(c.functions()).ParseFS(templates, "templates/*.html"); err != nil {
		return nil, err
	}
	files, err := fs.Sub(static, "static")
	if err != nil {
		return nil, err
	}
	c.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, Root, http.StatusSeeOther) })
	c.mux.Handle("GET "+Root+"static/", http.StripPrefix(Root+"static/", http.FileServerFS(files)))
	c.mux.HandleFunc("GET "+Root+"sign-in", c.showSignIn)
	c.mux.HandleFunc("POST "+Root+"sign-in", c.signIn)
	c.mux.HandleFunc("POST "+Root+"sign-out", c.signOut)
	if config.SignIn != nil {
		c.mux.HandleFunc("GET "+issuerPath, c.beginAtIssuer)
		c.mux.HandleFunc("GET "+CallbackPath, c.finishAtIssuer)
	}
	c.addPages()
	c.mux.HandleFunc(Root, c.notFound)
	c.handler = http.NewCrossOriginProtection().Handler(c.mux)
	return c, nil
}

// addPages adds all pages and what they change.
func (c *Console) addPages() {
	c.page("{$}", "now", c.nowPage)
	c.page("purchases", "purchases", c.purchasesPage)
	c.action("purchases", c.searchPurchases)
	c.page("purchases/{id}", "purchase", c.purchasePage)
	c.action("purchases/{id}/secrets", c.revealSecrets)
	c.addOperatorPages()
}

// Run takes samples of the metrics until ctx ends.
func (c *Console) Run(ctx context.Context) {
	ticker := time.NewTicker(samplePause)
	defer ticker.Stop()
	for {
		c.sample(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// Close ends the answers of pages that move by themselves. Otherwise a server would wait for them when it shuts down.
func (c *Console) Close() { c.end() }

// policy is the Content-Security-Policy. The pages load only their own files, and no other page can frame them.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// isEmbedded reports whether a page of another site asks for a page by itself, and not by a link. A browser sends a certificate
// with such a request. The site could not read the answer, but it could take all places of open pages, and each of these makes
// the gateway read.
func isEmbedded(r *http.Request) bool {
	site, mode := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Mode")
	return (site == "cross-site" || site == "same-site") && mode != "navigate"
}

// ServeHTTP implements [http.Handler].
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("Cache-Control", "no-store") // pages show what callers bought, and may show secrets
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	if isEmbedded(r) {
		http.Error(w, "a page of another site can only link to the console", http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	places := c.requests
	if isStream(r) {
		places = c.streams
	}
	client := fairshare.ClientOf(r.RemoteAddr)
	if !places.Take(client) {
		header.Set("Retry-After", "5")
		http.Error(w, "the console has too many requests or open pages", http.StatusTooManyRequests)
		return
	}
	defer places.Release(client)
	c.handler.ServeHTTP(w, r)
}
