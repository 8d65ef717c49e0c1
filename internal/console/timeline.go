package console

import (
	"fmt"
	"math"
	"strings"
	"time"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// segment is a part of the strip: how long a purchase was in one state.
type segment struct {
	X, Width string
	Tone     string
	Words    string
}

// step is one entry of the timeline.
type step struct {
	Event *gigagatev1.PurchaseEvent
	Title string
	After string // the time since the entry before, empty for the first one
	Since string // the time since the first entry
	Facts []string
	Tone  string
	Mark  string // the word of the event in the contract
}

// strip shows how long each state lasted. Widths grow with the logarithm of the time. Otherwise the milliseconds of a send
// could not be seen beside the minutes after it.
func strip(read *gigagatev1.GetPurchaseResponse, now time.Time) []segment {
	history := read.GetHistory()
	var list []segment
	var widths []float64
	total := 0.0
	for i, e := range history {
		begin, end := timeOf(e.GetTime()), now
		settled := e.GetState() == gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED || e.GetState() == gigagatev1.PurchaseState_PURCHASE_STATE_FAILED
		switch {
		case i+1 < len(history):
			end = timeOf(history[i+1].GetTime())
		case settled:
			end = begin // it stays so for ever
		}
		d := max(0, end.Sub(begin))
		width := 1 + math.Log1p(float64(d.Milliseconds()))
		words := stateWord(e.GetState())
		if !settled {
			words += " for " + duration(d)
		}
		list, widths, total = append(list, segment{Tone: tone(e.GetState()), Words: words}), append(widths, width), total+width
	}
	x := 0.0
	for i := range list {
		width := widths[i] / total * chartWidth
		gap := 2.0
		if i == len(list)-1 {
			gap = 0
		}
		list[i].X, list[i].Width = coordinate(x), coordinate(max(width-gap, 1))
		x += width
	}
	return list
}

// stage is one station on the way of a purchase.
type stage struct {
	Name, Detail string
	Tone         string // empty: it has not come so far
}

// stages are the stations of a purchase's newest send, and what came after it.
func stages(read *gigagatev1.GetPurchaseResponse) []stage {
	p := read.GetPurchase()
	claimed, permitted := stage{Name: "Claimed"}, stage{Name: "Permitted"}
	sent, answered, records, settled := stage{Name: "Sent"}, stage{Name: "Answered"}, stage{Name: "Records read"}, stage{Name: "Settled"}
	for _, e := range read.GetHistory() {
		switch e.GetEvent() {
		case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_CLAIMED:
			claimed.Tone, claimed.Detail = "good", "in the journal"
			permitted.Tone, permitted.Detail = "good", "send 1"
		case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_PERMITTED:
			permitted.Detail = fmt.Sprintf("send %d", e.GetAttempt())
			sent.Tone, sent.Detail, answered.Tone, answered.Detail = "", "", "", "" // of the send before
		case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_APPLIED, gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_REFUSED,
			gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_NO_EFFECT, gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_UNKNOWN:
			sent.Tone, sent.Detail = "good", fmt.Sprintf("up to %d bytes", e.GetBytesWritten())
			if e.GetBytesWritten() == 0 {
				sent.Tone, sent.Detail = "over", "no byte"
			}
			answered.Tone, answered.Detail = tone(e.GetState()), "no HTTP status"
			if e.GetVendorStatus() != 0 {
				answered.Detail = fmt.Sprintf("HTTP status %d", e.GetVendorStatus())
			}
		case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_LOST:
			answered.Tone, answered.Detail = "unsure", "the sender is gone"
		case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_FOUND, gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_RESOLVED_APPLIED:
			records.Tone, records.Detail = "good", "package found"
		case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_PRESUMED_ABSENT:
			records.Tone, records.Detail = "good", "complete, without it"
		case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_BEYOND_EVIDENCE:
			records.Tone, records.Detail = "bad", "they cannot settle it"
		default: // it moves no station
		}
	}
	if r := read.GetReconciliation(); r != nil && records.Tone == "" {
		switch {
		case r.GetFailedReads() > 0:
			records.Tone, records.Detail = "bad", fmt.Sprintf("failed %d times", r.GetFailedReads())
		case r.GetLastReadTime() != nil:
			records.Tone, records.Detail = "unsure", "not settled by them"
		}
	}
	if p.GetSettleTime() != nil {
		settled.Tone, settled.Detail = tone(p.GetState()), stateWord(p.GetState())
	}
	list := []stage{claimed, permitted, sent, answered}
	if records.Tone != "" || p.GetSettleTime() == nil {
		list = append(list, records) // most purchases need no records
	}
	return append(list, settled)
}

// steps are the entries of a history for a person.
func steps(history []*gigagatev1.PurchaseEvent) []step {
	var list []step
	for i, e := range history {
		s := step{Event: e, Title: title(e), Tone: tone(e.GetState()), Mark: strings.TrimPrefix(e.GetEvent().String(), "PURCHASE_EVENT_TYPE_")}
		if i > 0 {
			s.After = between(timeOf(e.GetTime()).Sub(timeOf(history[i-1].GetTime())))
			s.Since = between(timeOf(e.GetTime()).Sub(timeOf(history[0].GetTime())))
		}
		if e.GetContradicts() {
			s.Tone = "bad"
		}
		s.Facts = facts(e)
		list = append(list, s)
	}
	return list
}

// title says what happened.
func title(e *gigagatev1.PurchaseEvent) string {
	switch e.GetEvent() {
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_CLAIMED:
		return "Written to the journal, with the permit for the first send"
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_PERMITTED:
		return fmt.Sprintf("Send %d was permitted", e.GetAttempt())
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_APPLIED:
		return "The vendor answered: sold"
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_REFUSED:
		return "The vendor answered: refused"
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_NO_EFFECT:
		return "The send had no effect"
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_UNKNOWN:
		return "The vendor gave no clear answer"
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_LOST:
		return "The process that sent the request ended, or did not report"
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_WINDOW_OVER:
		return "No other send is permitted"
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_FOUND:
		return "The vendor's records show the package"
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_PRESUMED_ABSENT:
		return "The vendor's records are complete and do not show the package"
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_BEYOND_EVIDENCE:
		return "The vendor's records cannot settle it. An operator is needed"
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_RESOLVED_APPLIED:
		return "An operator named the package"
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_RESOLVED_ABSENT:
		return "An operator said that nothing was sold"
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ABANDONED:
		return "Given up before anything was sent"
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_TAKEN_OVER:
		return "Another process continues the purchase"
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ERASED:
		return "The end user's data was erased"
	default:
		return word(e.GetEvent().String(), "PURCHASE_EVENT_TYPE_")
	}
}

// contradiction says that an entry is an anomaly.
const contradiction = "This contradicts the entries before it, so the state did not change."

// facts are the evidence of an entry, in sentences.
func facts(e *gigagatev1.PurchaseEvent) []string {
	var list []string
	add := func(format string, values ...any) { list = append(list, fmt.Sprintf(format, values...)) }
	switch e.GetEvent() {
	case gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_APPLIED, gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_REFUSED,
		gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_NO_EFFECT, gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_UNKNOWN:
		add("Up to %d bytes of send %d left the gateway.", e.GetBytesWritten(), e.GetAttempt())
		if e.GetVendorStatus() == 0 {
			add("No HTTP status was read.")
		}
	default: // nothing was sent
	}
	if e.GetVendorStatus() != 0 {
		add("HTTP status %d.", e.GetVendorStatus())
	}
	if e.GetContradicts() {
		add(contradiction)
	}
	if r := e.GetReason(); r != gigagatev1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		add("Reason: %s.", word(r.String(), "ERROR_REASON_"))
	}
	if q := whyOperator(e.GetOperatorReason()); q != "" {
		add("%s", q)
	}
	if e.GetForced() {
		add("It was forced, without waiting for the vendor's records.")
	}
	return list
}
