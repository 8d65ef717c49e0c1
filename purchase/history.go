package purchase

import (
	"strings"
	"time"
)

// Evidence is what an event rests on. It holds nothing secret and nothing of the end user.
type Evidence struct {
	BytesWritten int64  `json:"bytes_written,omitempty"`
	HTTPStatus   int    `json:"http_status,omitempty"`
	Message      string `json:"message,omitempty"` // the vendor's text, scrubbed and bounded
	ItemUID      string `json:"item_uid,omitempty"`
	Note         string `json:"note,omitempty"` // ours
	// Forced: an operator's word did not wait for the vendor's records.
	Forced bool `json:"forced,omitempty"`
}

// Entry is one line of a purchase's history.
type Entry struct {
	Sequence int
	At       time.Time
	Event    Event // empty: the claim; UnknownEvent: a later version's
	Attempt  int   // which send it speaks of
	Verdict  Verdict
	State    State // after it
	Reason   Reason
	Evidence Evidence
	By       Actor
}

// Actor is who causes events, as journals keep it.
type Actor string

// The actors beside operators.
const (
	ByGateway    Actor = "gateway"
	ByReconciler Actor = "reconciler"
)

// operatorPrefix stands before an operator's name, which may be any word: gateway, too.
const operatorPrefix = "operator:"

// ByOperator is the operator of that name.
func ByOperator(name string) Actor { return Actor(operatorPrefix + name) }

// Operator is the operator's name, if it is one.
func (a Actor) Operator() (name string, ok bool) { return strings.CutPrefix(string(a), operatorPrefix) }

// Claimed is the name of a history's first entry, which no event made.
const Claimed = "CLAIMED"

// UnknownEvent is an event in a history that only a later version knows.
const UnknownEvent Event = "UNKNOWN"

// SetWords sets what the journals keep as words. A word that only a later version knows is left out: nothing is
// decided by a history.
func (e *Entry) SetWords(event, verdict, state string) {
	if event != Claimed {
		var err error
		if e.Event, err = ParseEvent(event); err != nil {
			e.Event = UnknownEvent
		}
	}
	e.Verdict, _ = ParseVerdict(verdict)
	e.State, _ = ParseState(state)
}
