package purchase

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"gigagate.internal/gigastore"
	"gigagate.internal/internal/series"
)

// Attributes of metrics and spans.
const (
	AttrKind         = attribute.Key("gigagate.purchase.kind")
	attrEvent        = attribute.Key("gigagate.purchase.event")
	attrState        = attribute.Key("gigagate.purchase.state")
	attrReason       = attribute.Key("gigagate.purchase.reason")
	attrMode         = attribute.Key("gigagate.purchase.mode")
	attrCaller       = attribute.Key("gigagate.caller")
	attrItem         = attribute.Key("gigagate.item")
	attrCurrency     = attribute.Key("gigagate.currency")
	attrBudgetPeriod = attribute.Key("gigagate.budget.period")
)

// settleBuckets are the buckets of the time to settle, in seconds. An answer of the vendor settles a purchase within the
// first of them. The reconciler and an operator need the others.
var settleBuckets = []float64{
	0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600,
}

// Instruments are the metrics of purchases. A nil *Instruments measures nothing.
type Instruments struct {
	events    metric.Int64Counter
	anomalies metric.Int64Counter
	settled   metric.Int64Counter
	settleIn  metric.Float64Histogram
	replays   metric.Int64Counter
	attached  metric.Int64UpDownCounter
	lastScan  metric.Float64Gauge
	spent     metric.Float64Counter

	ofEvents    *series.Cache[eventSeries]
	ofAnomalies *series.Cache[Event]
	ofSettled   *series.Cache[settledSeries]
	ofSettleIn  *series.Cache[settleSeries]
	ofReplays   *series.Cache[string]
	ofSpent     *series.Cache[spentSeries]

	engine atomic.Pointer[Engine] // what the gauges are about; nil before there is one
}

// The keys of series with several attributes.
type (
	eventSeries struct {
		event  Event
		state  State
		reason Reason
		kind   Kind
	}
	settledSeries struct {
		state  State
		reason Reason
		kind   Kind
		mode   gigastore.ActivationMode
		caller string
	}
	settleSeries struct {
		kind  Kind
		state State
	}
	spentSeries struct{ caller, item, currency string }
)

// NewInstruments returns the instruments of a meter. Counters that alerts watch start at zero.
func NewInstruments(meter metric.Meter) (*Instruments, error) {
	i := &Instruments{
		ofEvents: series.New(func(k eventSeries) []attribute.KeyValue {
			return []attribute.KeyValue{
				attrEvent.String(string(k.event)), attrState.String(string(k.state)), attrReason.String(string(k.reason)), AttrKind.String(string(k.kind)),
			}
		}),
		ofAnomalies: series.New(func(event Event) []attribute.KeyValue {
			return []attribute.KeyValue{attrEvent.String(string(event))}
		}),
		ofSettled: series.New(func(k settledSeries) []attribute.KeyValue {
			return []attribute.KeyValue{
				attrState.String(string(k.state)), attrReason.String(string(k.reason)), AttrKind.String(string(k.kind)),
				attrMode.String(string(k.mode)), attrCaller.String(k.caller),
			}
		}),
		ofSettleIn: series.New(func(k settleSeries) []attribute.KeyValue {
			return []attribute.KeyValue{AttrKind.String(string(k.kind)), attrState.String(string(k.state))}
		}),
		ofReplays: series.New(func(caller string) []attribute.KeyValue {
			return []attribute.KeyValue{attrCaller.String(caller)}
		}),
		ofSpent: series.New(func(k spentSeries) []attribute.KeyValue {
			return []attribute.KeyValue{attrCaller.String(k.caller), attrItem.String(k.item), attrCurrency.String(k.currency)}
		}),
	}
	if err := errors.Join(i.makeCounters(meter), i.makeGauges(meter)); err != nil {
		return nil, err
	}
	i.startAtZero(context.Background())
	return i, nil
}

func (i *Instruments) makeCounters(meter metric.Meter) error {
	var errs [8]error
	i.events, errs[0] = meter.Int64Counter("gigagate.purchase.events",
		metric.WithDescription("Events of purchases, by event, resulting state and reason."), metric.WithUnit("{event}"))
	i.anomalies, errs[1] = meter.Int64Counter("gigagate.purchase.anomalies",
		metric.WithDescription("Contradictions that a human must look at, by event."), metric.WithUnit("{anomaly}"))
	i.settled, errs[2] = meter.Int64Counter("gigagate.purchase.settled",
		metric.WithDescription("Purchases that were settled, by state, reason, kind, activation mode and caller."), metric.WithUnit("{purchase}"))
	i.settleIn, errs[3] = meter.Float64Histogram("gigagate.purchase.settle.duration",
		metric.WithDescription("The time from the claim of a purchase to its settlement, by kind and state."), metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(settleBuckets...))
	i.replays, errs[4] = meter.Int64Counter("gigagate.purchase.replays",
		metric.WithDescription("Calls that were answered with the outcome of a purchase which another call made, by caller."), metric.WithUnit("{call}"))
	i.attached, errs[5] = meter.Int64UpDownCounter("gigagate.purchase.attached",
		metric.WithDescription("Calls that wait for a purchase which another call started."), metric.WithUnit("{call}"))
	i.spent, errs[6] = meter.Float64Counter("gigagate.spent",
		metric.WithDescription("What sales cost the reseller, by caller, inventory item and currency."), metric.WithUnit("{currency_unit}"))
	i.lastScan, errs[7] = meter.Float64Gauge("gigagate.reconciler.last_scan",
		metric.WithDescription("When the last complete read of the vendor's list began, in seconds since 1970. At first, when the process started."),
		metric.WithUnit("s"))
	return errors.Join(errs[:]...)
}

