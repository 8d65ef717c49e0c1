package purchase

import (
	"fmt"
	"strings"
	"time"
)

// Evidence is what an event is based on. It holds no secret and nothing about the end user.
type Evidence struct {
	BytesWritten int64  `json:"bytes_written,omitempty"`
	HTTPStatus   int    `json:"http_status,omitempty"`
	Message      string `json:"message,omitempty"` // the vendor's text, scrubbed and shortened
	ItemUID      string `json:"item_uid,omitempty"`
	Explanation  string `json:"explanation,omitempty"` // the gateway's text
	Note         string `json:"note,omitempty"`        // the operator's text
	// Forced: the operator did not wait for the vendor's records.
	Forced bool `json:"forced,omitempty"`
}

// HistoryEntry is one line of a purchase's history.
type HistoryEntry struct {
	Sequence int
	At       time.Time
	Event    Event // empty for the claim; UnknownEvent if a later version wrote it
	Attempt  int   // the send that the event is about
	Verdict  Verdict
	State    State // after the event
	Reason   Reason
	Evidence Evidence
	By       Actor
}

// Actor is who caused an event, as journals store it.
type Actor string

// The actors that are not operators.
const (
	ByGateway    Actor = "gateway"
	ByReconciler Actor = "reconciler"
)

// operatorPrefix stands before an operator's name, so that an operator who is called gateway is not the
// gateway.
const operatorPrefix = "operator:"

// ByOperator returns the actor for the operator with that name.
func ByOperator(name string) Actor { return Actor(operatorPrefix + name) }

// Operator returns the operator's name. ok is false if the actor is not an operator.
func (a Actor) Operator() (name string, ok bool) { return strings.CutPrefix(string(a), operatorPrefix) }

// Claimed is the name of a history's first entry. No event made that entry.
const Claimed = "CLAIMED"

// UnknownEvent stands for an event that only a later version knows.
const UnknownEvent Event = "UNKNOWN"

// SetWords sets the fields that journals store as words. Words that only a later version knows are left out or
// become UnknownEvent. This is safe, because no decision depends on a history.
func (e *HistoryEntry) SetWords(event, verdict, state string) {
	if event != Claimed {
		var err error
		if e.Event, err = ParseEvent(event); err != nil {
			e.Event = UnknownEvent
		}
	}
	e.Verdict, _ = ParseVerdict(verdict)
	e.State, _ = ParseState(state)
}

// CheckHistory reports whether a whole history leads to the purchase as it is: by the rules of [Purchase.After], to its
// state, reason, attempt, revision and package.
func (p Purchase) CheckHistory(history []HistoryEntry) error {
	now := New(Claim{}, p.ClaimedAt)
	for i, e := range history {
		switch {
		case e.Sequence != i+1:
			return fmt.Errorf("entry %d of the history is missing", i+1)
		case (i == 0) != (e.Event == ""):
			return fmt.Errorf("entry %d of the history is %q, but only the first one is the claim", i+1, e.Event)
		case i == 0:
			continue
		}
		after, verdict := now.After(Transition{Event: e.Event, Attempt: e.Attempt, Reason: e.Reason, ItemUID: e.Evidence.ItemUID}, e.At)
		if verdict != e.Verdict || after.State != e.State {
			return fmt.Errorf("entry %d of the history: %s in %s is %s, but the journal has %s with the verdict %s",
				i+1, e.Event, now.State, verdict, e.State, e.Verdict)
		}
		now = after
	}
	if now.State != p.State || now.Reason != p.Reason || now.Attempt != p.Attempt || now.Revision != p.Revision || now.ItemUID != p.ItemUID {
		return fmt.Errorf("it is %s %s in attempt %d at revision %d, but its history leads to %s %s in attempt %d at revision %d, or to another package",
			p.State, p.Reason, p.Attempt, p.Revision, now.State, now.Reason, now.Attempt, now.Revision)
	}
	return nil
}
