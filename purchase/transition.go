package purchase

import "time"

// After returns the purchase after change happened to it at now, and what the change meant. Every journal
// decides with it. Like [Next], it is pure. It adds rules that depend on more than the state:
//
//   - An answer to an older attempt changes nothing, unless it reports a sale. Older attempts are known to
//     have had no effect. Otherwise the newer one would not have been permitted.
//   - Any other event must name the newest attempt.
//   - A purchase can be disowned only in its first attempt, because then its owner has sent nothing.
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

// New returns the purchase that a claim creates at now. It is in Sending and has its first permit.
func New(claim Claim, now time.Time) Purchase {
	return Purchase{
		ID: claim.ID, Key: claim.Key, Account: claim.Account, Order: claim.Order,
		State: Sending, Attempt: 1,
		ClaimedAt: now, PermittedAt: now, SendNotAfter: now.Add(claim.PermitLife), LeaseUntil: now.Add(claim.Lease),
		UpdatedAt: now,
	}
}
