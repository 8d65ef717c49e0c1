package purchase

import (
	"context"
	"errors"
	"slices"
	"time"

	"gigagate.internal/gigastore"
)

// Resolution is an operator's word on what became of a purchase.
type Resolution struct {
	// ItemUID names the package that was sold; empty says that nothing was.
	ItemUID string
	// By names the operator, and Note says what the word rests on.
	By, Note string
	// Force says that nothing was sold before the vendor's records show it. It stays in the history.
	Force bool
}

// Errors of Resolve beside the journal's.
var (
	// ErrNotResolvable: the purchase is settled, or still under way.
	ErrNotResolvable = errors.New("only an uncertain purchase, or one that needs an operator, can be resolved")
	// ErrForeignItem: the vendor knows the named package as that of another purchase, or it bears no
	// token and was sold to another customer or in another mode.
	ErrForeignItem = errors.New("the named activated item cannot be this purchase's")
)

// OtherAccountError says that the present client id does not show that a package is that of a purchase
// made with another one.
type OtherAccountError struct {
	// Err is what it would be for a purchase of the present client id: the vendor's refusal, or ErrForeignItem.
	Err error
	why string
}

func (e *OtherAccountError) Error() string {
	return "the purchase was made with another client id, and the present one " + e.why + "; " + sameAccount
}

func (e *OtherAccountError) Unwrap() error { return e.Err }

// sameAccount tells an operator what to do about a purchase of a former client id.
const sameAccount = "if both ids are of one account, serve with the other in --gigastore-former-client-ids"

// Resolve settles a purchase by an operator's word. A named package is checked with the vendor.
func (e *Engine) Resolve(ctx context.Context, id string, resolution Resolution) (Purchase, error) {
	p, err := e.get(ctx, id)
	if err != nil {
		return Purchase{}, err
	}
	if p.State != Uncertain && p.State != NeedsOperator {
		return p, ErrNotResolvable
	}
	change := Change{Event: ResolvedAbsent, Attempt: p.Attempt, Reason: ReasonOperator}
	if resolution.ItemUID != "" {
		if change, err = e.resolveApplied(ctx, p, resolution.ItemUID); err != nil {
			return p, err
		}
	} else if !resolution.Force {
		if err := e.reconciler.checkAbsent(ctx, p); err != nil {
			return p, err
		}
	}
	change.Evidence.Forced = resolution.Force && resolution.ItemUID == ""
	change.By = ByOperator(resolution.By)
	change.Evidence.Note = resolution.Note
	resolved, err := e.bind(ctx, p, change)
	switch {
	case errors.Is(err, ErrIllegal):
		return e.resolvedTooLate(ctx, p, change), ErrNotResolvable
	case err != nil:
		return p, err
	}
	return resolved, nil
}

// resolvedTooLate is p as somebody else settled it meanwhile. Where that was by an absence, the
// package that the operator named and the vendor showed is kept as what contradicts it: nobody else
// may ever see it.
func (e *Engine) resolvedTooLate(ctx context.Context, p Purchase, change Change) Purchase {
	now, err := e.get(ctx, p.ID)
	if err != nil {
		return p
	}
	if now.State == Failed && change.ItemUID != "" {
		change.Event = Found
		if _, err := e.bind(ctx, p, change); err != nil {
			e.logger.ErrorContext(ctx, "an operator's word against an absence could not be kept", "purchase_id", p.ID, "error", err.Error())
		}
	}
	return now
}

// resolveApplied checks the named package. Its metatag may have lost our token, which is why an
// operator is asked; it must not bear another purchase's. One that bears this purchase's is what was
// sold for it, whatever the vendor made of the order, and whichever client id it was sold with.
func (e *Engine) resolveApplied(ctx context.Context, p Purchase, uid string) (Change, error) {
	foreign := !e.owns(p.Account)
	record, err := e.vendor.ActivatedItem(ctx, uid)
	if err != nil {
		if vendor, ok := errors.AsType[*gigastore.Error](err); ok && foreign && vendor.Effect == gigastore.EffectRefused {
			err = &OtherAccountError{Err: err, why: "is not shown that package"}
		}
		return Change{}, err
	}
	bearer, _ := SplitMetatag(record.ActivatedItem.Metatag)
	if bearer != "" && bearer != p.ID || bearer == "" && !plausible(p, *record) {
		return Change{}, ErrForeignItem
	}
	if bearer == "" && foreign {
		return Change{}, &OtherAccountError{Err: ErrForeignItem, why: "is shown that package without the purchase's mark"}
	}
	change, err := found(p, e.priceLimits(p.Order), *record)
	change.Event = ResolvedApplied
	return change, err
}

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
