package sqlite

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"gigagate.internal/purchase"
)

// columns are the columns of purchase_now, in the order that scan expects.
const columns = `n.id, n.caller, n.request_id, n.account, n.state, n.reason, n.attempt, n.revision, n.claimed_at, n.permitted_at,
	n.send_not_after, n.lease_until, n.success_seen, n.anomalies, n.updated_at, n.settled_at, n.item_uid, n.customer_uid, n.order_json`

// row is a purchase as the tables store it. The goroutine of the caller decodes the order, because all callers
// wait for the one writer goroutine.
type row struct {
	purchase.Purchase
	order []byte // JSON; nil if Purchase.Order is already set
}

type scanner interface{ Scan(dest ...any) error }

func scan(from scanner) (row, error) {
	var (
		r                                         row
		state                                     string
		reason, itemUID, customerUID              sql.NullString
		claimed, permitted, sendNotAfter, updated int64
		leaseUntil, settled                       sql.NullInt64
	)
	err := from.Scan(&r.ID, &r.Key.Caller, &r.Key.RequestID, &r.Account, &state, &reason, &r.Attempt, &r.Revision,
		&claimed, &permitted, &sendNotAfter, &leaseUntil, &r.SuccessSeen, &r.Anomalies, &updated, &settled, &itemUID,
		&customerUID, &r.order)
	if err != nil {
		return row{}, err
	}
	if r.State, err = purchase.ParseState(state); err != nil {
		return row{}, fmt.Errorf("read purchase %s: %w", r.ID, err)
	}
	r.Reason, r.ItemUID, r.CustomerUID = purchase.Reason(reason.String), itemUID.String, customerUID.String
	r.ClaimedAt, r.PermittedAt, r.SendNotAfter = fromMicros(claimed), fromMicros(permitted), fromMicros(sendNotAfter)
	r.UpdatedAt = fromMicros(updated)
	if leaseUntil.Valid {
		r.LeaseUntil = fromMicros(leaseUntil.Int64)
	}
	if settled.Valid {
		r.SettledAt = fromMicros(settled.Int64)
	}
	return r, nil
}

// decoded returns the purchase with its order. It fails if a later version of the gateway wrote the order.
func (r row) decoded() (purchase.Purchase, error) {
	if r.order == nil {
		return r.Purchase, nil
	}
	order, err := purchase.DecodeOrder(r.order)
	if err != nil {
		return purchase.Purchase{}, fmt.Errorf("purchase %s: %w", r.ID, err)
	}
	r.Order = order
	return r.Purchase, nil
}

func fromMicros(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// micros returns t in microseconds since 1970, or NULL for the zero time.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// text returns s, or NULL for the empty string.
func text[S ~string](s S) any {
	if s == "" {
		return nil
	}
	return string(s)
}

func scanEntry(from scanner) (purchase.HistoryEntry, error) {
	var (
		e                     purchase.HistoryEntry
		at                    int64
		event, verdict, state string
		reason                sql.NullString
		evidence              []byte
	)
	if err := from.Scan(&e.Sequence, &at, &event, &e.Attempt, &verdict, &state, &reason, &evidence, &e.By); err != nil {
		return purchase.HistoryEntry{}, err
	}
	e.SetWords(event, verdict, state)
	if err := json.Unmarshal(evidence, &e.Evidence); err != nil {
		return purchase.HistoryEntry{}, fmt.Errorf("read evidence: %w", err)
	}
	e.At, e.Reason = fromMicros(at), purchase.Reason(reason.String)
	return e, nil
}
