package sqlite

import (
	"context"

	"gigagate.internal/purchase"
)

const (
	selectOpenSecrets = "SELECT id, personal, NULL FROM purchase_open WHERE id > ? ORDER BY id LIMIT ?"
	updateOpenSecret  = "UPDATE purchase_open SET personal = ?1 WHERE id = ?3"

	selectSettledSecrets = "SELECT id, personal, sale FROM purchase_secret WHERE id > ? ORDER BY id LIMIT ?"
	updateSettledSecret  = "UPDATE purchase_secret SET personal = ?1, sale = ?2 WHERE id = ?3"
)

// RewriteSecrets implements [purchase.Journal].
func (j *Journal) RewriteSecrets(
	ctx context.Context, kind purchase.SecretsKind, after string, limit int, rewrite func([]purchase.SecretsRow) []purchase.SecretsRow,
) (string, error) {
	find, update := selectOpenSecrets, updateOpenSecret
	if kind == purchase.SettledSecrets {
		find, update = selectSettledSecrets, updateSettledSecret
	}
	var last string // the writer may set it after this call has returned with an error
	err := j.write(ctx, func(c *connection) error {
		rows, err := all(c, func(r *reader) (purchase.SecretsRow, error) {
			return purchase.SecretsRow{ID: r.text(), Personal: r.bytes(), Sale: r.bytes()}, nil
		}, find, after, limit)
		if err != nil || len(rows) == 0 {
			last = ""
			return err
		}
		last = rows[len(rows)-1].ID
		for _, row := range rewrite(rows) {
			var sale any // NULL if there is none
			if row.Sale != nil {
				sale = row.Sale
			}
			if _, err := c.change(update, row.Personal, sale, row.ID); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	if err != nil {
		return "", err
	}
	return last, nil
}
