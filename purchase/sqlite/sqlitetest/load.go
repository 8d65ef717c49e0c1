// Package sqlitetest fills journals in SQLite for tests and measurements.
package sqlitetest

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"gigagate.internal/purchase/journaltest"
)

// perStep is how many purchases progress counts at once.
const perStep = 10_000

// Load writes purchases into the tables of an empty journal that no gateway has open, to measure how a full one works. It does
// not use the journal, syncs nothing, and builds the indexes at the end. So it is much faster than the journal. If it fails,
// the file is of no use. progress gets the number of purchases after each step. The ids of the sales should ascend.
func Load(ctx context.Context, path string, sales iter.Seq[journaltest.Sale], progress func(n int)) (err error) {
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	defer func() {
		if closed := conn.Close(); err == nil {
			err = closed
		}
	}()
	conn.SetInterrupt(ctx.Done())
	full := false
	if err := query(conn, "SELECT 1 FROM purchase LIMIT 1", func(*sqlite.Stmt) { full = true }); err != nil {
		return err
	}
	if full {
		return journaltest.ErrNotEmpty
	}
	indexes, drop := []string{}, []string{}
	err = query(conn, `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL`, func(row *sqlite.Stmt) {
		drop, indexes = append(drop, "DROP INDEX "+row.ColumnText(0)), append(indexes, row.ColumnText(1))
	})
	if err != nil {
		return err
	}
	before := []string{
		"PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA locking_mode = EXCLUSIVE",
		"PRAGMA cache_size = -262144", "PRAGMA temp_store = MEMORY", "BEGIN",
	}
	if err := run(conn, append(before, drop...)); err != nil {
		return err
	}
	if err := write(conn, sales, progress); err != nil {
		return err
	}
	return run(conn, append(indexes, "COMMIT"))
}

func write(conn *sqlite.Conn, sales iter.Seq[journaltest.Sale], progress func(n int)) error {
	var inserts []*sqlite.Stmt
	for _, to := range journaltest.Loaded {
		values := strings.TrimSuffix(strings.Repeat("?, ", len(to.Columns)), ", ")
		insert, err := conn.Prepare(fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", to.Table, strings.Join(to.Columns, ", "), values))
		if err != nil {
			return err
		}
		inserts = append(inserts, insert)
	}
	n := 0
	for sale := range sales {
		rows, err := sale.Rows()
		if err != nil {
			return err
		}
		for i, insert := range inserts {
			if err := insertRow(insert, rows[i]); err != nil {
				return fmt.Errorf("%s: %w", journaltest.Loaded[i].Table, err)
			}
		}
		if n++; n%perStep == 0 {
			progress(n)
		}
	}
	progress(n)
	return nil
}

// insertRow inserts a row with the types of journaltest.Sale.Rows.
func insertRow(insert *sqlite.Stmt, row []any) error {
	for i, value := range row {
		switch value := value.(type) {
		case nil:
			insert.BindNull(i + 1)
		case string:
			insert.BindText(i+1, value)
		case []byte:
			insert.BindBytes(i+1, value)
		case int:
			insert.BindInt64(i+1, int64(value))
		case bool:
			insert.BindBool(i+1, value)
		case time.Time:
			insert.BindInt64(i+1, value.UnixMicro())
		default:
			return fmt.Errorf("column %d has the type %T", i, value)
		}
	}
	if _, err := insert.Step(); err != nil {
		return err
	}
	return insert.Reset()
}

func run(conn *sqlite.Conn, statements []string) error {
	for _, statement := range statements {
		if err := query(conn, statement, func(*sqlite.Stmt) {}); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func query(conn *sqlite.Conn, statement string, row func(*sqlite.Stmt)) error {
	return sqlitex.ExecuteTransient(conn, statement, &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		row(s)
		return nil
	}})
}
