package gigastore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// What is wrong until a person changes something. The words are values of the metric's attribute.
const (
	problemCredentials = "credentials" // the vendor refuses the client id or its secret
	problemToken       = "token"       // it gives tokens, and refuses calls that bear them
	problemCertificate = "certificate" // its TLS certificate is not accepted
	problemSecret      = "secret"      // the client secret cannot be read again; the one read before is used
)

var problemNames = []string{problemCredentials, problemToken, problemCertificate, problemSecret}

// repeatProblem is how often a problem that goes on is logged, and how often it is looked whether it is over.
const repeatProblem = time.Minute

// problems are those that stand. Each is in a metric, and in the log as soon as it is seen.
type problems struct {
	logger *slog.Logger
	gauge  metric.Int64Gauge

	mu       sync.Mutex
	standing map[string]string    // the cause
	logged   map[string]time.Time // the last warning
	warned   map[string]bool      // since the log last said that it was over
}

func newProblems(logger *slog.Logger, meters metric.MeterProvider) (*problems, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	if meters == nil {
		meters = otel.GetMeterProvider()
	}
	gauge, err := meters.Meter("gigagate.internal/gigastore").Int64Gauge("gigagate.vendor.problem",
		metric.WithDescription("1 while the credentials or the certificate are of no use, by problem."), metric.WithUnit("{problem}"))
	if err != nil {
		return nil, fmt.Errorf("gigastore: metrics: %w", err)
	}
	p := &problems{logger: logger, gauge: gauge, standing: map[string]string{}, logged: map[string]time.Time{}, warned: map[string]bool{}}
	for _, name := range problemNames {
		p.measure(context.Background(), name, 0)
	}
	return p, nil
}

func (p *problems) measure(ctx context.Context, name string, value int64) {
	p.gauge.Record(ctx, value, metric.WithAttributes(attribute.String("problem", name)))
}

// found notes a problem. A gateway with much to do meets it at every call, so that the log has it once a minute.
func (p *problems) found(ctx context.Context, name, cause string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.standing[name] = cause
	p.measure(ctx, name, 1)
	if last, ok := p.logged[name]; ok && time.Since(last) < repeatProblem {
		return
	}
	p.logged[name], p.warned[name] = time.Now(), true
	p.logger.WarnContext(ctx, "vendor problem", "problem", name, "cause", cause)
}

// over notes that a problem does not stand, or no longer.
func (p *problems) over(ctx context.Context, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.standing[name]; !ok {
		return
	}
	delete(p.standing, name)
	p.measure(ctx, name, 0)
	if p.warned[name] {
		p.warned[name] = false
		p.logger.InfoContext(ctx, "vendor problem over", "problem", name)
	}
}

// Problems are what is known to be wrong with the credentials or the vendor's certificate, each with its cause.
func (c *Client) Problems() []string {
	c.problems.mu.Lock()
	defer c.problems.mu.Unlock()
	var texts []string
	for _, name := range problemNames {
		if cause, ok := c.problems.standing[name]; ok {
			texts = append(texts, name+": "+cause)
		}
	}
	return texts
}

// Watch asks for a token, so that a problem is known before the first purchase meets it. It asks again every minute until
// there is one, and as long as a problem stands, so that its end is known too. It returns at ctx's end.
func (c *Client) Watch(ctx context.Context) {
	given := false
	for first := true; ; first = false {
		if !given || len(c.Problems()) > 0 {
			err := c.lookAgain(ctx)
			given = given || err == nil
			if first && err != nil && !IsLasting(err) && ctx.Err() == nil {
				c.problems.logger.WarnContext(ctx, "the vendor could not be asked about the credentials", "error", err.Error())
			}
		}
		select {
		case <-time.After(repeatProblem):
		case <-ctx.Done():
			return
		}
	}
}

// lookAgain makes the calls that show whether each problem still stands.
func (c *Client) lookAgain(ctx context.Context) error {
	if len(c.Problems()) > 0 {
		c.credentials.current(ctx)
	}
	if _, err := c.tokens.get(ctx); err != nil {
		return err
	}
	if len(c.Problems()) > 0 { // a token that is at hand needs no call, and proves nothing
		_, err := c.Inventory(ctx)
		return err
	}
	return nil
}

// The failures that another try does not change.
const (
	errCredentials      = phrase("the vendor refuses the client id or its secret")
	errCertificate      = phrase("could not connect: TLS certificate not accepted")
	errUnknownAuthority = phrase("could not connect: TLS certificate not accepted: no authority that is trusted here vouches for it")
	errOtherHost        = phrase("could not connect: TLS certificate not accepted: it is not for this host")
	errExpired          = phrase("could not connect: TLS certificate not accepted: it is not valid at this time")
)

var certificateFailures = []error{errCertificate, errUnknownAuthority, errOtherHost, errExpired}

func isCertificateFailure(err error) bool {
	return slices.ContainsFunc(certificateFailures, func(one error) bool { return errors.Is(err, one) })
}

// IsLasting reports whether a call failed for what another try does not change: the vendor refused the credentials, or
// its certificate is not accepted. It does not say what effect the call had; [Error.Effect] does.
func IsLasting(err error) bool { return errors.Is(err, errCredentials) || isCertificateFailure(err) }
