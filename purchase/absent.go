package purchase

import (
	"context"
	"errors"
	"slices"
	"time"

	"gigagate.internal/gigastore"
)

// AbsenceError says that the vendor's records do not show yet that nothing was sold. Only a forced
// word settles the purchase before they do.
type AbsenceError struct {
	// Retry is how long from now the same word may be tried again; zero where no waiting helps.
	Retry time.Duration
	why   string
}

func (e *AbsenceError) Error() string { return "that nothing was sold is not shown: " + e.why }

// checkAbsent holds a person's word to the reconciler's rules: the vendor has had its time to show a sale, and complete
// reads of its list since then lack it. It makes the last of those reads itself.
func (r *reconciler) checkAbsent(ctx context.Context, p Purchase) error {
	if !r.engine.owns(p.Account) {
		return &AbsenceError{why: "it was bought with another client id, and the records read may be another account's; " + sameAccount}
	}
	if p.SuccessSeen {
		return &AbsenceError{why: "an answer of the vendor spoke of success"}
	}
	quietEnd, a := r.seen(p)
	if wait := time.Until(later(quietEnd, a.last.Add(r.config.Quiet/4))); wait > 0 {
		return &AbsenceError{Retry: wait, why: "the vendor may not show a sale of that time yet"}
	}
	if a.lacked < absentReads-1 {
		r.nudge() // asks for one more read
		return &AbsenceError{Retry: r.config.Quiet / 4, why: "too few complete reads of the vendor's list lack it"}
	}
	s := newSighting()
	s.asked[p.ID] = true
	bought, err := r.witnessesOfAccount(ctx, p)
	if err != nil {
		return &AbsenceError{Retry: r.scanPause(), why: "the journal cannot be read"}
	}
	proofs := s.ask(bought)
	for record, err := range r.engine.vendor.ActivatedItems(ctx, newestFirst) {
		if err != nil {
			return &AbsenceError{Retry: r.scanPause(), why: "the vendor's list cannot be read"}
		}
		s.see(record)
	}
	if len(s.of(p.ID)) > 0 {
		r.nudge() // the reconciler settles what is there
		return &AbsenceError{why: "the vendor's list shows a package under its mark"}
	}
	shown := func(id string) bool { return len(s.of(id)) > 0 }
	if p.Account != r.engine.vendor.Account() && !slices.ContainsFunc(proofs, shown) {
		return &AbsenceError{why: "the vendor's list shows nothing that was bought with its client id, and may be another account's"}
	}
	return nil
}

// witnessesOfAccount lists purchases that were made with the same client id as p, if that is a former one. That both ids are of one
// account is a person's word. A package of the one that is shown to the other proves it.
func (r *reconciler) witnessesOfAccount(ctx context.Context, p Purchase) (bought []Purchase, err error) {
	if p.Account == r.engine.vendor.Account() {
		return nil, nil
	}
	for _, kind := range []Kind{Register, TopUp, TopUpWithProfile} {
		for _, mode := range []gigastore.ActivationMode{gigastore.ModeNow, gigastore.ModeFirstUse, gigastore.ModeOnDemand} {
			like := p
			like.Order.Kind, like.Order.ActivationMode = kind, mode
			some, failed := r.witnesses(ctx, like, []string{p.Account}, Span{To: time.Now()})
			bought, err = append(bought, some...), errors.Join(err, failed)
		}
	}
	return bought, err
}

// seen returns what this process knows of an attempt: the time by which the vendor must show a sale, and the reads that
// lacked it. For a process that has not seen the attempt before, the time starts now.
func (r *reconciler) seen(p Purchase) (quietEnd time.Time, a absence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.absences[p.ID]
	if !ok || a.attempt != p.Attempt {
		a = absence{attempt: p.Attempt, since: time.Now()}
	}
	return later(r.lastByte(p), a.since).Add(r.config.Quiet), a
}

// keep replaces what is known of an attempt. The reconciler alone writes, and reads without the lock.
func (r *reconciler) keep(id string, a absence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.absences[id] = a
}
