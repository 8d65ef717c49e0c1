package simulation

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
)

// quietEnd is when the quiet time of a purchase ends, by the journal's clock.
func quietEnd(p purchase.Purchase) time.Time { return p.SendNotAfter.Add(vendorTimeout + quiet) }

// lose makes a register have no effect. The gateway cannot know that: the connection breaks after the request.
func (w *world) lose(t *testing.T, c call) purchase.Purchase {
	t.Helper()
	w.inject(t, registerPath, "reset_before", 1, m{"afterBytes": "request"})
	c.deadline = time.Second
	wants(t, w.buy(w.replica(0), c), unsettled)
	return w.of(t, c.key)
}

// sellUnseen makes a register sell, and loses the answer.
func (w *world) sellUnseen(t *testing.T, c call) purchase.Purchase {
	t.Helper()
	w.inject(t, registerPath, "commit_then_reset", 1, nil)
	c.deadline = time.Second
	wants(t, w.buy(w.replica(0), c), unsettled)
	return w.of(t, c.key)
}

// TestFoundWithinSeconds: for every kind of purchase, a sale without an answer is found within seconds, with all that the
// caller needs.
func TestFoundWithinSeconds(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, email := range []bool{false, true} {
			stage(t, plan{}, func(t *testing.T, w *world) {
				w.inject(t, "/gigastore/activations/*", "commit_then_reset", 1, nil)
				c := call{key: "order-0", order: w.forCustomer(order(kind, gigastore.ModeFirstUse, "order-0")), personal: personal(kind, email)}
				began := time.Now()
				a := w.buy(w.replica(0), c)
				wants(t, a, told)
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("%s: found after %s", kind, took)
				}
				if a.bought.Sale.Customer.UID == "" || kind == purchase.Register && a.bought.Sale.ESIMProfile == nil {
					t.Errorf("%s: customer %q, profile %v", kind, a.bought.Sale.Customer.UID, a.bought.Sale.ESIMProfile != nil)
				}
				again := w.buy(w.replica(0), c)
				if again.bought.Purchase.ItemUID != a.bought.Purchase.ItemUID || !again.bought.Replayed {
					t.Errorf("%s: a replay says %s", kind, again)
				}
			})
		}
	}
}

// TestPresumedAbsent: a purchase is presumed absent after the quiet time, with three reads and with an older and a younger
// witness.
func TestPresumedAbsent(t *testing.T) {
	t.Parallel()
	stage(t, plan{older: []purchase.Order{order(purchase.Register, "", "older-0")}}, func(t *testing.T, w *world) {
		p := w.lose(t, register("order-0", ""))
		pause(lastByteAfter)
		wants(t, w.buy(w.replica(0), register("younger", "")), told)
		lists := w.box.Ledger().Calls["GET "+listPath]
		got, _ := w.becomes(t, "order-0", purchase.Failed, time.Hour)
		if got.Reason != purchase.ReasonPresumedAbsent {
			t.Errorf("it failed because of %s", got.Reason)
		}
		if earliest := quietEnd(p).Add(2 * quiet / 4); got.SettledAt.Before(earliest) || got.SettledAt.After(earliest.Add(45*time.Second)) {
			t.Errorf("presumed absent %s after the earliest moment", got.SettledAt.Sub(earliest))
		}
		if reads := w.box.Ledger().Calls["GET "+listPath] - lists; reads < 3 {
			t.Errorf("%d reads of the list", reads)
		}
		c := register("order-0", "")
		wants(t, w.buy(w.replica(0), c), toldFailed)
	})
}

