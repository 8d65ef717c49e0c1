package server

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
	"gigagate.internal/purchase/memory"
)

// grpc-go tells one connection after another that the server goes away, and waits for the pause of each. With the pauses of
// many connections, the drain would not end in time, and other clients would not learn of it. So a drain ends all pauses.
func TestDrainEndsPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		vendor, err := gigastore.New(gigastore.Config{
			BaseURL: "https://vendor.invalid", ClientID: "test", ClientSecret: "test-secret", Timeout: time.Second,
			TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: metricnoop.NewMeterProvider(), Propagator: propagation.TraceContext{},
		})
		if err != nil {
			t.Fatal(err)
		}
		logger := slog.New(slog.DiscardHandler)
		engine := purchase.NewEngine(purchase.Config{Journal: memory.Open(time.Now), Vendor: vendor, Logger: logger})
		defer engine.Close()
		s, err := New(Config{
			Vendor: vendor, Engine: engine, MetatagMax: 255, Logger: logger, TracerProvider: tracenoop.NewTracerProvider(),
			MeterProvider: metricnoop.NewMeterProvider(), Propagator: propagation.TraceContext{}, Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		slow := func() { s.admission.floods.slow("10.0.0.1") }
		began := time.Now()
		ended := make(chan time.Duration, 3*maxPauses)
		for range cap(ended) { // some have their pause, and others wait for it
			go func() {
				slow()
				ended <- time.Since(began)
			}()
		}
		synctest.Wait()
		for range maxPauses {
			s.admission.floods.pauses.Hold("10.0.0.1") // so the others go on waiting
		}
		<-time.After(floodPause / 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Drain(ctx); err != nil {
			t.Error(err)
		}
		for range cap(ended) {
			if took := <-ended; took != floodPause/2 {
				t.Errorf("a connection was slowed down for %s, and the drain began after %s", took, floodPause/2)
			}
		}
		if took := took(slow); took != 0 {
			t.Errorf("during the drain, a connection is slowed down for %s", took)
		}
	})
}
