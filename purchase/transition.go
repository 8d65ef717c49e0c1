package purchase

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// After returns the purchase after transition happened to it at now, and what the transition meant. [Decide] uses
// it. Like [Next], it is pure. It adds rules that depend on more than the state:
//
//   - An answer to an older attempt changes nothing, unless it reports a sale. Older attempts are known to
//     have had no effect. Otherwise the newer one would not have been permitted.
//   - Any other event must name the newest attempt.
//   - A purchase can be abandoned only in its first attempt, because then its owner has sent nothing.
//   - Failed and NeedsOperator need a reason.
//   - A second package for one purchase contradicts the first.
//   - A purchase in NeedsOperator can be presumed absent only if the vendor's records could not be read,
//     because of an outage or another client id. So no work is left for an operator once they can be read. If
//     the records then show something worse, that becomes the reason.
//   - A purchase is never presumed absent after a success was seen, even if the success was seen while the
//     records were being read.
//
// If the verdict is Illegal, the purchase is unchanged. With Stays and Contradicts, only its bookkeeping
// changes.
func (p Purchase) After(transition Transition, now time.Time) (Purchase, Verdict) {
	state, verdict := p.judge(transition)
	if verdict == Illegal {
		return p, Illegal
	}
	p.UpdatedAt = now
	p.Revision++
	p.SuccessSeen = p.SuccessSeen || transition.SuccessSeen
	if transition.isAnomaly(verdict) {
		p.Anomalies++
	}
	// A package that is found after the purchase failed was sold, so it is charged, too.
	if transition.Event.positive() && p.Reservation != nil && p.Charge == nil {
		p.Charge = p.Reservation.charge(transition.Paid)
	}
	if verdict != Moves {
		return p, verdict
	}
	p.State, p.Reason, p.LeaseUntil = state, "", time.Time{}
	switch state {
	case Sending:
		p.Attempt++
		p.PermittedAt, p.SendNotAfter = now, now.Add(transition.PermitLife)
		p.LeaseUntil = now.Add(transition.Lease)
	case Accepted:
		p.LeaseUntil = now.Add(transition.Lease)
	case Succeeded:
		p.ItemUID, p.CustomerUID, p.SettledAt = transition.ItemUID, cmp.Or(transition.CustomerUID, p.Order.CustomerUID), now
	case Failed:
		p.Reason, p.SettledAt = transition.Reason, now
	case NeedsOperator:
		p.Reason = transition.Reason
	case Uncertain:
	}
	return p, Moves
}

// isAnomaly reports whether a transition with this verdict counts as an anomaly.
func (t *Transition) isAnomaly(verdict Verdict) bool { return verdict == Contradicts || t.Anomaly }

func (p Purchase) judge(transition Transition) (State, Verdict) {
	if transition.Attempt < 1 || transition.Attempt > p.Attempt {
		return p.State, Illegal
	}
	if transition.Attempt < p.Attempt && !transition.Event.positive() {
		if transition.Event.answered() {
			return p.State, Stays
		}
		return p.State, Illegal
	}
	if transition.Event.positive() && transition.ItemUID == "" || transition.Event == Abandoned && transition.Attempt != 1 {
		return p.State, Illegal
	}
	switch unread := p.Reason.unread(); {
	case transition.Event == PresumedAbsent && (p.SuccessSeen || p.State == NeedsOperator && !unread):
		return p.State, Illegal
	case transition.Event == BeyondEvidence && p.State == NeedsOperator && (!unread || transition.Reason.unread()):
		return p.State, Illegal
	}
	state, verdict := Next(p.State, transition.Event)
	if verdict == Moves && transition.Reason == "" && (state == Failed || state == NeedsOperator) {
		return p.State, Illegal
	}
	if p.State == Succeeded && transition.Event.positive() && transition.ItemUID != p.ItemUID && verdict == Stays {
		return p.State, Contradicts
	}
	return state, verdict
}

// New returns the purchase that a claim creates at now. It is in Sending and has its first permit.
func New(claim Claim, now time.Time) Purchase {
	return Purchase{
		ID: claim.ID, Key: claim.Key, Account: claim.Account, Order: claim.Order, Origin: claim.Origin,
		State: Sending, Attempt: 1, Revision: 1,
		ClaimedAt: now, PermittedAt: now, SendNotAfter: now.Add(claim.PermitLife), LeaseUntil: now.Add(claim.Lease),
		UpdatedAt: now, Reservation: claim.Reservation(now),
	}
}

// Step is a transition that was decided for a purchase. A journal writes it as it is.
type Step struct {
	Before     Purchase
	Transition Transition
	Verdict    Verdict // never Illegal
}

// Decide decides what a transition means for a purchase. It returns ErrIllegal if the transition cannot happen.
func Decide(before Purchase, transition Transition) (Step, error) {
	if transition.ItemUID != "" {
		transition.Evidence.ItemUID = transition.ItemUID
	}
	_, verdict := before.After(transition, time.Time{})
	if verdict == Illegal {
		return Step{}, fmt.Errorf("%w: %s of attempt %d in %s of attempt %d",
			ErrIllegal, transition.Event, transition.Attempt, before.State, before.Attempt)
	}
	return Step{before, transition, verdict}, nil
}

// At returns the purchase after the step, if the step is written at now.
func (s Step) At(now time.Time) Purchase {
	after, _ := s.Before.After(s.Transition, now)
	return after
}

// Entry returns the step's entry in the history, if the step is written at now.
func (s Step) Entry(now time.Time) HistoryEntry {
	after := s.At(now)
	return HistoryEntry{
		Sequence: after.Revision, At: now, Event: s.Transition.Event, Attempt: s.Transition.Attempt, Verdict: s.Verdict,
		State: after.State, Reason: s.Transition.Reason, Evidence: s.Transition.Evidence, By: s.Transition.By,
	}
}

// Settles reports whether the step settles the purchase.
func (s Step) Settles() bool {
	return !s.Before.State.Settled() && s.At(time.Time{}).State.Settled()
}

// mayRepeat reports whether the history may hold the step's transition already. A step that moves the purchase
// or is the first to report a success is new.
func (s Step) mayRepeat() bool {
	return s.Verdict != Moves && (s.Before.SuccessSeen || !s.Transition.SuccessSeen)
}

// repeats returns the entry of the history that holds the step's transition already, or nil.
func (s Step) repeats(history []HistoryEntry) *HistoryEntry {
	at := slices.IndexFunc(history, func(e HistoryEntry) bool {
		t := s.Transition
		return e.Event == t.Event && e.Attempt == t.Attempt && e.Evidence.ItemUID == t.Evidence.ItemUID
	})
	if at < 0 {
		return nil
	}
	return &history[at]
}
