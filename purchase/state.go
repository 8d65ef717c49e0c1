package purchase

import "fmt"

// State is where a purchase stands. The zero value is no state.
type State uint8

// The states of a purchase. Only Succeeded and Failed are final.
const (
	// Sending: a send permit is committed; from here until the answer is journaled credit may move.
	Sending State = iota + 1
	// Accepted: every send so far is known to have had no effect; another permit is needed.
	Accepted
	// Uncertain: bytes may have left and no conclusive answer came; the reconciler owns it.
	Uncertain
	// NeedsOperator: evidence contradicts, or cannot be had. Positive evidence still settles it, and
	// any evidence where it could only not be had.
	NeedsOperator
	// Succeeded: bound to one activated item.
	Succeeded
	// Failed: refused, never sent, or presumed absent; the reason says which.
	Failed
)

// States lists every state.
func States() []State {
	return []State{Sending, Accepted, Uncertain, NeedsOperator, Succeeded, Failed}
}

var stateNames = map[State]string{
	Sending: "SENDING", Accepted: "ACCEPTED", Uncertain: "UNCERTAIN",
	NeedsOperator: "NEEDS_OPERATOR", Succeeded: "SUCCEEDED", Failed: "FAILED",
}

// String is the state's name in the contract and in the journals.
func (s State) String() string {
	if name, ok := stateNames[s]; ok {
		return name
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// ParseState reads a state's name.
func ParseState(name string) (State, error) {
	for state, known := range stateNames {
		if known == name {
			return state, nil
		}
	}
	return 0, fmt.Errorf("no purchase state is named %q", name)
}

// Settled reports whether s is final.
func (s State) Settled() bool { return s == Succeeded || s == Failed }

// Event is something that happened to a purchase. The zero value is no event.
type Event uint8

// The events of a purchase.
const (
	// Permitted: one more send is allowed. It needs proof that every earlier one had no effect.
	Permitted Event = iota + 1
	// AnsweredApplied: the vendor's whole answer says that the package is sold.
	AnsweredApplied
	// AnsweredRefused: the vendor's whole answer says that it is not, and never will be by this send.
	AnsweredRefused
	// AnsweredNoEffect: the send provably had no effect (nothing left, or a whole 401).
	AnsweredNoEffect
	// AnsweredUnknown: bytes may have left and no conclusive answer came.
	AnsweredUnknown
	// Lost: the owner of the send is gone or silent past its lease.
	Lost
	// WindowOver: no permit is given any more: the time for it has passed, or another send would change nothing.
	WindowOver
	// Found: the vendor's records show the package under this purchase's token.
	Found
	// PresumedAbsent: the vendor's records, shown to be readable around the attempt, lack it.
	PresumedAbsent
	// BeyondEvidence: the vendor's records contradict, or cannot be had.
	BeyondEvidence
	// ResolvedApplied: an operator named the package that was sold.
	ResolvedApplied
	// ResolvedAbsent: an operator said that nothing was sold.
	ResolvedAbsent
	// Disowned: the claim was not known to be durable while its caller waited. Nothing was sent, and nothing ever will be.
	Disowned
)

// Events lists every event.
func Events() []Event {
	return []Event{
		Permitted, AnsweredApplied, AnsweredRefused, AnsweredNoEffect, AnsweredUnknown, Lost,
		WindowOver, Found, PresumedAbsent, BeyondEvidence, ResolvedApplied, ResolvedAbsent, Disowned,
	}
}

var eventNames = map[Event]string{
	Permitted: "PERMITTED", AnsweredApplied: "ANSWERED_APPLIED", AnsweredRefused: "ANSWERED_REFUSED",
	AnsweredNoEffect: "ANSWERED_NO_EFFECT", AnsweredUnknown: "ANSWERED_UNKNOWN", Lost: "LOST",
	WindowOver: "WINDOW_OVER", Found: "FOUND", PresumedAbsent: "PRESUMED_ABSENT",
	BeyondEvidence: "BEYOND_EVIDENCE", ResolvedApplied: "RESOLVED_APPLIED", ResolvedAbsent: "RESOLVED_ABSENT",
	Disowned: "DISOWNED",
}

// String is the event's name in the history of a purchase.
func (e Event) String() string {
	if name, ok := eventNames[e]; ok {
		return name
	}
	return fmt.Sprintf("Event(%d)", uint8(e))
}

// ParseEvent reads an event's name.
func ParseEvent(name string) (Event, error) {
	for event, known := range eventNames {
		if known == name {
			return event, nil
		}
	}
	return 0, fmt.Errorf("no purchase event is named %q", name)
}

// positive reports whether e is evidence that the package is sold.
func (e Event) positive() bool { return e == AnsweredApplied || e == Found || e == ResolvedApplied }

// answered reports whether e is what became of one send.
func (e Event) answered() bool { return e >= AnsweredApplied && e <= AnsweredUnknown }

// Verdict is what an event means for a state. The zero value is no verdict.
type Verdict uint8

// The verdicts.
const (
	// Moves: the purchase is in another state now.
	Moves Verdict = iota + 1
	// Stays: the event is true and kept in the history, and changes nothing.
	Stays
	// Contradicts: the event cannot be true together with what is journaled. It is kept, the state
	// stands, and a human has to be told.
	Contradicts
	// Illegal: nobody may cause this event in this state. Nothing is kept.
	Illegal
)

// verdictNames are those of the verdicts that are kept.
var verdictNames = map[Verdict]string{Moves: "MOVES", Stays: "STAYS", Contradicts: "CONTRADICTS"}

// String is the verdict's name in the journals.
func (v Verdict) String() string {
	if name, ok := verdictNames[v]; ok {
		return name
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}

// ParseVerdict reads a kept verdict's name.
func ParseVerdict(name string) (Verdict, error) {
	for verdict, known := range verdictNames {
		if known == name {
			return verdict, nil
		}
	}
	return 0, fmt.Errorf("no verdict is named %q", name)
}

// Next is the life of a purchase: the state after event, and what the event means. It is total,
// and has no clock and no memory. State and verdict by event:
//
//	                   SENDING        ACCEPTED       UNCERTAIN       NEEDS_OPERATOR  SUCCEEDED    FAILED
//	PERMITTED          illegal        SENDING        illegal         illegal         illegal      illegal
//	ANSWERED_APPLIED   SUCCEEDED      SUCCEEDED      SUCCEEDED       SUCCEEDED       stays        contradicts
//	ANSWERED_REFUSED   FAILED         contradicts    FAILED          stays           contradicts  stays
//	ANSWERED_NO_EFFECT ACCEPTED       stays          ACCEPTED        stays           contradicts  stays
//	ANSWERED_UNKNOWN   UNCERTAIN      contradicts    stays           stays           stays        stays
//	LOST               UNCERTAIN      illegal        illegal         illegal         illegal      illegal
//	WINDOW_OVER        illegal        FAILED         illegal         illegal         illegal      illegal
//	FOUND              SUCCEEDED      SUCCEEDED      SUCCEEDED       SUCCEEDED       stays        contradicts
//	PRESUMED_ABSENT    illegal        illegal        FAILED          FAILED          illegal      illegal
//	BEYOND_EVIDENCE    illegal        illegal        NEEDS_OPERATOR  NEEDS_OPERATOR  illegal      illegal
//	RESOLVED_APPLIED   illegal        illegal        SUCCEEDED       SUCCEEDED       illegal      illegal
//	RESOLVED_ABSENT    illegal        illegal        FAILED          FAILED          illegal      illegal
//	DISOWNED           FAILED         FAILED         FAILED          stays           contradicts  stays
//
// The one rule shows in the first row: a send is permitted from ACCEPTED alone, and ACCEPTED is
// entered by proof alone that the send before had no effect.
//
// An operator owns a purchase in NEEDS_OPERATOR: there a late refusal is one more piece of
// evidence, since what brought the purchase there may contradict it. Only a sale seen settles it, and
// an absence where nothing worse than unreadable records brought it there, and is known since: then it
// is there for the worse reason. [Purchase.After] knows.
func Next(from State, event Event) (State, Verdict) {
	switch from {
	case Sending:
		return fromSending(event)
	case Accepted:
		return fromAccepted(event)
	case Uncertain:
		return fromUncertain(event)
	case NeedsOperator:
		return fromNeedsOperator(event)
	case Succeeded:
		return fromSucceeded(event)
	case Failed:
		return fromFailed(event)
	}
	return from, Illegal
}

func fromSending(event Event) (State, Verdict) {
	switch event {
	case AnsweredApplied, Found:
		return Succeeded, Moves
	case AnsweredRefused, Disowned:
		return Failed, Moves
	case AnsweredNoEffect:
		return Accepted, Moves
	case AnsweredUnknown, Lost:
		return Uncertain, Moves
	}
	return Sending, Illegal
}

func fromAccepted(event Event) (State, Verdict) {
	switch event {
	case Permitted:
		return Sending, Moves
	case WindowOver, Disowned:
		return Failed, Moves
	case AnsweredApplied, Found:
		// The proof of no effect was wrong, and a sale is a sale.
		return Succeeded, Moves
	case AnsweredNoEffect:
		return Accepted, Stays
	case AnsweredRefused, AnsweredUnknown:
		return Accepted, Contradicts
	}
	return Accepted, Illegal
}

func fromUncertain(event Event) (State, Verdict) {
	switch event {
	case AnsweredApplied, Found, ResolvedApplied:
		return Succeeded, Moves
	case AnsweredRefused, PresumedAbsent, ResolvedAbsent, Disowned:
		return Failed, Moves
	case AnsweredNoEffect:
		return Accepted, Moves
	case BeyondEvidence:
		return NeedsOperator, Moves
	case AnsweredUnknown:
		return Uncertain, Stays
	}
	return Uncertain, Illegal
}

func fromNeedsOperator(event Event) (State, Verdict) {
	switch event {
	case AnsweredApplied, Found, ResolvedApplied:
		return Succeeded, Moves
	case PresumedAbsent, ResolvedAbsent:
		return Failed, Moves
	case BeyondEvidence:
		return NeedsOperator, Moves // to another reason
	case AnsweredRefused, AnsweredNoEffect, AnsweredUnknown, Disowned:
		return NeedsOperator, Stays
	}
	return NeedsOperator, Illegal
}

func fromSucceeded(event Event) (State, Verdict) {
	switch event {
	case AnsweredApplied, Found, AnsweredUnknown:
		return Succeeded, Stays
	case AnsweredRefused, AnsweredNoEffect, Disowned:
		return Succeeded, Contradicts
	}
	return Succeeded, Illegal
}

func fromFailed(event Event) (State, Verdict) {
	switch event {
	case AnsweredApplied, Found:
		// The caller has been told that nothing was sold and may have bought again.
		return Failed, Contradicts
	case AnsweredRefused, AnsweredNoEffect, AnsweredUnknown, Disowned:
		return Failed, Stays
	}
	return Failed, Illegal
}
