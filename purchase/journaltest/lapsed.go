package journaltest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"gigagate.internal/purchase"
)

func testConfirmPermit(t *testing.T, s *subject) {
	fresh, lapsed := s.claim(t, newClaim()), s.in(t, purchase.Accepted, newClaim())
	if err := s.Journal.ConfirmPermit(t.Context(), fresh.ID, fresh.Attempt); err != nil {
		t.Errorf("a permit that is still valid: %v", err)
	}
	if s.Replica == nil {
		return // only one process can use this journal, so nobody else can have taken a purchase over
	}
	confirm := func(why string, p purchase.Purchase, attempt int) {
		t.Helper()
		if err := s.Journal.ConfirmPermit(t.Context(), p.ID, attempt); !errors.Is(err, purchase.ErrPermitOver) {
			t.Errorf("%s: %v", why, err)
		}
	}
	confirm("another attempt", fresh, fresh.Attempt+1)
	confirm("no permit", lapsed, lapsed.Attempt)
	s.clock.Advance(fresh.SendNotAfter.Sub(s.now()) + time.Second)
	confirm("a permit that ran out", fresh, fresh.Attempt)
}

// take takes over what has lapsed, as the engine does, and returns it. Others may take over at the same time.
func (s *subject) take(t *testing.T, journal purchase.Journal, limit int) []purchase.Purchase {
	t.Helper()
	lapsed, err := journal.Lapsed(t.Context(), limit)
	if err != nil {
		t.Errorf("lapsed: %v", err)
	}
	var taken []purchase.Purchase
	for _, p := range lapsed {
		event := purchase.TakenOver
		if p.State == purchase.Sending {
			event = purchase.Lost
		}
		step, err := purchase.Decide(p, transitionOf(p, event, p.Attempt))
		if err != nil {
			t.Errorf("lapsed in %s: %v", p.State, err)
		}
		switch p, err := journal.Write(t.Context(), step); {
		case err == nil:
			taken = append(taken, p)
		case !errors.Is(err, purchase.ErrStale):
			t.Errorf("take: %v", err)
		}
	}
	return taken
}

func testLapsed(t *testing.T, s *subject) {
	var sending, accepted purchase.Purchase
	for _, state := range purchase.States() {
		p := s.in(t, state, newClaim())
		switch state {
		case purchase.Sending:
			sending = p
		case purchase.Accepted:
			accepted = p
		default:
			if !p.LeaseUntil.IsZero() {
				t.Errorf("%s has a lease", state)
			}
		}
	}
	if lapsed := s.take(t, s.Journal, 100); len(lapsed) != 0 {
		t.Fatalf("%d taken before any lease is over", len(lapsed))
	}
	s.clock.Advance(lease + time.Second)
	fresh := s.claim(t, newClaim())
	lapsed, err := s.Journal.Lapsed(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the lapsed", lapsed, []purchase.Purchase{sending, accepted})

	s.take(t, s.Journal, 100)
	want, _ := sending.After(transitionOf(sending, purchase.Lost, 2), s.now())
	equal(t, "the lapsed Sending", s.get(t, sending.ID), want)
	want = accepted
	want.LeaseUntil, want.UpdatedAt, want.Revision = s.now().Add(lease), s.now(), accepted.Revision+1
	equal(t, "the lapsed Accepted", s.get(t, accepted.ID), want)
	s.consistent(t, sending.ID)
	s.consistent(t, accepted.ID)
	equal(t, "a purchase whose lease goes on", s.get(t, fresh.ID), fresh)
	if again := s.take(t, s.Journal, 100); len(again) != 0 {
		t.Errorf("%d taken again", len(again))
	}
}

func testLapsedRace(t *testing.T, s *subject) {
	const rows, takers = 60, 4
	journals := []purchase.Journal{s.Journal, s.replica(t)}
	var all []string
	for i := range rows {
		p := s.claim(t, newClaim())
		if i%2 == 0 {
			s.record(t, p, purchase.AnsweredNoEffect)
		}
		all = append(all, p.ID)
	}
	s.clock.Advance(lease + time.Second)
	var (
		done  sync.WaitGroup
		taken [takers][]purchase.Purchase
	)
	for i := range takers {
		done.Go(func() { taken[i] = s.take(t, journals[i%len(journals)], 100) })
	}
	done.Wait()
	got := ids(slices.Concat(taken[:]...))
	slices.Sort(got)
	equal(t, "the purchases that all concurrent calls took", got, all)
	for _, id := range all {
		s.consistent(t, id)
	}
}

// testLapsedInPages: no call returns more than its limit. The purchases whose leases ended first come first.
func testLapsedInPages(t *testing.T, s *subject) {
	const rows, limit = 23, 5
	var all []string
	for i := range rows {
		p := s.claim(t, newClaim())
		if i%2 == 0 {
			s.record(t, p, purchase.AnsweredNoEffect)
		}
		all = append(all, p.ID)
		s.clock.Advance(time.Millisecond)
	}
	s.clock.Advance(lease + time.Second)
	var got []string
	for len(got) < rows {
		taken := s.take(t, s.Journal, limit)
		if want := min(limit, rows-len(got)); len(taken) != want {
			t.Fatalf("%d purchases taken after %d, want %d", len(taken), len(got), want)
		}
		got = append(got, ids(taken)...)
	}
	equal(t, "the purchases that were taken, in the order of their leases", got, all)
}
