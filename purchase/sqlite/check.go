package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/internal/invariants"
)

// File is a journal file that is open for a check or a copy, and not for purchases.
type File struct{ conn *connection }

// OpenFile opens a journal that no gateway uses, such as a backup. It returns ErrInUse if a gateway has the file open.
// The file itself does not change, and no gateway can open it before Close. When ctx ends, so does what the file does.
func OpenFile(ctx context.Context, path string) (_ *File, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	conn, err := openFileAt(path)
	if err != nil {
		return nil, err
	}
	conn.SetInterrupt(ctx.Done())
	c := &connection{conn: conn}
	defer func() {
		if err != nil {
			err = errors.Join(inUse(path, err), c.close())
		}
	}()
	if err := execAll(c, "PRAGMA locking_mode = EXCLUSIVE", "PRAGMA synchronous = FULL", "PRAGMA secure_delete = ON",
		"PRAGMA trusted_schema = OFF", "PRAGMA cache_size = -64000"); err != nil {
		return nil, err
	}
	var version int
	if err := c.one("SELECT user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version", nil, func(r *reader) { version = r.int() }); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if version != len(migrations) {
		return nil, fmt.Errorf("%s is no journal of schema version %d, which this gigagate writes", path, len(migrations))
	}
	return &File{c}, nil
}

// Close closes the file.
func (f *File) Close() error { return f.conn.close() }

// Backup copies the file as [Journal.Backup] does.
func (f *File) Backup(ctx context.Context, file string) (made time.Time, err error) {
	made = time.Now().UTC().Truncate(time.Microsecond)
	return made, backUp(ctx, file, made, func(step func(c *connection) error) error { return step(f.conn) })
}

// BackupTime returns when the backup was made, if the file is one that nobody has allowed to start. Otherwise it
// returns the zero time.
func (f *File) BackupTime() (time.Time, error) { return f.conn.backupTime() }

// Get returns the purchase with the given id, without its order. The error is purchase.ErrNotFound if there is none.
func (f *File) Get(_ context.Context, id string) (purchase.Purchase, error) {
	r, err := f.conn.row(selectByID, id)
	return r.Purchase, err
}

// HasItem reports whether a purchase is bound to the package, under whichever name of the account.
func (f *File) HasItem(_ context.Context, itemUID string) (has bool, err error) {
	err = f.conn.one("SELECT EXISTS (SELECT 1 FROM purchase_outcome WHERE item_uid = ?)", []any{itemUID}, func(r *reader) { has = r.bool() })
	return has, err
}

// EachSecret calls each with every stored row of secrets.
func (f *File) EachSecret(_ context.Context, each func(purchase.SecretsRow)) error {
	return f.conn.each("SELECT id, personal, NULL FROM purchase_open UNION ALL SELECT id, personal, sale FROM purchase_secret", nil, func(r *reader) error {
		each(purchase.SecretsRow{ID: r.text(), Personal: r.bytes(), Sale: r.bytes()})
		return nil
	})
}

// Check tests the file, the conditions between its tables, and every purchase with its history. It returns the
// number of purchases and what is wrong. It reports a limited number of problems. Its memory does not grow with the file. A
// package is bound to one purchase at most because its index is unique, and the test of the file covers the indexes.
func (f *File) Check(context.Context) (purchases int, problems []string, err error) {
	problems, err = f.broken(fmt.Sprintf("PRAGMA integrity_check(%d)", invariants.MaxProblems), "")
	if err != nil || len(problems) != 1 || problems[0] != "ok" {
		return 0, problems, err
	}
	problems = nil
	for _, rule := range invariants.BetweenTables {
		ids, err := f.broken(fmt.Sprintf("%s LIMIT %d", rule.Query, invariants.MaxProblems), ": "+rule.Problem)
		if err != nil {
			return 0, problems, err
		}
		problems = append(problems, ids...)
	}
	if len(problems) > 0 {
		return 0, problems, nil // the views do not show such purchases as they are
	}
	err = f.conn.each("SELECT "+columns+" FROM purchase_now n ORDER BY n.id", nil, func(from *reader) error {
		r, err := scan(from)
		if err != nil {
			return err
		}
		purchases++
		history, err := all(f.conn, scanEntry, selectHistory, r.ID)
		if err != nil {
			return err
		}
		if err := invariants.OfPurchase(r.Purchase, r.order, history); err != nil && len(problems) < invariants.MaxProblems {
			problems = append(problems, r.ID+": "+err.Error())
		}
		return nil
	})
	return purchases, problems, err
}

// broken runs a query for one text a row, and adds the problem to each.
func (f *File) broken(query, problem string) ([]string, error) {
	return all(f.conn, func(r *reader) (string, error) { return r.text() + problem, nil }, query)
}

// AllowStart allows a gateway to start on a backup. finding is stored with the backup. See [purchase.Doubt] for the purchases
// that were not being sent when the backup was made. After an error, Close undoes everything.
func (f *File) AllowStart(_ context.Context, finding string) error {
	if err := f.conn.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	accepted, err := all(f.conn, scan, "SELECT "+columns+" FROM purchase_open o JOIN purchase_now n ON n.id = o.id WHERE o.state = 'ACCEPTED'")
	if err != nil {
		return err
	}
	for _, r := range accepted {
		if err := purchase.Doubt(r.Purchase, func(step purchase.Step) (purchase.Purchase, error) {
			evidence, err := json.Marshal(step.Transition.Evidence)
			if err == nil {
				err = f.conn.step(step, string(evidence), now)
			}
			return step.At(now), err
		}); err != nil {
			return err
		}
	}
	if err := f.conn.exec("UPDATE journal_backup SET allowed_at = ?, finding = ? WHERE allowed_at IS NULL", micros(now), finding); err != nil {
		return err
	}
	return f.conn.exec("COMMIT")
}
