package purchase

import (
	"maps"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"gigagate.internal/gigastore"
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

// TestSpent: a sale counts once, with what the vendor took. If the vendor does not say that, what it took from the budget
// counts. What is found after a purchase failed was sold, too.
func TestSpent(t *testing.T) {
	t.Parallel()
	price := func(amount, currency string) *gigastore.Price {
		value, err := gigastore.ParseDecimal(amount)
		if err != nil {
			t.Fatal(err)
		}
		return &gigastore.Price{Value: value, Currency: currency}
	}
	refused := Transition{Event: AnsweredRefused, Attempt: 1, Reason: "VENDOR_REFUSED"}
	sold := func(event Event, paid *gigastore.Price) Transition {
		return Transition{Event: event, Attempt: 1, ItemUID: "package", Paid: paid}
	}
	unknown := Transition{Event: AnsweredUnknown, Attempt: 1}
	absent := Transition{Event: PresumedAbsent, Attempt: 1, Reason: ReasonPresumedAbsent}
	for name, c := range map[string]struct {
		budget bool
		steps  []Transition
		want   map[string]float64 // by currency
	}{
		"sold":                         {false, []Transition{sold(AnsweredApplied, price("4.2", "USD"))}, map[string]float64{"USD": 4.2}},
		"refused":                      {false, []Transition{refused}, nil},
		"found":                        {false, []Transition{unknown, sold(Found, price("4.2", "USD"))}, map[string]float64{"USD": 4.2}},
		"seen twice":                   {false, []Transition{sold(AnsweredApplied, price("4.2", "USD")), sold(Found, price("4.2", "USD"))}, map[string]float64{"USD": 4.2}},
		"found late":                   {false, []Transition{unknown, absent, sold(Found, price("4.2", "USD"))}, map[string]float64{"USD": 4.2}},
		"in another currency":          {true, []Transition{sold(AnsweredApplied, price("4.2", "EUR"))}, map[string]float64{"EUR": 4.2}},
		"without a price":              {false, []Transition{sold(AnsweredApplied, nil)}, nil},
		"without a price, on a budget": {true, []Transition{sold(AnsweredApplied, nil)}, map[string]float64{"USD": 5}},
		"with text for a currency":     {false, []Transition{sold(AnsweredApplied, price("4.2", "LPA:1$secret"))}, nil},
		"with a small text":            {false, []Transition{sold(AnsweredApplied, price("4.2", "a@b"))}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reader := sdkmetric.NewManualReader()
			instruments, err := NewInstruments(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"))
			if err != nil {
				t.Fatal(err)
			}
			claim := Claim{Key: Key{Caller: "shop"}, Order: Order{Kind: Register, InventoryItemID: "item"}}
			if c.budget {
				claim.Budget, claim.Amount = &Budget{Currency: "USD"}, 5_000_000
			}
			p := New(claim, time.Now())
			for _, transition := range c.steps {
				var verdict Verdict
				p, verdict = p.After(transition, time.Now())
				instruments.event(t.Context(), &p, &transition, verdict)
			}
			if got := spentOf(t, reader); !maps.Equal(got, c.want) {
				t.Errorf("spent %v, want %v", got, c.want)
			}
		})
	}
}

// spentOf returns what the caller "shop" spent on "item", by currency.
func spentOf(t *testing.T, reader sdkmetric.Reader) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	spent := map[string]float64{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if m.Name != "gigagate.spent" {
			continue
		}
		for _, point := range m.Data.(metricdata.Sum[float64]).DataPoints {
			caller, _ := point.Attributes.Value(attrCaller)
			item, _ := point.Attributes.Value(attrItem)
			currency, _ := point.Attributes.Value(attrCurrency)
			if caller.AsString() != "shop" || item.AsString() != "item" || point.Attributes.Len() != 3 {
				t.Errorf("spent by %v", point.Attributes.ToSlice())
			}
			spent[currency.AsString()] = point.Value
		}
	}
	return spent
}
