package purchase_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
	"gigagate.internal/purchase/memory"
)

// sharedJournal is a journal that two replicas use.
type sharedJournal struct {
	purchase.Journal

	mu    sync.Mutex
	who   string
	until time.Time
}

// MayReport implements [purchase.Journal].
func (j *sharedJournal) MayReport(_ context.Context, replica string, lease time.Duration) (bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.who != replica && time.Now().Before(j.until) {
		return false, nil
	}
	j.who, j.until = replica, time.Now().Add(lease)
	return true, nil
}

// brokenJournal cannot be reached once it is broken.
type brokenJournal struct {
	purchase.Journal
	broken chan struct{}
}

var errUnreachable = errors.New("the journal cannot be reached")

// MayReport implements [purchase.Journal].
func (j brokenJournal) MayReport(ctx context.Context, replica string, lease time.Duration) (bool, error) {
	select {
	case <-j.broken:
		return false, errUnreachable
	default:
		return j.Journal.MayReport(ctx, replica, lease)
	}
}

// reporting is a replica whose metrics can be read.
type reporting struct {
	engine *purchase.Engine
	reader *sdkmetric.ManualReader
	vendor *gigastore.Client
}

func newReporting(t *testing.T, journal purchase.Journal, budgets func() []purchase.CallerBudget) reporting {
	t.Helper()
	r := reporting{reader: sdkmetric.NewManualReader()}
	instruments, err := purchase.NewInstruments(sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader)).Meter("test"))
	if err != nil {
		t.Fatal(err)
	}
	if r.vendor, err = gigastore.New(gigastore.Config{
		BaseURL: "http://127.0.0.1", ClientID: "reseller", ClientSecret: "secret",
		TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: metricnoop.NewMeterProvider(),
		Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errUnreachable },
	}); err != nil {
		t.Fatal(err)
	}
	r.engine = purchase.NewEngine(purchase.Config{
		Journal: journal, Vendor: r.vendor, Logger: slog.New(slog.DiscardHandler), SendWindow: 30 * time.Second,
		Reconcile:   purchase.ReconcileConfig{Quiet: time.Minute, Wait: time.Minute, GiveUp: 24 * time.Hour},
		Instruments: instruments, Budgets: budgets,
	})
	return r
}

// read returns the values of a gauge, by the value of one of its attributes.
func (r reporting) read(t *testing.T, name string, by attribute.Key) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if m.Name != name {
			continue
		}
		switch data := m.Data.(type) {
		case metricdata.Gauge[int64]:
			for _, point := range data.DataPoints {
				value, _ := point.Attributes.Value(by)
				values[value.AsString()] = float64(point.Value)
			}
		case metricdata.Gauge[float64]:
			for _, point := range data.DataPoints {
				value, _ := point.Attributes.Value(by)
				values[value.AsString()] = point.Value
			}
		}
	}
	return values
}

// leaveUncertain writes an uncertain purchase to a journal.
func leaveUncertain(t *testing.T, journal purchase.Journal, account, id string) {
	t.Helper()
	p, err := journal.Claim(t.Context(), purchase.Claim{
		ID: id, Key: purchase.Key{Caller: "shop", RequestID: id}, Account: account, PermitLife: time.Second, Lease: time.Hour,
		Order:  purchase.Order{Kind: purchase.Register, InventoryItemID: "item", UserCountry: "GR"},
		Budget: &purchase.Budget{Currency: "USD"}, Amount: 2_500_000,
	})
	if err == nil {
		_, _, err = purchase.Record(t.Context(), journal, p, purchase.Transition{Event: purchase.AnsweredUnknown, Attempt: 1, By: purchase.ByGateway})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// unreadableJournal cannot read open purchases, or budgets, while it is told so.
type unreadableJournal struct {
	purchase.Journal
	open, budgets atomic.Bool
}

// Watched implements [purchase.Journal].
func (j *unreadableJournal) Watched(ctx context.Context, absentFor time.Duration) ([]purchase.Purchase, error) {
	if j.open.Load() {
		return nil, errUnreachable
	}
	return j.Journal.Watched(ctx, absentFor)
}

// BudgetTotals implements [purchase.Journal].
func (j *unreadableJournal) BudgetTotals(ctx context.Context, caller string) ([]purchase.BudgetTotal, error) {
	if j.budgets.Load() {
		return nil, errUnreachable
	}
	return j.Journal.BudgetTotals(ctx, caller)
}

// TestUnknownFiguresAreNotReported: a figure that cannot be read has no value, after a while in which the last one stands. It is
// back with the next read. No figure is known before the first read.
func TestUnknownFiguresAreNotReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		day := purchase.Micros(8_000_000)
		journal := &unreadableJournal{Journal: memory.Open(nil)}
		r := newReporting(t, journal, func() []purchase.CallerBudget {
			return []purchase.CallerBudget{{Caller: "shop", Budget: &purchase.Budget{Currency: "USD", Day: &day}}}
		})
		leaveUncertain(t, journal, r.vendor.Account(), "01ARZ3NDEKTSV4RRFFQ69G5FA1")
		check := func(when string, open, budgets bool) {
			t.Helper()
			synctest.Wait()
			for name, known := range map[string]bool{"gigagate.purchase.open": open, "gigagate.purchase.oldest": open, "gigagate.budget.left": budgets} {
				if values := r.read(t, name, "gigagate.purchase.state"); (len(values) > 0) != known {
					t.Errorf("%s: %s has the values %v", when, name, values)
				}
			}
			if open && r.read(t, "gigagate.purchase.open", "gigagate.purchase.state")["UNCERTAIN"] != 1 {
				t.Errorf("%s: the open purchase is not counted", when)
			}
		}
		check("before the start", false, false)
		r.engine.Start()
		defer r.engine.Close()
		check("at first", true, true)
		journal.open.Store(true)
		<-time.After(20 * time.Second)
		check("soon after the last read", true, true)
		<-time.After(40 * time.Second)
		check("without open purchases", false, true)
		journal.open.Store(false)
		journal.budgets.Store(true)
		<-time.After(time.Minute)
		check("without budgets", true, false)
		journal.budgets.Store(false)
		<-time.After(20 * time.Second)
		check("in the end", true, true)
	})
}

