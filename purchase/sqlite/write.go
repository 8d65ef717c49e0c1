package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gigagate.internal/purchase"
)

const (
	insertPurchase = `INSERT INTO purchase (id, caller, request_id, state, attempt, events, anomalies, success_seen,
		claimed_at, permitted_at, send_not_after, lease_until, updated_at, account, kind, mode, ordered_customer_uid, order_json)
		VALUES (?, ?, ?, 'SENDING', 1, 1, 0, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`

	insertEvent = `INSERT INTO purchase_event (purchase, sequence, at, event, attempt, verdict, state, reason, evidence, by)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	updatePurchase = `UPDATE purchase SET state = ?, reason = ?, attempt = ?, events = ?, anomalies = ?, success_seen = ?,
		permitted_at = ?, send_not_after = ?, lease_until = ?, updated_at = ?, settled_at = ?, item_uid = ?, customer_uid = ?
		WHERE number = ? AND events = ?`

	selectLapsed = "SELECT " + columns + ` FROM purchase
		WHERE state IN ('SENDING', 'ACCEPTED') AND lease_until <= ? ORDER BY lease_until, number LIMIT ?`
)

// Claim implements [purchase.Journal].
func (j *Journal) Claim(ctx context.Context, claim purchase.Claim) (purchase.Purchase, error) {
	order, err := purchase.EncodeOrder(claim.Order)
	if err != nil {
		return purchase.Purchase{}, fmt.Errorf("%w: encode the order: %w", purchase.ErrNotWritten, err)
	}
	personal, err := json.Marshal(claim.Personal)
	if err != nil {
		return purchase.Purchase{}, fmt.Errorf("%w: encode personal data: %w", purchase.ErrNotWritten, err)
	}
	if err := j.queue.admit(claim.ID); err != nil {
		return purchase.Purchase{}, err
	}
	var kept row
	err = j.write(ctx, false, func(c *connection) (err error) {
		kept, err = c.claim(claim, order, personal, j.began)
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

// claim inserts a purchase and the first entry of its history. If the key is taken, it returns the purchase
// that has the key.
func (c *connection) claim(claim purchase.Claim, order, personal []byte, now time.Time) (row, error) {
	p := purchase.New(claim, now)
	result, err := c.insertPurchase.ExecContext(background, p.ID, p.Key.Caller, p.Key.RequestID,
		micros(p.ClaimedAt), micros(p.PermittedAt), micros(p.SendNotAfter), micros(p.LeaseUntil), micros(p.UpdatedAt),
		p.Account, string(p.Order.Kind), string(p.Order.EffectiveMode()), text(p.Order.CustomerUID), string(order))
	if err != nil {
		return row{}, err
	}
	if inserted, err := result.RowsAffected(); err != nil {
		return row{}, err
	} else if inserted == 0 {
		kept, err := scan(c.byKey.QueryRowContext(background, p.Key.RequestID, p.Key.Caller))
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("%w: the purchase id %s belongs to another key", purchase.ErrNotWritten, p.ID)
		}
		return kept, err
	}
	number, err := result.LastInsertId()
	if err != nil {
		return row{}, err
	}
	c.newest = number
	r := row{Purchase: p, number: number, events: 1}
	if err := c.append(r, now, purchase.Claimed, purchase.Transition{Attempt: 1, By: purchase.ByGateway}, noEvidence, purchase.Moves); err != nil {
		return row{}, err
	}
	_, err = c.insertPersonal.ExecContext(background, number, string(personal))
	c.remember(r)
	return r, err
}

// remember caches a row until its outcome is recorded, so that Record need not read it. The cache stays correct
// because only this connection writes to the file, and because a rollback clears the cache.
func (c *connection) remember(r row) {
	if r.State == purchase.Sending || r.State == purchase.Accepted {
		c.open[r.ID] = r
	} else {
		delete(c.open, r.ID)
	}
}

// noEvidence is the evidence of an event that needs none, as JSON.
var noEvidence = []byte("{}")

// append adds the newest entry to the history of r. The sequence of the entry is r.events. evidence is the
// evidence of transition, as JSON.
func (c *connection) append(r row, now time.Time, event string, transition purchase.Transition, evidence []byte, verdict purchase.Verdict) error {
	_, err := c.insertEvent.ExecContext(background, r.number, r.events, micros(now), event, transition.Attempt,
		string(verdict), string(r.State), text(transition.Reason), string(evidence), transition.By)
	return err
}

// Record implements [purchase.Journal].
func (j *Journal) Record(
	ctx context.Context, id string, transition purchase.Transition,
) (purchase.Purchase, purchase.Verdict, error) {
	if transition.ItemUID != "" {
		transition.Evidence.ItemUID = transition.ItemUID
	}
	evidence, err := json.Marshal(transition.Evidence)
	if err != nil {
		return purchase.Purchase{}, "", fmt.Errorf("%w: encode evidence: %w", purchase.ErrNotWritten, err)
	}
	var found struct {
		row     row
		verdict purchase.Verdict
	}
	err = j.write(ctx, false, func(c *connection) (err error) {
		found.row, found.verdict, err = c.record(id, transition, evidence, j.began)
		return err
	}, func(written bool) {
		if written && found.row.State != purchase.Sending {
			j.queue.release(id)
		}
	})
	if err != nil {
		return purchase.Purchase{}, "", err
	}
	p, err := found.row.decoded()
	return p, found.verdict, err
}

// record applies a transition to a purchase. evidence is the evidence of transition, as JSON.
func (c *connection) record(id string, transition purchase.Transition, evidence []byte, now time.Time) (row, purchase.Verdict, error) {
	before, known := c.open[id]
	if !known {
		var err error
		if before, err = c.get(id); err != nil {
			return row{}, "", err
		}
	}
	after := before
	var verdict purchase.Verdict
	after.Purchase, verdict = before.After(transition, now)
	switch {
	case verdict == purchase.Illegal:
		return row{}, verdict, fmt.Errorf("%w: %s of attempt %d in %s of attempt %d",
			purchase.ErrIllegal, transition.Event, transition.Attempt, before.State, before.Attempt)
	case verdict != purchase.Moves && after.SuccessSeen == before.SuccessSeen:
		if known, err := c.holds(before, transition); known || err != nil {
			return before, verdict, err
		}
	}
	if verdict == purchase.Moves && after.State == purchase.Succeeded {
		if err := c.free(after.ItemUID, transition.Aliases); err != nil {
			return row{}, verdict, err
		}
	}
	err := c.update(&after, transition, evidence, verdict, now)
	if err != nil {
		return row{}, verdict, err
	}
	if verdict == purchase.Moves && after.State == purchase.Succeeded && transition.Sale != nil {
		_, err = c.insertSale.ExecContext(background, after.number, transition.Sale)
	}
	return after, verdict, err
}

// free returns ErrItemTaken if a purchase of one of the accounts has the package already.
func (c *connection) free(itemUID string, accounts []string) error {
	for _, account := range accounts {
		var taken bool
		err := c.conn.QueryRowContext(background, "SELECT EXISTS (SELECT 1 FROM purchase WHERE item_uid = ? AND account = ?)", itemUID, account).Scan(&taken)
		if err != nil {
			return err
		}
		if taken {
			return purchase.ErrItemTaken
		}
	}
	return nil
}

// holds reports whether the history contains the transition already.
func (c *connection) holds(r row, transition purchase.Transition) (bool, error) {
	entries, err := c.entries(r)
	for _, e := range entries {
		if e.Event == transition.Event && e.Attempt == transition.Attempt && e.Evidence.ItemUID == transition.Evidence.ItemUID {
			return true, err
		}
	}
	return false, err
}

// update writes a changed row and the history entry of its transition.
func (c *connection) update(r *row, transition purchase.Transition, evidence []byte, verdict purchase.Verdict, now time.Time) error {
	r.events++
	result, err := c.updatePurchase.ExecContext(background, string(r.State), text(r.Reason), r.Attempt, r.events, r.Anomalies,
		r.SuccessSeen, micros(r.PermittedAt), micros(r.SendNotAfter), micros(r.LeaseUntil), micros(r.UpdatedAt),
		micros(r.SettledAt), text(r.ItemUID), text(r.CustomerUID), r.number, r.events-1)
	if isTaken(err) {
		return purchase.ErrItemTaken // the statement was the operation's first and had no effect, so the transaction can go on
	}
	if err != nil {
		return err
	}
	if changed, err := result.RowsAffected(); err != nil {
		return err
	} else if changed != 1 {
		return fmt.Errorf("purchase %s was changed by something other than the journal's writer", r.ID)
	}
	c.remember(*r)
	return c.append(*r, now, string(transition.Event), transition, evidence, verdict)
}

// ConfirmPermit implements [purchase.Journal]. It reads nothing: the lock on the file proves that no other
// process uses the journal.
func (j *Journal) ConfirmPermit(ctx context.Context, _ string, _ int) error { return ctx.Err() }

// TakeLapsed implements [purchase.Journal].
func (j *Journal) TakeLapsed(ctx context.Context, lease time.Duration, limit int) ([]purchase.Purchase, error) {
	var lapsed []row
	err := j.write(ctx, true, func(c *connection) (err error) {
		lapsed, err = c.takeLapsed(lease, limit, j.began)
		return err
	}, func(written bool) {
		for _, r := range lapsed {
			if written {
				j.queue.release(r.ID)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return purchase.Readable(lapsed, row.decoded)
}

func (c *connection) takeLapsed(lease time.Duration, limit int, now time.Time) ([]row, error) {
	lapsed, err := rowsOf(c.lapsed.QueryContext(background, micros(now), limit))
	if err != nil {
		return nil, err
	}
	for i := range lapsed {
		r := &lapsed[i]
		if r.State == purchase.Accepted {
			r.LeaseUntil, r.UpdatedAt = now.Add(lease), now
			_, err = c.updateLease.ExecContext(background, micros(r.LeaseUntil), micros(now), r.number)
			c.remember(*r)
		} else {
			transition := purchase.Transition{Event: purchase.Lost, Attempt: r.Attempt, By: purchase.ByGateway}
			var verdict purchase.Verdict
			r.Purchase, verdict = r.After(transition, now)
			err = c.update(r, transition, noEvidence, verdict, now)
		}
		if err != nil {
			return nil, err
		}
	}
	return lapsed, nil
}

// Ping implements [purchase.Journal]. It writes a separate row and waits until the write is durable.
func (j *Journal) Ping(ctx context.Context) error {
	return j.write(ctx, false, func(c *connection) error { return c.probe(j.began) }, nil)
}
