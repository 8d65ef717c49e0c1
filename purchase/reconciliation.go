package purchase

import (
	"errors"
	"fmt"
	"time"

	"gigagate.internal/gigastore"
)

// Reconciliation tells a person why a purchase is not settled yet, as this process sees it. Every replica reads
// the vendor's records itself.
type Reconciliation struct {
	// LastRead is when this process last read the vendor's records for the purchase. It is zero if it has not
	// yet.
	LastRead time.Time
	// LastResult is the result of that read. Missing is what the purchase waits for. Both are texts for a
	// person.
	LastResult, Missing string
	// FailedReads is how many reads in a row failed, up to the last one.
	FailedReads int
	// NextRead is the earliest time of the next read.
	NextRead time.Time
	// Operator is when an operator is asked if nothing changes. It is zero if that is unknown, or if an
	// operator has been asked already.
	Operator time.Time
}

// look is what the newest read of the vendor's records meant for one purchase.
type look struct {
	at              time.Time
	result, missing string
	failed          int
	operator        time.Time
}

// reconciliation returns the Reconciliation of p. It returns nil if p does not wait for records.
func (r *reconciler) reconciliation(p Purchase) *Reconciliation {
	if p.State != Uncertain && p.State != NeedsOperator {
		return nil
	}
	quietEnd, a := r.seen(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	told := &Reconciliation{
		LastRead: a.look.at, LastResult: a.look.result, Missing: a.look.missing, FailedReads: a.look.failed,
		NextRead: later(time.Now(), r.lastScan.Add(r.scanPause())), Operator: a.look.operator,
	}
	switch {
	case told.Missing != "":
	case !r.engine.owns(p.Account):
		told.Missing = "a package with its mark: it was bought with another client id, and the records may belong to another account; " + sameAccount
		told.Operator = r.lastByte(p).Add(r.config.GiveUp)
	default:
		told.Missing = missingTime(quietEnd)
	}
	if p.State == NeedsOperator {
		told.Operator = time.Time{}
		if !p.Reason.unread() {
			told.Missing = missingPackage // an absence cannot settle it now
		}
		told.Missing += "; or an operator's decision"
	}
	return told
}

// missingPackage says that only a package settles the purchase.
const missingPackage = "one package with its mark that can be what was ordered, and that is not bound to another purchase"

// missingTime says that only time is missing.
func missingTime(quietEnd time.Time) string {
	return "time: the vendor may not show a sale of that time before " + quietEnd.UTC().Format(time.RFC3339)
}

// explain sets what a read meant for a purchase that it did not settle.
func (r *reconciler) explain(p Purchase, l look) {
	a := r.absences[p.ID]
	a.look = l
	r.setAbsence(p.ID, a)
}

// explainFound is for a package that was found but is not bound yet.
func (r *reconciler) explainFound(p Purchase, missing string) {
	r.explain(p, look{at: time.Now(), result: "the vendor's records show a package with its mark", missing: missing})
}

// lackedBy returns the look for any purchase that a read lacked.
func (r *reconciler) lackedBy(scan *scan) look {
	l := look{at: scan.began, result: "the vendor's list lacks it"}
	if !scan.complete {
		l.failed = r.failedScans
		l.result = fmt.Sprintf("the vendor's list could not be read (time %d in a row): %s", l.failed, scan.failure())
	}
	return l
}

// explainAbsent is for a read that lacked p. Its cases are those of evaluateAbsence.
func (r *reconciler) explainAbsent(p Purchase, scan *scan) {
	l := r.lackedBy(scan)
	a, quietEnd := r.absences[p.ID], r.quietEnd(p)
	older, younger := scan.witnessed(p)
	// After absentReads unproven reads, an operator is asked.
	inVain := later(quietEnd, scan.began).Add(time.Duration(max(0, absentReads-a.unproven)) * r.config.Quiet / 4)
	switch {
	case !scan.complete:
		l.missing = "a complete read of the vendor's list"
		l.operator = later(r.lastComplete, r.lastByte(p)).Add(r.config.GiveUp)
	case scan.unvouched[p.ID]:
		l.missing = "a read of this gateway's journal for purchases like it; the last one failed"
	case scan.began.Before(quietEnd):
		l.missing = missingTime(quietEnd)
	case p.SuccessSeen:
		l.missing, l.operator = "the package: an answer of the vendor reported success, so an absence does not count", inVain
	case scan.unexplained[p.ID]:
		l.missing, l.operator = "the owner of a package without a mark, which may be this purchase's", inVain
	case !older:
		l.missing, l.operator = "an older purchase of the same kind and mode in the vendor's list, to show that the list is readable that far back", inVain
	case !younger && scan.began.Before(quietEnd.Add(r.config.Wait)):
		l.missing = "a younger purchase of the same kind and mode in the vendor's list, or the time until " + quietEnd.Add(r.config.Wait).UTC().Format(time.RFC3339)
	default:
		l.missing = fmt.Sprintf("%d more complete reads of the vendor's list that lack it", max(1, absentReads-a.reads))
	}
	r.explain(p, l)
}

// failure says why a read failed, without any of the vendor's data.
func (s *scan) failure() string {
	vendor, ok := errors.AsType[*gigastore.Error](s.err)
	switch {
	case !ok:
		return fmt.Sprintf("%T", s.err)
	case vendor.Status != 0:
		return fmt.Sprintf("the vendor answered with HTTP status %d", vendor.Status)
	}
	return vendor.Error()
}
