package simulation

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

const formerFlag = "--gigastore-former-client-ids"

// olderRegister is an older witness for registers that start at once.
var olderRegister = []purchase.Order{order(purchase.Register, "", "older-0")}

// newClientID restarts the gateway with the other client id.
func (w *world) newClientID(formerSaid bool) {
	w.plan.otherAccountAfterRestart, w.plan.formerSaid = true, formerSaid
	w.replica(0).kill(time.Second)
	pause(2 * time.Second)
}

// resolveWith lets an operator resolve a key's purchase with a package.
func (w *world) resolveWith(t *testing.T, key, uid string) (purchase.Purchase, error) {
	t.Helper()
	return w.replica(0).engine.Resolve(t.Context(), purchase.Everyone, w.of(t, key).ID, purchase.Resolution{ItemUID: uid, By: "operator", Note: "portal"})
}

// TestNewClientIDFindsASale: a package with the purchase's mark belongs to it, whichever client id bought it.
func TestNewClientIDFindsASale(t *testing.T) {
	t.Parallel()
	for _, said := range []bool{false, true} {
		stage(t, plan{}, func(t *testing.T, w *world) {
			w.inject(t, listPath, "list_fail", 100000, nil)
			w.sellUnseen(t, register("order-0", ""))
			w.newClientID(said)
			w.box.Disarm()
			p, took := w.becomes(t, "order-0", purchase.Succeeded, time.Hour)
			if sales := w.salesOf(t, "order-0"); len(sales) != 1 || p.ItemUID != sales[0].ItemUID || took > time.Minute {
				t.Errorf("%s after %s, the ledger has %v", p.ItemUID, took, sales)
			}
			again := w.buy(w.replica(0), register("order-0", ""))
			wants(t, again, told)
			if !again.bought.Replayed || again.bought.Purchase.ItemUID != p.ItemUID || len(w.salesOf(t, "order-0")) != 1 {
				t.Errorf("the same request id again: %s, %d sold", again, len(w.salesOf(t, "order-0")))
			}
		})
	}
}

// TestNewClientIDAndALostSend: an operator has configured that both client ids are of one account. A
// purchase of the former id is then presumed absent as usual, with witnesses of either id.
func TestNewClientIDAndALostSend(t *testing.T) {
	t.Parallel()
	stage(t, plan{older: olderRegister}, func(t *testing.T, w *world) {
		p := w.lose(t, register("order-0", ""))
		w.newClientID(true)
		pause(time.Until(p.SendNotAfter.Add(vendorTimeout + time.Second)))
		wants(t, w.buy(w.replica(0), register("younger-0", "")), told)
		got, _ := w.becomes(t, "order-0", purchase.Failed, time.Hour)
		if took := got.SettledAt.Sub(quietEnd(p)); got.Reason != purchase.ReasonPresumedAbsent || took < 2*quiet/4 || took > 2*quiet/4+absenceWait/2 {
			t.Errorf("%s, %s after the quiet time", got.Reason, took)
		}
		wants(t, w.buy(w.replica(0), register("order-0", "")), toldFailed)
		if sales := w.salesOf(t, "order-0"); len(sales) != 0 {
			t.Errorf("%d sold", len(sales))
		}
	})
}

// TestNewClientIDHasOlderWitnesses: purchases of the former client id are witnesses if both are of one account.
func TestNewClientIDHasOlderWitnesses(t *testing.T) {
	t.Parallel()
	for _, said := range []bool{false, true} {
		stage(t, plan{older: olderRegister}, func(t *testing.T, w *world) {
			w.newClientID(said)
			w.lose(t, register("order-0", ""))
			if said {
				w.becomes(t, "order-0", purchase.Failed, time.Hour)
			} else if p, _ := w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour); p.Reason != purchase.NoWitness {
				t.Errorf("an operator is needed for %s", p.Reason)
			}
		})
	}
}

// TestFormerClientIDSaidLate: a purchase was handed to an operator because its client id was not
// configured. Once the id is configured, the purchase is settled by the usual evidence.
func TestFormerClientIDSaidLate(t *testing.T) {
	t.Parallel()
	stage(t, plan{older: olderRegister}, func(t *testing.T, w *world) {
		w.lose(t, register("order-0", ""))
		w.newClientID(false)
		if p, _ := w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour); p.Reason != purchase.OtherAccount {
			t.Errorf("an operator is needed for %s", p.Reason)
		}
		if _, refused := w.nothingSold(t, "order-0", false); refused == nil || refused.Retry != 0 || !strings.Contains(refused.Error(), formerFlag) {
			t.Errorf("resolving as nothing sold, with a client id whose records are not read, gave %v", refused)
		}
		w.newClientID(true)
		if p, _ := w.becomes(t, "order-0", purchase.Failed, time.Hour); p.Reason != purchase.ReasonPresumedAbsent {
			t.Errorf("it failed for %s", p.Reason)
		}
	})
}

