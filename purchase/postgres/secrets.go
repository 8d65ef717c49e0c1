package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"gigagate.internal/purchase"
)

// RewriteSecrets implements [purchase.Journal]. The rows stay locked until they are rewritten. A write that has to wait
// for one does not wait long, because there is a limit on the time.
func (j *Journal) RewriteSecrets(
	ctx context.Context, kind purchase.SecretsKind, after string, limit int, rewrite func([]purchase.SecretsRow) []purchase.SecretsRow,
) (last string, err error) {
	find, update := j.sql.openSecrets, j.sql.rewriteOpen
	if kind == purchase.SettledSecrets {
		find, update = j.sql.settledSecrets, j.sql.rewriteSettled
	}
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	err = pgx.BeginFunc(ctx, j.pool, func(tx pgx.Tx) error {
		found, err := tx.Query(ctx, find, after, limit)
		if err != nil {
			return err
		}
		rows, err := pgx.CollectRows(found, pgx.RowToStructByPos[purchase.SecretsRow])
		if err != nil || len(rows) == 0 {
			return err
		}
		last = rows[len(rows)-1].ID
		changed := rewrite(rows)
		if len(changed) == 0 {
			return nil
		}
		ids, personal, sales := make([]string, len(changed)), make([][]byte, len(changed)), make([][]byte, len(changed))
		for i, row := range changed {
			ids[i], personal[i], sales[i] = row.ID, row.Personal, row.Sale
		}
		_, err = tx.Exec(ctx, update, ids, personal, sales)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("rewrite secrets: %w", err)
	}
	return last, nil
}

// Scrub implements [purchase.Journal]. The files belong to the server. Only VACUUM FULL removes every byte of
// a deleted row from the tables, and nothing can be written meanwhile.
func (j *Journal) Scrub(ctx context.Context) error { return ctx.Err() }
