package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/purchase/postgres/postgrestest"
)

// TestSecondProcessOnSQLite: only one gateway can use the file. A second one reports this and ends. The
// first one goes on.
func TestSecondProcessOnSQLite(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	file := "sqlite:" + filepath.Join(t.TempDir(), "journal.db")
	first, second := newReplica(t, s, file).start(t), newReplica(t, s, file)
	p := launch(t, nil, second.flags...)
	if status := p.exit(t); status != exitFailed {
		t.Errorf("exit status %d", status)
	}
	if want := "gigagate: --journal: "; !strings.Contains(p.log.String(), want) ||
		!strings.Contains(p.log.String(), "the journal is in use by another process") {
		t.Errorf("it says %q", p.log)
	}
	if strings.Contains(p.out.String(), "REST") {
		t.Errorf("it printed a greeting: %q", p.out)
	}
	conn, err := first.connection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in := newRegister("order-1")
	if a := in.buyWithin(t.Context(), conn, soon); a.sold == nil {
		t.Errorf("the first gateway afterwards: %s", a)
	}
	check(t, s, first, in)
}

// TestSIGTERMWhileUncertain stops a gateway that has one purchase it cannot settle and one on the wire. It
// ends with status 0, and the next process settles both.
func TestSIGTERMWhileUncertain(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := newReplica(t, s, "sqlite:"+filepath.Join(t.TempDir(), "journal.db")).start(t)
	s.inject(t, listPath, "list_fail", 1000, nil)
	s.inject(t, registerPath, "commit_then_reset", 1, nil)
	conn, err := r.connection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	uncertain := newRegister("uncertain")
	if a := uncertain.buyWithin(t.Context(), conn, 3*time.Second); a.outcome.GetEffect() != gigagatev1.Effect_EFFECT_INDETERMINATE || a.purchase == "" {
		t.Errorf("before it is settled: %s", a)
	}
	s.inject(t, registerPath, "commit_late", 1, map[string]any{"delay": "500ms"}) // sold, but never answered
	onTheWire, answered := newRegister("on-the-wire"), make(chan told, 1)
	go func() { answered <- onTheWire.buyWithin(t.Context(), conn, soon) }()
	eventually(t, "the second request is with the vendor", func() error {
		if s.ledger(t).Requests[registerPath] < 2 {
			return errors.New("not yet")
		}
		return nil
	})
	began := time.Now()
	r.process().signal(t, syscall.SIGTERM)
	if status := r.process().exit(t); status != 0 {
		t.Errorf("exit status %d; its log:\n%s", status, r.process().log)
	}
	// The vendor timeout is 2 s. This process does not settle purchases that take longer.
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("ended %.1f s after SIGTERM", took.Seconds())
	} else {
		t.Logf("ended %.1f s after SIGTERM", took.Seconds())
	}
	if a := <-answered; a.sold != nil || a.outcome.GetEffect() == gigagatev1.Effect_EFFECT_NOT_APPLIED {
		t.Errorf("on the wire: %s", a)
	}
	r.hangUp()

	s.disarm(t)
	began = time.Now()
	r.start(t)
	if conn, err = r.connection(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, in := range []*intent{uncertain, onTheWire} {
		if a := in.buyWithin(t.Context(), conn, soon); a.sold == nil {
			t.Errorf("%s, in the next process: %s", in.requestID, a)
		}
	}
	t.Logf("both settled %.1f s after the next start", time.Since(began).Seconds())
	if posts := s.ledger(t).Requests[registerPath]; posts != 2 {
		t.Errorf("%d POSTs for two purchases", posts)
	}
	check(t, s, r, uncertain, onTheWire)
}

