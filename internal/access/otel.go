package access

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Attributes of the metrics.
const (
	attrRefusal = attribute.Key("gigagate.refusal")
	attrProblem = attribute.Key("gigagate.problem")
)

// Problems that the gauge shows.
const (
	problemFile   = "callers_file" // the newest callers file is broken
	problemIssuer = "issuer"       // the keys of an issuer cannot be fetched
)

// instruments are the metrics of this package.
type instruments struct {
	refusals metric.Int64Counter
	problems metric.Int64Gauge
}

func newInstruments(meters metric.MeterProvider) (*instruments, error) {
	meter := meters.Meter("gigagate.internal/internal/access")
	counter, err1 := meter.Int64Counter("gigagate.access.refusals",
		metric.WithDescription("Calls with missing or wrong credentials, by reason."), metric.WithUnit("{call}"))
	gauge, err2 := meter.Int64Gauge("gigagate.access.problem",
		metric.WithDescription("1 while the callers file or the keys of an issuer are of no use, by problem."), metric.WithUnit("{problem}"))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	i := &instruments{counter, gauge}
	ctx := context.Background()
	for _, why := range refusals { // an alert sees no increase in a series that starts with its first event
		counter.Add(ctx, 0, metric.WithAttributes(attrRefusal.String(string(why))))
	}
	i.problem(ctx, problemFile, false)
	i.problem(ctx, problemIssuer, false)
	return i, nil
}

// refused counts a call.
func (i *instruments) refused(ctx context.Context, why refusal) {
	i.refusals.Add(ctx, 1, metric.WithAttributes(attrRefusal.String(string(why))))
}

// problem shows whether there is a problem.
func (i *instruments) problem(ctx context.Context, name string, standing bool) {
	value := int64(0)
	if standing {
		value = 1
	}
	i.problems.Record(ctx, value, metric.WithAttributes(attrProblem.String(name)))
}
