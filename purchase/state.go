package purchase

import (
	"fmt"
	"slices"
)

// State is where a purchase stands. Its value is the name in the contract and in the journals. The zero value
// is no state.
type State string

// The states of a purchase. Only Succeeded and Failed are final.
const (
	// Sending: a send is permitted. Credit may move until the answer is recorded.
	Sending State = "SENDING"
	// Accepted: every send so far is known to have had no effect. The next send needs another permit.
	Accepted State = "ACCEPTED"
	// Uncertain: bytes may have left, and no conclusive answer came. The reconciler owns the purchase.
	Uncertain State = "UNCERTAIN"
	// NeedsOperator: the evidence contradicts, or cannot be read. A sale that is seen still settles the
	// purchase. If the evidence could only not be read, any evidence settles it.
	NeedsOperator State = "NEEDS_OPERATOR"
	// Succeeded: the purchase is bound to one activated item.
	Succeeded State = "SUCCEEDED"
	// Failed: the purchase was refused, never sent, or presumed absent. The reason says which.
	Failed State = "FAILED"
)

// States returns every state.
func States() []State {
	return []State{Sending, Accepted, Uncertain, NeedsOperator, Succeeded, Failed}
}

// ParseState returns the state with the given name.
func ParseState(name string) (State, error) {
	if slices.Contains(States(), State(name)) {
		return State(name), nil
	}
	return "", fmt.Errorf("no purchase state is named %q", name)
}

// Settled reports whether s is final.
func (s State) Settled() bool { return s == Succeeded || s == Failed }

// Event is something that happened to a purchase. Its value is the name in the journals. The zero value is no
// event.
type Event string

// The events of a purchase. [EventMeanings] explains each of them.
const (
	Permitted        Event = "PERMITTED"
	AnsweredApplied  Event = "ANSWERED_APPLIED"
	AnsweredRefused  Event = "ANSWERED_REFUSED"
	AnsweredNoEffect Event = "ANSWERED_NO_EFFECT"
	AnsweredUnknown  Event = "ANSWERED_UNKNOWN"
	Lost             Event = "LOST"
	TakenOver        Event = "TAKEN_OVER"
	WindowOver       Event = "WINDOW_OVER"
	Found            Event = "FOUND"
	PresumedAbsent   Event = "PRESUMED_ABSENT"
	BeyondEvidence   Event = "BEYOND_EVIDENCE"
	ResolvedApplied  Event = "RESOLVED_APPLIED"
	ResolvedAbsent   Event = "RESOLVED_ABSENT"
	Abandoned        Event = "ABANDONED"
	Erased           Event = "ERASED"
)

// EventMeaning explains an event, for the documentation.
type EventMeaning struct {
	Event   Event
	Meaning string
}

// EventMeanings explains every event, in the order of a purchase's life.
func EventMeanings() []EventMeaning {
	return []EventMeaning{
		{Permitted, "One more send is allowed. Every earlier send is known to have had no effect."},
		{AnsweredApplied, "The vendor's complete answer says that the package is sold."},
		{AnsweredRefused, "The vendor's complete answer says that this send sold nothing and never will."},
		{AnsweredNoEffect, "The send provably had no effect: nothing left, or the answer is a complete 401."},
		{AnsweredUnknown, "Bytes may have left, and no conclusive answer came."},
		{Lost, "The owner of the send is gone, or was silent until its lease expired."},
		{TakenOver, "The owner is gone although it was not sending. Another process goes on with the purchase."},
		{WindowOver, "No further send is allowed. The send window is over, or another send would change nothing."},
		{Found, "The vendor's records show the package with this purchase's mark."},
		{PresumedAbsent, "The vendor's records do not show the package. They were shown to be readable around the attempt."},
		{BeyondEvidence, "The vendor's records do not decide: they contradict, prove nothing, or cannot be read."},
		{ResolvedApplied, "An operator named the package that was sold."},
		{ResolvedAbsent, "An operator said that nothing was sold."},
		{Abandoned, "The claim was not known to be durable while its caller waited. Nothing was sent, and nothing ever will be."},
		{Erased, "An operator erased the end user's data and the vendor's answer. What was bought is still known."},
	}
}

// Events returns every event.
func Events() []Event {
	var all []Event
	for _, known := range EventMeanings() {
		all = append(all, known.Event)
	}
	return all
}

// ParseEvent returns the event with the given name.
func ParseEvent(name string) (Event, error) {
	if slices.Contains(Events(), Event(name)) {
		return Event(name), nil
	}
	return "", fmt.Errorf("no purchase event is named %q", name)
}

// positive reports whether e is evidence that the package is sold.
func (e Event) positive() bool { return e == AnsweredApplied || e == Found || e == ResolvedApplied }

