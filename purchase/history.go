package purchase

import (
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