// TestNotPresumedAbsent takes away one condition of a presumption at a time.
func TestNotPresumedAbsent(t *testing.T) {
	t.Parallel()
	older := []purchase.Order{order(purchase.Register, "", "older-0")}
	waiting := []purchase.Order{order(purchase.Register, gigastore.ModeFirstUse, "older-0")}
	for _, c := range []struct {
		name    string
		plan    plan
		setting func(*sandbox.Settings)
		mode    gigastore.ActivationMode
		before  func(t *testing.T, w *world)
		reason  purchase.Reason
	}{
		{name: "no older purchase of the mode", mode: gigastore.ModeFirstUse, reason: purchase.NoWitness},
		{name: "no older purchase of the kind", plan: plan{older: []purchase.Order{order(purchase.TopUp, gigastore.ModeFirstUse, "older-0")}}, mode: gigastore.ModeFirstUse, reason: purchase.NoWitness},
		{
			name: "the older purchase was under way at the same time", mode: gigastore.ModeFirstUse, reason: purchase.NoWitness,
			before: func(t *testing.T, w *world) {
				w.inject(t, registerPath, "commit_late", 1, m{"delay": "30s", "answer": true})
				w.running.Go(func() { wants(t, w.buy(w.replica(0), register("slow", gigastore.ModeFirstUse)), told) })
				pause(time.Second)
			},
		},
		{
			name: "the older purchase has started, and lists may be sorted by start", plan: plan{older: waiting}, mode: gigastore.ModeFirstUse, reason: purchase.NoWitness,
			before: func(t *testing.T, w *world) {
				if err := w.box.Connect(w.box.Ledger().Sales[1].ICCID, ""); err != nil {
					t.Fatal(err)
				}
			},
		},
		{name: "metatags not shown", plan: plan{older: older}, setting: func(s *sandbox.Settings) { s.ListMetatags = false }, reason: purchase.Unexplained},
		{
			name: "a list that is cut", plan: plan{older: older}, reason: purchase.NoWitness,
			before: func(t *testing.T, w *world) { w.inject(t, listPath, "list_cut", 1000, m{"n": 0}) },
		},
		{
			name: "a success was seen", plan: plan{older: older}, reason: purchase.SuccessSeen,
			before: func(t *testing.T, w *world) {
				w.inject(t, registerPath, "status", 1, m{"code": 200, "contentType": "application/json", "body": `{"status":"success"}`})
				c := register("order-0", "")
				c.deadline = time.Second
				wants(t, w.buy(w.replica(0), c), unsettled)
			},
		},
		{
			name: "a package without a mark that may be its own", plan: plan{older: older}, reason: purchase.Unexplained,
			before: func(t *testing.T, w *world) {
				// The vendor stored another metatag than was sent, and the answer was lost.
				w.inject(t, registerPath, "metatag_rewritten", 1, nil)
				w.plan.faults = []fault{{step: stepSend, nth: 1, do: doAnswerLost}}
				c := register("order-0", "")
				c.deadline = time.Second
				wants(t, w.buy(w.replica(0), c), unsettled)
			},
		},
		{
			name: "the list cannot be read", plan: plan{older: older}, reason: purchase.Unreadable,
			before: func(t *testing.T, w *world) { w.inject(t, listPath, "list_fail", 100000, nil) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.plan.settings = sandbox.DefaultSettings()
			if c.setting != nil {
				c.setting(&c.plan.settings)
			}
			stage(t, c.plan, func(t *testing.T, w *world) {
				if c.before != nil {
					c.before(t, w)
				}
				if _, err := w.store.journal().Lookup(t.Context(), purchase.Key{Caller: "default", RequestID: "order-0"}); err != nil {
					w.lose(t, register("order-0", c.mode))
				}
				pause(lastByteAfter + time.Second)
				if c.reason != purchase.Unreadable {
					wants(t, w.buy(w.replica(0), register("younger", c.mode)), told)
				}
				got, _ := w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
				if got.Reason != c.reason {
					t.Errorf("an operator is needed because of %s, want %s", got.Reason, c.reason)
				}
				if logs := w.logs.String(); !strings.Contains(logs, "purchase needs an operator") || !strings.Contains(logs, got.ID) {
					t.Error("nobody was alerted")
				}
			})
		})
	}
}

// TestReadsThatShowNothingDoNotCount: each of the three reads must show a witness.
func TestReadsThatShowNothingDoNotCount(t *testing.T) {
	t.Parallel()
	stage(t, plan{older: []purchase.Order{order(purchase.Register, "", "older-0")}}, func(t *testing.T, w *world) {
		p := w.lose(t, register("order-0", ""))
		pause(lastByteAfter)
		wants(t, w.buy(w.replica(0), register("younger", "")), told)
		pause(time.Until(quietEnd(p)))
		w.inject(t, listPath, "list_cut", 1, m{"n": 0})
		for cut := w.box.ArmedFaults(); len(cut) > 0; cut = w.box.ArmedFaults() {
			pause(time.Second)
		}
		read := time.Now().Add(-time.Second) // the read that showed nothing
		got, _ := w.becomes(t, "order-0", purchase.Failed, time.Hour)
		if earliest := read.Add(3 * quiet / 4); got.SettledAt.Before(earliest) {
			t.Errorf("presumed absent %s before three good reads were possible", earliest.Sub(got.SettledAt))
		}
	})
}