// startAtZero adds the series that alerts watch, because Prometheus sees no increase in a series that starts with its
// first event. These are all anomalies, but only some events: there are too many combinations of event, state, reason
// and kind.
func (i *Instruments) startAtZero(ctx context.Context) {
	for _, kind := range []Kind{Register, TopUp, TopUpWithProfile} {
		i.events.Add(ctx, 0, i.ofEvents.Of(eventSeries{AnsweredRefused, Failed, Reason(gigastore.ReasonInsufficientCredit), kind}).Add...)
		i.events.Add(ctx, 0, i.ofEvents.Of(eventSeries{AnsweredUnknown, Uncertain, "", kind}).Add...)
		i.events.Add(ctx, 0, i.ofEvents.Of(eventSeries{Lost, Uncertain, "", kind}).Add...)
	}
	for _, event := range Events() {
		i.anomalies.Add(ctx, 0, i.ofAnomalies.Of(event).Add...)
	}
	i.attached.Add(ctx, 0)
}

// event counts an event, and what it means for the purchase.
func (i *Instruments) event(ctx context.Context, p *Purchase, transition *Transition, verdict Verdict) {
	if i == nil {
		return
	}
	i.events.Add(ctx, 1, i.ofEvents.Of(eventSeries{transition.Event, p.State, p.Reason, p.Order.Kind}).Add...)
	if transition.isAnomaly(verdict) {
		i.anomalies.Add(ctx, 1, i.ofAnomalies.Of(transition.Event).Add...)
	}
	if verdict == Moves && p.State.Settled() {
		i.settled.Add(ctx, 1, i.ofSettled.Of(settledSeries{p.State, p.Reason, p.Order.Kind, p.Order.EffectiveMode(), p.Key.Caller}).Add...)
		i.settleIn.Record(ctx, max(p.SettledAt.Sub(p.ClaimedAt), 0).Seconds(), i.ofSettleIn.Of(settleSeries{p.Order.Kind, p.State}).Record...)
	}
	// A package that is found after the purchase failed was sold, too. It is the purchase's first anomaly then.
	late := verdict == Contradicts && p.State == Failed && p.Anomalies == 1
	if transition.Event.positive() && (verdict == Moves || late) {
		i.spend(ctx, p, transition.Paid)
	}
}

// spend adds what a sale cost. If the vendor does not say that, it is what the sale took from the budget.
func (i *Instruments) spend(ctx context.Context, p *Purchase, paid *gigastore.Price) {
	var amount Micros
	currency := ""
	if paid != nil {
		if exact, err := MicrosOf(paid.Value); err == nil {
			amount, currency = exact, paid.Currency
		}
	}
	if currency == "" && p.Charge != nil {
		amount, currency = *p.Charge, p.Reservation.Currency
	}
	if !isCurrency(currency) || amount < 0 {
		return
	}
	i.spent.Add(ctx, amount.units(), i.ofSpent.Of(spentSeries{p.Key.Caller, p.Order.InventoryItemID, currency}).Add...)
}

// isCurrency reports whether a text has the shape of a currency code. The vendor's texts are not to be trusted.
func isCurrency(text string) bool {
	if len(text) != 3 {
		return false
	}
	for _, letter := range []byte(text) {
		if letter < 'A' || letter > 'Z' {
			return false
		}
	}
	return true
}

// replayed counts a call that was answered with the outcome of another call's purchase.
func (i *Instruments) replayed(ctx context.Context, caller string, bought *Bought, err error) {
	if i == nil {
		return
	}
	failed, _ := errors.AsType[*FailedError](err)
	if bought != nil && bought.Replayed || failed != nil && failed.Replayed {
		i.replays.Add(ctx, 1, i.ofReplays.Of(caller).Add...)
	}
}

// waits counts a call that waits for another call's purchase, until the result is called.
func (i *Instruments) waits(ctx context.Context) (over func()) {
	if i == nil {
		return func() {}
	}
	i.attached.Add(ctx, 1)
	return func() { i.attached.Add(ctx, -1) }
}

// scanned records when the last complete read of the vendor's list began.
func (i *Instruments) scanned(ctx context.Context, began time.Time) {
	if i != nil {
		i.lastScan.Record(ctx, float64(began.UnixMilli())/1000)
	}
}

// annotate adds the outcome of a send to the caller's span. Once the caller is answered, its span has ended and
// takes no more attributes. The span of the vendor call has the status in any case.
func annotate(ctx context.Context, transition *Transition) {
	trace.SpanFromContext(ctx).SetAttributes(gigastore.AttrStatusCode.Int(transition.Evidence.HTTPStatus))
}
