package purchase

import (
	"context"
	"errors"
	"slices"

	"gigagate.internal/gigastore"
)

// recordAnswer journals what became of one send. A sale that cannot be bound, since its item is
// bound already, is left to the reconciler.
func (e *Engine) recordAnswer(ctx context.Context, p Purchase, sale *gigastore.Sale, sendErr error) (Purchase, bool) {
	change, err := answered(p, e.priceLimits(p.Order), sale, sendErr)
	if err != nil {
		change = Change{Event: AnsweredUnknown, Attempt: p.Attempt, By: ByGateway, SuccessSeen: true, Evidence: Evidence{Note: "the answer could not be kept"}}
	}
	change.Lease, change.Aliases = e.lease, e.aliases(p)
	annotate(ctx, change)
	return e.record(ctx, p.ID, change)
}

// record journals one change, and tries until it is journaled, refused, or the engine ends: an
// answer is worth waiting for, and worth one try after that end. It reports whether the change
// stands.
func (e *Engine) record(ctx context.Context, id string, change Change) (Purchase, bool) {
	unknown := false
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		p, verdict, err := e.recordOnce(ctx, id, change)
		if unknown && errors.Is(err, ErrIllegal) {
			p, verdict, err = e.recordedBefore(ctx, id, change, err)
		}
		unknown = err != nil
		switch {
		case err == nil:
			e.recorded(ctx, p, change, verdict)
			return p, true
		case errors.Is(err, ErrItemTaken) && change.Event == AnsweredApplied:
			change = Change{
				Event: AnsweredUnknown, Attempt: change.Attempt, By: change.By, SuccessSeen: true, Anomaly: true,
				Evidence: Evidence{HTTPStatus: change.Evidence.HTTPStatus, ItemUID: change.ItemUID, Note: "the item is bound to another purchase"},
			}
			continue
		case errors.Is(err, ErrIllegal), errors.Is(err, ErrNotFound), errors.Is(err, ErrItemTaken):
			e.logger.WarnContext(ctx, "purchase event not taken", "purchase_id", id, "event", string(change.Event), "error", err.Error())
			return Purchase{}, false
		}
		e.logger.ErrorContext(ctx, "purchase event not journaled yet", "purchase_id", id, "event", string(change.Event), "error", err.Error())
		if !e.sleep(ctx, pause) {
			return Purchase{}, false
		}
	}
}

func (e *Engine) recordOnce(ctx context.Context, id string, change Change) (Purchase, Verdict, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalBudget)
	defer cancel()
	return e.journal.Record(ctx, id, change)
}

// recordedBefore looks whether a change that is illegal now was journaled by a try whose answer was
// lost: whoever has to know of it was not told.
func (e *Engine) recordedBefore(ctx context.Context, id string, change Change, illegal error) (Purchase, Verdict, error) {
	p, err := e.get(context.WithoutCancel(ctx), id)
	if err != nil || p.Attempt != change.Attempt || p.Reason == "" || p.Reason != change.Reason {
		return Purchase{}, "", illegal
	}
	return p, Moves, nil
}

// recorded tells whoever has to know of a change that is journaled. It is the one completion path
// of answers, of what the reconciler found and of what an operator said.
func (e *Engine) recorded(ctx context.Context, p Purchase, change Change, verdict Verdict) {
	e.instruments.event(ctx, p, change, verdict)
	if verdict == Contradicts || change.Anomaly {
		note := change.Evidence.Note
		if change.By != ByGateway && change.By != ByReconciler {
			note = "" // an operator's own words, which may speak of anybody
		}
		e.logger.ErrorContext(ctx, "purchase anomaly: a human has to look at it",
			"purchase_id", p.ID, "event", string(change.Event), "state", string(p.State), "note", note)
	}
	if verdict != Moves {
		if p.State.Settled() { // by a try whose answer was lost, or by another replica
			e.watchers.settled(p, nil)
		}
		return
	}
	switch {
	case p.State.Settled():
		e.watchers.settled(p, change.sold)
	case p.State == Uncertain:
		e.reconciler.nudge()
	case p.State == NeedsOperator:
		e.logger.ErrorContext(ctx, "purchase needs an operator", "purchase_id", p.ID, "reason", string(p.Reason))
	}
}

// bind journals a change once, and tells of it.
func (e *Engine) bind(ctx context.Context, p Purchase, change Change) (Purchase, error) {
	change.Aliases = e.aliases(p)
	p, verdict, err := e.recordOnce(ctx, p.ID, change)
	if err != nil {
		return Purchase{}, err
	}
	e.recorded(ctx, p, change, verdict)
	return p, nil
}

// bind journals what was found. Where it is not known whether it was written it asks again: the same
// event a second time adds nothing to the history, and an alarm goes with the answer. What was not
// written is left to the next pass, and keeps no other purchase waiting.
func (r *reconciler) bind(ctx context.Context, p Purchase, change Change) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		_, err := r.engine.bind(ctx, p, change)
		switch {
		case err == nil, errors.Is(err, ErrNotWritten), errors.Is(err, ErrIllegal), errors.Is(err, ErrNotFound), errors.Is(err, ErrItemTaken):
			return err
		case !r.engine.sleep(ctx, pause):
			return err
		}
	}
}

// owns reports whether an account is the one that can be read, by its present client id or a former one.
func (e *Engine) owns(account string) bool { return slices.Contains(e.vendor.Accounts(), account) }

// aliases are the names, beside p's own, of the account in which p's package is: the vendor shows it
// there, whichever client id p was sent with.
func (e *Engine) aliases(p Purchase) []string {
	return slices.DeleteFunc(e.vendor.Accounts(), func(account string) bool { return account == p.Account })
}
