package purchase

import (
	"context"
	"errors"
	"time"

	"gigagate.internal/gigastore"
)

// settleFound settles the purchases whose packages were found. It returns the others.
func (r *reconciler) settleFound(ctx context.Context, open []Purchase, seen *scan) []Purchase {
	var rest []Purchase
	for _, p := range open {
		records := seen.of(p.ID)
		if len(records) == 0 || ctx.Err() != nil {
			rest = append(rest, p)
			continue
		}
		r.settle(ctx, p, records)
	}
	return rest
}

// settleForeign settles purchases of other client ids. A package with the mark of such a purchase is that
// purchase's, whichever client id bought it. An absence means nothing, because the records may belong to
// another account.
func (r *reconciler) settleForeign(ctx context.Context, foreign []Purchase, seen *scan) []Purchase {
	rest := r.settleFound(ctx, foreign, seen)
	for _, p := range rest {
		r.explain(p, r.lackedBy(seen))
		if ctx.Err() == nil && time.Now().After(r.lastByte(p).Add(r.config.GiveUp)) {
			r.beyondEvidence(ctx, p, OtherAccount)
		}
	}
	return rest
}

// settle binds a purchase to the one package with its mark, if that can be what was ordered.
func (r *reconciler) settle(ctx context.Context, p Purchase, records []gigastore.ActivatedItemRecord) {
	record := records[0]
	for _, other := range records[1:] {
		if other.ActivatedItem.UID != record.ActivatedItem.UID {
			r.explainFound(p, missingPackage)
			r.beyondEvidence(ctx, p, SeveralFound)
			return
		}
	}
	record, whole := r.complete(ctx, record)
	if !whole && time.Now().Before(r.quietEnd(p)) {
		r.explainFound(p, "its customer and its eSIM, which cannot be read yet")
		return // without its customer and its eSIM a sale is of little use, so wait for them
	}
	if !plausible(p, record) {
		r.explainFound(p, missingPackage)
		r.beyondEvidence(ctx, p, OtherFound)
		return
	}
	transition, err := r.engine.found(p, record)
	if err != nil {
		r.engine.logger.ErrorContext(ctx, "reconcile: the vendor's record cannot be stored", "purchase_id", p.ID, "error", err.Error())
		return
	}
	switch err := r.recordFound(ctx, &p, &transition); {
	case err == nil:
	case errors.Is(err, ErrItemTaken):
		r.explainFound(p, missingPackage)
		r.beyondEvidence(ctx, p, ItemTaken)
	default:
		r.explainFound(p, "a write of this gateway's journal, which failed")
		r.engine.logger.WarnContext(ctx, "reconcile: a sale that was found is not recorded yet", "purchase_id", p.ID, "error", err.Error())
	}
}

// complete reads the package by its uid, because lists may leave out the customer and the profile. It reports
// whether the read succeeded.
func (r *reconciler) complete(ctx context.Context, record gigastore.ActivatedItemRecord) (gigastore.ActivatedItemRecord, bool) {
	full, err := r.engine.vendor.ActivatedItem(ctx, record.ActivatedItem.UID)
	if err != nil {
		return record, false
	}
	if full.ActivatedItem.Metatag == "" {
		full.ActivatedItem.Metatag = record.ActivatedItem.Metatag
	}
	if full.Customer.UID == "" {
		full.Customer = record.Customer
	}
	return *full, true
}

// alarmAbsent records packages of purchases that were called absent. Their callers were told that nothing was
// sold.
func (r *reconciler) alarmAbsent(ctx context.Context, watched []Purchase, seen *scan) {
	for _, p := range watched {
		records := seen.of(p.ID)
		if p.State != Failed || p.Anomalies > 0 || len(records) == 0 || ctx.Err() != nil {
			continue
		}
		if transition, err := r.engine.found(p, records[0]); err == nil {
			_ = r.recordFound(ctx, &p, &transition)
		}
	}
}

// evaluateAbsence decides what a read that lacks p means.
func (r *reconciler) evaluateAbsence(ctx context.Context, p Purchase, scan *scan) {
	now := time.Now()
	if !scan.complete {
		if since := later(r.lastComplete, r.lastByte(p)); now.After(since.Add(r.config.GiveUp)) {
			r.beyondEvidence(ctx, p, Unreadable)
		}
		return
	}
	a := r.absences[p.ID]
	quietEnd := r.quietEnd(p)
	if scan.unvouched[p.ID] || scan.began.Before(quietEnd) || scan.began.Before(a.last.Add(r.config.Quiet/4)) {
		return
	}
	older, younger := scan.witnessed(p)
	unexplained := scan.unexplained[p.ID]
	switch {
	case p.SuccessSeen || unexplained || !older:
		a.unproven++
	case younger || !scan.began.Before(quietEnd.Add(r.config.Wait)):
		a.reads++
	default: // the read counts only once there is a younger witness, or Wait is over
	}
	a.lacked++
	a.last = scan.began
	r.setAbsence(p.ID, a)
	switch {
	case a.reads >= absentReads && (p.State == Uncertain || p.Reason.unread()) && !p.SuccessSeen:
		r.record(ctx, p, &Transition{Event: PresumedAbsent, Attempt: p.Attempt, Reason: ReasonPresumedAbsent, By: ByReconciler})
	case a.unproven >= absentReads && p.SuccessSeen:
		r.beyondEvidence(ctx, p, SuccessSeen)
	case a.unproven >= absentReads && unexplained:
		r.beyondEvidence(ctx, p, Unexplained)
	case a.unproven >= absentReads:
		r.beyondEvidence(ctx, p, NoWitness)
	}
}

// beyondEvidence hands a purchase to an operator, once. It does so a second time if the records could not be
// read before and now show something worse.
func (r *reconciler) beyondEvidence(ctx context.Context, p Purchase, reason Reason) {
	worse := p.Reason.unread() && !reason.unread()
	if p.State != Uncertain && !worse {
		return
	}
	r.record(ctx, p, &Transition{Event: BeyondEvidence, Attempt: p.Attempt, Reason: reason, By: ByReconciler})
}

// record records what the reads of the vendor's records mean for a purchase.
func (r *reconciler) record(ctx context.Context, p Purchase, transition *Transition) {
	ctx, end := r.engine.startSpan(ctx, spanReconcile, p)
	defer end()
	r.engine.record(ctx, &p, transition)
}
