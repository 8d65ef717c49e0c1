package main

import (
	"errors"
	"net/http"
	"testing"
	"time"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/purchase/postgres/postgrestest"
)

// TestPostgreSQLGone takes the server away in three ways: it does not answer, it is down, or it refuses
// writes like a standby that was not promoted.
func TestPostgreSQLGone(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	s := newShop(t)
	r := newReplica(t, s, server.URL, "--gigastore-timeout=30s").start(t)

	t.Run("frozen", func(t *testing.T) {
		held, answer := startHeld(t, s, r, "frozen", 2*time.Second)
		thaw := freeze(t, server)
		refused := checkRefused(t, s, r, "while-frozen", false)
		thaw()
		answer() // any answer is right: it depends on how soon the gateway tries again
		checkRecovered(t, s, r, held, refused)
	})
	t.Run("stopped", func(t *testing.T) {
		held, answer := startHeld(t, s, r, "stopped", 2*time.Second)
		server.Kill()
		refused := checkRefused(t, s, r, "while-stopped", false)
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		answer()
		checkRecovered(t, s, r, held, refused)
	})
	t.Run("read-only", func(t *testing.T) {
		readOnly := func(value string) {
			inDatabase(t, server, "ALTER SYSTEM SET default_transaction_read_only = "+value)
			inDatabase(t, server, "SELECT pg_reload_conf()")
		}
		held, answer := startHeld(t, s, r, "read-only", 2*time.Second)
		readOnly("on")
		eventually(t, "not ready", func() error {
			if r.readyz(t).status == http.StatusOK {
				return errors.New("ready")
			}
			return nil
		})
		// Here the journal could be read.
		refused := checkRefused(t, s, r, "while-read-only", true)
		readOnly("off")
		answer()
		checkRecovered(t, s, r, held, refused)
	})
}

// TestClaimThatWaits: a claim waits for a lock until its caller has left. As long as the claim may still be
// written, no answer may say that nothing was started.
func TestClaimThatWaits(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	s := newShop(t)
	r := newReplica(t, s, server.URL).start(t)
	conn := connect(t, r)[0]
	release := lockPurchases(t, server)
	in := newRegister("order-1")
	a := in.buyWithin(t.Context(), conn, time.Second) // less than the lock timeout, which is two seconds
	if a.outcome.GetEffect() != gigagatev1.Effect_EFFECT_INDETERMINATE {
		t.Errorf("while the claim waits: %s", a)
	}
	if a.purchase != "" {
		_, err := r.purchases(t).GetPurchase(t.Context(), &gigagatev1.GetPurchaseRequest{Id: a.purchase})
		if told := newCallError(err); err != nil && !told.mayHaveEffect() {
			t.Errorf("the answer names purchase %s, but GetPurchase answers: %s", a.purchase, told)
		}
	}
	release()
	// The claim may be written now. Then its purchase must have failed: another replica may have told the caller that
	// nothing was started. On a slow machine its lock timeout may have been faster. Then this call is the first.
	b := in.buyWithin(t.Context(), conn, soon)
	first := b.sold != nil && !b.replayed && b.purchase != a.purchase
	if !first && b.outcome.GetEffect() != gigagatev1.Effect_EFFECT_NOT_APPLIED {
		t.Errorf("afterwards: %s", b)
	}
	check(t, s, r, in)
}
