package groups

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// Instruments are the metrics of a journal that writes in groups. A nil *Instruments measures nothing.
type Instruments struct {
	size   metric.Int64Histogram
	commit metric.Float64Histogram
}

// NewInstruments returns the instruments of a journal. It returns nil if meters is nil. waiting returns how many writes wait
// in the journal's queue.
func NewInstruments(meters metric.MeterProvider, waiting func() int) (*Instruments, error) {
	if meters == nil {
		return nil, nil //nolint:nilnil // documented
	}
	meter := meters.Meter("gigagate.internal/purchase/journal")
	size, err1 := meter.Int64Histogram("gigagate.journal.group.size",
		metric.WithDescription("How many writes the journal puts into one transaction."), metric.WithUnit("{write}"),
		metric.WithExplicitBucketBoundaries(1, 2, 4, 8, 16, 32, 64, 128, 256, 512))
	commit, err2 := meter.Float64Histogram("gigagate.journal.commit.duration",
		metric.WithDescription("How long such a transaction takes until it is durable, or has failed."), metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
	_, err3 := meter.Int64ObservableGauge("gigagate.journal.queue",
		metric.WithDescription("Writes that wait for the journal."), metric.WithUnit("{write}"),
		metric.WithInt64Callback(func(_ context.Context, observer metric.Int64Observer) error {
			observer.Observe(int64(waiting()))
			return nil
		}))
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return &Instruments{size, commit}, nil
}

// Wrote records a transaction that began at began and has ended now.
func (i *Instruments) Wrote(writes int, began time.Time) {
	if i == nil {
		return
	}
	ctx := context.Background() // a group has the writes of many calls, so its trace would be that of none
	i.size.Record(ctx, int64(writes))
	i.commit.Record(ctx, time.Since(began).Seconds())
}
