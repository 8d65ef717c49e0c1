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

func testTakeLapsed(t *testing.T, s *subject) {
	const renewed = 40 * time.Second
	states := map[string]purchase.Purchase{}
	for _, state := range purchase.States() {
		p := s.in(t, state, newClaim())
		states[p.ID] = p
	}
	taken, err := s.Journal.TakeLapsed(t.Context(), renewed, 100)
	if err != nil || len(taken) != 0 {
		t.Fatalf("%d taken before any lease is over, err = %v", len(taken), err)
	}
	s.clock.Advance(lease + time.Second)
	fresh := s.claim(t, newClaim())

	taken, err = s.Journal.TakeLapsed(t.Context(), renewed, 100)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]purchase.Purchase{}
	for _, p := range taken {
		got[p.ID] = p
	}
	if len(taken) != 2 || len(got) != 2 {
		t.Errorf("%d purchases taken, want the one in Sending and the one in Accepted", len(taken))
	}
	for id, before := range states {
		now, entries := s.get(t, id), s.history(t, id)
		last := entries[len(entries)-1]
		switch before.State {
		case purchase.Sending:
			want, _ := before.After(purchase.Transition{Event: purchase.Lost, Attempt: 2}, s.now())
			equal(t, "the lapsed Sending, returned", got[id], want)
			equal(t, "the lapsed Sending", now, want)
			if last.Event != purchase.Lost || last.Attempt != 2 || last.State != purchase.Uncertain || last.By != purchase.ByGateway {
				t.Errorf("the last entry of the lapsed Sending is %+v", last)
			}
		case purchase.Accepted:
			want := before
			want.LeaseUntil, want.UpdatedAt = s.now().Add(renewed), s.now()
			equal(t, "the lapsed Accepted, returned", got[id], want)
			equal(t, "the lapsed Accepted", now, want)
		default:
			equal(t, "a purchase without a lease, in "+string(before.State), now, before)
		}
		s.consistent(t, id)
	}
	equal(t, "a purchase whose lease goes on", s.get(t, fresh.ID), fresh)

	taken, err = s.Journal.TakeLapsed(t.Context(), renewed, 100)
	if err != nil || len(taken) != 0 {
		t.Errorf("%d taken again, err = %v", len(taken), err)
	}
}

func testTakeLapsedRace(t *testing.T, s *subject) {
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
		done.Go(func() {
			var err error
			if taken[i], err = journals[i%len(journals)].TakeLapsed(t.Context(), lease, 100); err != nil {
				t.Errorf("take: %v", err)
			}
		})
	}
	done.Wait()
	got := ids(slices.Concat(taken[:]...))
	slices.Sort(got)
	equal(t, "the purchases that all concurrent calls took", got, all)
	for _, id := range all {
		s.consistent(t, id)
	}
}

// testTakeLapsedInPages: no call takes more than its limit. The purchases whose leases ended first come first.
// Together the calls take each purchase once.
func testTakeLapsedInPages(t *testing.T, s *subject) {
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
	for {
		taken, err := s.Journal.TakeLapsed(t.Context(), lease, limit)
		if err != nil {
			t.Fatal(err)
		}
		if want := min(limit, rows-len(got)); len(taken) != want {
			t.Fatalf("a call took %d purchases after %d, want %d", len(taken), len(got), want)
		}
		page := ids(taken)
		slices.Sort(page)
		got = append(got, page...)
		if len(taken) < limit {
			break
		}
	}
	equal(t, "the purchases that all calls took, in the order of their leases", got, all)
	for _, id := range all {
		s.consistent(t, id)
	}
}
