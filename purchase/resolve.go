package purchase

import (
	"context"
	"errors"
	"slices"
	"time"

	"gigagate.internal/gigastore"
)

// Resolution is an operator's decision about what became of a purchase.
type Resolution struct {
	// ItemUID names the package that was sold. If it is empty, nothing was sold.
	ItemUID string
	// By names the operator. Note says what the decision is based on.
	By, Note string
	// Force settles a purchase as not sold before the vendor's records show it. The history keeps a note of
	// this.
	Force bool
}

// Errors of Resolve. Errors of the journal are possible, too.
var (
	// ErrNotResolvable: the purchase is settled, or still under way.
	ErrNotResolvable = errors.New("only an uncertain purchase, or one that needs an operator, can be resolved")
	// ErrForeignItem: the named package cannot be this purchase's. It has another purchase's mark. Or it has no
	// mark, and was sold to another customer or in another mode.
	ErrForeignItem = errors.New("the named activated item cannot be this purchase's")
)

// OtherAccountError says that the purchase was made with another client id, and that the present client id
// cannot prove that the package is the purchase's.
type OtherAccountError struct {
	// Err is the error for a purchase of the present client id: the vendor's refusal, or ErrForeignItem.
	Err error
	why string
}

func (e *OtherAccountError) Error() string {
	return "the purchase was made with another client id, and the present one " + e.why + "; " + sameAccount
}

func (e *OtherAccountError) Unwrap() error { return e.Err }

// sameAccount tells an operator what to do about a purchase of a former client id.
const sameAccount = "if both ids belong to one account, add the other id to --gigastore-former-client-ids"

// Resolve settles a purchase by an operator's decision. It checks a named package with the vendor.
func (e *Engine) Resolve(ctx context.Context, scope Scope, id string, resolution Resolution) (Purchase, error) {
	open, err := e.seen(ctx, scope, id)
	if err != nil {
		return Purchase{}, err
	}
	p := *open
	linkTo(ctx, open)
	if p.State != Uncertain && p.State != NeedsOperator {
		return p, ErrNotResolvable
	}
	transition := Transition{Event: ResolvedAbsent, Attempt: p.Attempt, Reason: ReasonOperator}
	if resolution.ItemUID != "" {
		if transition, err = e.resolveApplied(ctx, p, resolution.ItemUID); err != nil {
			return p, err
		}
	} else if !resolution.Force {
		if err := e.reconciler.checkAbsent(ctx, p); err != nil {
			return p, err
		}
	}
	transition.Evidence.Forced = resolution.Force && resolution.ItemUID == ""
	transition.By = ByOperator(resolution.By)
	transition.Evidence.Note = resolution.Note
	resolved, err := e.recordOnce(ctx, &p, &transition, false)
	switch {
	case errors.Is(err, ErrIllegal):
		return e.resolvedTooLate(ctx, p, transition), ErrNotResolvable
	case err != nil:
		return p, err
	}
	return *resolved, nil
}

// resolvedTooLate returns p as somebody else settled it in the meantime. If p was settled as absent,
// resolvedTooLate records the package that the operator named, because it contradicts the absence. Nobody else
// may ever see that package.
func (e *Engine) resolvedTooLate(ctx context.Context, p Purchase, transition Transition) Purchase {
	now, err := e.get(ctx, p.ID)
	if err != nil {
		return p
	}
	if now.State == Failed && transition.ItemUID != "" {
		transition.Event = Found
		if _, err := e.recordOnce(ctx, now, &transition, false); err != nil {
			e.logger.ErrorContext(ctx, "the package that an operator named could not be recorded", "purchase_id", p.ID, "error", err.Error())
		}
	}
	return *now
}

// resolveApplied checks the named package. Its metatag may have lost our mark, which is why an operator was
// asked. It must not have another purchase's mark. If it has this purchase's mark, it is the package, whatever
// the vendor sold and whichever client id bought it.
func (e *Engine) resolveApplied(ctx context.Context, p Purchase, uid string) (Transition, error) {
	foreign := !e.owns(p.Account)
	record, err := e.vendor.ActivatedItem(ctx, uid)
	if err != nil {
		if vendor, ok := errors.AsType[*gigastore.Error](err); ok && foreign && vendor.Effect == gigastore.EffectRefused {
			err = &OtherAccountError{Err: err, why: "cannot read that package"}
		}
		return Transition{}, err
	}
	bearer, _ := SplitMetatag(record.ActivatedItem.Metatag)
	if bearer != "" && bearer != p.ID || bearer == "" && !plausible(p, *record) {
		return Transition{}, ErrForeignItem
	}
	if bearer == "" && foreign {
		return Transition{}, &OtherAccountError{Err: ErrForeignItem, why: "sees that package without the purchase's mark"}
	}
	transition, err := e.found(p, *record)
	transition.Event = ResolvedApplied
	return transition, err
}

// AbsenceError says that the vendor's records do not prove yet that nothing was sold. Only Force settles the
// purchase before they do.
type AbsenceError struct {
	// Retry is how long to wait before the same decision can be tried again. It is zero if waiting does not
	// help.
	Retry time.Duration
	why   string
}

func (e *AbsenceError) Error() string { return "it is not shown that nothing was sold: " + e.why }

// checkAbsent applies the reconciler's rules to an operator's decision that nothing was sold. The vendor must
// have had time to show a sale, and complete reads of its list since then must lack the package. checkAbsent
// makes the last of these reads itself.
func (r *reconciler) checkAbsent(ctx context.Context, p Purchase) error {
	if !r.engine.owns(p.Account) {
		return &AbsenceError{why: "it was bought with another client id, and the records may belong to another account; " + sameAccount}
	}
	if p.SuccessSeen {
		return &AbsenceError{why: "an answer of the vendor reported success"}
	}
	quietEnd, a := r.seen(p)
	if wait := time.Until(later(quietEnd, a.last.Add(r.config.Quiet/4))); wait > 0 {
		return &AbsenceError{Retry: wait, why: "the vendor may not show a sale of that time yet"}
	}
	if a.lacked < absentReads-1 {
		r.nudge() // ask for one more read
		return &AbsenceError{Retry: r.config.Quiet / 4, why: "more complete reads of the vendor's list are needed"}
	}
	s := newScan()
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
		r.nudge() // the reconciler settles the purchase with it
		return &AbsenceError{why: "the vendor's list shows a package with its mark"}
	}
	shown := func(id string) bool { return len(s.of(id)) > 0 }
	if p.Account != r.engine.vendor.Account() && !slices.ContainsFunc(proofs, shown) {
		return &AbsenceError{why: "the vendor's list shows nothing that was bought with its client id, so it may belong to another account"}
	}
	return nil
}

// witnessesOfAccount returns purchases made with the same client id as p, if that is a former client id. An
// operator says that both ids belong to one account. A package of the former id that the present one can read
// proves it.
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
