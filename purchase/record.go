package purchase

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gigagate.internal/gigastore"
)

// recordAnswer records the outcome of one send. If the item of a sale is already bound, the reconciler gets the
// purchase.
func (e *Engine) recordAnswer(ctx context.Context, p *Purchase, sale *gigastore.Sale, sendErr error) (*Purchase, bool) {
	transition, err := answered(p, e.priceLimits(p.Order, p.Reservation), sale, sendErr)
	if err != nil {
		transition = Transition{Event: AnsweredUnknown, Attempt: p.Attempt, By: ByGateway, SuccessSeen: true, Evidence: Evidence{Explanation: "the answer could not be stored"}}
	}
	transition.Lease, transition.Aliases = e.lease, e.aliases(p)
	annotate(ctx, &transition)
	return e.record(ctx, p, &transition)
}

// Record makes a transition to a purchase. p is the purchase as the caller knows it, and at least its id. Record
// decides on p, and if p is out of date, on the purchase as the journal has it. So nothing is read before a write
// that succeeds. Record returns the purchase after the transition and what the transition meant. It returns
// ErrIllegal if the transition cannot happen.
//
// Two transitions are the same if they have the same event, attempt and item uid. The item uid is
// Transition.ItemUID, or else the one in the evidence. Recording a transition again writes nothing, unless it moves
// the purchase or is the first to report a seen success.
func Record(ctx context.Context, journal Journal, p Purchase, transition Transition) (Purchase, Verdict, error) {
	p, verdict, _, err := recordOrFind(ctx, journal, p, transition)
	return p, verdict, err
}

// recordOrFind is Record. If the history has the transition already, it also returns its entry.
func recordOrFind(ctx context.Context, journal Journal, p Purchase, transition Transition) (Purchase, Verdict, *HistoryEntry, error) {
	for isCurrent := false; ; isCurrent = true {
		if isCurrent {
			var err error
			if p, err = journal.Get(ctx, p.ID); err != nil {
				return Purchase{}, "", nil, fmt.Errorf("%w: %w", ErrNotWritten, err)
			}
		}
		step, err := Decide(p, transition)
		switch {
		case !isCurrent && (err != nil || step.Verdict != Moves):
			continue // the purchase may have moved on, and then this would be wrong
		case err != nil:
			return p, Illegal, nil, err
		}
		if step.mayRepeat() {
			history, err := journal.History(ctx, p.ID)
			if err != nil {
				return Purchase{}, "", nil, fmt.Errorf("%w: %w", ErrNotWritten, err)
			}
			if entry := step.repeats(history); entry != nil {
				return p, step.Verdict, entry, nil
			}
		}
		after, err := journal.Write(ctx, step)
		if errors.Is(err, ErrStale) {
			continue
		}
		return after, step.Verdict, nil, err
	}
}

// record records one transition. It retries until the transition is recorded or refused, or ctx ends. After the end it
// still makes one try, because an answer is worth it. It reports whether the transition stands.
func (e *Engine) record(ctx context.Context, before *Purchase, transition *Transition) (*Purchase, bool) {
	unknown := false
	p, err := retry(ctx, func() (*Purchase, error) {
		p, err := e.recordOnce(ctx, before, transition, unknown)
		if errors.Is(err, ErrItemTaken) && transition.Event == AnsweredApplied {
			transition = &Transition{
				Event: AnsweredUnknown, Attempt: transition.Attempt, By: transition.By, SuccessSeen: true, Anomaly: true,
				Evidence: Evidence{HTTPStatus: transition.Evidence.HTTPStatus, ItemUID: transition.ItemUID, Explanation: "the item is bound to another purchase"},
			}
			p, err = e.recordOnce(ctx, before, transition, unknown)
		}
		if unknown && errors.Is(err, ErrIllegal) {
			p, err = e.recordedBefore(ctx, before.ID, transition, err)
		}
		if unknown = err != nil; unknown && !isRefused(err) {
			e.logger.ErrorContext(ctx, "purchase event not recorded yet", "purchase_id", before.ID, "event", string(transition.Event), "error", err.Error())
		}
		return p, err
	}, isRefused)
	if isRefused(err) {
		e.logger.WarnContext(ctx, "purchase event not taken", "purchase_id", before.ID, "event", string(transition.Event), "error", err.Error())
	}
	return p, err == nil
}

