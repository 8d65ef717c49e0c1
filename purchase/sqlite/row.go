package sqlite

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"gigagate.internal/purchase"
)

// columns are the columns of a row, in the order that scan expects.
const columns = `number, id, caller, request_id, state, reason, attempt, events, anomalies, success_seen,
	claimed_at, permitted_at, send_not_after, lease_until, updated_at, settled_at, account, item_uid, customer_uid, order_json`

// row is a purchase as the table stores it. The goroutine of the caller decodes the order, because all callers
// wait for the one writer goroutine.
type row struct {
	purchase.Purchase
	number int64
	events int    // number of entries in its history
	order  []byte // JSON; nil if Purchase.Order is already set
}

type scanner interface{ Scan(dest ...any) error }

func scan(from scanner) (row, error) {
	var (
		r                                                     row
		state                                                 string
		reason, itemUID, customerUID                          sql.NullString
		claimed, permitted, sendNotAfter, leaseUntil, updated int64
		settled                                               sql.NullInt64
	)
	err := from.Scan(&r.number, &r.ID, &r.Key.Caller, &r.Key.RequestID, &state, &reason, &r.Attempt, &r.events, &r.Anomalies,
		&r.SuccessSeen, &claimed, &permitted, &sendNotAfter, &leaseUntil, &updated, &settled, &r.Account, &itemUID,
		&customerUID, &r.order)
	if err != nil {
		return row{}, err
	}
	if r.State, err = purchase.ParseState(state); err != nil {
		return row{}, fmt.Errorf("read purchase %s: %w", r.ID, err)
	}
	r.Reason, r.ItemUID, r.CustomerUID = purchase.Reason(reason.String), itemUID.String, customerUID.String
	r.ClaimedAt, r.PermittedAt, r.SendNotAfter = fromMicros(claimed), fromMicros(permitted), fromMicros(sendNotAfter)
	r.LeaseUntil, r.UpdatedAt = fromMicros(leaseUntil), fromMicros(updated)
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
