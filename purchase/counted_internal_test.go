package purchase

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"gigagate.internal/gigastore"
)

// doubtfulJournal has one purchase. It loses the answers of its next writes.
type doubtfulJournal struct {
	Journal
	purchase Purchase
	history  []HistoryEntry
	lost     int
}

func (j *doubtfulJournal) Get(context.Context, string) (Purchase, error) { return j.purchase, nil }

func (j *doubtfulJournal) History(context.Context, string) ([]HistoryEntry, error) {
	return j.history, nil
}

func (j *doubtfulJournal) Write(_ context.Context, step Step) (Purchase, error) {
	if step.Before.Revision != j.purchase.Revision {
		return Purchase{}, ErrStale
	}
	now := time.Now()
	j.purchase, j.history = step.At(now), append(j.history, step.Entry(now))
	if j.lost > 0 {
		j.lost--
		return Purchase{}, errors.New("it is not known whether the write is durable")
	}
	return j.purchase, nil
}

// countingEngine returns an engine whose counters can be read.
func countingEngine(t *testing.T, journal Journal) (*Engine, sdkmetric.Reader) {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	instruments, err := NewInstruments(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"))
	if err != nil {
		t.Fatal(err)
	}
	vendor, err := gigastore.New(gigastore.Config{BaseURL: "http://127.0.0.1", ClientID: "test", ClientSecret: "test"})
	if err != nil {
		t.Fatal(err)
	}
	e := NewEngine(Config{Journal: journal, Vendor: vendor, Logger: slog.New(slog.DiscardHandler), Instruments: instruments})
	t.Cleanup(e.end)
	return e, reader
}

// TestSalesCountOnce: a sale counts once, also if the journal's answer is lost, and if two replicas find it late.
func TestSalesCountOnce(t *testing.T) {
	t.Parallel()
	value, err := gigastore.ParseDecimal("4.2")
	if err != nil {
		t.Fatal(err)
	}
	order := Claim{ID: "id", Key: Key{Caller: "shop"}, Order: Order{Kind: Register, InventoryItemID: "item"}}
	sale := Transition{Attempt: 1, ItemUID: "package", Paid: &gigastore.Price{Value: value, Currency: "USD"}}
	for name, count := range map[string]func(t *testing.T) float64{
		"the answer is lost": func(t *testing.T) float64 {
			p, sold := New(order, time.Now()), sale
			e, reader := countingEngine(t, &doubtfulJournal{purchase: p, lost: 1})
			sold.Event, sold.SuccessSeen = AnsweredApplied, true
			e.record(t.Context(), &p, &sold)
			return spentOf(t, reader)["USD"]
		},
		"the answer about a late sale is lost": func(t *testing.T) float64 {
			p, found := New(order, time.Now()), sale
			p.State, p.Reason = Failed, ReasonPresumedAbsent
			e, reader := countingEngine(t, &doubtfulJournal{purchase: p, lost: 1})
			found.Event = Found
			if err := e.reconciler.recordFound(t.Context(), &p, &found); err != nil {
				t.Error(err)
			}
			return spentOf(t, reader)["USD"]
		},
		"two replicas find it late": func(t *testing.T) (spent float64) {
			p, found := New(order, time.Now()), sale
			p.State, p.Reason = Failed, ReasonPresumedAbsent
			found.Event = Found
			journal := &doubtfulJournal{purchase: p}
			for range 2 {
				e, reader := countingEngine(t, journal)
				if err := e.reconciler.recordFound(t.Context(), &p, &found); err != nil {
					t.Error(err)
				}
				spent += spentOf(t, reader)["USD"]
			}
			return spent
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if spent := count(t); spent != 4.2 {
					t.Errorf("spent %v, want 4.2", spent)
				}
			})
		})
	}
}