// isRefused reports whether the journal refused a transition. Another try would be refused, too.
func isRefused(err error) bool {
	return errors.Is(err, ErrIllegal) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrItemTaken)
}

// recordOnce makes one try to record a transition, and tells everybody who must know about it. The try does not end
// with its caller. unknown: it is not known whether an earlier try was written.
func (e *Engine) recordOnce(ctx context.Context, before *Purchase, transition *Transition, unknown bool) (*Purchase, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalBudget)
	defer cancel()
	p, verdict, entry, err := recordOrFind(ctx, e.journal, *before, *transition)
	switch {
	case err != nil:
		return nil, err
	case entry == nil:
		e.announce(ctx, &p, transition, verdict)
	case unknown && entry.State == p.State: // the earlier try was written, and nobody has been told
		e.announce(ctx, &p, transition, entry.Verdict)
	default: // another replica has counted it
		e.tell(ctx, &p, transition, verdict)
	}
	return &p, nil
}

// recordedBefore checks whether an earlier try recorded a transition that is illegal now. The answer of that try
// was lost, so nobody has been told about the transition.
func (e *Engine) recordedBefore(ctx context.Context, id string, transition *Transition, illegal error) (*Purchase, error) {
	p, err := e.get(context.WithoutCancel(ctx), id)
	if err != nil || p.Attempt != transition.Attempt || p.Reason == "" || p.Reason != transition.Reason {
		return nil, illegal
	}
	e.announce(ctx, p, transition, Moves)
	return p, nil
}

// announce counts a recorded transition, and tells everybody who must know about it. It is the one completion path: for
// answers, for what the reconciler found, and for an operator's decision.
func (e *Engine) announce(ctx context.Context, p *Purchase, transition *Transition, verdict Verdict) {
	e.instruments.event(ctx, p, transition, verdict)
	e.tell(ctx, p, transition, verdict)
}

// tell is announce for a transition that has been counted before.
func (e *Engine) tell(ctx context.Context, p *Purchase, transition *Transition, verdict Verdict) {
	if transition.isAnomaly(verdict) {
		e.logger.ErrorContext(ctx, "purchase anomaly: a human has to look at it", "purchase_id", p.ID,
			"event", string(transition.Event), "state", string(p.State), "explanation", transition.Evidence.Explanation)
	}
	if verdict != Moves {
		if p.State.Settled() { // an earlier try or another replica settled it
			e.watchers.settled(p, nil)
		}
		return
	}
	if p.State == Uncertain || p.State == NeedsOperator || p.State.Settled() && !transition.Event.answered() {
		e.figures.nudge() // other purchases are open now
	}
	annotateState(ctx, p) // before its caller is answered, because that ends the caller's span
	switch {
	case p.State.Settled():
		e.watchers.settled(p, transition.sold)
	case p.State == Uncertain:
		e.reconciler.nudge()
	case p.State == NeedsOperator:
		e.logger.ErrorContext(ctx, "purchase needs an operator", "purchase_id", p.ID, "reason", string(p.Reason))
	}
}

// recordFound records what was found. If it does not know whether a try was written, it tries again. Recording the
// same event twice adds nothing to the history, but the alarm must be raised. If a try was not written, recordFound
// leaves the transition to the next pass, so that other purchases do not wait.
func (r *reconciler) recordFound(ctx context.Context, p *Purchase, transition *Transition) error {
	ctx, end := r.engine.startSpan(ctx, spanReconcile, *p)
	defer end()
	unknown := false
	_, err := retry(ctx, func() (*Purchase, error) {
		after, err := r.engine.recordOnce(ctx, p, transition, unknown)
		unknown = err != nil
		return after, err
	}, func(err error) bool { return errors.Is(err, ErrNotWritten) || isRefused(err) })
	return err
}

// owns reports whether the present client id, or a former one, names this account. Only the records of such an
// account can be read.
func (e *Engine) owns(account string) bool { return slices.Contains(e.vendor.Accounts(), account) }

// aliases returns the other names of p's account. The vendor shows p's package under each of its client ids,
// whichever of them sent p.
func (e *Engine) aliases(p *Purchase) []string {
	return slices.DeleteFunc(e.vendor.Accounts(), func(account string) bool { return account == p.Account })
}
