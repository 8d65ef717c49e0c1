package purchase

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"gigagate.internal/gigastore"
)

// Attributes of metrics and spans.
const (
	AttrKind   = attribute.Key("gigagate.purchase.kind")
	attrEvent  = attribute.Key("gigagate.purchase.event")
	attrState  = attribute.Key("gigagate.purchase.state")
	attrReason = attribute.Key("gigagate.purchase.reason")
)

// Instruments are the metrics of purchases. A nil *Instruments measures nothing.
type Instruments struct {
	events    metric.Int64Counter
	anomalies metric.Int64Counter
	openNow   metric.Int64Gauge
}

// NewInstruments returns the instruments of a meter. Counters that alerts watch start at zero.
func NewInstruments(meter metric.Meter) (*Instruments, error) {
	events, err1 := meter.Int64Counter("gigagate.purchase.events",
		metric.WithDescription("Events of purchases, by event, resulting state and reason."), metric.WithUnit("{event}"))
	anomalies, err2 := meter.Int64Counter("gigagate.purchase.anomalies",
		metric.WithDescription("Contradictions that a human must look at, by event."), metric.WithUnit("{anomaly}"))
	openNow, err3 := meter.Int64Gauge("gigagate.purchase.open",
		metric.WithDescription("Purchases of this account in the whole journal that are uncertain or need an operator, by state. "+
			"Every replica reports the same purchases: take the highest value of all replicas, not the sum."), metric.WithUnit("{purchase}"))
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	i := &Instruments{events: events, anomalies: anomalies, openNow: openNow}
	i.startAtZero(context.Background())
	return i, nil
}

// startAtZero adds the series that alerts watch, because Prometheus sees no increase in a series that starts with its
// first event. These are all anomalies, but only some events: there are too many combinations of event, state, reason
// and kind.
func (i *Instruments) startAtZero(ctx context.Context) {
	for _, kind := range []Kind{Register, TopUp, TopUpWithProfile} {
		i.countEvent(ctx, 0, AnsweredRefused, Failed, Reason(gigastore.ReasonInsufficientCredit), kind)
		i.countEvent(ctx, 0, AnsweredUnknown, Uncertain, "", kind)
		i.countEvent(ctx, 0, Lost, Uncertain, "", kind)
	}
	for _, event := range Events() {
		i.countAnomaly(ctx, 0, event)
	}
}

// event counts an event, and an anomaly if it is one.
func (i *Instruments) event(ctx context.Context, p *Purchase, transition *Transition, verdict Verdict) {
	if i == nil {
		return
	}
	i.countEvent(ctx, 1, transition.Event, p.State, p.Reason, p.Order.Kind)
	if transition.isAnomaly(verdict) {
		i.countAnomaly(ctx, 1, transition.Event)
	}
}

func (i *Instruments) countEvent(ctx context.Context, n int64, event Event, state State, reason Reason, kind Kind) {
	i.events.Add(ctx, n, metric.WithAttributes(attrEvent.String(string(event)), attrState.String(string(state)),
		attrReason.String(string(reason)), AttrKind.String(string(kind))))
}

func (i *Instruments) countAnomaly(ctx context.Context, n int64, event Event) {
	i.anomalies.Add(ctx, n, metric.WithAttributes(attrEvent.String(string(event))))
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
		i.openNow.Record(ctx, count, metric.WithAttributes(attrState.String(string(state))))
	}
}

// annotate adds the outcome of a send to the caller's span. Once the caller is answered, its span has ended and
// takes no more attributes. The span of the vendor call has the status in any case.
func annotate(ctx context.Context, transition *Transition) {
	trace.SpanFromContext(ctx).SetAttributes(gigastore.AttrStatusCode.Int(transition.Evidence.HTTPStatus))
}