// TestWaitStandsInForAYoungerOne: without a younger witness, the wait replaces it. The other conditions still hold.
func TestWaitStandsInForAYoungerOne(t *testing.T) {
	t.Parallel()
	stage(t, plan{older: []purchase.Order{order(purchase.Register, "", "older-0")}}, func(t *testing.T, w *world) {
		p := w.lose(t, register("order-0", ""))
		got, _ := w.becomes(t, "order-0", purchase.Failed, time.Hour)
		if earliest := quietEnd(p).Add(absenceWait + 2*quiet/4); got.SettledAt.Before(earliest) || got.Reason != purchase.ReasonPresumedAbsent {
			t.Errorf("%s, %s before the earliest moment", got.Reason, earliest.Sub(got.SettledAt))
		}
	})
}

// TestQuietIsAlsoOurOwn: the quiet time is also measured by the gateway's own clock. A journal whose clock is behind does
// not shorten it.
func TestQuietIsAlsoOurOwn(t *testing.T) {
	t.Parallel()
	p := plan{older: []purchase.Order{order(purchase.Register, "", "older-0")}, jumps: []jump{{at: 0, by: -50 * time.Minute}}}
	stage(t, p, func(t *testing.T, w *world) {
		began := time.Now()
		w.inject(t, registerPath, "commit_late", 1, m{"delay": "170s"}) // within the quiet time, counted from the send
		c := register("order-0", "")
		wants(t, w.buy(w.replica(0), c), unsettled)
		w.becomes(t, "order-0", purchase.Succeeded, time.Hour)
		if time.Since(began) < 170*time.Second {
			t.Error("settled before it was sold")
		}
	})
}

// TestOutageOfTheList: a sale is found soon after the list can be read again, even if an operator was already asked.
func TestOutageOfTheList(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		w.inject(t, listPath, "list_fail", 100000, nil)
		w.sellUnseen(t, register("order-0", ""))
		p, took := w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
		if p.Reason != purchase.Unreadable || took < giveUp {
			t.Errorf("%s after %s", p.Reason, took)
		}
		w.box.Disarm()
		_, took = w.becomes(t, "order-0", purchase.Succeeded, time.Hour)
		if took > time.Minute {
			t.Errorf("found %s after the list could be read", took)
		}
	})
}

// TestOutageThatHidNothing: a purchase without a sale leaves no work for an operator either. Once the list
// can be read again, it is presumed absent by the usual evidence.
func TestOutageThatHidNothing(t *testing.T) {
	t.Parallel()
	stage(t, plan{older: []purchase.Order{order(purchase.Register, "", "older-0")}}, func(t *testing.T, w *world) {
		w.inject(t, listPath, "list_fail", 100000, nil)
		w.lose(t, register("order-0", ""))
		w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
		wants(t, w.buy(w.replica(0), register("younger", "")), told)
		w.box.Disarm()
		p, took := w.becomes(t, "order-0", purchase.Failed, time.Hour)
		if p.Reason != purchase.ReasonPresumedAbsent || took < 2*quiet/4 {
			t.Errorf("%s, %s after the list could be read", p.Reason, took)
		}
	})
}

// TestWhatAnOperatorOwnsIsReadSeldom: for a purchase that needs an operator, the list is read seldom, but soon after a
// caller asks about it.
func TestWhatAnOperatorOwnsIsReadSeldom(t *testing.T) {
	t.Parallel()
	settings := sandbox.DefaultSettings()
	settings.ListMetatags = false
	older := []purchase.Order{order(purchase.Register, "", "older-0")}
	stage(t, plan{settings: settings, older: older}, func(t *testing.T, w *world) {
		var reads atomic.Int32
		w.interceptWith(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == listPath {
				reads.Add(1)
			}
			return false
		})
		p := w.lose(t, register("order-0", ""))
		w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
		reads.Store(0)
		pause(time.Hour)
		if n := reads.Load(); n < 6 || n > 13 {
			t.Errorf("the list was read %d times in an hour", n)
		}
		pause(time.Minute)
		reads.Store(0)
		if _, _, err := w.replica(0).engine.Get(t.Context(), purchase.Everyone, p.ID); err != nil {
			t.Fatal(err)
		}
		if pause(10 * time.Second); reads.Load() == 0 {
			t.Error("a caller asked, but the list was not read")
		}
	})
}

// TestDetailsAreWaitedFor: the list shows a register's sale before its customer can be read. The answer waits for the
// customer.
func TestDetailsAreWaitedFor(t *testing.T) {
	t.Parallel()
	settings := sandbox.DefaultSettings()
	settings.ReadLag = sandbox.Duration(30 * time.Second)
	stage(t, plan{settings: settings}, func(t *testing.T, w *world) {
		w.sellUnseen(t, register("order-0", ""))
		a := w.buy(w.replica(0), register("order-0", ""))
		wants(t, a, told)
		if a.bought.Sale.Customer.UID == "" || a.bought.Sale.ESIMProfile == nil {
			t.Error("the answer has no customer or no eSIM")
		}
	})
}

