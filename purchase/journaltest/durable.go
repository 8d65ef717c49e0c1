package journaltest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"gigagate.internal/purchase"
)

// replica returns a second journal on the same rows, or the same journal if there can be no second one.
func (s *subject) replica(t *testing.T) purchase.Journal {
	t.Helper()
	if s.Replica == nil {
		return s.Journal
	}
	return s.Replica(t)
}

func testRestart(t *testing.T, s *subject) { s.checkRestart(t, false) }

func testKilled(t *testing.T, s *subject) { s.checkRestart(t, true) }

func (s *subject) checkRestart(t *testing.T, killed bool) {
	t.Helper()
	if s.Restart == nil {
		t.Skip("this journal ends with its process")
	}
	var rows []purchase.Purchase
	for _, state := range purchase.States() {
		p := s.in(t, state, newClaim())
		if p.State == purchase.Succeeded {
			p = s.recordTransition(t, p, transitionOf(p, purchase.AnsweredRefused, p.Attempt), purchase.Contradicts)
		}
		rows = append(rows, p)
	}
	histories := map[string][]purchase.HistoryEntry{}
	for _, p := range rows {
		histories[p.ID] = s.history(t, p.ID)
	}

	s.Journal = s.Restart(t, killed)
	for _, want := range rows {
		got := s.get(t, want.ID)
		if want.State == purchase.Sending || want.State == purchase.Accepted {
			got.LeaseUntil = want.LeaseUntil // a journal that knows that the owner is dead may have ended the lease
		}
		equal(t, "a purchase after the restart", got, want)
		equal(t, "its history", s.history(t, want.ID), histories[want.ID])
		secrets, err := s.Journal.Secrets(t.Context(), want.ID)
		if err != nil || string(secrets.Personal) != string(newPersonal()) || (secrets.Sale != nil) != (want.State == purchase.Succeeded) {
			t.Errorf("secrets of %s: a sale of %d bytes, err = %v", want.State, len(secrets.Sale), err)
		}
		if p, err := s.Journal.Claim(t.Context(), purchase.Claim{
			ID: nextID(), Key: want.Key, Account: want.Account, Order: want.Order, PermitLife: permitLife, Lease: lease,
		}); err != nil || p.ID != want.ID {
			t.Errorf("a key from before the restart, of %s: %s, err = %v", want.ID, p.ID, err)
		}
	}
	s.record(t, s.claim(t, newClaim()), purchase.AnsweredApplied)
}

// testCallerGone: a caller whose context ends at any moment gets ErrNotWritten only if nothing was written.
func testCallerGone(t *testing.T, s *subject) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	claim := newClaim()
	_, err := s.Journal.Claim(gone, claim)
	s.checkTold(t, claim, err)

	const callers = 200
	var (
		done   sync.WaitGroup
		claims [callers]purchase.Claim
		errs   [callers]error
	)
	for i := range callers {
		claims[i] = newClaim()
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
		done.Go(func() {
			defer cancel()
			_, errs[i] = s.Journal.Claim(ctx, claims[i])
		})
	}
	done.Wait()
	s.claim(t, newClaim()) // all earlier claims have now been written, or never will be
	for i, claim := range claims {
		s.checkTold(t, claim, errs[i])
	}
}

func (s *subject) checkTold(t *testing.T, claim purchase.Claim, told error) {
	t.Helper()
	_, err := s.Journal.Get(t.Context(), claim.ID)
	switch {
	case told == nil && err != nil:
		t.Errorf("the claim succeeded, but the purchase cannot be read: %v", err)
	case errors.Is(told, purchase.ErrNotWritten) && !errors.Is(err, purchase.ErrNotFound):
		t.Errorf("the claim failed with %q, but the purchase exists (err = %v)", told, err)
	case err != nil && !errors.Is(err, purchase.ErrNotFound):
		t.Errorf("the purchase cannot be read: %v", err)
	}
}

// testCommitLost: if it is unknown whether a commit happened, doing the same again finds out.
func testCommitLost(t *testing.T, s *subject) {
	if s.LoseCommit == nil {
		t.Skip("this journal cannot lose a commit")
	}
	for _, happened := range []bool{true, false} {
		claim := newClaim()
		s.LoseCommit(t, happened)
		_, err := s.Journal.Claim(t.Context(), claim)
		if err == nil {
			t.Fatalf("happened = %t: claimed without a known commit", happened)
		}
		if happened && errors.Is(err, purchase.ErrNotWritten) {
			t.Errorf("the claim failed with %q although it was written", err)
		}
		var p purchase.Purchase
		s.untilDone(t, func(ctx context.Context) (err error) {
			p, err = s.Journal.Claim(ctx, claim)
			return err
		})
		if p.ID != claim.ID || p.State != purchase.Sending || p.Attempt != 1 {
			t.Errorf("happened = %t: claiming again returns %+v", happened, p)
		}
		if entries := s.history(t, claim.ID); len(entries) != 1 {
			t.Errorf("happened = %t: %d entries after claiming again, want 1", happened, len(entries))
		}

		transition := transitionOf(p, purchase.AnsweredApplied, 1)
		s.LoseCommit(t, happened)
		if _, _, err = purchase.Record(t.Context(), s.Journal, p, transition); err == nil {
			t.Fatal("recorded without a known commit")
		}
		s.checkWhole(t, p.ID, happened)
		before := p
		s.untilDone(t, func(ctx context.Context) (err error) {
			p, _, err = purchase.Record(ctx, s.Journal, before, transition)
			return err
		})
		if p.State != purchase.Succeeded {
			t.Errorf("happened = %t: recording again leaves it in %s", happened, p.State)
		}
		if entries := s.history(t, p.ID); len(entries) != 2 {
			t.Errorf("happened = %t: %d entries, want 2", happened, len(entries))
		}
	}
}