// answered reports whether e is the outcome of one send.
func (e Event) answered() bool {
	return e == AnsweredApplied || e == AnsweredRefused || e == AnsweredNoEffect || e == AnsweredUnknown
}

// Verdict is what an event means for a purchase in a given state. Its value is the name in the journals. The
// zero value is no verdict.
type Verdict string

// The verdicts.
const (
	// Moves: the purchase gets another state, or another reason in the same state.
	Moves Verdict = "MOVES"
	// Stays: the event is true but changes nothing. It is recorded in the history.
	Stays Verdict = "STAYS"
	// Contradicts: the event and the journal cannot both be true. The event is recorded, the state does not
	// change, and a human must look at it.
	Contradicts Verdict = "CONTRADICTS"
	// Illegal: nobody may cause this event in this state. Nothing is recorded.
	Illegal Verdict = "ILLEGAL"
)

// ParseVerdict returns the verdict with the given name. It refuses Illegal, which is never stored.
func ParseVerdict(name string) (Verdict, error) {
	if slices.Contains([]Verdict{Moves, Stays, Contradicts}, Verdict(name)) {
		return Verdict(name), nil
	}
	return "", fmt.Errorf("no verdict is named %q", name)
}

// outcome is what an event does in a state.
type outcome struct {
	to      State // for Moves only
	verdict Verdict
}

func moves(to State) outcome { return outcome{to, Moves} }

var (
	stays       = outcome{verdict: Stays}
	contradicts = outcome{verdict: Contradicts}
)

// transitionTable is the life of a purchase. An event that a state does not list is illegal there.
//
// Permitted shows the one rule. A send is permitted only from Accepted. A purchase enters Accepted only with
// proof that the send before had no effect.
//
// In NeedsOperator an operator owns the purchase. A late refusal does not settle it there, because it may
// contradict the evidence that brought the purchase there. Two things settle it without an operator: a sale
// that is seen, or an absence if the records could only not be read. [Purchase.After] checks the second.
var transitionTable = map[State]map[Event]outcome{
	Sending: {
		AnsweredApplied:  moves(Succeeded),
		AnsweredRefused:  moves(Failed),
		AnsweredNoEffect: moves(Accepted),
		AnsweredUnknown:  moves(Uncertain),
		Lost:             moves(Uncertain),
		Found:            moves(Succeeded),
		Abandoned:        moves(Failed),
	},
	Accepted: {
		Permitted:        moves(Sending),
		AnsweredApplied:  moves(Succeeded), // the proof of no effect was wrong: a sale is a sale
		AnsweredRefused:  contradicts,
		AnsweredNoEffect: stays,
		AnsweredUnknown:  contradicts,
		TakenOver:        moves(Accepted), // with a new lease
		WindowOver:       moves(Failed),
		Found:            moves(Succeeded),
		Abandoned:        moves(Failed),
	},
	Uncertain: {
		AnsweredApplied:  moves(Succeeded),
		AnsweredRefused:  moves(Failed),
		AnsweredNoEffect: moves(Accepted),
		AnsweredUnknown:  stays,
		Found:            moves(Succeeded),
		PresumedAbsent:   moves(Failed),
		BeyondEvidence:   moves(NeedsOperator),
		ResolvedApplied:  moves(Succeeded),
		ResolvedAbsent:   moves(Failed),
		Abandoned:        moves(Failed),
	},
	NeedsOperator: {
		AnsweredApplied:  moves(Succeeded),
		AnsweredRefused:  stays,
		AnsweredNoEffect: stays,
		AnsweredUnknown:  stays,
		Found:            moves(Succeeded),
		PresumedAbsent:   moves(Failed),
		BeyondEvidence:   moves(NeedsOperator), // for another reason
		ResolvedApplied:  moves(Succeeded),
		ResolvedAbsent:   moves(Failed),
		Abandoned:        stays,
	},
	Succeeded: {
		AnsweredApplied:  stays,
		AnsweredRefused:  contradicts,
		AnsweredNoEffect: contradicts,
		AnsweredUnknown:  stays,
		Found:            stays,
		Abandoned:        contradicts,
		Erased:           stays,
	},
	Failed: {
		AnsweredApplied:  contradicts, // the caller was told that nothing was sold, and may have bought again
		AnsweredRefused:  stays,
		AnsweredNoEffect: stays,
		AnsweredUnknown:  stays,
		Found:            contradicts,
		Abandoned:        stays,
		Erased:           stays,
	},
}

// Next returns the state after event, and what the event means. It answers for every state and event. It has no
// clock and no memory.
func Next(from State, event Event) (State, Verdict) {
	next, ok := transitionTable[from][event]
	switch {
	case !ok:
		return from, Illegal
	case next.verdict != Moves:
		return from, next.verdict
	}
	return next.to, Moves
}
