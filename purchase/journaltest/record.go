package journaltest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"gigagate.internal/purchase"
)

// testEveryStateEveryEvent records every event in every state for every possible attempt, and compares the
// result with Purchase.After.
func testEveryStateEveryEvent(t *testing.T, s *subject) {
	for _, state := range purchase.States() {
		for _, event := range purchase.Events() {
			for attempt := range 4 {
				p := s.in(t, state, newClaim())
				s.checkAgainstAfter(t, p, transitionOf(p, event, attempt))
			}
			p := s.in(t, state, newClaim())
			unnamed := transitionOf(p, event, 2)
			unnamed.ItemUID, unnamed.Evidence.ItemUID = "", ""
			s.checkAgainstAfter(t, p, unnamed)
		}
	}
}

func (s *subject) checkAgainstAfter(t *testing.T, p purchase.Purchase, transition purchase.Transition) {
	t.Helper()
	s.clock.Advance(time.Second)
	what := fmt.Sprintf("%s with %s of attempt %d", p.State, transition.Event, transition.Attempt)
	want, verdict := p.After(transition, s.now())
	before := s.history(t, p.ID)
	added := 1
	if verdict == purchase.Illegal {
		added = 0
	}
	for _, entry := range before {
		if entry.Event == transition.Event && entry.Attempt == transition.Attempt && entry.Evidence.ItemUID == transition.ItemUID {
			want, added = p, 0 // recorded before
		}
	}

	got, gotVerdict, err := purchase.Record(t.Context(), s.Journal, p, transition)
	if (verdict == purchase.Illegal) != errors.Is(err, purchase.ErrIllegal) || verdict != purchase.Illegal && err != nil {
		t.Fatalf("%s: err = %v, want one of ErrIllegal: %t", what, err, verdict == purchase.Illegal)
	}
	if err == nil {
		if gotVerdict != verdict {
			t.Errorf("%s: verdict = %s, want %s", what, gotVerdict, verdict)
		}
		equal(t, what+": the answer", got, want)
	}
	equal(t, what+": the row", s.get(t, p.ID), want)
	after := s.history(t, p.ID)
	if len(after) != len(before)+added {
		t.Fatalf("%s: %d entries after %d, want %d more", what, len(after), len(before), added)
	}
	equal(t, what+": the older history", after[:len(before)], before)
	if added == 1 {
		equal(t, what+": the new entry", after[len(before)], purchase.HistoryEntry{
			Sequence: len(before) + 1, At: s.now(), Event: transition.Event, Attempt: transition.Attempt,
			Verdict: verdict, State: want.State, Reason: transition.Reason, Evidence: transition.Evidence, By: transition.By,
		})
	}
}

// testLateEvidence: evidence of a sale counts at any time and for any attempt.
func testLateEvidence(t *testing.T, s *subject) {
	t.Run("of an older attempt", func(t *testing.T) {
		p := s.in(t, purchase.Sending, newClaim())
		p = s.recordTransition(t, p, transitionOf(p, purchase.AnsweredApplied, 1), purchase.Moves)
		if p.State != purchase.Succeeded || p.ItemUID != itemOf(p.ID) {
			t.Errorf("got %+v", p)
		}
		s.consistent(t, p.ID)
	})
	t.Run("of a lost owner", func(t *testing.T) {
		p := s.claim(t, newClaim())
		s.clock.Advance(lease + time.Second)
		if taken := s.take(t, s.Journal, 100); len(taken) != 1 {
			t.Fatalf("%d taken", len(taken))
		}
		p = s.recordTransition(t, p, transitionOf(p, purchase.AnsweredApplied, 1), purchase.Moves)
		if p.State != purchase.Succeeded {
			t.Errorf("state = %s", p.State)
		}
		s.consistent(t, p.ID)
	})
	t.Run("against a refusal", func(t *testing.T) {
		s.checkAnomalyOnce(t, s.in(t, purchase.Failed, newClaim()), purchase.AnsweredApplied)
	})
	t.Run("against a presumption", func(t *testing.T) {
		p := s.record(t, s.in(t, purchase.Uncertain, newClaim()), purchase.PresumedAbsent)
		s.checkAnomalyOnce(t, p, purchase.Found)
	})
}