// checkWhole: a purchase whose settlement may have been written is settled with all its data, or open with all
// its data.
func (s *subject) checkWhole(t *testing.T, id string, settled bool) {
	t.Helper()
	var secrets purchase.Secrets
	s.untilDone(t, func(ctx context.Context) (err error) {
		secrets, err = s.Journal.Secrets(ctx, id)
		return err
	})
	p := s.get(t, id)
	if p.State.Settled() != settled || string(secrets.Personal) != string(newPersonal()) || (secrets.Sale != nil) != settled {
		t.Errorf("settled = %t: the purchase is in %s with a sale of %d bytes and %s", settled, p.State, len(secrets.Sale), secrets.Personal)
	}
	s.consistent(t, id)
}

// untilDone repeats try until the journal has recovered.
func (s *subject) untilDone(t *testing.T, try func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the journal does not recover: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
}

// testUnknownOrderField: a journal refuses an order that a later version wrote, and never returns a part of it.
// The reconciler still gets all purchases that can be read.
func testUnknownOrderField(t *testing.T, s *subject) {
	if s.RewriteOrder == nil {
		t.Skip("this journal stores no order as text")
	}
	later := func(p purchase.Purchase) purchase.Purchase {
		s.RewriteOrder(t, p.ID, []byte(`{"kind":"register","inventory_item_id":"i","metatag":"m","of_a_later_version":1}`))
		return p
	}
	p := later(s.in(t, purchase.Uncertain, newClaim()))
	open := s.in(t, purchase.Uncertain, newClaim())
	later(s.in(t, purchase.Succeeded, newClaim()))
	witness := s.in(t, purchase.Succeeded, newClaim())
	later(s.in(t, purchase.Sending, newClaim()))
	sending := s.in(t, purchase.Sending, newClaim())
	ctx := t.Context()
	for name, read := range map[string]func() error{
		"Lookup": func() error { _, err := s.Journal.Lookup(ctx, p.Key); return err },
		"Get":    func() error { _, err := s.Journal.Get(ctx, p.ID); return err },
		"List": func() error {
			_, _, err := s.Journal.List(ctx, purchase.Filter{}, purchase.Page{Size: 10})
			return err
		},
		"Claim": func() error {
			claim := newClaim()
			claim.Key = p.Key
			_, err := s.Journal.Claim(ctx, claim)
			return err
		},
	} {
		if err := read(); !errors.Is(err, purchase.ErrUnreadableOrder) {
			t.Errorf("%s of an order with an unknown field: err = %v", name, err)
		}
	}
	readable := func(name string, want purchase.Purchase, list []purchase.Purchase, err error) {
		t.Helper()
		if !errors.Is(err, purchase.ErrUnreadableOrder) || len(list) != 1 || list[0].ID != want.ID {
			t.Errorf("%s: %d purchases, err = %v; want the one that can be read", name, len(list), err)
		}
	}
	watched, err := s.Journal.Watched(ctx, time.Hour)
	readable("Watched", open, watched, err)
	like := purchase.Likeness{Account: witness.Account, Kind: witness.Order.Kind, Mode: string(witness.Order.EffectiveMode())}
	witnesses, err := s.Journal.Witnesses(ctx, like, purchase.Span{}, 10)
	readable("Witnesses", witness, witnesses, err)
	s.clock.Advance(lease + time.Second)
	lapsed, err := s.Journal.Lapsed(ctx, 1) // the other order came first, and takes no place
	readable("Lapsed", sending, lapsed, err)
	s.record(t, s.claim(t, newClaim()), purchase.AnsweredApplied) // other purchases still work
}

func testPing(t *testing.T, s *subject) {
	if err := s.Journal.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
}

func testClosed(t *testing.T, s *subject) {
	p := s.claim(t, newClaim())
	if err := s.Journal.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if _, err := s.Journal.Claim(t.Context(), newClaim()); !errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("claim after close: err = %v, want ErrNotWritten", err)
	}
	if _, err := s.Journal.Get(t.Context(), p.ID); err == nil {
		t.Error("get after close: no error")
	}
	if err := s.Journal.Ping(t.Context()); err == nil {
		t.Error("ping after close: no error")
	}
	if err := s.Journal.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}