// TestStoppedPastItsLease stops a replica (SIGSTOP) during two purchases. The request of one has not left
// yet, that of the other is at the vendor. The other replica takes over each purchase when its lease ends.
// When the first replica wakes up, it neither sends nor changes anything.
func TestStoppedPastItsLease(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	s := newShop(t)
	other := newReplica(t, s, server.URL).start(t)
	// The sleeper gets no token at its start, so that its first call needs one.
	s.inject(t, tokenPath, "5xx", 1000, nil)
	sleeper := newReplica(t, s, server.URL).start(t)
	sleeper.process().log.waitFor(t, sleeper.process().ended, "the vendor could not be asked about the credentials")
	s.disarm(t)
	conns := connect(t, sleeper, other)
	older := newRegister("older") // the older witness of an absence
	if a := older.buyWithin(t.Context(), conns[1], soon); a.sold == nil {
		t.Fatal(a)
	}

	// The token comes byte by byte. The paid request can only follow it.
	tokens := s.ledger(t).Calls["POST "+tokenPath]
	s.inject(t, tokenPath, "slow_body", 1, map[string]any{"bytes": 8, "interval": "100ms"})
	unsent, unsentTold := newRegister("unsent"), make(chan told, 1)
	go func() { unsentTold <- unsent.buyWithin(t.Context(), conns[0], soon) }()
	eventually(t, "the replica asks for a token", func() error {
		if s.ledger(t).Calls["POST "+tokenPath] == tokens {
			return errors.New("not yet")
		}
		return nil
	})
	sleeper.process().signal(t, syscall.SIGSTOP)
	t.Cleanup(func() { _ = sleeper.process().command.Process.Signal(syscall.SIGCONT) })
	endLeases(t, server)
	waitForState(t, other, "unsent", gigagatev1.PurchaseState_PURCHASE_STATE_FAILED)
	sleeper.process().signal(t, syscall.SIGCONT)
	if a := <-unsentTold; a.outcome.GetEffect() != gigagatev1.Effect_EFFECT_NOT_APPLIED {
		t.Errorf("the purchase whose request had not left: %s", a)
	}
	if posts := s.ledger(t).Requests[registerPath]; posts != 1 {
		t.Errorf("the woken replica sent %d requests", posts-1)
	}

	s.inject(t, registerPath, "commit_late", 1, map[string]any{"delay": "500ms", "answer": true})
	sent, sentTold := newRegister("sent"), make(chan told, 1)
	go func() { sentTold <- sent.buyWithin(t.Context(), conns[0], soon) }()
	eventually(t, "the vendor has the request", func() error {
		if s.ledger(t).Requests[registerPath] < 2 {
			return errors.New("not yet")
		}
		return nil
	})
	sleeper.process().signal(t, syscall.SIGSTOP)
	endLeases(t, server)
	waitForState(t, other, "sent", gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED)
	sleeper.process().signal(t, syscall.SIGCONT)
	if a := <-sentTold; a.sold == nil {
		t.Errorf("the purchase on the wire: %s", a)
	}
	for _, in := range []*intent{unsent, sent, older} {
		for _, conn := range conns {
			in.buyWithin(t.Context(), conn, soon)
		}
	}
	if posts := s.ledger(t).Requests[registerPath]; posts != 3-1 {
		t.Errorf("%d POSTs, want those of the older purchase and of the one on the wire", posts)
	}
	check(t, s, other, unsent, sent, older)
}

// waitForState waits until a replica reports a purchase in the given state, and logs its history.
func waitForState(t *testing.T, r *replica, requestID string, state gigagatev1.PurchaseState) {
	t.Helper()
	var p *gigagatev1.Purchase
	eventually(t, requestID, func() error {
		page, err := r.purchases(t).ListPurchases(t.Context(), &gigagatev1.ListPurchasesRequest{RequestId: requestID})
		if err != nil {
			return err
		}
		if p = page.GetPurchases()[0]; p.GetState() != state {
			return fmt.Errorf("it is %s %s", p.GetState(), p.GetReason())
		}
		return nil
	})
	got, err := r.purchases(t).GetPurchase(t.Context(), &gigagatev1.GetPurchaseRequest{Id: p.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	var events []string
	for _, event := range got.GetHistory() {
		events = append(events, fmt.Sprintf("%s by %v", event.GetEvent(), event.GetActor()))
	}
	t.Logf("%s: %s", requestID, strings.Join(events, ", "))
}
