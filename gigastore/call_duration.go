package gigastore

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// What an answer says about its call, as the metric spells it.
const (
	classApplied = "applied"
	classRefused = "refused"
	classNone    = "no_effect"
	classUnknown = "unknown"
)

// callDuration measures calls by what their answers say. The duration of the HTTP requests does not show that: a 200 may say
// nothing about a sale.
type callDuration struct {
	histogram metric.Float64Histogram
	series    map[[2]string][]metric.RecordOption // by operation and classification
}

func newCallDuration(meter metric.Meter) (callDuration, error) {
	d := callDuration{series: map[[2]string][]metric.RecordOption{}}
	var err error
	d.histogram, err = meter.Float64Histogram("gigagate.vendor.call.duration",
		metric.WithDescription("How long each try of a call to the vendor takes with the whole answer, by operation and classification."), metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60))
	for operation := range routes {
		for _, class := range []string{classApplied, classRefused, classNone, classUnknown} {
			d.series[[2]string{operation, class}] = []metric.RecordOption{
				metric.WithAttributeSet(attribute.NewSet(AttrOperation.String(operation), attrClassification.String(class))),
			}
		}
	}
	return d, err
}

// record records a call. An answer without a duration is that of a call which was never made.
func (d callDuration) record(ctx context.Context, a answer, result classification) {
	if a.took > 0 {
		d.histogram.Record(ctx, a.took.Seconds(), d.series[[2]string{a.operation, result.name()}]...)
	}
}

func (c classification) name() string {
	switch {
	case c.applied:
		return classApplied
	case c.effect == EffectRefused:
		return classRefused
	case c.effect == EffectNone:
		return classNone
	default:
		return classUnknown
	}
}

// classify decides what effect a call had, and measures the call.
func (c *Client) classify(ctx context.Context, a answer) classification {
	result := c.classifier.classify(a)
	c.telemetry.calls.record(ctx, a, result)
	return result
}

// since is the time since began, and more than zero. A clock may be too coarse for a short call.
func since(began time.Time) time.Duration { return max(time.Since(began), 1) }
