package series

import (
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// TestCache: a cache has each series once, costs no memory for one that it has, and keeps only so many.
func TestCache(t *testing.T) { // not parallel, because it counts allocations
	reader := sdkmetric.NewManualReader()
	counter, err := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test").Int64Counter("calls")
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	cache := New(func(n int) []attribute.KeyValue {
		made++
		return []attribute.KeyValue{attribute.Int("number", n)}
	})
	for range 3 {
		counter.Add(t.Context(), 1, cache.Of(7).Add...)
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	points := all.ScopeMetrics[0].Metrics[0].Data.(metricdata.Sum[int64]).DataPoints
	number, _ := points[0].Attributes.Value("number")
	if len(points) != 1 || points[0].Value != 3 || number.AsInt64() != 7 || made != 1 {
		t.Errorf("%d series of number %d with %d, made %d times", len(points), number.AsInt64(), points[0].Value, made)
	}
	if n := testing.AllocsPerRun(100, func() { cache.Of(7) }); n != 0 {
		t.Errorf("a series that is known costs %v allocations", n)
	}
	for n := range most + 100 {
		cache.Of(n)
	}
	if len(cache.known) != most {
		t.Errorf("%d series are kept", len(cache.known))
	}
	if s := cache.Of(most + 50); len(s.Add) != 1 || len(s.Record) != 1 {
		t.Errorf("a series beyond the limit is %+v", s)
	}
}
