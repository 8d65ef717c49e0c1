package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gigagate.internal/purchase"
)

const (
	insertPurchase = `INSERT INTO purchase (id, caller, request_id, account, ordered_customer_uid, claimed_at, order_json,
		origin, reserved_currency, reserved_amount, reserved_day) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`

	insertOpen = `INSERT INTO purchase_open (id, state, attempt, revision, permitted_at, send_not_after, lease_until,
		success_seen, anomalies, updated_at, personal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	updateOpen = `UPDATE purchase_open SET state = ?, reason = ?, attempt = ?, revision = ?, permitted_at = ?,
		send_not_after = ?, lease_until = ?, success_seen = ?, anomalies = ?, updated_at = ? WHERE id = ? AND revision = ?`

	eventColumns = "purchase_event (id, sequence, at, event, attempt, verdict, state, success_seen, anomalies, charge, reason, evidence, actor)"
	insertEvent  = "INSERT INTO " + eventColumns + " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	// insertLate is for events after the settlement.
	insertLate = "INSERT INTO " + eventColumns + ` SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
		FROM purchase_now n WHERE n.id = ? AND n.revision = ? AND n.settled_at IS NOT NULL`

	insertOutcome = `INSERT INTO purchase_outcome (id, state, reason, attempt, revision, permitted_at, send_not_after, success_seen,
		anomalies, settled_at, item_uid, customer_uid, charge, account, kind, mode, event, event_attempt, evidence, actor)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertSecret = "INSERT INTO purchase_secret (id, personal, sale) VALUES (?, ?, ?)"
	deleteOpen   = "DELETE FROM purchase_open WHERE id = ?"
	deleteSecret = "DELETE FROM purchase_secret WHERE id = ?"

	selectOpen = "SELECT revision, personal FROM purchase_open WHERE id = ?"
	selectItem = "SELECT EXISTS (SELECT 1 FROM purchase_outcome WHERE item_uid = ? AND account = ?)"
)

// Claim implements [purchase.Journal].
func (j *Journal) Claim(ctx context.Context, claim purchase.Claim) (purchase.Purchase, error) {
	order, err := purchase.EncodeOrder(claim.Order)
	if err != nil {
		return purchase.Purchase{}, fmt.Errorf("%w: encode the order: %w", purchase.ErrNotWritten, err)
	}
	if err := j.queue.admit(claim.ID); err != nil {
		return purchase.Purchase{}, err
	}
	var kept row
	err = j.write(ctx, func(c *connection) (err error) {
		kept, err = c.claim(claim, order, j.began)
		return err
	}, func(written bool) {
		if !written || kept.ID != claim.ID || kept.State != purchase.Sending {
			j.queue.release(claim.ID)
		}
	})
	if err != nil {
		return purchase.Purchase{}, err
	}
	return kept.decoded()
}

// claim inserts a purchase and reserves its amount. If the key is taken, it returns the purchase that has the key. The
// budget refuses only a claim of a new key, and before anything is written.
func (c *connection) claim(claim purchase.Claim, order []byte, now time.Time) (row, error) {
	if target, frozen, err := c.frozen(claim); err != nil {
		return row{}, err
	} else if frozen {
		kept, err := c.row(selectByKey, claim.Key.RequestID, claim.Key.Caller)
		if errors.Is(err, purchase.ErrNotFound) {
			err = &purchase.FrozenError{FreezeTarget: target}
		}
		return kept, err
	}
	p := purchase.New(claim, now)
	if over := c.checkBudget(claim, p.Reservation, now); over != nil {
		return c.taken(p.Key, over)
	}
	currency, amount, day := reservation(p.Reservation)
	inserted, err := c.change(insertPurchase, p.ID, p.Key.Caller, p.Key.RequestID, p.Account, text(p.Order.CustomerUID),
		micros(p.ClaimedAt), string(order), origin(p.Origin), currency, amount, day)
	if err != nil {
		return row{}, err
	}
	if !inserted {
		return c.taken(p.Key, fmt.Errorf("%w: the purchase id %s belongs to another key", purchase.ErrNotWritten, p.ID))
	}
	c.newest = max(c.newest, p.ID)
	_, err = c.change(insertOpen, p.ID, string(p.State), p.Attempt, p.Revision, micros(p.PermittedAt), micros(p.SendNotAfter),
		micros(p.LeaseUntil), p.SuccessSeen, p.Anomalies, micros(p.UpdatedAt), claim.Personal)
	if err == nil {
		c.post(&p, claim.Amount, 0)
	}
	return row{Purchase: p}, err
}

// taken returns the purchase that has the key. If there is none, it returns the error refused.
func (c *connection) taken(key purchase.Key, refused error) (row, error) {
	kept, err := c.row(selectByKey, key.RequestID, key.Caller)
	if errors.Is(err, purchase.ErrNotFound) {
		err = refused
	}
	return kept, err
}

