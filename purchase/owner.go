package purchase

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"gigagate.internal/gigastore"
)

const (
	// permitLife is how long after a permit its first byte may leave.
	permitLife = 10 * time.Second
	// leaseSlack is what a lease has beyond the longest a send can take.
	leaseSlack = 30 * time.Second
	// maxOwners bounds the purchases under way in one process. A purchase outlives its caller, so the
	// number of callers does not bound it.
	maxOwners = 2000
	// lapsedAtOnce is how many lapsed purchases one transaction takes up.
	lapsedAtOnce = 100
)

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

func (e *Engine) ownerDone(client string) {
	e.places.Release(client)
	e.owners.Done()
}

// recoverOwner keeps a panic of an owner from ending the process and every other purchase with it. The
// purchase is left as it is, and its lease tells that its owner is gone.
func (e *Engine) recoverOwner(ctx context.Context, id string) {
	if value := recover(); value != nil {
		e.logger.ErrorContext(ctx, "the owner of a purchase panicked", "purchase_id", id, panicked(value))
	}
}

// panicked is what may be logged of a panic. Its value can hold anything, so only its type is told.
func panicked(value any) slog.Attr {
	return slog.Group("panic", "type", fmt.Sprintf("%T", value), "stack", string(debug.Stack()))
}

// own walks a purchase from its permit to an answer that is journaled, and on to the next permit
// while every send is known to have had no effect. began is when, on this machine's clock, the
// newest permit was asked for.
func (e *Engine) own(ctx context.Context, p Purchase, personal Personal, began time.Time) {
	windowEnd := began.Add(e.window)
	unauthorized, lasting := 0, false
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		if p.State == Sending {
			sale, err := e.send(ctx, p, personal, began.Add(permitLife))
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
		refused := e.guardAgain(ctx, p.Order)
		// A token refused twice is refused for good, and so are credentials and a certificate; the window does not help.
		if gigastore.IsOver(windowEnd, time.Now().Add(pause)) || unauthorized > 1 || lasting || refused.lasts() || !e.sleep(ctx, pause) {
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

// takeUpLapsed takes up what other processes, or an earlier life of this one, left unanswered.
func (e *Engine) takeUpLapsed() {
	for {
		for e.takeLapsed() { // nothing is taken twice, so it ends
		}
		if !e.sleep(e.life, min(e.lease/4, 15*time.Second)) {
			return
		}
	}
}

// takeLapsed takes up one page of what has lapsed, and reports whether there may be another.
func (e *Engine) takeLapsed() bool {
	taken, err := bounded(e.life, journalBudget, func(ctx context.Context) ([]Purchase, error) {
		return e.journal.TakeLapsed(ctx, e.lease, lapsedAtOnce)
	})
	if err != nil && e.life.Err() == nil {
		e.logger.WarnContext(e.life, "lapsed purchases cannot be taken up", "error", err.Error())
	}
	for _, p := range taken {
		e.takeUp(p)
	}
	// Where some orders cannot be read, the page may have been full of them.
	return len(taken) == lapsedAtOnce || errors.Is(err, ErrUnreadableOrder)
}

func (e *Engine) takeUp(p Purchase) {
	if p.State == Uncertain {
		e.logger.WarnContext(e.life, "the owner of a send is gone: its outcome is uncertain", "purchase_id", p.ID)
		e.recorded(e.life, p, Change{Event: Lost, Attempt: p.Attempt}, Moves)
		return
	}
	if e.addOwner("") != nil {
		return // its lease lapses again
	}
	go func() {
		defer e.ownerDone("")
		defer e.recoverOwner(e.life, p.ID)
		// How much of the window is gone is known by the journal's clock alone, which gave the lease.
		gone := p.LeaseUntil.Add(-e.lease).Sub(p.ClaimedAt)
		if gone >= e.window {
			e.record(e.life, p.ID, Change{Event: WindowOver, Attempt: p.Attempt, Reason: NeverSent, By: ByGateway})
			return
		}
		secrets, err := e.secrets(e.life, p.ID)
		// A purchase is sent with one client id alone, so that p.Account tells who sold it even if an
		// operator's word on former ids was wrong.
		if err != nil || secrets.Purged || p.Account != e.vendor.Account() {
			return // its lease lapses again, and then its window is over
		}
		e.own(e.life, p, secrets.Personal, time.Now().Add(-gone))
	}()
}
