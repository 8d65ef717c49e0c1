package purchase

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"gigagate.internal/gigastore"
)

const (
	// firstPause and longestPause bound the wait between tries of anything that is tried again.
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// claimed is what came of a claim: our own purchase, or the one that has the key.
type claimed struct {
	purchase Purchase
	ours     bool
}

// start claims the key and, if it is ours, leaves the purchase to an owner that runs on the
// engine's own time. It returns once the claim is known durable, or the answer has to leave.
func (e *Engine) start(answer context.Context, id string, request Request) (claimed, error) {
	if err := e.addOwner(request.Client); err != nil {
		return claimed{}, err
	}
	claim := Claim{
		ID: id, Key: request.Key, Account: e.vendor.Account(),
		Order: request.Order, Personal: request.Personal, PermitLife: permitLife, Lease: e.lease,
	}
	type result struct {
		claimed claimed
		err     error
	}
	done := make(chan result, 1)
	work, cancel := endingWith(context.WithoutCancel(answer), e.life)
	e.inFlight.enter(request.Key)
	go func() {
		defer e.ownerDone(request.Client)
		defer cancel()
		defer e.survive(work, id)
		// The journal counts the permit's life from its own, later, start: ours ends first.
		began := time.Now()
		p, ours, err := e.claim(work, claim)
		e.inFlight.leave(request.Key)
		if err == nil && ours && isOver(answer) {
			// Its caller may have asked again elsewhere, where the claim could not be seen yet, and have been told that
			// nothing was started.
			e.disown(p.ID, "the caller had gone before the claim was durable, nothing sent")
			err = &UnsettledError{}
		}
		done <- result{claimed{p, ours}, err}
		if err == nil && ours {
			e.own(work, p, request.Personal, began)
		}
	}()
	select {
	case r := <-done:
		return r.claimed, r.err
	case <-answer.Done():
		// The id is not told: as long as the claim waits for the journal, nothing is found under it,
		// and that reads as if nothing would ever come of it.
		return claimed{}, &UnsettledError{}
	}
}

// isOver reports whether a caller waits no more. After a pause of the whole process the clock may know it first.
func isOver(answer context.Context) bool {
	deadline, ok := answer.Deadline()
	return answer.Err() != nil || ok && !time.Now().Before(deadline)
}

// addOwner counts one more owner, which ownerDone takes back, unless the engine drains, or is full for this client.
func (e *Engine) addOwner(client string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.draining:
		return ErrDraining
	case !e.places.Take(client):
		return ErrOverloaded
	}
	e.owners.Add(1)
	return nil
}

// survive keeps a panic of an owner from ending the process and every other purchase with it. The
// purchase is left as it is, and its lease tells that its owner is gone.
func (e *Engine) survive(ctx context.Context, id string) {
	if value := recover(); value != nil {
		e.logger.ErrorContext(ctx, "the owner of a purchase panicked", "purchase_id", id, panicked(value))
	}
}

// panicked is what may be logged of a panic. Its value can hold anything, so only its type is told.
func panicked(value any) slog.Attr {
	return slog.Group("panic", "type", fmt.Sprintf("%T", value), "stack", string(debug.Stack()))
}

func (e *Engine) ownerDone(client string) {
	e.places.Release(client)
	e.owners.Done()
}

// claim asks for the claim until it is known what became of it. Where that cannot be known,
// nothing is sent.
func (e *Engine) claim(ctx context.Context, claim Claim) (Purchase, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, claimBudget)
	defer cancel()
	unknown := false
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		p, _, err := e.journal.Claim(ctx, claim)
		switch {
		case err == nil:
			// An earlier try may have written it, though its answer was lost: the id tells.
			return p, p.ID == claim.ID, nil
		case errors.Is(err, ErrNotWritten) && !unknown:
			return Purchase{}, false, &JournalError{LookedUp: true, Err: err}
		case !e.sleep(ctx, pause):
			e.disown(claim.ID, "claim not known durable, nothing sent")
			return Purchase{}, false, &JournalError{Err: err}
		}
		unknown = true
	}
}

// disown settles a claim that may have been written although its caller was told otherwise, or waits no more. Nothing was sent
// for it. It retries until the journal can be reached, and has the place of an owner until then: while a journal
// takes no writes, callers must not add to what waits for it without end. It is one write: after the first of two, a
// process could die, and the next process would take the purchase up and send it.
func (e *Engine) disown(id, why string) {
	e.places.Hold("")
	e.loops.Go(func() {
		defer e.places.Release("")
		e.record(e.life, id, Change{Event: Disowned, Attempt: 1, Reason: NeverSent, By: ByGateway, Evidence: Evidence{Note: why}})
	})
}