// checkAnomalyOnce: a sale that is found for a failed purchase is recorded once. Later reads of the vendor's
// records that show it again add nothing.
func (s *subject) checkAnomalyOnce(t *testing.T, p purchase.Purchase, event purchase.Event) {
	t.Helper()
	entries := len(s.history(t, p.ID))
	transition := transitionOf(p, event, p.Attempt)
	var now purchase.Purchase
	for range 3 {
		now = s.recordTransition(t, p, transition, purchase.Contradicts)
		s.clock.Advance(time.Second)
	}
	if now.State != purchase.Failed || now.Anomalies != 1 || now.ItemUID != "" {
		t.Errorf("state = %s, anomalies = %d, item = %q", now.State, now.Anomalies, now.ItemUID)
	}
	if got := len(s.history(t, p.ID)); got != entries+1 {
		t.Errorf("%d new entries, want 1", got-entries)
	}
	transition.ItemUID += "-other"
	transition.Evidence.ItemUID = transition.ItemUID
	if now = s.recordTransition(t, p, transition, purchase.Contradicts); now.Anomalies != 2 {
		t.Errorf("anomalies = %d after another item, want 2", now.Anomalies)
	}
	s.consistent(t, p.ID)
}

// testPresumption: evidence against an absence prevents the presumption, even if it was recorded after the
// reconciler had read the purchase.
func testPresumption(t *testing.T, s *subject) {
	absent := func(t *testing.T, p purchase.Purchase) error {
		t.Helper()
		_, _, err := purchase.Record(t.Context(), s.Journal, p, transitionOf(p, purchase.PresumedAbsent, p.Attempt))
		return err
	}
	operator := func(t *testing.T, reason purchase.Reason) purchase.Purchase {
		t.Helper()
		p := s.in(t, purchase.Uncertain, newClaim())
		transition := transitionOf(p, purchase.BeyondEvidence, p.Attempt)
		transition.Reason = reason
		return s.recordTransition(t, p, transition, purchase.Moves)
	}
	t.Run("a success was seen", func(t *testing.T) {
		for _, p := range []purchase.Purchase{
			s.in(t, purchase.Uncertain, newClaim()), operator(t, purchase.Unreadable), operator(t, purchase.OtherAccount),
		} {
			seen := transitionOf(p, purchase.AnsweredUnknown, p.Attempt)
			seen.SuccessSeen = true
			s.recordTransition(t, p, seen, purchase.Stays)
			if err := absent(t, p); !errors.Is(err, purchase.ErrIllegal) || s.get(t, p.ID).State != p.State {
				t.Errorf("in %s: err = %v", p.State, err)
			}
		}
	})
	t.Run("worse than unreadable", func(t *testing.T) {
		p := operator(t, purchase.OtherAccount)
		out := transitionOf(p, purchase.BeyondEvidence, p.Attempt)
		out.Reason = purchase.Unreadable
		if _, _, err := purchase.Record(t.Context(), s.Journal, p, out); !errors.Is(err, purchase.ErrIllegal) {
			t.Errorf("two replicas could take turns: err = %v", err)
		}
		p = operator(t, purchase.Unreadable)
		worse := transitionOf(p, purchase.BeyondEvidence, p.Attempt)
		p = s.recordTransition(t, p, worse, purchase.Moves)
		if err := absent(t, p); p.Reason != worse.Reason || !errors.Is(err, purchase.ErrIllegal) {
			t.Errorf("%s, err = %v", p.Reason, err)
		}
		worse.Reason = purchase.NoWitness
		if _, _, err := purchase.Record(t.Context(), s.Journal, p, worse); !errors.Is(err, purchase.ErrIllegal) {
			t.Errorf("a third reason: err = %v", err)
		}
		s.consistent(t, p.ID)
	})
	t.Run("unreadable", func(t *testing.T) {
		for _, reason := range []purchase.Reason{purchase.Unreadable, purchase.OtherAccount} {
			p := operator(t, reason)
			if err := absent(t, p); err != nil {
				t.Error(err)
			}
			s.consistent(t, p.ID)
		}
	})
}

