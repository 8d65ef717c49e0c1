package postgres

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"gigagate.internal/purchase"
)

// row is a purchase as its table has it, its order yet to be decoded.
type row struct {
	purchase.Purchase
	revision int // entries in its history
	order    []byte
}

// decoded is the purchase with its order. It fails if a later version wrote the order.
func (r row) decoded() (purchase.Purchase, error) {
	order, err := purchase.DecodeOrder(r.order)
	if err != nil {
		return purchase.Purchase{}, fmt.Errorf("purchase %s: %w", r.ID, err)
	}
	r.Order = order
	return r.Purchase, nil
}

// scanRow reads columns, and what follows them into more.
func scanRow(from pgx.CollectableRow, more ...any) (row, error) {
	var (
		r                      row
		state                  string
		reason, item, customer *string
		settled                *time.Time
	)
	p := &r.Purchase
	if err := from.Scan(append([]any{
		&p.ID, &p.Key.Caller, &p.Key.RequestID, &p.Account, &r.order, &state, &reason, &p.Attempt, &r.revision,
		&p.ClaimedAt, &p.PermittedAt, &p.SendNotAfter, &p.LeaseUntil, &p.SuccessSeen, &p.Anomalies,
		&item, &customer, &p.UpdatedAt, &settled,
	}, more...)...); err != nil {
		return row{}, err
	}
	var err error
	if p.State, err = purchase.ParseState(state); err != nil {
		return row{}, fmt.Errorf("purchase %s: %w", p.ID, err)
	}
	p.Reason = purchase.Reason(orEmpty(reason))
	p.ItemUID, p.CustomerUID = orEmpty(item), orEmpty(customer)
	for _, t := range []*time.Time{&p.ClaimedAt, &p.PermittedAt, &p.SendNotAfter, &p.LeaseUntil, &p.UpdatedAt} {
		*t = t.UTC()
	}
	if settled != nil {
		p.SettledAt = settled.UTC()
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

// scanListed leaves the order as it is: see readable.
func scanListed(from pgx.CollectableRow) (row, error) { return scanRow(from) }

// readable is a list of rows, of which a later version may have written some.
func readable(rows []row, err error) ([]purchase.Purchase, error) {
	if err != nil {
		return nil, err
	}
	return purchase.Readable(rows, row.decoded)
}

func scanEntry(from pgx.CollectableRow) (purchase.Entry, error) {
	var (
		entry                 purchase.Entry
		event, verdict, state string
		reason                *string
		evidence              []byte
	)
	err := from.Scan(&entry.Sequence, &entry.At, &event, &entry.Attempt, &verdict, &state, &reason, &evidence, &entry.By)
	if err != nil {
		return purchase.Entry{}, err
	}
	entry.At = entry.At.UTC()
	entry.Reason = purchase.Reason(orEmpty(reason))
	entry.SetWords(event, verdict, state)
	// Unlike an order's, an evidence's unknown fields are left out: nothing is decided by it.
	if err := json.Unmarshal(evidence, &entry.Evidence); err != nil {
		return purchase.Entry{}, fmt.Errorf("decode kept evidence: %w", err)
	}
	return entry, nil
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// orNull is v, or NULL if v is zero.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
