package sqlite

import (
	"encoding/json"
	"fmt"
	"time"

	"gigagate.internal/purchase"
)

// columns are the columns of purchase_now, in the order that scan expects.
const columns = `n.id, n.caller, n.request_id, n.account, n.state, n.reason, n.attempt, n.revision, n.claimed_at, n.permitted_at,
	n.send_not_after, n.lease_until, n.success_seen, n.anomalies, n.updated_at, n.settled_at, n.item_uid, n.customer_uid, n.order_json,
	n.origin, n.reserved_currency, n.reserved_amount, n.reserved_day, n.charge`

// row is a purchase as the tables store it. The goroutine of the caller decodes the order, because all callers
// wait for the one writer goroutine.
type row struct {
	purchase.Purchase
	order []byte // JSON; nil if Purchase.Order is already set
}

func scan(r *reader) (row, error) {
	var p row
	p.ID, p.Key.Caller, p.Key.RequestID, p.Account = r.text(), r.text(), r.text(), r.text()
	state, err := purchase.ParseState(r.text())
	if err != nil {
		return row{}, fmt.Errorf("read purchase %s: %w", p.ID, err)
	}
	p.State, p.Reason, p.Attempt, p.Revision = state, purchase.Reason(r.text()), r.int(), r.int()
	p.ClaimedAt, p.PermittedAt, p.SendNotAfter, p.LeaseUntil = r.time(), r.time(), r.time(), r.time()
	p.SuccessSeen, p.Anomalies = r.bool(), r.int()
	p.UpdatedAt, p.SettledAt = r.time(), r.time()
	p.ItemUID, p.CustomerUID, p.order = r.text(), r.text(), r.bytes()
	p.Origin = purchase.DecodeOrigin(r.bytes())
	if currency := r.text(); currency != "" {
		p.Reservation, p.Charge = &purchase.Reservation{Currency: currency, Amount: r.micros(), Day: r.text()}, r.charge()
	}
	return p, nil
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

// micros returns t in microseconds since 1970, or NULL for the zero time.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// origin returns the value of the column of that name.
func origin(o purchase.Origin) any {
	if stored := o.Encode(); stored != nil {
		return stored
	}
	return nil
}

// text returns s, or NULL for the empty string.
func text[S ~string](s S) any {
	if s == "" {
		return nil
	}
	return string(s)
}

func scanEntry(r *reader) (purchase.HistoryEntry, error) {
	e := purchase.HistoryEntry{Sequence: r.int(), At: r.time()}
	event := r.text()
	e.Attempt = r.int()
	e.SetWords(event, r.text(), r.text())
	e.Reason = purchase.Reason(r.text())
	if err := json.Unmarshal(r.bytes(), &e.Evidence); err != nil {
		return purchase.HistoryEntry{}, fmt.Errorf("read evidence: %w", err)
	}
	e.By = purchase.Actor(r.text())
	return e, nil
}
