package purchase

import "time"

// After is the purchase once change has happened to it at now, and what the change meant. Every
// journal decides by it; it is as pure as [Next], which it refines by what a state does not say:
//
//   - An answer of an older attempt changes nothing, unless it tells of a sale: older attempts are
//     known to have had no effect, or the newer one would not have been permitted.
//   - Any other event must speak of the newest attempt.
//   - Only a purchase that was never permitted again can be disowned: its owner sent nothing.
//   - A purchase fails, and goes to an operator, for a reason.
//   - A second package for one purchase contradicts the first.
//   - What an operator was asked for can be presumed absent after all only where the vendor's records
//     could not be had, by an outage or another client id: once they can be, no work is left behind.
//     What they show then that is worse takes the reason's place.
//   - Nothing is presumed absent once a success was seen for it, be it while the records were read.
//
// With Illegal the purchase is unchanged. With Stays and Contradicts only its bookkeeping differs.
func (p Purchase) After(change Change, now time.Time) (Purchase, Verdict) {
	state, verdict := p.judge(change)
	if verdict == Illegal {
		return p, Illegal
	}
	p.UpdatedAt = now
	p.SuccessSeen = p.SuccessSeen || change.SuccessSeen
	if verdict == Contradicts || change.Anomaly {
		p.Anomalies++
	}
	if verdict != Moves {
		return p, verdict
	}
	p.State, p.Reason = state, ""
	switch state {
	case Sending:
		p.Attempt++
		p.PermittedAt, p.SendNotAfter = now, now.Add(change.PermitLife)
		p.LeaseUntil = now.Add(change.Lease)
	case Accepted:
		p.LeaseUntil = now.Add(change.Lease)
	case Succeeded:
		p.ItemUID, p.CustomerUID, p.SettledAt = change.ItemUID, change.CustomerUID, now
	case Failed:
		p.Reason, p.SettledAt = change.Reason, now
	case NeedsOperator:
		p.Reason = change.Reason
	case Uncertain:
	}
	return p, Moves
}

func (p Purchase) judge(change Change) (State, Verdict) {
	if change.Attempt < 1 || change.Attempt > p.Attempt {
		return p.State, Illegal
	}
	if change.Attempt < p.Attempt && !change.Event.positive() {
		if change.Event.answered() {
			return p.State, Stays
		}
		return p.State, Illegal
	}
	if change.Event.positive() && change.ItemUID == "" || change.Event == Disowned && change.Attempt != 1 {
		return p.State, Illegal
	}
	switch unread := p.Reason.unread(); {
	case change.Event == PresumedAbsent && (p.SuccessSeen || p.State == NeedsOperator && !unread):
		return p.State, Illegal
	case change.Event == BeyondEvidence && p.State == NeedsOperator && (!unread || change.Reason.unread()):
		return p.State, Illegal
	}
	state, verdict := Next(p.State, change.Event)
	if verdict == Moves && change.Reason == "" && (state == Failed || state == NeedsOperator) {
		return p.State, Illegal
	}
	if p.State == Succeeded && change.Event.positive() && change.ItemUID != p.ItemUID && verdict == Stays {
		return p.State, Contradicts
	}
	return state, verdict
}

// New is the purchase that claim makes at now: in Sending, with its first permit.
func New(claim Claim, now time.Time) Purchase {
	return Purchase{
		ID: claim.ID, Key: claim.Key, Account: claim.Account, Order: claim.Order,
		State: Sending, Attempt: 1,
		ClaimedAt: now, PermittedAt: now, SendNotAfter: now.Add(claim.PermitLife), LeaseUntil: now.Add(claim.Lease),
		UpdatedAt: now,
	}
}
