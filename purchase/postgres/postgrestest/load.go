package postgrestest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"gigagate.internal/purchase"
)

// Sale is a purchase to load, with the event that settled it.
type Sale struct {
	Claim   purchase.Claim
	At      time.Time // when it was claimed
	Settled purchase.Transition
}

// ErrNotEmpty means that the journal has purchases already.
var ErrNotEmpty = errors.New("the journal has purchases already: only an empty journal can be loaded")

// perCopy is how many purchases are in memory at once.
const perCopy = 10_000

// loaded are the tables that Load writes, with their columns.
var loaded = []struct {
	table   string
	columns []string
}{
	{"purchase", []string{"id", "caller", "request_id", "account", "ordered_customer_uid", "claimed_at", "order_json"}},
	{"purchase_outcome", []string{
		"id", "state", "reason", "attempt", "revision", "permitted_at", "send_not_after", "success_seen", "anomalies", "settled_at",
		"item_uid", "customer_uid", "account", "kind", "mode", "event", "event_attempt", "evidence", "actor",
	}},
	{"purchase_secret", []string{"id", "personal", "sale"}},
}

// Load writes purchases into the tables of an empty journal, to measure how a full one works. It does not use the
// journal, and builds the indexes at the end. So it is much faster than the journal. progress gets the number of
// purchases after each step. Either all purchases are in the journal afterwards, or none.
func Load(ctx context.Context, url, schema string, sales iter.Seq[Sale], progress func(n int)) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var full bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+pgx.Identifier{schema, "purchase"}.Sanitize()+")").Scan(&full); err != nil {
			return err
		}
		if full {
			return ErrNotEmpty
		}
		indexes, err := dropIndexes(ctx, tx, schema)
		if err != nil {
			return err
		}
		rows, n := make([][][]any, len(loaded)), 0
		write := func() error {
			for i, to := range loaded {
				if _, err := tx.CopyFrom(ctx, pgx.Identifier{schema, to.table}, to.columns, pgx.CopyFromRows(rows[i])); err != nil {
					return err
				}
				rows[i] = rows[i][:0]
			}
			progress(n)
			return nil
		}
		for sale := range sales {
			row, err := sale.rows()
			if err != nil {
				return err
			}
			for i := range loaded {
				rows[i] = append(rows[i], row[i])
			}
			if n++; n%perCopy == 0 {
				if err := write(); err != nil {
					return err
				}
			}
		}
		if err := write(); err != nil {
			return err
		}
		for _, index := range indexes {
			if _, err := tx.Exec(ctx, index); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropIndexes drops the indexes of the tables that Load writes, except for the primary keys, and returns the statements that
// create them again.
func dropIndexes(ctx context.Context, tx pgx.Tx, schema string) (create []string, err error) {
	if _, err := tx.Exec(ctx, "SET LOCAL maintenance_work_mem = '256MB'"); err != nil {
		return nil, err
	}
	rows, _ := tx.Query(ctx, `SELECT indexname, indexdef FROM pg_indexes
		WHERE schemaname = $1 AND tablename LIKE 'purchase%' AND indexname NOT LIKE '%\_pkey'`, schema)
	var name, definition string
	var drop []string
	if _, err := pgx.ForEachRow(rows, []any{&name, &definition}, func() error {
		drop, create = append(drop, "DROP INDEX "+pgx.Identifier{schema, name}.Sanitize()), append(create, definition)
		return nil
	}); err != nil {
		return nil, err
	}
	for _, index := range drop {
		if _, err := tx.Exec(ctx, index); err != nil {
			return nil, err
		}
	}
	return create, nil
}

// rows returns a row for each table. The engine's own rules say what is in them.
func (s Sale) rows() ([][]any, error) {
	order, err1 := purchase.EncodeOrder(s.Claim.Order)
	personal, err2 := json.Marshal(s.Claim.Personal)
	step, err3 := purchase.Decide(purchase.New(s.Claim, s.At), s.Settled)
	evidence, err4 := json.Marshal(step.Transition.Evidence)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	if !step.Settles() {
		return nil, fmt.Errorf("%s does not settle the purchase", s.Settled.Event)
	}
	p, c := step.At(s.At), s.Claim
	return [][]any{
		{c.ID, c.Key.Caller, c.Key.RequestID, c.Account, orNull(c.Order.CustomerUID), s.At, order},
		{
			c.ID, p.State, orNull(string(p.Reason)), p.Attempt, p.Revision, p.PermittedAt, p.SendNotAfter, p.SuccessSeen, p.Anomalies, p.SettledAt,
			orNull(p.ItemUID), orNull(p.CustomerUID), c.Account, c.Order.Kind, string(c.Order.EffectiveMode()), s.Settled.Event,
			s.Settled.Attempt, evidence, s.Settled.By,
		},
		{c.ID, personal, s.Settled.Sale},
	}, nil
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}
