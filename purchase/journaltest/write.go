package journaltest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gigagate.internal/purchase"
)

// eventsIn has an event for each state that a journal has to write, and one more for each way of writing.
var eventsIn = map[purchase.State][]purchase.Event{
	purchase.Sending:       {purchase.AnsweredApplied, purchase.AnsweredRefused, purchase.AnsweredUnknown, purchase.AnsweredNoEffect},
	purchase.Accepted:      {purchase.Permitted, purchase.TakenOver, purchase.WindowOver, purchase.AnsweredUnknown},
	purchase.Uncertain:     {purchase.Found, purchase.PresumedAbsent, purchase.BeyondEvidence},
	purchase.NeedsOperator: {purchase.ResolvedApplied, purchase.ResolvedAbsent, purchase.AnsweredRefused},
	purchase.Succeeded:     {purchase.Found, purchase.AnsweredRefused},
	purchase.Failed:        {purchase.Found, purchase.AnsweredApplied},
}

func decide(t *testing.T, p purchase.Purchase, event purchase.Event) purchase.Step {
	t.Helper()
	step, err := purchase.Decide(p, transitionOf(p, event, p.Attempt))
	if err != nil {
		t.Fatal(err)
	}
	return step
}

// testWrite: a journal writes what was decided, and nothing else.
func testWrite(t *testing.T, s *subject) {
	for _, state := range purchase.States() {
		for _, event := range eventsIn[state] {
			p := s.in(t, state, newClaim())
			before := s.history(t, p.ID)
			s.clock.Advance(time.Second)
			step := decide(t, p, event)
			got, err := s.Journal.Write(t.Context(), step)
			if err != nil {
				t.Fatalf("%s in %s: %v", event, state, err)
			}
			equal(t, string(event)+" in "+string(state), got, step.At(s.now()))
			equal(t, "the purchase", s.get(t, p.ID), step.At(s.now()))
			equal(t, "its history", s.history(t, p.ID), append(before, step.Entry(s.now())))
		}
	}
}

// testWriteStale: a step that was decided for another revision is refused, and nothing is written. This holds even
// if the package of the step is bound to another purchase.
func testWriteStale(t *testing.T, s *subject) {
	sold := s.in(t, purchase.Succeeded, newClaim())
	for _, state := range purchase.States() {
		for _, event := range eventsIn[state] {
			p := s.in(t, state, newClaim())
			history := s.history(t, p.ID)
			secrets, err := s.Journal.Secrets(t.Context(), p.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, revision := range []int{1, p.Revision - 1, p.Revision + 1} {
				step := decide(t, p, event)
				step.Before.Revision = revision
				_, err := s.Journal.Write(t.Context(), step)
				isError(t, err, purchase.ErrStale)
				step.Transition.ItemUID = sold.ItemUID
				step.Transition.Aliases = []string{account}
				_, err = s.Journal.Write(t.Context(), step)
				isError(t, err, purchase.ErrStale)
			}
			what := string(event) + " in " + string(state) + " of another revision: "
			equal(t, what+"the purchase", s.get(t, p.ID), p)
			equal(t, what+"its history", s.history(t, p.ID), history)
			kept, err := s.Journal.Secrets(t.Context(), p.ID)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, what+"its secrets", kept, secrets)
			s.recordTransition(t, p, transitionOf(p, event, p.Attempt), decide(t, p, event).Verdict) // the right one is written
		}
	}
	never := purchase.New(newClaim(), s.now())
	_, err := s.Journal.Write(t.Context(), decide(t, never, purchase.AnsweredApplied))
	isError(t, err, purchase.ErrStale)
}

// testWriteRace: of several steps for one revision, one is written.
func testWriteRace(t *testing.T, s *subject) {
	const racers = 12
	journals := []purchase.Journal{s.Journal, s.replica(t)}
	for _, state := range purchase.States() {
		p := s.in(t, state, newClaim())
		var done sync.WaitGroup
		var written atomic.Int64
		for i := range racers {
			step := decide(t, p, eventsIn[state][i%len(eventsIn[state])])
			done.Go(func() {
				switch _, err := journals[i%len(journals)].Write(t.Context(), step); {
				case err == nil:
					written.Add(1)
				case !errors.Is(err, purchase.ErrStale):
					t.Errorf("in %s: %v", state, err)
				}
			})
		}
		done.Wait()
		if n := written.Load(); n != 1 {
			t.Errorf("in %s: %d of %d steps for one revision were written", state, n, racers)
		}
		s.consistent(t, p.ID)
	}
}

// testRecordOfAnOldPurchase: a transition of a purchase that has moved on is decided for the purchase as it is.
func testRecordOfAnOldPurchase(t *testing.T, s *subject) {
	old := s.claim(t, newClaim())
	p := s.record(t, s.record(t, old, purchase.AnsweredUnknown), purchase.PresumedAbsent)
	got := s.recordTransition(t, old, transitionOf(old, purchase.AnsweredApplied, 1), purchase.Contradicts)
	if got.State != purchase.Failed || got.Anomalies != 1 || got.Revision != p.Revision+1 {
		t.Errorf("%+v", got)
	}
	if _, _, err := purchase.Record(t.Context(), s.Journal, old, transitionOf(old, purchase.Lost, 1)); !errors.Is(err, purchase.ErrIllegal) {
		t.Errorf("the loss of a settled purchase: %v", err)
	}
	// An id is enough.
	bare := s.claim(t, newClaim())
	s.recordTransition(t, purchase.Purchase{ID: bare.ID}, transitionOf(bare, purchase.Abandoned, 1), purchase.Moves)
	s.consistent(t, old.ID)
	s.consistent(t, bare.ID)
}

// testLateEvents: what becomes known after the settlement counts, and changes nothing else.
func testLateEvents(t *testing.T, s *subject) {
	for _, state := range []purchase.State{purchase.Succeeded, purchase.Failed} {
		p := s.in(t, state, newClaim())
		s.clock.Advance(time.Second)
		late := transitionOf(p, purchase.AnsweredUnknown, p.Attempt)
		late.SuccessSeen = true
		late.Evidence.ItemUID = "item-late"
		want := p
		want.SuccessSeen, want.UpdatedAt, want.Revision = true, s.now(), p.Revision+1
		equal(t, "a success that was seen late", s.recordTransition(t, p, late, purchase.Stays), want)
		equal(t, "the purchase", s.get(t, p.ID), want)

		s.clock.Advance(time.Second)
		late.Anomaly, late.SuccessSeen = true, false
		late.Evidence.ItemUID = "item-later"
		want.Anomalies, want.UpdatedAt, want.Revision = 1, s.now(), want.Revision+1
		s.recordTransition(t, p, late, purchase.Stays)
		equal(t, "the purchase with an anomaly", s.get(t, p.ID), want)
		list, _, err := s.Journal.List(t.Context(), purchase.Filter{RequestID: p.Key.RequestID}, purchase.Page{Size: 1})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "the purchase in a list", list, []purchase.Purchase{want})
	}
}
