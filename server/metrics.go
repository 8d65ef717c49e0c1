package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"google.golang.org/grpc/status"

	"gigagate.internal/internal/series"
	"gigagate.internal/purchase"
)

// callDuration measures calls by method and reason. otelgrpc measures them only by method and code, and a code stands for
// many reasons.
type callDuration struct {
	histogram metric.Float64Histogram
	series    *series.Cache[callSeries]
}

// callSeries tells the series of calls apart. reason is empty for a call without an error.
type callSeries struct{ method, reason string }

func newCallDuration(meters metric.MeterProvider) (callDuration, error) {
	histogram, err := meters.Meter("gigagate.internal/server").Float64Histogram("gigagate.call.duration",
		metric.WithDescription("How long calls over gRPC and REST take, by method and the reason of their error."), metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60))
	if err != nil {
		return callDuration{}, fmt.Errorf("metrics: %w", err)
	}
	return callDuration{histogram, series.New(func(k callSeries) []attribute.KeyValue {
		attributes := []attribute.KeyValue{semconv.RPCMethod(k.method)}
		if k.reason != "" {
			attributes = append(attributes, semconv.ErrorTypeKey.String(k.reason))
		}
		return attributes
	})}, nil
}

// record records a call of the contract. Health checks are left out, because they say nothing about the calls.
func (d callDuration) record(ctx context.Context, method string, took time.Duration, err error) {
	if strings.HasPrefix(method, contractPrefix) {
		d.histogram.Record(ctx, took.Seconds(), d.series.Of(callSeries{method[1:], reasonForMetrics(err)}).Record...)
	}
}

// reasonForMetrics is the reason of an error. It is empty if there is none.
func reasonForMetrics(err error) string {
	if err == nil {
		return ""
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return reasonText(f.reason)
	}
	return status.Code(err).String()
}

// CallerBudgets returns the budgets of the callers, under the names that the journal has for them. It is nil without access.
func CallerBudgets(callers Access) func() []purchase.CallerBudget {
	if callers == nil {
		return nil
	}
	return func() []purchase.CallerBudget {
		var budgets []purchase.CallerBudget
		for _, p := range callers.Budgeted() {
			budgets = append(budgets, purchase.CallerBudget{Caller: p.Key(), Budget: budgetOf(p)})
		}
		return budgets
	}
}
