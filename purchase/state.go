package purchase

import (
	"fmt"
	"slices"
)

// State is where a purchase stands, by its name in the contract and in the journals. The zero value is no state.
type State string

// The states of a purchase. Only Succeeded and Failed are final.
const (
	// Sending: a send permit is committed; from here until the answer is journaled credit may move.
	Sending State = "SENDING"
	// Accepted: every send so far is known to have had no effect; another permit is needed.
	Accepted State = "ACCEPTED"
	// Uncertain: bytes may have left and no conclusive answer came; the reconciler owns it.
	Uncertain State = "UNCERTAIN"
	// NeedsOperator: evidence contradicts, or cannot be had. Positive evidence still settles it, and
	// any evidence where it could only not be had.
	NeedsOperator State = "NEEDS_OPERATOR"
	// Succeeded: bound to one activated item.
	Succeeded State = "SUCCEEDED"
	// Failed: refused, never sent, or presumed absent; the reason says which.
	Failed State = "FAILED"
)

// States lists every state.
func States() []State {
	return []State{Sending, Accepted, Uncertain, NeedsOperator, Succeeded, Failed}
}

// ParseState reads a state's name.
func ParseState(name string) (State, error) {
	if slices.Contains(States(), State(name)) {
		return State(name), nil
	}
	return "", fmt.Errorf("no purchase state is named %q", name)
}

// Settled reports whether s is final.
func (s State) Settled() bool { return s == Succeeded || s == Failed }

// Event is something that happened to a purchase, by its name in the journals. The zero value is no event.
type Event string

// The events of a purchase. [EventMeanings] says what each is.
const (
	Permitted        Event = "PERMITTED"
	AnsweredApplied  Event = "ANSWERED_APPLIED"
	AnsweredRefused  Event = "ANSWERED_REFUSED"
	AnsweredNoEffect Event = "ANSWERED_NO_EFFECT"
	AnsweredUnknown  Event = "ANSWERED_UNKNOWN"
	Lost             Event = "LOST"
	WindowOver       Event = "WINDOW_OVER"
	Found            Event = "FOUND"
	PresumedAbsent   Event = "PRESUMED_ABSENT"
	BeyondEvidence   Event = "BEYOND_EVIDENCE"
	ResolvedApplied  Event = "RESOLVED_APPLIED"
	ResolvedAbsent   Event = "RESOLVED_ABSENT"
	Disowned         Event = "DISOWNED"
)

// EventMeaning is an event and what happened, for documentation.
type EventMeaning struct {
	Event   Event
	Meaning string
}

// EventMeanings has every event, in the order of a purchase's life.
func EventMeanings() []EventMeaning {
	return []EventMeaning{
		{Permitted, "one more send is allowed. It needs proof that every earlier one had no effect."},
		{AnsweredApplied, "the vendor's whole answer says that the package is sold."},
		{AnsweredRefused, "the vendor's whole answer says that it is not, and never will be by this send."},
		{AnsweredNoEffect, "the send provably had no effect (nothing left, or a whole 401)."},
		{AnsweredUnknown, "bytes may have left and no conclusive answer came."},
		{Lost, "the owner of the send is gone or silent past its lease."},
		{WindowOver, "no permit is given any more: the time for it has passed, or another send would change nothing."},
		{Found, "the vendor's records show the package under this purchase's token."},
		{PresumedAbsent, "the vendor's records, shown to be readable around the attempt, lack it."},
		{BeyondEvidence, "the vendor's records contradict, or cannot be had."},
		{ResolvedApplied, "an operator named the package that was sold."},
		{ResolvedAbsent, "an operator said that nothing was sold."},
		{Disowned, "the claim was not known to be durable while its caller waited. Nothing was sent, and nothing ever will be."},
	}
}

// Events lists every event that can happen.
func Events() []Event {
	var all []Event
	for _, known := range EventMeanings() {
		all = append(all, known.Event)
	}
	return all
}

