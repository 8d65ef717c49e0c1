package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/internal/invariants"
)

// Reader reads a journal for a check. Gateways may use the journal meanwhile.
type Reader struct{ journal *Journal }

// OpenReader opens a journal for a check. It creates and changes nothing. The server may be read-only, see
// [Reader.AllowStart]. Errors never contain the URL's password.
func OpenReader(ctx context.Context, url string, options Options) (*Reader, error) {
	j, err := connect(ctx, url, options)
	if err != nil {
		return nil, err
	}
	known, err := knownSteps()
	var version int
	if err == nil {
		version, err = j.schemaVersion(ctx, j.pool, len(known))
	}
	if err == nil && version != len(known) {
		err = fmt.Errorf("the database has no journal of schema version %d, which this gigagate writes", len(known))
	}
	if err != nil {
		j.pool.Close()
		return nil, fmt.Errorf("open the PostgreSQL journal: %w", withoutURL(err))
	}
	return &Reader{j}, nil
}

// Close closes the connections.
func (r *Reader) Close() error { return r.journal.Close() }

// Get implements [purchase.Known].
func (r *Reader) Get(ctx context.Context, id string) (purchase.Purchase, error) {
	return r.journal.Get(ctx, id)
}

// HasItem implements [purchase.Known]. It finds the package under whichever name of the account.
func (r *Reader) HasItem(ctx context.Context, itemUID string) (bool, error) {
	if !storable(itemUID) {
		return false, nil
	}
	return one(ctx, r.journal, pgx.RowTo[bool], inSchema(r.journal.schema, `SELECT EXISTS (SELECT FROM gigagate.purchase_outcome WHERE item_uid = $1)`), itemUID)
}

// EachSecret calls each with every stored row of secrets.
func (r *Reader) EachSecret(ctx context.Context, each func(purchase.SecretsRow)) error {
	rows, _ := r.journal.pool.Query(ctx, inSchema(r.journal.schema, `SELECT id, personal, NULL::bytea FROM gigagate.purchase_open
		UNION ALL SELECT id, personal, sale FROM gigagate.purchase_secret`)) // ForEachRow returns its error
	var row purchase.SecretsRow
	if _, err := pgx.ForEachRow(rows, []any{&row.ID, &row.Personal, &row.Sale}, func() error { each(row); return nil }); err != nil {
		return fmt.Errorf("read the secrets: %w", err)
	}
	return nil
}

// perPage is how many purchases Check has in memory.
const perPage = 1000

// Check tests the conditions between the tables, and every purchase with its history. It returns the number of
// purchases and what is wrong. It reports a limited number of problems. It reads one snapshot. It does not test the
// server's own files and indexes. PostgreSQL has pg_amcheck for that.
func (r *Reader) Check(ctx context.Context) (purchases int, problems []string, err error) {
	err = pgx.BeginTxFunc(ctx, r.journal.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL search_path = "+pgx.Identifier{r.journal.schema}.Sanitize()); err != nil {
			return err
		}
		for _, rule := range invariants.BetweenTables {
			rows, _ := tx.Query(ctx, fmt.Sprintf("%s LIMIT %d", rule.Query, invariants.MaxProblems))
			ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return err
			}
			for _, id := range ids {
				problems = append(problems, id+": "+rule.Problem)
			}
		}
		if len(problems) > 0 {
			return nil // the views do not show such purchases as they are
		}
		for after, more := "", true; more; {
			page, err := r.page(ctx, tx, after)
			if err != nil {
				return err
			}
			for _, p := range page {
				if err := invariants.OfPurchase(p.Purchase, p.order, p.history); err != nil && len(problems) < invariants.MaxProblems {
					problems = append(problems, p.ID+": "+err.Error())
				}
				after = p.ID
			}
			purchases += len(page)
			more = len(page) == perPage
		}
		return nil
	})
	if err != nil {
		return 0, problems, fmt.Errorf("read the journal: %w", err)
	}
	return purchases, problems, nil
}