// TestNothingSoldWithAFormerClientID: an operator can declare that nothing was sold once complete reads show no sale.
func TestNothingSoldWithAFormerClientID(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		p := w.lose(t, register("order-0", "FIRST_USE"))
		w.newClientID(true)
		for {
			got, refused := w.nothingSold(t, "order-0", false)
			if refused == nil {
				if got.Reason != purchase.ReasonOperator || got.SettledAt.Before(quietEnd(p).Add(2*quiet/4)) {
					t.Errorf("%s %s after %s", got.State, got.Reason, got.SettledAt.Sub(p.ClaimedAt))
				}
				return
			}
			if refused.Retry <= 0 || time.Since(w.began) > time.Hour {
				t.Fatal(refused)
			}
			pause(refused.Retry + time.Second)
		}
	})
}

// TestFormerClientIDOfAnotherAccount: an operator has wrongly configured that both client ids are of one
// account. A list without any sale of the former id proves nothing about that id.
func TestFormerClientIDOfAnotherAccount(t *testing.T) {
	t.Parallel()
	p := plan{
		replicas: 2, otherAccountBeside: true, accountsApart: true, formerSaid: true,
		older: []purchase.Order{order(purchase.Register, "", "older-0"), order(purchase.Register, "", "older-1")},
	}
	stage(t, p, func(t *testing.T, w *world) {
		w.inject(t, listPath, "list_fail", 100000, nil)
		w.sellUnseen(t, register("order-0", "")) // sold to the first replica's account; the second replica reads another list
		if got, _ := w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour); got.Reason != purchase.NoWitness {
			t.Errorf("an operator is needed for %s", got.Reason)
		}
		w.box.Disarm()
		w.becomes(t, "order-0", purchase.Succeeded, time.Hour)
	})
}

// TestNewClientIDAndANamedPackage: the mark proves which purchase a package belongs to. A package without
// a mark can be named only if both client ids are configured as one account.
func TestNewClientIDAndANamedPackage(t *testing.T) {
	t.Parallel()
	stage(t, plan{}, func(t *testing.T, w *world) {
		w.inject(t, listPath, "list_fail", 100000, nil)
		w.sellUnseen(t, register("order-0", ""))
		w.inject(t, registerPath, "metatag_truncated", 1, nil)
		c := register("cut", gigastore.ModeFirstUse)
		c.deadline = time.Second
		wants(t, w.buy(w.replica(0), c), unsettled)
		sales := w.box.Ledger().Sales
		marked, cut := w.salesOf(t, "order-0")[0].ItemUID, sales[len(sales)-1].ItemUID
		w.newClientID(false)
		w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)

		if p, err := w.resolveWith(t, "order-0", marked); err != nil || p.ItemUID != marked {
			t.Errorf("a package with the mark: %s, %v", p.State, err)
		}
		if _, err := w.resolveWith(t, "cut", marked); !errors.Is(err, purchase.ErrForeignItem) {
			t.Errorf("another purchase's package: %v", err)
		}
		_, err := w.resolveWith(t, "cut", cut)
		if _, ok := errors.AsType[*purchase.OtherAccountError](err); !ok || !errors.Is(err, purchase.ErrForeignItem) || !strings.Contains(err.Error(), formerFlag) {
			t.Errorf("a package without a mark: %v", err)
		}
		w.newClientID(true)
		if p, err := w.resolveWith(t, "cut", cut); err != nil || p.ItemUID != cut {
			t.Errorf("a package without a mark, of one account: %s, %v", p.State, err)
		}
		// A package of the former client id cannot be bound to a second purchase.
		w.lose(t, register("second", gigastore.ModeFirstUse))
		if _, err := w.resolveWith(t, "second", cut); !errors.Is(err, purchase.ErrItemTaken) {
			t.Errorf("a package that is bound already: %v", err)
		}
	})
}

// TestNothingSoldWithAClientIDOfAnotherAccount: an operator has wrongly configured that both client ids are of one account,
// and declares from the wrong account's list that nothing was sold. The gateway refuses until the list shows a purchase of
// the former id.
func TestNothingSoldWithAClientIDOfAnotherAccount(t *testing.T) {
	t.Parallel()
	p := plan{accountsApart: true, otherAccountAfterRestart: true, older: olderRegister}
	stage(t, p, func(t *testing.T, w *world) {
		w.inject(t, listPath, "list_fail", 100000, nil)
		w.sellUnseen(t, register("order-0", ""))
		w.newClientID(true)
		w.becomes(t, "order-0", purchase.NeedsOperator, time.Hour)
		pause(time.Hour)
		got, refused := w.nothingSold(t, "order-0", false)
		if refused == nil || refused.Retry != 0 || !strings.Contains(refused.Error(), "another account") {
			t.Errorf("%d packages were sold, but nothing sold was accepted: %s %s, %v", len(w.salesOf(t, "order-0")), got.State, got.Reason, refused)
		}
		if got, refused := w.nothingSold(t, "order-0", true); refused != nil || got.Reason != purchase.ReasonOperator {
			t.Errorf("a forced decision: %v", refused)
		}
	})
}
