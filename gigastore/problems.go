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
	"go.opentelemetry.io/otel/metric"
)

// Problems that last. All but the outage last until a person changes something. The words are values of the metric's attribute.
const (
	problemCredentials = "credentials" // the vendor refuses the client id or its secret
	problemToken       = "token"       // the vendor issues tokens, and refuses calls that carry them
	problemCertificate = "certificate" // the vendor's TLS certificate is not accepted
	problemSecret      = "secret"      // the client secret cannot be read again; the previous one is used
	problemOutage      = "outage"      // the vendor does not answer; see breaker
)

var problemNames = []string{problemCredentials, problemToken, problemCertificate, problemSecret, problemOutage}

// repeatProblem is how often a lasting problem is logged, and how often Watch checks whether it is over.
const repeatProblem = time.Minute

// problems holds the problems that exist now. A metric shows each of them, and the log shows it as soon as it is
// seen.
type problems struct {
	logger *slog.Logger
	gauge  metric.Int64Gauge

	mu       sync.Mutex
	standing map[string]string    // by problem; the cause
	logged   map[string]time.Time // by problem; when the log last had it
	warned   map[string]bool      // by problem; the log has had it, but not its end
}

func newProblems(logger *slog.Logger, meters metric.MeterProvider) (*problems, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	if meters == nil {
		meters = otel.GetMeterProvider()
	}
	gauge, err := meters.Meter("gigagate.internal/gigastore").Int64Gauge("gigagate.vendor.problem",
		metric.WithDescription("1 while the credentials or the certificate are of no use, or the vendor is down, by problem."), metric.WithUnit("{problem}"))
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
	p.gauge.Record(ctx, value, metric.WithAttributes(attrProblem.String(name)))
}

// found records a problem. A busy gateway meets it on every call, so the log has it at most once a minute.
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

// over records that a problem does not exist, or not any more.
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

// Problems returns what is known to be wrong with the credentials or the vendor's certificate, each with its cause.
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

// Watch asks for a token, so that a problem shows before the first purchase meets it. It asks again every minute
// until it gets one. While a problem lasts it keeps asking, so that the end shows too. It returns when ctx ends.
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

// lookAgain makes the calls that show whether each problem still exists.
func (c *Client) lookAgain(ctx context.Context) error {
	if len(c.Problems()) > 0 {
		c.credentials.current(ctx)
	}
	if _, err := c.tokens.get(ctx); err != nil {
		return err
	}
	if len(c.Problems()) > 0 { // a cached token needs no call, so it proves nothing
		_, err := c.Inventory(ctx)
		return err
	}
	return nil
}

// Failures that a retry cannot cure.
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

// IsLasting reports whether a call failed for a reason that a retry cannot cure: the vendor refused the credentials,
// or its certificate is not accepted. It does not say what effect the call had; see [Error.Effect].
func IsLasting(err error) bool { return errors.Is(err, errCredentials) || isCertificateFailure(err) }
