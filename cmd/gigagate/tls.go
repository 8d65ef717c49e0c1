package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"gigagate.internal/internal/access"
)

const (
	// tlsPoll is how often the gateway looks whether the files of TLS have changed.
	tlsPoll = 3 * time.Second
	// expiresSoon is how long before its end a certificate is reported, and reportAgain is how often.
	expiresSoon = 7 * 24 * time.Hour
	reportAgain = 24 * time.Hour
)

// tlsSettings are the flags of TLS. One configuration serves gRPC and REST.
type tlsSettings struct {
	TLSCert       string `name:"tls-cert" placeholder:"FILE" help:"The certificate of the gRPC and the REST port as PEM, followed by its intermediates. Both ports then speak only TLS."`
	TLSKey        string `name:"tls-key" placeholder:"FILE" help:"The private key of --tls-cert, as PEM."`
	TLSClientCA   string `name:"tls-client-ca" placeholder:"FILE" help:"The authorities of the callers' certificates, as PEM. A caller may show a certificate, and need not."`
	TLSMinVersion string `name:"tls-min-version" enum:"1.3,1.2" default:"1.3" help:"The oldest version of TLS to accept, 1.3 or 1.2 (default ${default})."`
	Insecure      bool   `help:"Listen beyond loopback without TLS. Everybody who can reach a port can then read and buy."`
}

func (s tlsSettings) check() error {
	switch {
	case (s.TLSCert == "") != (s.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key go together")
	case s.TLSClientCA != "" && s.TLSCert == "":
		return errors.New("--tls-client-ca needs --tls-cert and --tls-key")
	}
	return nil
}

// tlsFiles is TLS for callers. It reads its files again when they change. Connections that are open go on, and new ones use
// the new files.
type tlsFiles struct {
	settings tlsSettings
	now      func() time.Time
	logger   *slog.Logger
	expiry   metric.Int64Gauge
	problem  metric.Int64Gauge
	failures metric.Int64Counter
	current  atomic.Pointer[tlsContents]

	// Only watch uses the fields below.
	seen     [3]fileVersion // of the files as they were read last
	fault    string         // why the files cannot be used; empty if they can
	reported time.Time      // when the end of the certificate was reported
}

// tlsContents is what the files contain.
type tlsContents struct {
	certificate tls.Certificate
	expires     time.Time           // the end of the first certificate of the chain that ends
	callers     *access.Authorities // nil without --tls-client-ca
}

// fileVersion tells one version of a file from the next.
type fileVersion struct {
	modified time.Time
	size     int64
}

// newTLSFiles reads the files. It returns nil if the ports do not speak TLS.
func newTLSFiles(ctx context.Context, settings tlsSettings, now func() time.Time, logger *slog.Logger, meters metric.MeterProvider) (*tlsFiles, error) {
	if settings.TLSCert == "" {
		return nil, nil
	}
	meter := meters.Meter("gigagate.internal/cmd/gigagate")
	expiry, err1 := meter.Int64Gauge("gigagate.tls.certificate.expiry",
		metric.WithDescription("When the certificate of the callers' ports ends, in seconds since 1970."))
	problem, err2 := meter.Int64Gauge("gigagate.tls.problem",
		metric.WithDescription("1 while the files of TLS cannot be used and their previous contents apply, otherwise 0."))
	failures, err3 := meter.Int64Counter("gigagate.tls.handshake.failures",
		metric.WithDescription("TLS handshakes that failed, by port and cause."), metric.WithUnit("{handshake}"))
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	t := &tlsFiles{settings: settings, now: now, logger: logger, expiry: expiry, problem: problem, failures: failures}
	t.seen = t.versions()
	contents, err := t.read()
	if err != nil {
		return nil, err
	}
	t.use(ctx, contents)
	return t, nil
}

// read reads the files. The certificate must be valid now: a valid one must not be replaced by one that nobody accepts.
func (t *tlsFiles) read() (*tlsContents, error) {
	certificate, err := os.ReadFile(t.settings.TLSCert)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	key, err := os.ReadFile(t.settings.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-key: %w", err)
	}
	contents := &tlsContents{}
	if contents.certificate, err = tls.X509KeyPair(certificate, key); err != nil {
		return nil, fmt.Errorf("--tls-cert and --tls-key: %w", err)
	}
	leaf := contents.certificate.Leaf
	if now := t.now(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return nil, fmt.Errorf("--tls-cert: the certificate is valid from %s to %s, and not now",
			leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339))
	}
	contents.expires = leaf.NotAfter
	for _, der := range contents.certificate.Certificate[1:] {
		above, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert: %w", err)
		}
		if above.NotAfter.Before(contents.expires) {
			contents.expires = above.NotAfter
		}
	}
	if t.settings.TLSClientCA == "" {
		return contents, nil
	}
	authorities, err := os.ReadFile(t.settings.TLSClientCA)
	if err == nil {
		contents.callers, err = access.ParseAuthorities(authorities)
	}
	if err != nil {
		return nil, fmt.Errorf("--tls-client-ca: %w", err)
	}
	return contents, nil
}

