package simulation

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

// TestWhyUncertain: the answer about an uncertain purchase says what was seen, what is missing, and what comes next.
func TestWhyUncertain(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		why := func(result, missing string) *purchase.Reconciliation {
			t.Helper()
			told := w.replica(0).engine.Reconciliation(w.of(t, "order-0"))
			if told == nil {
				t.Fatal("there is no reconciliation")
			}
			if !strings.Contains(told.LastResult, result) || !strings.Contains(told.Missing, missing) {
				t.Errorf("told %q, missing %q; want %q, %q", told.LastResult, told.Missing, result, missing)
			}
			if told.NextRead.Before(time.Now()) || told.NextRead.After(time.Now().Add(time.Minute)) {
				t.Errorf("the next read is at %s", told.NextRead)
			}
			return told
		}
		w.inject(t, listPath, "list_fail", 9, nil) // a read tries three times
		w.lose(t, register("order-0", gigastore.ModeOnDemand))
		why("", "time: the vendor may not show a sale of that time before ")

		pause(10 * time.Second)
		failing := why("could not be read (time 2 in a row): ", "a complete read of the vendor's list")
		if failing.FailedReads != 2 || !strings.Contains(failing.LastResult, "500") || failing.LastRead.IsZero() {
			t.Errorf("%+v", failing)
		}
		if until := time.Until(failing.Operator); until < giveUp/2 || until > giveUp+lastByteAfter {
			t.Errorf("an operator will be asked in %s", until)
		}

		pause(40 * time.Second)
		why("the vendor's list lacks it", "time: the vendor may not show")

		pause(lastByteAfter + quiet)
		alone := why("the vendor's list lacks it", "an older purchase of the same kind and mode")
		if !alone.Operator.After(time.Now()) {
			t.Errorf("an operator will be asked at %s", alone.Operator)
		}

		w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
		if told := why("the vendor's list lacks it", "; or an operator's decision"); !told.Operator.IsZero() {
			t.Errorf("an operator will be asked at %s", told.Operator)
		}
		w.nothingSold(t, "order-0", true)
		if told := w.replica(0).engine.Reconciliation(w.of(t, "order-0")); told != nil {
			t.Errorf("a settled purchase: %+v", told)
		}
	})
}

// TestWhyUncertainWithWitnesses: with an older purchase in the list, a younger one is missing first, and then more reads.
func TestWhyUncertainWithWitnesses(t *testing.T) {
	t.Parallel()
	stage(t, plan{older: []purchase.Order{order(purchase.Register, "", "older-0")}}, func(t *testing.T, w *world) {
		w.lose(t, register("order-0", ""))
		pause(lastByteAfter + quiet + 30*time.Second)
		missing := func() string { return w.replica(0).engine.Reconciliation(w.of(t, "order-0")).Missing }
		if text := missing(); !strings.HasPrefix(text, "a younger purchase of the same kind and mode") {
			t.Error(text)
		}
		wants(t, w.buy(w.replica(0), register("younger", "")), told)
		pause(quiet / 3)
		if text := missing(); !strings.Contains(text, "more complete reads of the vendor's list that lack it") {
			t.Error(text)
		}
		w.becomes(t, "order-0", purchase.Failed, time.Hour)
	})
}

// TestWhyUncertainOfWhatWasFound: once a package was found, the answer no longer says that it is missing. If only an operator
// can settle the purchase, the answer does not ask for more reads.
func TestWhyUncertainOfWhatWasFound(t *testing.T) {
	t.Parallel()
	shows := func(t *testing.T, w *world, result, missing string) {
		t.Helper()
		told := w.replica(0).engine.Reconciliation(w.of(t, "order-0"))
		if told.LastResult != result || !strings.HasPrefix(told.Missing, missing) || told.FailedReads != 0 || told.LastRead.IsZero() {
			t.Errorf("%+v", told)
		}
	}
	const found, lacked = "the vendor's records show a package with its mark", "the vendor's list lacks it"
	const onePackage = "one package with its mark that can be what was ordered, and that is not bound to another purchase; or an operator's decision"

	stage(t, plan{}, func(t *testing.T, w *world) {
		w.inject(t, listPath, "list_fail", 9, nil)
		w.interceptWith(func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != registerPath {
				return false
			}
			w.sellTwice(r)
			rw.WriteHeader(http.StatusBadGateway)
			return true
		})
		c := register("order-0", "")
		c.deadline = time.Second
		wants(t, w.buy(w.replica(0), c), unsettled)
		w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
		shows(t, w, found, onePackage)
	})
	stage(t, plan{}, func(t *testing.T, w *world) {
		w.lose(t, register("order-0", gigastore.ModeOnDemand))
		w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
		shows(t, w, lacked, onePackage)
	})
	stage(t, plan{}, func(t *testing.T, w *world) {
		w.lose(t, register("order-0", ""))
		w.newClientID(false)
		pause(time.Minute)
		shows(t, w, lacked, "a package with its mark: it was bought with another client id")
	})
}