// Write implements [purchase.Journal].
func (j *Journal) Write(ctx context.Context, step purchase.Step) (purchase.Purchase, error) {
	evidence, err := json.Marshal(step.Transition.Evidence)
	if err != nil {
		return purchase.Purchase{}, fmt.Errorf("%w: encode evidence: %w", purchase.ErrNotWritten, err)
	}
	var after purchase.Purchase // the writer may set it after this call has returned
	err = j.write(ctx, func(c *connection) error {
		after = step.At(j.began)
		return c.step(step, string(evidence), j.began)
	}, func(written bool) {
		if written && after.State != purchase.Sending {
			j.queue.release(after.ID)
		}
	})
	if err != nil {
		return purchase.Purchase{}, err
	}
	return after, nil
}

// step writes a step. Each case compares the revision in the statement that comes first, so a stale step has
// written nothing.
func (c *connection) step(s purchase.Step, evidence string, now time.Time) error {
	var err error
	switch {
	case s.Settles():
		err = c.settle(s, evidence, now)
	case s.Before.State.Settled():
		err = isCurrent(c.change(insertLate, append(event(s, evidence, now), s.Before.ID, s.Before.Revision)...))
		if err == nil && s.Transition.Event == purchase.Erased {
			_, err = c.change(deleteSecret, s.Before.ID)
		}
	default:
		err = c.update(s, evidence, now)
	}
	if posting, ok := s.Posting(); ok && err == nil {
		c.post(&s.Before, -posting.Released, posting.Charged)
	}
	return err
}

// update writes a step of a purchase that stays open.
func (c *connection) update(s purchase.Step, evidence string, now time.Time) error {
	p := s.At(now)
	err := isCurrent(c.change(updateOpen, string(p.State), text(p.Reason), p.Attempt, p.Revision, micros(p.PermittedAt),
		micros(p.SendNotAfter), micros(p.LeaseUntil), p.SuccessSeen, p.Anomalies, micros(p.UpdatedAt), p.ID, s.Before.Revision))
	if err == nil {
		_, err = c.change(insertEvent, event(s, evidence, now)...)
	}
	return err
}

// event returns the values for eventColumns.
func event(s purchase.Step, evidence string, now time.Time) []any {
	p, e := s.At(now), s.Entry(now)
	return []any{
		p.ID, e.Sequence, micros(now), string(e.Event), e.Attempt, string(e.Verdict), string(e.State), p.SuccessSeen, p.Anomalies,
		charge(p.Charge), text(e.Reason), evidence, string(e.By),
	}
}

// settle moves a purchase from purchase_open to purchase_outcome and purchase_secret. An INSERT ... SELECT would save
// the first statement, but cost more: SQLite keeps copies of the pages that it changes, to undo half of it.
func (c *connection) settle(s purchase.Step, evidence string, now time.Time) error {
	var revision int
	var personal []byte
	err := c.one(selectOpen, []any{s.Before.ID}, func(r *reader) { revision, personal = r.int(), r.bytes() })
	if errors.Is(err, purchase.ErrNotFound) || err == nil && revision != s.Before.Revision {
		return purchase.ErrStale
	}
	p, e := s.At(now), s.Entry(now)
	taken := false // under another name of the account
	for _, account := range s.Transition.Aliases {
		if err == nil && !taken {
			err = c.one(selectItem, []any{p.ItemUID, account}, func(r *reader) { taken = r.bool() })
		}
	}
	if taken {
		return purchase.ErrItemTaken
	}
	if err != nil {
		return err
	}
	_, err = c.change(insertOutcome, p.ID, string(p.State), text(p.Reason), p.Attempt, p.Revision, micros(p.PermittedAt),
		micros(p.SendNotAfter), p.SuccessSeen, p.Anomalies, micros(p.SettledAt), text(p.ItemUID), text(p.CustomerUID), charge(p.Charge),
		p.Account, string(p.Order.Kind), string(p.Order.EffectiveMode()), string(e.Event), e.Attempt, evidence, string(e.By))
	if isTaken(err) {
		return purchase.ErrItemTaken // the statement had no effect, so the transaction can go on
	}
	var sale any // NULL if there is none
	if s.Transition.Sale != nil {
		sale = s.Transition.Sale
	}
	if err == nil {
		_, err = c.change(insertSecret, p.ID, personal, sale)
	}
	if err == nil {
		_, err = c.change(deleteOpen, p.ID)
	}
	return err
}

// isCurrent returns ErrStale if a statement that compares the revision changed nothing.
func isCurrent(changed bool, err error) error {
	if err == nil && !changed {
		return purchase.ErrStale
	}
	return err
}

// ConfirmPermit implements [purchase.Journal]. It reads nothing: the lock on the file proves that no other
// process uses the journal.
func (j *Journal) ConfirmPermit(ctx context.Context, _ string, _ int) error { return ctx.Err() }

// MayReport implements [purchase.Journal]. No other process can have the file open.
func (j *Journal) MayReport(ctx context.Context, _ string, _ time.Duration) (bool, error) {
	return true, ctx.Err()
}

// Ping implements [purchase.Journal]. It writes a separate row and waits until the write is durable.
func (j *Journal) Ping(ctx context.Context) error {
	return j.write(ctx, func(c *connection) error { return c.probe(j.began) }, nil)
}