// use makes new connections use contents.
func (t *tlsFiles) use(ctx context.Context, contents *tlsContents) {
	t.current.Store(contents)
	t.fault, t.reported = "", time.Time{}
	t.expiry.Record(ctx, contents.expires.Unix())
	t.problem.Record(ctx, 0)
	t.reportExpiry(ctx)
}

// reportExpiry warns once a day when the certificate ends soon.
func (t *tlsFiles) reportExpiry(ctx context.Context) {
	now, expires := t.now(), t.current.Load().expires
	if expires.Sub(now) > expiresSoon || now.Sub(t.reported) < reportAgain {
		return
	}
	t.reported = now
	t.logger.WarnContext(ctx, "the TLS certificate ends soon", "expires", expires)
}

// watch reads the files again when they have changed, and at every signal. It returns when ctx ends.
func (t *tlsFiles) watch(ctx context.Context, reload <-chan os.Signal) {
	poll := time.NewTicker(tlsPoll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-reload:
			t.reload(ctx)
		case <-poll.C:
			// After a fault, the files are read at every poll. They may have been half written.
			if t.fault != "" || t.versions() != t.seen {
				t.reload(ctx)
			}
			t.reportExpiry(ctx)
		}
	}
}

// reload reads the files again. If they cannot be used, it keeps what they contained before.
func (t *tlsFiles) reload(ctx context.Context) {
	t.seen = t.versions() // before the files are read, so that a later change is seen
	contents, err := t.read()
	if err == nil {
		t.use(ctx, contents)
		t.logger.InfoContext(ctx, "TLS files read again", "expires", contents.expires)
		return
	}
	t.problem.Record(ctx, 1)
	if t.fault != err.Error() {
		t.fault = err.Error()
		t.logger.WarnContext(ctx, "the TLS files cannot be used, the previous ones stay in use", "error", t.fault)
	}
}

// versions are the versions of the files. A file that cannot be read has the zero version.
func (t *tlsFiles) versions() (all [3]fileVersion) {
	for i, name := range []string{t.settings.TLSCert, t.settings.TLSKey, t.settings.TLSClientCA} {
		if info, err := os.Stat(name); err == nil {
			all[i] = fileVersion{info.ModTime(), info.Size()}
		}
	}
	return all
}

// config is the configuration of a port that speaks the given protocols. Each handshake uses what the files contain then.
func (t *tlsFiles) config(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, // of the configuration below
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := t.current.Load()
			config := &tls.Config{
				Certificates: []tls.Certificate{now.certificate},
				NextProtos:   protocols,
				MinVersion:   tls.VersionTLS13,
				Time:         t.now,
				// A resumed session would not check the client's certificate against the authorities of now.
				SessionTicketsDisabled: true,
			}
			if t.settings.TLSMinVersion == "1.2" {
				config.MinVersion = tls.VersionTLS12
			}
			if now.callers != nil {
				// A caller may also have a key or a token, so it need not have a certificate.
				config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, now.callers.Pool()
			}
			return config, nil
		},
	}
}

// Verified returns the client's certificate of a connection, as it is to be trusted now. See [access.Authorities.Verified].
func (t *tlsFiles) Verified(state tls.ConnectionState) *x509.Certificate {
	return t.current.Load().callers.Verified(state, t.now())
}