// ParseEvent reads an event's name.
func ParseEvent(name string) (Event, error) {
	if slices.Contains(Events(), Event(name)) {
		return Event(name), nil
	}
	return "", fmt.Errorf("no purchase event is named %q", name)
}

// positive reports whether e is evidence that the package is sold.
func (e Event) positive() bool { return e == AnsweredApplied || e == Found || e == ResolvedApplied }

// answered reports whether e is what became of one send.
func (e Event) answered() bool {
	return e == AnsweredApplied || e == AnsweredRefused || e == AnsweredNoEffect || e == AnsweredUnknown
}

// Verdict is what an event means for a state, by its name in the journals. The zero value is no verdict.
type Verdict string

// The verdicts.
const (
	// Moves: the purchase is in another state now, or in the same one for another reason.
	Moves Verdict = "MOVES"
	// Stays: the event is true and kept in the history, and changes nothing.
	Stays Verdict = "STAYS"
	// Contradicts: the event cannot be true together with what is journaled. It is kept, the state
	// stands, and a human has to be told.
	Contradicts Verdict = "CONTRADICTS"
	// Illegal: nobody may cause this event in this state. Nothing is kept.
	Illegal Verdict = "ILLEGAL"
)

// ParseVerdict reads the name of a verdict that is kept.
func ParseVerdict(name string) (Verdict, error) {
	if slices.Contains([]Verdict{Moves, Stays, Contradicts}, Verdict(name)) {
		return Verdict(name), nil
	}
	return "", fmt.Errorf("no verdict is named %q", name)
}

// transition is what an event does in a state.
type transition struct {
	to      State // of Moves
	verdict Verdict
}

func moves(to State) transition { return transition{to, Moves} }

var (
	stays       = transition{verdict: Stays}
	contradicts = transition{verdict: Contradicts}
)

// transitions is the life of a purchase. What is not in it is illegal.
//
// The one rule shows in Permitted: a send is permitted from Accepted alone, and Accepted is entered by
// proof alone that the send before had no effect.
//
// An operator owns a purchase in NeedsOperator. There a late refusal is one more piece of evidence,
// since what brought the purchase there may contradict it. Only a sale that was seen settles it, or an
// absence where nothing worse than unreadable records brought it there. [Purchase.After] knows.
var transitions = map[State]map[Event]transition{
	Sending: {
		AnsweredApplied:  moves(Succeeded),
		AnsweredRefused:  moves(Failed),
		AnsweredNoEffect: moves(Accepted),
		AnsweredUnknown:  moves(Uncertain),
		Lost:             moves(Uncertain),
		Found:            moves(Succeeded),
		Disowned:         moves(Failed),
	},
	Accepted: {
		Permitted:        moves(Sending),
		AnsweredApplied:  moves(Succeeded), // the proof of no effect was wrong, and a sale is a sale
		AnsweredRefused:  contradicts,
		AnsweredNoEffect: stays,
		AnsweredUnknown:  contradicts,
		WindowOver:       moves(Failed),
		Found:            moves(Succeeded),
		Disowned:         moves(Failed),
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
		Disowned:         moves(Failed),
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
		Disowned:         stays,
	},
	Succeeded: {
		AnsweredApplied:  stays,
		AnsweredRefused:  contradicts,
		AnsweredNoEffect: contradicts,
		AnsweredUnknown:  stays,
		Found:            stays,
		Disowned:         contradicts,
	},
	Failed: {
		AnsweredApplied:  contradicts, // the caller was told that nothing was sold, and may have bought again
		AnsweredRefused:  stays,
		AnsweredNoEffect: stays,
		AnsweredUnknown:  stays,
		Found:            contradicts,
		Disowned:         stays,
	},
}

// Next is the state after event, and what the event means. It is total, and has no clock and no memory.
func Next(from State, event Event) (State, Verdict) {
	next, ok := transitions[from][event]
	switch {
	case !ok:
		return from, Illegal
	case next.verdict != Moves:
		return from, next.verdict
	}
	return next.to, Moves
}
