package simulation

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
)

// sellTwice gives one request to the vendor twice.
func (w *world) sellTwice(r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	for range 2 {
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.box.ServeHTTP(httptest.NewRecorder(), r)
	}
}

// TestResolve: an operator settles what evidence cannot settle, and cannot name another purchase's package.
func TestResolve(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		engine := w.replica(0).engine
		resolve := func(key, uid string) (purchase.Purchase, error) {
			return engine.Resolve(t.Context(), purchase.Everyone, w.of(t, key).ID, purchase.Resolution{ItemUID: uid, By: "operator", Note: "portal", Force: true})
		}
		if _, err := resolve("customer", ""); !errors.Is(err, purchase.ErrNotResolvable) {
			t.Errorf("a settled purchase: %v", err)
		}
		w.inject(t, listPath, "list_fail", 100000, nil)

		w.lose(t, register("absent", ""))
		foreign := w.of(t, "customer").ItemUID
		if _, err := resolve("absent", foreign); !errors.Is(err, purchase.ErrForeignItem) {
			t.Errorf("another purchase's package: %v", err)
		}
		if _, err := resolve("absent", "no-such-item"); err == nil || errors.Is(err, purchase.ErrForeignItem) {
			t.Errorf("a package that does not exist: %v", err)
		}
		if p, err := resolve("absent", ""); err != nil || p.Reason != purchase.ReasonOperator {
			t.Errorf("nothing was sold: %s %s, %v", p.State, p.Reason, err)
		}
		wants(t, w.buy(w.replica(0), register("absent", "")), toldFailed)

		// The vendor cut off the mark, so an operator is needed.
		w.inject(t, registerPath, "metatag_truncated", 1, nil)
		c := register("cut", gigastore.ModeFirstUse)
		c.deadline = time.Second
		wants(t, w.buy(w.replica(0), c), unsettled)
		sales := w.box.Ledger().Sales
		cut := sales[len(sales)-1].ItemUID
		w.lose(t, register("now", ""))
		if _, err := resolve("now", cut); !errors.Is(err, purchase.ErrForeignItem) {
			t.Errorf("a package of another mode: %v", err)
		}
		if p, err := resolve("cut", cut); err != nil || p.ItemUID != cut {
			t.Errorf("a package without its mark: %s, %v", p.State, err)
		}
		c.deadline = 0
		wants(t, w.buy(w.replica(0), c), told)
		w.lose(t, register("second", gigastore.ModeFirstUse))
		if _, err := resolve("second", cut); !errors.Is(err, purchase.ErrItemTaken) {
			t.Errorf("a package that is bound already: %v", err)
		}
		history, err := w.store.journal().History(t.Context(), w.of(t, "cut").ID)
		if last := history[len(history)-1]; err != nil || last.By != purchase.ByOperator("operator") || last.Evidence.Note != "portal" || last.Event != purchase.ResolvedApplied {
			t.Errorf("the history ends in %+v", last)
		}
	})
}

// TestResolveWhatTheVendorMadeOfIt: a package with the purchase's own mark can be named, even if the vendor
// sold another mode than was ordered.
func TestResolveWhatTheVendorMadeOfIt(t *testing.T) {
	t.Parallel()
	settings := sandbox.DefaultSettings()
	settings.OnDemandSingleCountry = sandbox.OnDemandBecomesNow
	stage(t, plan{settings: settings}, func(t *testing.T, w *world) {
		w.inject(t, inventoryPath, "5xx", 100, nil) // so that the guard does not refuse
		c := register("order-0", gigastore.ModeOnDemand)
		c.order.InventoryItemID = sandbox.ItemGreece2GB
		w.inject(t, registerPath, "commit_then_reset", 1, nil)
		c.deadline = 20 * time.Second
		wants(t, w.buy(w.replica(0), c), unsettled)
		p, _ := w.becomes(t, "order-0", purchase.NeedsOperator, time.Minute)
		if p.Reason != purchase.OtherFound {
			t.Errorf("an operator is needed because of %s", p.Reason)
		}
		uid := w.salesOf(t, "order-0")[0].ItemUID
		resolved, err := w.replica(0).engine.Resolve(t.Context(), purchase.Everyone, p.ID, purchase.Resolution{ItemUID: uid, By: "operator"})
		if err != nil || resolved.ItemUID != uid {
			t.Errorf("%s, %v", resolved.State, err)
		}
	})
}

// TestResolveMeetsAnAbsence: an operator names a package a moment after the purchase was presumed absent. It counts as an
// anomaly. The operator's note is not logged. An operator called "gateway" is not taken for the gateway.
func TestResolveMeetsAnAbsence(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		w.inject(t, listPath, "list_fail", 100000, nil)
		p := w.lose(t, register("order-0", ""))
		w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
		w.interceptWith(func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != listPath+"/package-1" {
				return false
			}
			absent := purchase.Transition{Event: purchase.PresumedAbsent, Attempt: 1, Reason: purchase.ReasonPresumedAbsent, By: "reconciler"}
			if _, _, err := purchase.Record(r.Context(), w.store.journal(), p, absent); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(rw, `{"uid":"package-1","metatag":"cut off"}`)
			return true
		})
		told, err := w.replica(0).engine.Resolve(t.Context(), purchase.Everyone, p.ID, purchase.Resolution{ItemUID: "package-1", By: "gateway", Note: "CANARY"})
		if !errors.Is(err, purchase.ErrNotResolvable) || told.State != purchase.Failed {
			t.Errorf("the operator was told %s, %v", told.State, err)
		}
		if got := w.of(t, "order-0"); got.Anomalies != 1 || !strings.Contains(w.logs.String(), "purchase anomaly") {
			t.Errorf("%s with %d anomalies, and nobody was alerted", got.State, got.Anomalies)
		}
		if strings.Contains(w.logs.String(), "CANARY") {
			t.Error("the operator's note is logged")
		}
		entries, err := w.store.journal().History(t.Context(), p.ID)
		if err != nil {
			t.Fatal(err)
		}
		if by := entries[len(entries)-1].By; by != purchase.ByOperator("gateway") {
			t.Errorf("the last entry is by %q", by)
		}
	})
}