// own walks a purchase from its permit to an answer that is journaled, and on to the next permit
// while every send is known to have had no effect. began is when, on this machine's clock, the
// newest permit was asked for.
func (e *Engine) own(ctx context.Context, p Purchase, personal Personal, began time.Time) {
	windowEnd := began.Add(e.window)
	turnedAway, lasting := 0, false
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		if p.State == Sending {
			sale, err := e.send(ctx, p, personal, began.Add(permitLife))
			if vendor, ok := errors.AsType[*gigastore.Error](err); ok && vendor.Status == http.StatusUnauthorized {
				turnedAway++
			}
			lasting = gigastore.IsLasting(err)
			var ok bool
			if p, ok = e.recordAnswer(ctx, p, sale, err); !ok {
				return
			}
		}
		if p.State != Accepted {
			return
		}
		refused := e.guardAgain(ctx, p.Order)
		// A token refused twice is refused for good, and so are credentials and a certificate; the window does not help.
		if gigastore.IsOver(windowEnd, time.Now().Add(pause)) || turnedAway > 1 || lasting || refused.lasts() || !e.sleep(ctx, pause) {
			e.record(e.life, p.ID, Change{Event: WindowOver, Attempt: p.Attempt, Reason: NeverSent, By: ByGateway, Evidence: refused.evidence()})
			return
		}
		if refused != nil {
			continue // until the price can be read
		}
		began = time.Now()
		var ok bool
		if p, ok = e.record(ctx, p.ID, Change{Event: Permitted, Attempt: p.Attempt, By: ByGateway, PermitLife: permitLife, Lease: e.lease}); !ok {
			return
		}
	}
}

// send puts one paid request on the wire. There is no other place that does.
func (e *Engine) send(ctx context.Context, p Purchase, personal Personal, notAfter time.Time) (*gigastore.Sale, error) {
	ctx, cancel := context.WithTimeout(ctx, permitLife+e.timeout)
	defer cancel()
	permit := gigastore.Permit{
		Token: p.Token(), IdempotencyKey: idempotencyKey(p.Key), NotAfter: notAfter,
		Confirm: func(ctx context.Context) error { return e.confirm(ctx, p) },
	}
	metatag := p.Token() + " " + p.Order.Metatag
	var price *gigastore.Price
	if expected := p.Order.ExpectedPrice; expected != nil {
		price = &gigastore.Price{Value: expected.Amount, Currency: expected.Currency}
	}
	switch o := p.Order; o.Kind {
	case Register:
		return e.vendor.Register(ctx, permit, gigastore.RegisterRequest{
			InventoryItemID: o.InventoryItemID, Metatag: metatag, CustomerEmail: personal.CustomerEmail,
			UserIP: personal.UserIP, UserCountry: o.UserCountry, ExpectedPrice: price, ActivationMode: o.ActivationMode,
		})
	case TopUpWithProfile:
		return e.vendor.TopUpWithProfile(ctx, permit, gigastore.TopUpWithProfileRequest{
			InventoryItemID: o.InventoryItemID, Metatag: metatag, CustomerUID: o.CustomerUID,
			ExpectedPrice: price, ActivationMode: o.ActivationMode,
			Dedicated: o.Dedicated, CustomerProfileDomainID: o.CustomerProfileDomainID,
			UserIP: personal.UserIP, UserCountry: o.UserCountry,
		})
	default:
		return e.vendor.TopUp(ctx, permit, gigastore.TopUpRequest{
			InventoryItemID: o.InventoryItemID, Metatag: metatag, CustomerUID: o.CustomerUID,
			ExpectedPrice: price, ActivationMode: o.ActivationMode,
		})
	}
}

// confirm asks the journal whether the permit still stands. The owner of a purchase may have been paused with all the
// clocks of its machine, and another replica may have given the purchase up meanwhile.
func (e *Engine) confirm(ctx context.Context, p Purchase) error {
	_, err := bounded(ctx, journalBudget, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, e.journal.ConfirmPermit(ctx, p.ID, p.Attempt)
	})
	return err
}

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

// sleep waits, and reports false when ctx or the engine ends first.
func (e *Engine) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-e.life.Done():
		return false
	}
}

// idempotencyKey is the vendor's idempotency-key header of a purchase: 64 hexadecimal digits, the
// most the vendor is thought to take, and a function of the key alone, so that even a gateway whose
// journal was lost repeats the key of the sale it forgot.
func idempotencyKey(key Key) string {
	sum := sha256.Sum256([]byte(key.Caller + "\x00" + key.RequestID))
	return hex.EncodeToString(sum[:])
}