// checked is a purchase with its history.
type checked struct {
	row
	history []purchase.HistoryEntry
}

// page returns the purchases after an id, with their histories.
func (r *Reader) page(ctx context.Context, tx pgx.Tx, after string) ([]*checked, error) {
	rows, _ := tx.Query(ctx, inSchema(r.journal.schema, `SELECT `+columns+` FROM (SELECT id FROM gigagate.purchase WHERE id > $1
		ORDER BY id LIMIT $2) found `+purchaseOf+` ORDER BY found.id`), after, perPage)
	page, err := pgx.CollectRows(rows, func(from pgx.CollectableRow) (*checked, error) {
		r, err := scanRow(from)
		return &checked{row: r}, err
	})
	if err != nil || len(page) == 0 {
		return nil, err
	}
	byID := make(map[string]*checked, len(page))
	for _, p := range page {
		byID[p.ID] = p
	}
	rows, _ = tx.Query(ctx, inSchema(r.journal.schema, `SELECT id, `+entryColumns+` FROM gigagate.purchase_history
		WHERE id >= $1 AND id <= $2 ORDER BY id, sequence`), page[0].ID, page[len(page)-1].ID)
	defer rows.Close()
	for rows.Next() {
		var id string
		entry, err := scanEntry(afterID{rows, &id})
		if err != nil {
			return nil, err
		}
		byID[id].history = append(byID[id].history, entry)
	}
	return page, rows.Err()
}

// afterID is a row that has an id before its other columns.
type afterID struct {
	pgx.CollectableRow
	id *string
}

func (r afterID) Scan(columns ...any) error {
	return r.CollectableRow.Scan(append([]any{r.id}, columns...)...)
}

// ErrWritable means that gateways can use a journal that was restored.
var ErrWritable = errors.New("the database accepts writes, so a gateway may already use this journal: " +
	"stop all gateways, set default_transaction_read_only = on for the database, and check it again")

// AllowStart prepares a journal that was restored from a backup for a gateway, see [purchase.Doubt]. No gateway starts while
// the database's default_transaction_read_only is on. AllowStart returns ErrWritable if it is off. It does not change it.
func (r *Reader) AllowStart(ctx context.Context, _ string) error {
	readOnly, err := one(ctx, r.journal, pgx.RowTo[string], `SELECT current_setting('default_transaction_read_only')`)
	if err == nil && readOnly != "on" {
		err = ErrWritable
	}
	if err != nil {
		return err
	}
	accepted, err := many(ctx, r.journal, scanRow, inSchema(r.journal.schema, `SELECT `+columns+` FROM (SELECT id FROM gigagate.purchase_open
		WHERE state = 'ACCEPTED') found `+purchaseOf))
	if err != nil {
		return err
	}
	return r.journal.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		return durably(conn.Conn(), func() error {
			return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{AccessMode: pgx.ReadWrite}, func(tx pgx.Tx) error { return r.doubt(ctx, tx, accepted) })
		})
	})
}

// doubt writes that purchases may have been sent since the backup.
func (r *Reader) doubt(ctx context.Context, tx pgx.Tx, accepted []row) error {
	for _, p := range accepted {
		if err := purchase.Doubt(p.Purchase, func(s purchase.Step) (purchase.Purchase, error) {
			step, err := newStep(s)
			if err != nil {
				return purchase.Purchase{}, err
			}
			batch := &pgx.Batch{}
			r.journal.enqueue(batch, r.journal.sql.write, []*change{step})
			if err := tx.SendBatch(ctx, batch).Close(); err != nil {
				return purchase.Purchase{}, err
			}
			if step.result != written {
				return purchase.Purchase{}, purchase.ErrStale
			}
			return s.At(step.at), nil
		}); err != nil {
			return fmt.Errorf("purchase %s: %w", p.ID, err)
		}
	}
	return nil
}
