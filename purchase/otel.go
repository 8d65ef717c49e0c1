package purchase

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Instruments are the metrics of purchases. A nil *Instruments measures nothing.
type Instruments struct {
	events    metric.Int64Counter
	anomalies metric.Int64Counter
	openNow   metric.Int64Gauge
}

// NewInstruments returns the instruments of a meter.
func NewInstruments(meter metric.Meter) (*Instruments, error) {
	events, err1 := meter.Int64Counter("gigagate.purchase.events",
		metric.WithDescription("Events of purchases, by event, resulting state and reason."), metric.WithUnit("{event}"))
	anomalies, err2 := meter.Int64Counter("gigagate.purchase.anomalies",
		metric.WithDescription("Contradictions that a human must look at."), metric.WithUnit("{anomaly}"))
	openNow, err3 := meter.Int64Gauge("gigagate.purchase.open",
		metric.WithDescription("Purchases that are uncertain or need an operator, by state."), metric.WithUnit("{purchase}"))
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	return &Instruments{events: events, anomalies: anomalies, openNow: openNow}, nil
}

// event counts an event, and an anomaly if it is one.
func (i *Instruments) event(ctx context.Context, p Purchase, change Change, verdict Verdict) {
	if i == nil {
		return
	}
	i.events.Add(ctx, 1, metric.WithAttributes(
		attribute.String("event", string(change.Event)), attribute.String("state", string(p.State)),
		attribute.String("reason", string(p.Reason)), attribute.String("kind", string(p.Order.Kind))))
	if verdict == Contradicts || change.Anomaly {
		i.anomalies.Add(ctx, 1, metric.WithAttributes(attribute.String("event", string(change.Event))))
	}
}

// open records how many purchases are open in each state.
func (i *Instruments) open(ctx context.Context, open []Purchase) {
	if i == nil {
		return
	}
	counts := map[State]int64{Uncertain: 0, NeedsOperator: 0}
	for _, p := range open {
		counts[p.State]++
	}
	for state, count := range counts {
		i.openNow.Record(ctx, count, metric.WithAttributes(attribute.String("state", string(state))))
	}
}

// annotate adds the outcome of a send to the caller's span. Once the caller is answered, its span has ended and
// takes no more attributes. The span of the vendor call has the status in any case.
func annotate(ctx context.Context, change Change) {
	trace.SpanFromContext(ctx).SetAttributes(attribute.Int("gigagate.vendor.http_status", change.Evidence.HTTPStatus))
}
