package postgres

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"gigagate.internal/purchase"
)

// row is a purchase as the tables store it. Its order is not decoded yet.
type row struct {
	purchase.Purchase
	order []byte // JSON
}

// decoded returns the purchase with its order. It fails if a later version of the gateway wrote the order.
func (r row) decoded() (purchase.Purchase, error) {
	order, err := purchase.DecodeOrder(r.order)
	if err != nil {
		return purchase.Purchase{}, fmt.Errorf("purchase %s: %w", r.ID, err)
	}
	r.Order = order
	return r.Purchase, nil
}

func scanRow(from pgx.CollectableRow) (row, error) {
	var (
		r                      row
		state                  string
		reason, item, customer *string
		leaseUntil, settled    *time.Time
		currency, day          *string
		reserved               *purchase.Micros
		origin                 []byte
	)
	p := &r.Purchase
	err := from.Scan(&p.ID, &p.Key.Caller, &p.Key.RequestID, &p.Account, &state, &reason, &p.Attempt, &p.Revision,
		&p.ClaimedAt, &p.PermittedAt, &p.SendNotAfter, &leaseUntil, &p.SuccessSeen, &p.Anomalies, &p.UpdatedAt, &settled,
		&item, &customer, &r.order, &origin, &currency, &reserved, &day, &p.Charge)
	if err != nil {
		return row{}, err
	}
	if p.State, err = purchase.ParseState(state); err != nil {
		return row{}, fmt.Errorf("purchase %s: %w", p.ID, err)
	}
	p.Reason, p.ItemUID, p.CustomerUID = purchase.Reason(orZero(reason)), orZero(item), orZero(customer)
	if currency != nil {
		p.Reservation = &purchase.Reservation{Currency: *currency, Amount: orZero(reserved), Day: orZero(day)}
	}
	p.Origin = purchase.DecodeOrigin(origin)
	p.LeaseUntil, p.SettledAt = orZero(leaseUntil), orZero(settled)
	for _, t := range []*time.Time{&p.ClaimedAt, &p.PermittedAt, &p.SendNotAfter, &p.LeaseUntil, &p.UpdatedAt, &p.SettledAt} {
		*t = t.UTC()
	}
	return r, nil
}

func scanPurchase(from pgx.CollectableRow) (purchase.Purchase, error) {
	r, err := scanRow(from)
	if err != nil {
		return purchase.Purchase{}, err
	}
	return r.decoded()
}

func scanEntry(from pgx.CollectableRow) (purchase.HistoryEntry, error) {
	var (
		entry                 purchase.HistoryEntry
		event, verdict, state string
		reason                *string
		evidence              []byte
	)
	err := from.Scan(&entry.Sequence, &entry.At, &event, &entry.Attempt, &verdict, &state, &reason, &evidence, &entry.By)
	if err != nil {
		return purchase.HistoryEntry{}, err
	}
	entry.At = entry.At.UTC()
	entry.Reason = purchase.Reason(orZero(reason))
	entry.SetWords(event, verdict, state)
	// Unknown fields of evidence are ignored, unlike those of an order, because no decision depends on evidence.
	if err := json.Unmarshal(evidence, &entry.Evidence); err != nil {
		return purchase.HistoryEntry{}, fmt.Errorf("decode the evidence: %w", err)
	}
	return entry, nil
}

// orZero returns *v, or the zero value if v is nil (NULL).
func orZero[T any](v *T) (value T) {
	if v != nil {
		value = *v
	}
	return value
}

// orNull returns v, or nil (NULL) if v is the zero value.
func orNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}