// TestOneReplicaReports: two replicas on a journal report each figure about it once. When the one that reports stops, the other
// takes over within 15 s. When it loses the journal, that takes less than a minute, and nobody reports twice meanwhile.
func TestOneReplicaReports(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"stops", "loses the journal"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				day, total := purchase.Micros(8_000_000), purchase.Micros(100_000_000)
				budgets := func() []purchase.CallerBudget {
					return []purchase.CallerBudget{{Caller: "shop", Budget: &purchase.Budget{Currency: "USD", Day: &day, Total: &total}}}
				}
				journal := &sharedJournal{Journal: memory.Open(nil)}
				broken := brokenJournal{journal, make(chan struct{})}
				first, second := newReporting(t, broken, budgets), newReporting(t, journal, budgets)
				account := first.vendor.Account()
				leaveUncertain(t, journal, account, "01ARZ3NDEKTSV4RRFFQ69G5FA1")
				<-time.After(10 * time.Second)
				leaveUncertain(t, journal, account, "01ARZ3NDEKTSV4RRFFQ69G5FA2")
				first.engine.Start()
				synctest.Wait()
				second.engine.Start()
				defer second.engine.Close()
				synctest.Wait()

				check := func(when string, want, other reporting) {
					t.Helper()
					if open := want.read(t, "gigagate.purchase.open", "gigagate.purchase.state"); open["UNCERTAIN"] != 2 || open["NEEDS_OPERATOR"] != 0 {
						t.Errorf("%s: %v are open", when, open)
					}
					if oldest := want.read(t, "gigagate.purchase.oldest", "gigagate.purchase.state"); oldest["UNCERTAIN"] < 10 || oldest["NEEDS_OPERATOR"] != 0 {
						t.Errorf("%s: the oldest are %v s old", when, oldest)
					}
					left := want.read(t, "gigagate.budget.left", "gigagate.budget.period")
					if len(left) != 2 || left["DAY"] != 3 || left["TOTAL"] != 95 {
						t.Errorf("%s: %v are left", when, left)
					}
					open, left := other.read(t, "gigagate.purchase.open", "gigagate.purchase.state"), other.read(t, "gigagate.budget.left", "gigagate.budget.period")
					if len(open) != 0 || len(left) != 0 {
						t.Errorf("%s: the other replica has %v, %v", when, open, left)
					}
				}
				check("at first", first, second)
				<-time.After(time.Minute)
				check("a minute later", first, second)

				if how == "stops" {
					first.engine.Close()
					<-time.After(16 * time.Second)
				} else {
					defer first.engine.Close()
					close(broken.broken)
					for range 60 {
						<-time.After(time.Second)
						both := first.read(t, "gigagate.purchase.open", "gigagate.purchase.state")["UNCERTAIN"] +
							second.read(t, "gigagate.purchase.open", "gigagate.purchase.state")["UNCERTAIN"]
						if both > 2 {
							t.Fatal("both report")
						}
					}
				}
				check("in the end", second, first)
			})
		})
	}
}
