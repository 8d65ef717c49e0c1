package postgres

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"gigagate.internal/purchase"
)

// row is a purchase as the table stores it. Its order is not decoded yet.
type row struct {
	purchase.Purchase
	revision int // number of entries in its history
	order    []byte
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

// scanRow scans the columns of a purchase, and the columns after them into more.
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

// scanListed does not decode the order. readable does that later, for each row on its own.
func scanListed(from pgx.CollectableRow) (row, error) { return scanRow(from) }

// readable decodes a list of rows. A later version of the gateway may have written some of them: see
// purchase.Readable.
func readable(rows []row, err error) ([]purchase.Purchase, error) {
	if err != nil {
		return nil, err
	}
	return purchase.Readable(rows, row.decoded)
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
	entry.Reason = purchase.Reason(orEmpty(reason))
	entry.SetWords(event, verdict, state)
	// Unknown fields of evidence are ignored, unlike those of an order, because no decision depends on evidence.
	if err := json.Unmarshal(evidence, &entry.Evidence); err != nil {
		return purchase.HistoryEntry{}, fmt.Errorf("decode the evidence: %w", err)
	}
	return entry, nil
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// orNull returns a pointer to v, or nil (NULL) if v is the zero value.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
