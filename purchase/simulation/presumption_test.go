package simulation

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
)

// TestAlarmOutlivesItsAnswer: an event that operators must be alerted to was journaled, but the journal's answer was lost.
func TestAlarmOutlivesItsAnswer(t *testing.T) {
	t.Parallel()
	for _, f := range []fault{{do: doLoseAfter}, {do: doCommitLate, d: 6 * time.Second}, {do: doAnswerLate, d: 6 * time.Second}} {
		f.step, f.nth = "record FOUND", 1
		stage(t, plan{older: []purchase.Order{order(purchase.Register, "", "older-0")}, faults: []fault{f}}, func(t *testing.T, w *world) {
			w.inject(t, registerPath, "commit_late", 1, m{"delay": "30m"})
			wants(t, w.buy(w.replica(0), register("order-0", "")), unsettled)
			w.becomes(t, "order-0", purchase.Failed, time.Hour)
			pause(2 * time.Hour)
			if p := w.of(t, "order-0"); p.Anomalies != 1 || !strings.Contains(w.logs.String(), "purchase anomaly") {
				t.Errorf("%s: %d anomalies, and nobody was alerted", f, p.Anomalies)
			}
		})
		f.step = "record BEYOND_EVIDENCE"
		stage(t, plan{faults: []fault{f}}, func(t *testing.T, w *world) {
			w.inject(t, listPath, "list_fail", 100000, nil)
			w.lose(t, register("order-0", ""))
			w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
			if pause(time.Minute); !strings.Contains(w.logs.String(), "purchase needs an operator") {
				t.Errorf("%s: nobody was alerted", f)
			}
		})
	}
}

// TestOutageThatHidWorse: the list shows a package of another mode once it can be read again. From then on
// that is the reason for an operator, even if the list stops showing the package.
func TestOutageThatHidWorse(t *testing.T) {
	t.Parallel()
	settings := sandbox.DefaultSettings()
	settings.OnDemandSingleCountry = sandbox.OnDemandBecomesNow
	older := []purchase.Order{order(purchase.Register, gigastore.ModeOnDemand, "older-0")}
	stage(t, plan{settings: settings, older: older}, func(t *testing.T, w *world) {
		pause(20 * time.Second)
		w.inject(t, inventoryPath, "5xx", 100, nil) // so that the guard does not refuse
		w.inject(t, listPath, "list_fail", 100000, nil)
		c := register("order-0", gigastore.ModeOnDemand)
		c.order.InventoryItemID = sandbox.ItemGreece2GB
		w.inject(t, registerPath, "commit_then_reset", 1, nil)
		c.deadline = 20 * time.Second
		wants(t, w.buy(w.replica(0), c), unsettled)
		w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
		wants(t, w.buy(w.replica(0), register("younger", gigastore.ModeOnDemand)), told)
		w.box.Disarm()
		pause(10 * time.Minute)
		uid := w.salesOf(t, "order-0")[0].ItemUID
		w.interceptWith(func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != listPath {
				return false
			}
			whole := httptest.NewRecorder()
			w.box.ServeHTTP(whole, r)
			var list []json.RawMessage
			_ = json.Unmarshal(whole.Body.Bytes(), &list)
			list = slices.DeleteFunc(list, func(element json.RawMessage) bool { return strings.Contains(string(element), uid) })
			rw.WriteHeader(whole.Code)
			_ = json.NewEncoder(rw).Encode(list)
			return true
		})
		pause(2 * time.Hour)
		if p := w.of(t, "order-0"); p.State != purchase.NeedsOperator || p.Reason != purchase.OtherFound {
			t.Errorf("%s %s, but it was sold", p.State, p.Reason)
		}
	})
}

// TestOutageThatLeavesNoProof: after the outage there is still no proof, so an operator is needed. The list is read as
// seldom as for any other purchase that needs an operator.
func TestOutageThatLeavesNoProof(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		w.inject(t, listPath, "list_fail", 100000, nil)
		w.lose(t, register("order-0", gigastore.ModeFirstUse)) // there is no older purchase of its mode
		w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
		w.box.Disarm()
		pause(time.Hour)
		before := w.box.Ledger().Calls["GET "+listPath]
		pause(time.Hour)
		reads := w.box.Ledger().Calls["GET "+listPath] - before
		if p := w.of(t, "order-0"); p.Reason != purchase.NoWitness || reads > 13 {
			t.Errorf("%s, but the list was read %d times in an hour", p.Reason, reads)
		}
	})
}

// TestSuccessSeenWhileReading: the vendor's success is journaled while the last read, which shows no sale, is under way. The
// purchase is not presumed absent.
func TestSuccessSeenWhileReading(t *testing.T) {
	t.Parallel()
	stage(t, plan{older: []purchase.Order{order(purchase.Register, "", "older-0")}}, func(t *testing.T, w *world) {
		p := w.lose(t, register("order-0", ""))
		pause(lastByteAfter)
		wants(t, w.buy(w.replica(0), register("younger", "")), told)
		last := quietEnd(p).Add(2 * quiet / 4) // the third read does not begin earlier
		var once sync.Once
		w.interceptWith(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == listPath && !time.Now().Before(last) {
				once.Do(func() {
					seen := purchase.Transition{Event: purchase.AnsweredUnknown, Attempt: 1, By: "gateway", SuccessSeen: true}
					if _, _, err := purchase.Record(context.Background(), w.store.journal(), p, seen); err != nil {
						t.Error(err)
					}
				})
			}
			return false
		})
		got, _ := w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
		if got.Reason != purchase.SuccessSeen {
			t.Errorf("it needs an operator because of %s", got.Reason)
		}
	})
}

// TestAskedSoonAfterARead: a caller asks shortly after a read. The list is read again after the minimum pause, not after
// minutes.
func TestAskedSoonAfterARead(t *testing.T) {
	t.Parallel()
	settings := sandbox.DefaultSettings()
	settings.ListMetatags = false
	stage(t, plan{settings: settings, older: []purchase.Order{order(purchase.Register, "", "older-0")}}, func(t *testing.T, w *world) {
		p := w.lose(t, register("order-0", ""))
		w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
		pause(time.Hour)
		reads := func() int { return w.box.Ledger().Calls["GET "+listPath] }
		for range 2 {
			before := reads()
			if _, _, err := w.replica(0).engine.Get(t.Context(), purchase.Everyone, p.ID); err != nil {
				t.Fatal(err)
			}
			asked := time.Now()
			for reads() == before && time.Since(asked) < time.Hour {
				pause(100 * time.Millisecond)
			}
			if took := time.Since(asked); took > 15*time.Second {
				t.Errorf("the list was read %s after the question", took)
			}
			pause(1500 * time.Millisecond)
		}
	})
}
