package purchase

import (
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// A lost or unknown send is counted in a series that was there before, whatever the kind. An alert on an increase would not
// see a new series.
func TestFirstEventsMakeNoNewSeries(t *testing.T) {
	t.Parallel()
	reader := sdkmetric.NewManualReader()
	instruments, err := NewInstruments(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"))
	if err != nil {
		t.Fatal(err)
	}
	before, _ := seriesOfEvents(t, reader)
	counted := int64(0)
	for _, kind := range []Kind{Register, TopUp, TopUpWithProfile} {
		for _, event := range []Event{Lost, AnsweredUnknown} {
			change := Transition{Event: event, Attempt: 1}
			p, verdict := New(Claim{Order: Order{Kind: kind}}, time.Now()).After(change, time.Now())
			instruments.event(t.Context(), &p, &change, verdict)
			counted++
		}
	}
	if after, sum := seriesOfEvents(t, reader); after != before || sum != counted {
		t.Errorf("%d series before, %d after; %d events, %d are counted", before, after, counted, sum)
	}
}

func seriesOfEvents(t *testing.T, reader sdkmetric.Reader) (series int, sum int64) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != "gigagate.purchase.events" {
				continue
			}
			for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
				series, sum = series+1, sum+point.Value
			}
		}
	}
	return series, sum
}
