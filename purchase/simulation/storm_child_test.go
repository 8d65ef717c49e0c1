package simulation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/propagation"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/sqlite"
)

// stormArgument makes this test binary run as a process of a storm. The next arguments are the vendor's URL and the
// journal.
const stormArgument = "storm-child"

// stormPatience is how long a call waits for an answer.
const stormPatience = 5 * time.Second

// stormMain makes all calls of a storm, says "started", and says "finished" when each call has a final answer.
func stormMain(vendorURL, where string) {
	if err := stormCallers(context.Background(), vendorURL, strings.Fields(where)); err != nil {
		fmt.Fprintln(os.Stdout, "error", err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stdout, "finished")
	select {} // until the test kills this process
}

func stormCallers(ctx context.Context, vendorURL string, where []string) error {
	journal, err := openStormJournal(ctx, where)
	if err != nil {
		return err
	}
	engine, err := newStormEngine(journal, vendorURL)
	if err != nil {
		return err
	}
	var calls sync.WaitGroup
	for i := range stormCalls {
		calls.Go(func() { stormCall(ctx, engine, fmt.Sprintf("order-%d", i), budgetOf(stormBudget)) })
	}
	fmt.Fprintln(os.Stdout, "started")
	calls.Wait()
	return nil
}

func openStormJournal(ctx context.Context, where []string) (purchase.Journal, error) {
	if where[0] == "sqlite" {
		return sqlite.Open(ctx, where[1], sqlite.Options{})
	}
	return postgres.Open(ctx, where[1], postgres.Options{Schema: where[2]})
}

func newStormEngine(journal purchase.Journal, vendorURL string) (*purchase.Engine, error) {
	vendor, err := gigastore.New(gigastore.Config{
		BaseURL: vendorURL, ClientID: mainAccount, ClientSecret: "secret", UserAgent: "storm", Timeout: stormPatience, Dial: (&net.Dialer{}).DialContext,
		TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: metricnoop.NewMeterProvider(),
		Propagator: propagation.NewCompositeTextMapPropagator(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	engine := purchase.NewEngine(purchase.Config{
		Journal: journal, Vendor: vendor, Logger: slog.New(slog.DiscardHandler), SendWindow: 2 * time.Second,
		Reconcile: purchase.ReconcileConfig{Quiet: time.Second, Wait: time.Second, GiveUp: time.Hour},
	})
	engine.Start()
	return engine, nil
}

// stormCall repeats a call until its answer is final.
func stormCall(ctx context.Context, engine *purchase.Engine, key string, budget *purchase.Budget) {
	for {
		waiting, cancel := context.WithTimeout(ctx, stormPatience)
		_, err := engine.Buy(waiting, &purchase.Request{
			Key: purchase.Key{Caller: "default", RequestID: key}, Order: order(purchase.Register, "", key),
			Personal: personal(purchase.Register, false), Budget: budget, Client: key,
		})
		cancel()
		_, failed := errors.AsType[*purchase.FailedError](err)
		_, over := errors.AsType[*purchase.BudgetError](err)
		if err == nil || failed || over {
			return
		}
		if open, ok := errors.AsType[*purchase.UnsettledError](err); ok && open.ID != "" {
			p, _, err := engine.Get(ctx, purchase.Everyone, open.ID)
			if err == nil && p.State == purchase.NeedsOperator {
				return // nobody settles it here, so it keeps its reservation
			}
		}
		pause(50 * time.Millisecond) // another call or the reconciler has to do something first
	}
}