func testSecondItemContradicts(t *testing.T, s *subject) {
	p := s.in(t, purchase.Succeeded, newClaim())
	transition := transitionOf(p, purchase.Found, p.Attempt)
	transition.ItemUID, transition.Sale = "item-second", []byte(`{"second":true}`)
	transition.Evidence.ItemUID = transition.ItemUID
	got := s.recordTransition(t, p, transition, purchase.Contradicts)
	if got.ItemUID != p.ItemUID || got.Anomalies != 1 {
		t.Errorf("item = %q, anomalies = %d", got.ItemUID, got.Anomalies)
	}
	s.consistent(t, p.ID)
	secrets, err := s.Journal.Secrets(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the first item's sale", string(secrets.Sale), string(transitionOf(p, purchase.AnsweredApplied, 2).Sale))
}

func testSuccessSeenIsKept(t *testing.T, s *subject) {
	p := s.in(t, purchase.Uncertain, newClaim())
	seen := transitionOf(p, purchase.AnsweredUnknown, p.Attempt)
	seen.SuccessSeen = true
	// The same answer was recorded before without SuccessSeen. Recording it again still adds SuccessSeen.
	if p = s.recordTransition(t, p, seen, purchase.Stays); !p.SuccessSeen {
		t.Error("success seen is not kept")
	}
	p = s.record(t, p, purchase.BeyondEvidence)
	if !p.SuccessSeen || !s.get(t, p.ID).SuccessSeen {
		t.Error("success seen is forgotten")
	}
}

func testRecordTwice(t *testing.T, s *subject) {
	for _, event := range []purchase.Event{
		purchase.AnsweredApplied, purchase.AnsweredRefused, purchase.AnsweredNoEffect, purchase.AnsweredUnknown,
	} {
		p := s.claim(t, newClaim())
		first := s.record(t, p, event)
		s.clock.Advance(time.Second)
		again := s.recordTransition(t, p, transitionOf(p, event, 1), purchase.Stays)
		equal(t, string(event)+" again", again, first)
		equal(t, string(event)+" again: the row", s.get(t, p.ID), first)
		if entries := s.history(t, p.ID); len(entries) != 2 {
			t.Errorf("%s twice: %d entries, want 2", event, len(entries))
		}
	}
}

// testAnomalyOnce: a transition that moves a purchase can also be an anomaly, and so can one that changes nothing.
// The anomaly counts once, however often it is recorded. This also holds if only the evidence names the item.
func testAnomalyOnce(t *testing.T, s *subject) {
	p := s.claim(t, newClaim())
	transition := transitionOf(p, purchase.AnsweredUnknown, 1)
	transition.Anomaly, transition.Evidence.ItemUID = true, "item-of-another"
	first := s.recordTransition(t, p, transition, purchase.Moves)
	if first.Anomalies != 1 {
		t.Errorf("anomalies = %d, want 1", first.Anomalies)
	}
	s.clock.Advance(time.Second)
	equal(t, "the same anomaly again", s.recordTransition(t, p, transition, purchase.Stays), first)
	equal(t, "the row", s.get(t, p.ID), first)
	if entries := s.history(t, p.ID); len(entries) != 2 {
		t.Errorf("%d entries, want 2", len(entries))
	}
}

func testRecordRace(t *testing.T, s *subject) {
	const racers = 20
	journals := []purchase.Journal{s.Journal, s.replica(t)}
	p := s.claim(t, newClaim())
	var (
		done     sync.WaitGroup
		verdicts [racers]purchase.Verdict
	)
	for i := range racers {
		done.Go(func() {
			got, verdict, err := purchase.Record(t.Context(), journals[i%len(journals)], p, transitionOf(p, purchase.AnsweredApplied, 1))
			if err != nil || got.State != purchase.Succeeded {
				t.Errorf("record: state = %s, err = %v", got.State, err)
			}
			verdicts[i] = verdict
		})
	}
	done.Wait()
	moved := 0
	for _, verdict := range verdicts {
		if verdict == purchase.Moves {
			moved++
		}
	}
	if moved != 1 {
		t.Errorf("%d of %d equal answers moved the purchase", moved, racers)
	}
	if entries := s.history(t, p.ID); len(entries) != 2 {
		t.Errorf("%d entries, want 2", len(entries))
	}
}

// testRecordContest lets different answers race for one purchase. They may arrive in any order. Afterwards the
// row matches its history, and no answer is lost.
func testRecordContest(t *testing.T, s *subject) {
	journals := []purchase.Journal{s.Journal, s.replica(t)}
	for range 20 {
		p := s.claim(t, newClaim())
		events := []purchase.Event{
			purchase.AnsweredUnknown, purchase.AnsweredNoEffect, purchase.AnsweredRefused, purchase.AnsweredApplied,
		}
		var done sync.WaitGroup
		for i, event := range events {
			done.Go(func() {
				_, _, err := purchase.Record(t.Context(), journals[i%len(journals)], p, transitionOf(p, event, 1))
				if err != nil {
					t.Errorf("record %s: %v", event, err)
				}
			})
		}
		done.Wait()
		s.consistent(t, p.ID)
		if entries := s.history(t, p.ID); len(entries) != 1+len(events) {
			t.Errorf("%d entries, want %d", len(entries), 1+len(events))
		}
	}
}

func testItemTaken(t *testing.T, s *subject) {
	first := s.in(t, purchase.Succeeded, newClaim())
	for _, from := range []struct {
		state purchase.State
		event purchase.Event
	}{
		{purchase.Sending, purchase.AnsweredApplied},
		{purchase.Accepted, purchase.AnsweredApplied},
		{purchase.Uncertain, purchase.Found},
		{purchase.NeedsOperator, purchase.ResolvedApplied},
	} {
		p := s.in(t, from.state, newClaim())
		entries := s.history(t, p.ID)
		transition := transitionOf(p, from.event, p.Attempt)
		transition.ItemUID, transition.Evidence.ItemUID = first.ItemUID, first.ItemUID
		_, _, err := purchase.Record(t.Context(), s.Journal, p, transition)
		isError(t, err, purchase.ErrItemTaken)
		equal(t, "the row that wanted a taken item", s.get(t, p.ID), p)
		equal(t, "its history", s.history(t, p.ID), entries)
		secrets, err := s.Journal.Secrets(t.Context(), p.ID)
		if err != nil || secrets.Sale != nil || string(secrets.Personal) != string(newPersonal()) {
			t.Errorf("a sale of %d bytes is kept, or the personal data is gone: err = %v", len(secrets.Sale), err)
		}
		s.recordTransition(t, p, transitionOf(p, from.event, p.Attempt), purchase.Moves) // with its own item it succeeds
	}

	elsewhere := newClaim()
	elsewhere.Account = "account-2"
	p := s.claim(t, elsewhere)
	transition := transitionOf(p, purchase.AnsweredApplied, 1)
	transition.ItemUID, transition.Evidence.ItemUID = first.ItemUID, first.ItemUID
	s.recordTransition(t, p, transition, purchase.Moves)
}

// testItemTakenUnderAnAlias: a package is bound once, even if its account has had several names.
func testItemTakenUnderAnAlias(t *testing.T, s *subject) {
	first := s.in(t, purchase.Succeeded, newClaim())
	for _, state := range []purchase.State{purchase.Sending, purchase.Uncertain} {
		claim := newClaim()
		claim.Account = "account-2"
		p := s.in(t, state, claim)
		transition := transitionOf(p, purchase.Found, p.Attempt)
		transition.Aliases = []string{"account-0", account}
		transition.ItemUID, transition.Evidence.ItemUID = first.ItemUID, first.ItemUID
		_, _, err := purchase.Record(t.Context(), s.Journal, p, transition)
		isError(t, err, purchase.ErrItemTaken)
		equal(t, "the row that wanted a taken item", s.get(t, p.ID), p)
		transition.ItemUID, transition.Evidence.ItemUID = itemOf(p.ID), itemOf(p.ID)
		s.recordTransition(t, p, transition, purchase.Moves) // with its own item it succeeds
		s.recordTransition(t, p, transition, purchase.Stays) // its own item does not block it
	}
	// A transition that does not move the purchase is recorded in any case, because an operator must learn of a
	// contradiction.
	failed := s.record(t, s.in(t, purchase.Uncertain, newClaim()), purchase.PresumedAbsent)
	transition := transitionOf(failed, purchase.Found, failed.Attempt)
	transition.Aliases = []string{account}
	transition.ItemUID, transition.Evidence.ItemUID = first.ItemUID, first.ItemUID
	s.recordTransition(t, failed, transition, purchase.Contradicts)
}

func testItemTakenRace(t *testing.T, s *subject) {
	const racers = 16
	journals := []purchase.Journal{s.Journal, s.replica(t)}
	var (
		done sync.WaitGroup
		errs [racers]error
	)
	for i := range racers {
		p := s.claim(t, newClaim())
		transition := transitionOf(p, purchase.AnsweredApplied, 1)
		transition.ItemUID, transition.Evidence.ItemUID = "item-of-all", "item-of-all"
		done.Go(func() { _, _, errs[i] = purchase.Record(t.Context(), journals[i%len(journals)], p, transition) })
	}
	done.Wait()
	bound := 0
	for _, err := range errs {
		switch {
		case err == nil:
			bound++
		case !errors.Is(err, purchase.ErrItemTaken):
			t.Errorf("err = %v, want ErrItemTaken", err)
		}
	}
	if bound != 1 {
		t.Errorf("one item is bound to %d purchases", bound)
	}
}

// testHistory: the history is in the order in which things happened, whatever the journal stores where.
func testHistory(t *testing.T, s *subject) {
	for _, events := range [][]purchase.Event{
		{},
		{purchase.AnsweredApplied},
		{purchase.AnsweredRefused, purchase.AnsweredApplied},
		{purchase.AnsweredNoEffect, purchase.TakenOver, purchase.WindowOver, purchase.AnsweredUnknown, purchase.Found},
		{
			purchase.AnsweredNoEffect, purchase.Permitted, purchase.AnsweredUnknown, purchase.BeyondEvidence,
			purchase.AnsweredRefused, purchase.ResolvedAbsent, purchase.Found, purchase.AnsweredNoEffect,
		},
		{purchase.Lost, purchase.Found, purchase.AnsweredRefused, purchase.AnsweredUnknown},
	} {
		p := s.claim(t, newClaim())
		want := []purchase.HistoryEntry{{
			Sequence: 1, At: s.now(), Attempt: 1, Verdict: purchase.Moves, State: purchase.Sending, By: "gateway",
		}}
		for i, event := range events {
			s.clock.Advance(time.Second)
			transition := transitionOf(p, event, p.Attempt)
			_, verdict := p.After(transition, s.now())
			p = s.recordTransition(t, p, transition, verdict)
			want = append(want, purchase.HistoryEntry{
				Sequence: i + 2, At: s.now(), Event: event, Attempt: transition.Attempt, Verdict: verdict,
				State: p.State, Reason: transition.Reason, Evidence: transition.Evidence, By: transition.By,
			})
		}
		equal(t, "the history", s.history(t, p.ID), want)
		equal(t, "the purchase", s.get(t, p.ID), p)
		s.consistent(t, p.ID)
	}
}
