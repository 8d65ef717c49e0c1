package purchase

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"gigagate.internal/gigastore"
)

const (
	// permitLife is how long after a permit its first byte may leave.
	permitLife = 10 * time.Second
	// leaseSlack is how much longer a lease is than the longest possible send.
	leaseSlack = 30 * time.Second
	// maxOwners limits the purchases under way in one process. A purchase outlives its caller, so a limit on
	// callers is not enough.
	maxOwners = 2000
	// ownerPatience is how long a call waits for a place among the owners.
	ownerPatience = time.Second
	// lapsedAtOnce is how many lapsed purchases one transaction takes over.
	lapsedAtOnce = 100
)

// addOwner takes a place for one more owner. ownerDone gives it back. If the client has no place left, addOwner waits
// ownerPatience for one. Then it fails with ErrOverloaded, or with ErrTooManyAtOnce if the client has most places. most is 0
// if the client has no limit of its own. addOwner fails with ErrDraining if the engine drains.
//
// The wait slows down a client that asks again after each refusal. Without it, such a client would use up the
// processor with refusals, and the purchases of other clients would wait for the processor.
func (e *Engine) addOwner(ctx context.Context, client string, most int) error {
	upTo := cmp.Or(most, maxOwners)
	if !e.places.TakeUpTo(client, upTo) {
		patience := ownerPatience
		if deadline, ok := ctx.Deadline(); ok {
			patience = min(patience, time.Until(deadline)-LeastTime)
		}
		waiting, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if e.places.WaitUpTo(waiting, client, upTo) != nil {
			if most > 0 && e.places.Of(client) >= most {
				return ErrTooManyAtOnce
			}
			return ErrOverloaded
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining {
		e.places.Release(client)
		return ErrDraining
	}
	e.owners.Add(1)
	return nil
}

// ownerDone gives back the place that addOwner took.
func (e *Engine) ownerDone(client string) {
	e.places.Release(client)
	e.owners.Done()
}

// recoverOwner recovers from the panic of an owner, so that it does not end the process and all other
// purchases. The purchase stays as it is. Another process takes over when the lease expires.
func (e *Engine) recoverOwner(ctx context.Context, id string) {
	if value := recover(); value != nil {
		e.logger.ErrorContext(ctx, "the owner of a purchase panicked", "purchase_id", id, panicked(value))
	}
}

// panicked returns what may be logged about a panic. The value can hold anything, so only its type is logged.
func panicked(value any) slog.Attr {
	return slog.Group("panic", "type", fmt.Sprintf("%T", value), "stack", string(debug.Stack()))
}

// own brings a purchase from its permit to a recorded answer. It asks for another permit while every send is
// known to have had no effect. began is when the newest permit was asked for, by this machine's clock. trial is the one that
// the permit was asked for with.
func (e *Engine) own(ctx context.Context, p *Purchase, personal *Personal, began time.Time, trial *gigastore.Trial) {
	windowEnd := began.Add(e.window)
	unauthorized, lasting := 0, false
	retries := pauses(firstPause, longestPause)
	for {
		if p.State == Sending {
			sale, err := e.send(ctx, p, personal, began.Add(permitLife))
			trial.Over()
			if vendor, ok := errors.AsType[*gigastore.Error](err); ok && vendor.Status == http.StatusUnauthorized {
				unauthorized++
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
		pause := retries.NextBackOff()
		refused := e.guardAgain(ctx, p)
		// Stop early if waiting will not help: after two 401s, refused credentials, a rejected certificate, or
		// a price that is too high.
		if gigastore.IsOver(windowEnd, time.Now().Add(pause)) || unauthorized > 1 || lasting || refused.lasts() || !sleep(ctx, pause) {
			e.giveUp(p, refused)
			return
		}
		if refused != nil {
			continue // try again until the price can be read
		}
		var may bool
		if trial, may = e.vendor.MaySell(); !may {
			continue // try again until the vendor answers
		}
		began = time.Now()
		var ok bool
		if p, ok = e.permit(ctx, p); !ok {
			trial.NotTried()
			return
		}
	}
}

// permit permits one more send.
func (e *Engine) permit(ctx context.Context, p *Purchase) (*Purchase, bool) {
	return e.record(ctx, p, &Transition{Event: Permitted, Attempt: p.Attempt, By: ByGateway, PermitLife: permitLife, Lease: e.lease})
}

// giveUp records that no further send is allowed. refused is the guard's refusal, if there was one.
func (e *Engine) giveUp(p *Purchase, refused *GuardError) {
	e.record(e.life, p, &Transition{Event: WindowOver, Attempt: p.Attempt, Reason: NeverSent, By: ByGateway, Evidence: refused.evidence()})
}

// send sends one paid request. Nothing else in the gateway does. The vendor client ends it after its Timeout.
func (e *Engine) send(ctx context.Context, p *Purchase, personal *Personal, notAfter time.Time) (*gigastore.Sale, error) {
	permit := gigastore.Permit{
		Mark: p.Mark(), IdempotencyKey: idempotencyKey(p.Key), NotAfter: notAfter,
		Confirm: func(ctx context.Context) error { return e.confirm(ctx, p.ID, p.Attempt) },
	}
	switch p.Order.Kind {
	case Register:
		return e.sendRegister(ctx, permit, p, personal)
	case TopUpWithProfile:
		return e.sendTopUpWithProfile(ctx, permit, p, personal)
	default:
		return e.sendTopUp(ctx, permit, p)
	}
}

func (e *Engine) sendRegister(ctx context.Context, permit gigastore.Permit, p *Purchase, personal *Personal) (*gigastore.Sale, error) {
	o := &p.Order
	return e.vendor.Register(ctx, permit, gigastore.RegisterRequest{
		InventoryItemID: o.InventoryItemID, Metatag: p.metatag(), CustomerEmail: personal.CustomerEmail,
		UserIP: personal.UserIP, UserCountry: o.UserCountry,
		ExpectedPrice: o.ExpectedPrice.forVendor(), ActivationMode: o.ActivationMode,
	})
}

func (e *Engine) sendTopUp(ctx context.Context, permit gigastore.Permit, p *Purchase) (*gigastore.Sale, error) {
	o := &p.Order
	return e.vendor.TopUp(ctx, permit, gigastore.TopUpRequest{
		InventoryItemID: o.InventoryItemID, Metatag: p.metatag(), CustomerUID: o.CustomerUID,
		ExpectedPrice: o.ExpectedPrice.forVendor(), ActivationMode: o.ActivationMode,
	})
}

func (e *Engine) sendTopUpWithProfile(ctx context.Context, permit gigastore.Permit, p *Purchase, personal *Personal) (*gigastore.Sale, error) {
	o := &p.Order
	return e.vendor.TopUpWithProfile(ctx, permit, gigastore.TopUpWithProfileRequest{
		InventoryItemID: o.InventoryItemID, Metatag: p.metatag(), CustomerUID: o.CustomerUID,
		ExpectedPrice: o.ExpectedPrice.forVendor(), ActivationMode: o.ActivationMode,
		Dedicated: o.Dedicated, CustomerProfileDomainID: o.CustomerProfileDomainID,
		UserIP: personal.UserIP, UserCountry: o.UserCountry,
	})
}

// confirm asks the journal whether the permit still stands. The owner's machine may have been paused together
// with its clocks. Meanwhile another replica may have taken the purchase over.
func (e *Engine) confirm(ctx context.Context, id string, attempt int) error {
	_, err := bounded(ctx, journalBudget, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, e.journal.ConfirmPermit(ctx, id, attempt)
	})
	return err
}

// takeUpLapsed takes over purchases that lost their owner: another process, or an earlier run of this one.
func (e *Engine) takeUpLapsed() {
	for {
		for e.takeLapsed() { // this ends, because every round takes at least one
		}
		if !sleep(e.life, min(e.lease/4, 15*time.Second)) {
			return
		}
	}
}

// takeLapsed takes over one page of lapsed purchases. It reports whether there may be another page.
func (e *Engine) takeLapsed() bool {
	lapsed, err := bounded(e.life, journalBudget, func(ctx context.Context) ([]Purchase, error) {
		return e.journal.Lapsed(ctx, lapsedAtOnce)
	})
	if err != nil && e.life.Err() == nil {
		e.logger.WarnContext(e.life, "lapsed purchases cannot be taken over", "error", err.Error())
	}
	var taken atomic.Int64
	var writes sync.WaitGroup
	for _, p := range lapsed {
		writes.Go(func() {
			if e.takeUp(p) {
				taken.Add(1)
			}
		})
	}
	writes.Wait()
	return len(lapsed) == lapsedAtOnce && taken.Load() > 0
}

// takeUp takes over one lapsed purchase, unless another process was faster. It reports whether it did.
func (e *Engine) takeUp(p Purchase) bool {
	transition := Transition{Event: TakenOver, Attempt: p.Attempt, By: ByGateway, Lease: e.lease}
	if p.State == Sending {
		transition.Event = Lost
	}
	step, err := Decide(p, transition)
	if err == nil {
		p, err = bounded(e.life, journalBudget, func(ctx context.Context) (Purchase, error) { return e.journal.Write(ctx, step) })
	}
	switch {
	case errors.Is(err, ErrStale): // another process has it, or its owner is not dead
		return false
	case err != nil:
		e.logger.WarnContext(e.life, "a lapsed purchase cannot be taken over", "purchase_id", step.Before.ID, "error", err.Error())
		return false
	}
	ctx, end := e.startSpan(e.life, spanTakeOver, p)
	e.announce(ctx, &p, &transition, Moves)
	if p.State == Uncertain {
		e.logger.WarnContext(ctx, "the owner of a send is gone: its outcome is uncertain", "purchase_id", p.ID)
		end()
		return true
	}
	if e.addOwner(ctx, "", 0) != nil {
		end() // a process takes it over when the lease expires again
		return true
	}
	go func() {
		defer end()
		e.goOn(ctx, p)
	}()
	return true
}

// goOn continues a purchase in Accepted that this process took over.
func (e *Engine) goOn(ctx context.Context, p Purchase) {
	defer e.ownerDone("")
	defer e.recoverOwner(ctx, p.ID)
	// gone is how much of the send window is over. Only the journal's clock knows this, because it set both times.
	gone := p.UpdatedAt.Sub(p.ClaimedAt)
	if gone >= e.window {
		e.giveUp(&p, nil)
		return
	}
	known, err := e.details(ctx, p.ID)
	// Every send of a purchase uses the same client id. So p.Account names the account that sold it, even if an
	// operator was wrong about former client ids.
	if err != nil || known.purged || p.Account != e.vendor.Account() {
		return // when the lease expires again, the send window is over
	}
	e.own(ctx, &p, &known.personal, time.Now().Add(-gone), nil)
}
