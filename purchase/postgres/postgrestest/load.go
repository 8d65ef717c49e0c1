package postgrestest

import (
	"context"
	"iter"

	"github.com/jackc/pgx/v5"

	"gigagate.internal/purchase/journaltest"
)

// perCopy is how many purchases are in memory at once.
const perCopy = 10_000

// Load writes purchases into the tables of an empty journal, to measure how a full one works. It does not use the
// journal, and builds the indexes at the end. So it is much faster than the journal. progress gets the number of
// purchases after each step. Either all purchases are in the journal afterwards, or none.
func Load(ctx context.Context, url, schema string, sales iter.Seq[journaltest.Sale], progress func(n int)) error {
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
			return journaltest.ErrNotEmpty
		}
		indexes, err := dropIndexes(ctx, tx, schema)
		if err != nil {
			return err
		}
		rows, n := make([][][]any, len(journaltest.Loaded)), 0
		write := func() error {
			for i, to := range journaltest.Loaded {
				if _, err := tx.CopyFrom(ctx, pgx.Identifier{schema, to.Table}, to.Columns, pgx.CopyFromRows(rows[i])); err != nil {
					return err
				}
				rows[i] = rows[i][:0]
			}
			progress(n)
			return nil
		}
		for sale := range sales {
			row, err := sale.Rows()
			if err != nil {
				return err
			}
			for i := range journaltest.Loaded {
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