// TestAnotherAccount: a gateway with another account's client id cannot settle a purchase by reads. An operator can, if
// forced.
func TestAnotherAccount(t *testing.T) {
	t.Parallel()
	stage(t, plan{otherAccountAfterRestart: true, accountsApart: true, older: []purchase.Order{order(purchase.Register, "", "older-0")}}, func(t *testing.T, w *world) {
		w.inject(t, listPath, "list_fail", 1000, nil)
		p := w.sellUnseen(t, register("order-0", ""))
		w.replica(0).kill(time.Second)
		pause(2 * time.Second)
		w.box.Disarm()
		got, took := w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
		if got.Reason != purchase.OtherAccount || took < giveUp {
			t.Errorf("%s after %s", got.Reason, took)
		}
		_, err := w.replica(0).engine.Resolve(t.Context(), purchase.Everyone, p.ID, purchase.Resolution{ItemUID: w.salesOf(t, "order-0")[0].ItemUID, By: "operator"})
		if other, ok := errors.AsType[*purchase.OtherAccountError](err); !ok || !strings.Contains(other.Error(), formerFlag) {
			t.Errorf("a package that this account's records cannot confirm: %v", err)
		}
		if _, err := w.replica(0).engine.Resolve(t.Context(), purchase.Everyone, p.ID, purchase.Resolution{By: "operator", Force: true}); err != nil {
			t.Errorf("a forced decision: %v", err)
		}
	})
}

// TestLateSaleAfterFailed: if the vendor sells after the quiet time, the answer FAILED was wrong. This is
// the residual risk. The sale is seen, kept and counted.
func TestLateSaleAfterFailed(t *testing.T) {
	t.Parallel()
	stage(t, plan{older: []purchase.Order{order(purchase.Register, "", "older-0")}, beyondQuiet: true}, func(t *testing.T, w *world) {
		w.inject(t, registerPath, "commit_late", 1, m{"delay": "30m"})
		wants(t, w.buy(w.replica(0), register("order-0", "")), unsettled)
		w.becomes(t, "order-0", purchase.Failed, time.Hour)
		pause(2 * time.Hour) // no other purchase is open
		p := w.of(t, "order-0")
		if p.State != purchase.Failed || p.Anomalies != 1 || len(w.salesOf(t, "order-0")) != 1 {
			t.Errorf("%s with %d anomalies, %d sales", p.State, p.Anomalies, len(w.salesOf(t, "order-0")))
		}
		if !strings.Contains(w.logs.String(), "purchase anomaly") {
			t.Error("nobody was alerted")
		}
		if wrong := w.check(); len(wrong) > 0 {
			t.Errorf("%v", wrong)
		}
	})
}

// TestSeveralFound: the vendor sells one request twice. An operator has to choose.
func TestSeveralFound(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		w.plan.faults = []fault{{step: stepSend, nth: 1, do: doAnswerLost}}
		twice := false
		w.interceptWith(func(_ http.ResponseWriter, r *http.Request) bool {
			if isPaid(r.URL.Path) && !twice {
				twice = true
				again := r.Clone(context.Background())
				again.Body = r.Body
				w.sellTwice(again)
				return true
			}
			return false
		})
		wants(t, w.buy(w.replica(0), register("order-0", "")), unsettled)
		p, _ := w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
		if p.Reason != purchase.SeveralFound || len(w.salesOf(t, "order-0")) != 2 {
			t.Errorf("%s, %d sales", p.Reason, len(w.salesOf(t, "order-0")))
		}
		uid := w.salesOf(t, "order-0")[1].ItemUID
		resolved, err := w.replica(0).engine.Resolve(t.Context(), purchase.Everyone, p.ID, purchase.Resolution{ItemUID: uid, By: "operator"})
		if err != nil || resolved.ItemUID != uid {
			t.Errorf("an operator names one of the two: %v", err)
		}
	})
}

// TestHungJournal: a hung read or write of the journal delays the reconciler for seconds, not for the time
// of a whole pass.
func TestHungJournal(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"watched", "secrets", "witnesses", "record FOUND"} {
		stage(t, plan{faults: []fault{{step: step, nth: 1, do: doHang}}}, func(t *testing.T, w *world) {
			w.sellUnseen(t, register("order-0", ""))
			if _, took := w.becomes(t, "order-0", purchase.Succeeded, time.Hour); took > time.Minute {
				t.Errorf("%s hangs: found after %s", step, took)
			}
			if w.visits[step] == 0 {
				t.Errorf("%s never hung", step)
			}
		})
	}
}
