package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	modernc "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed schema.sql
var schema string

// migrations[i] brings the file from version i to version i+1. SQLite's user_version holds the version. A
// migration tool would need a table, a lock and a second connection. A file with a single user needs none of
// them.
var migrations = []string{schema}

// connection is the one connection to the file. Only the writer uses it.
type connection struct {
	pool *sql.DB
	conn *sql.Conn
	// newest is the highest purchase id inserted so far.
	newest string
	// database and log identify the two files that are open, so that inPlace notices a swap.
	database, log openFile
	statements
	prepared []*sql.Stmt // the same statements
}

// openFile is an open file and the path it has to stay at. If the file is deleted or moved away, everything
// written to it is lost when this process ends. Another gateway could also start with a new file at the path.
type openFile struct {
	path string
	info os.FileInfo
}

// statements are prepared once, when the connection opens.
type statements struct {
	begin, commit, rollback *sql.Stmt

	insertPurchase, insertOpen, updateOpen, deleteOpen       *sql.Stmt
	insertEvent, insertLate, insertOutcome, insertSecret     *sql.Stmt
	revision, item, updateProbe                              *sql.Stmt
	byKey, byID, history, secrets                            *sql.Stmt
	lapsed, watched, absent, witnessesBefore, witnessesAfter *sql.Stmt
	checkpoint, walFrames                                    *sql.Stmt
}

// connect opens the file for this process alone and makes every commit durable. A failed commit may have left
// its pages in the WAL. From here on such a commit counts: connect copies the WAL into the database file and
// syncs it.
func connect(ctx context.Context, path string) (_ *connection, err error) {
	pool, err := sql.Open("sqlite", location(path))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	c := &connection{pool: pool}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.database, err = hold(path); err != nil { // before it is opened, so that a swap during the open is noticed
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if c.conn, err = pool.Conn(ctx); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	for _, pragma := range []string{
		// This comes before the first access. The first access then takes the lock, and SQLite keeps the
		// WAL index in memory instead of in a shared file.
		"locking_mode = EXCLUSIVE",
		"schema_version", // reads the file, so a file that is not a database fails here and stays unchanged
		"journal_mode = WAL",
		"synchronous = FULL",
		"secure_delete = ON", // purchase_open holds personal data, and its rows are deleted
		"trusted_schema = OFF",
		"cache_size = -2000", // KiB; a larger cache costs more CPU than it saves
		"wal_autocheckpoint = 0",
	} {
		if err = c.exec(ctx, "PRAGMA "+pragma); err != nil {
			return nil, inUse(path, fmt.Errorf("open %s: %s: %w", path, pragma, err))
		}
		if pragma == "schema_version" {
			if err = makePrivate(path); err != nil {
				return nil, fmt.Errorf("open %s: %w", path, err)
			}
		}
	}
	if err = c.checkSettings(ctx); err != nil {
		return nil, inUse(path, fmt.Errorf("open %s: %w", path, err))
	}
	if err = c.migrate(ctx, path); err != nil {
		return nil, inUse(path, err)
	}
	if err := c.prepare(ctx); err != nil {
		return nil, err
	}
	if err := c.settleLog(ctx); err != nil {
		return nil, err
	}
	place, err := filepath.EvalSymlinks(path) // SQLite puts the WAL beside the target of a link
	if err != nil {
		return nil, err
	}
	c.log, err = hold(place + "-wal")
	return c, err
}

func hold(path string) (openFile, error) {
	info, err := os.Stat(path) //nolint:gosec // the operator chooses the path
	return openFile{path, info}, err
}

// inPlace returns an error if the path no longer leads to the open file. A process started now would not find
// the file then.
func (f openFile) inPlace() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("the file was taken away while it was in use: %w", err)
	}
	if !os.SameFile(info, f.info) {
		return fmt.Errorf("%s was replaced by another file while it was in use", f.path)
	}
	return nil
}

// checkSettings reads the pragmas back, because SQLite silently ignores a pragma that it cannot apply.
func (c *connection) checkSettings(ctx context.Context) error {
	var locking, journal string
	var synchronous int
	for into, pragma := range map[any]string{&locking: "locking_mode", &journal: "journal_mode", &synchronous: "synchronous"} {
		if err := c.conn.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(into); err != nil {
			return fmt.Errorf("read %s: %w", pragma, err)
		}
	}
	if locking != "exclusive" || journal != "wal" || synchronous != 2 {
		return fmt.Errorf("locking_mode = %s, journal_mode = %s, synchronous = %d instead of exclusive, wal, 2", locking, journal, synchronous)
	}
	return nil
}

func inUse(path string, err error) error {
	if code(err)&0xff == sqlite3.SQLITE_BUSY {
		return fmt.Errorf("%s: %w", path, ErrInUse)
	}
	return err
}

func (c *connection) exec(ctx context.Context, query string) error {
	_, err := c.conn.ExecContext(ctx, query)
	return err
}

func (c *connection) migrate(ctx context.Context, path string) error {
	if err := c.exec(ctx, "BEGIN EXCLUSIVE"); err != nil {
		return err
	}
	var version, tables int
	row := c.conn.QueryRowContext(ctx, "SELECT user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version")
	if err := row.Scan(&version, &tables); err != nil {
		return fmt.Errorf("read the version of %s: %w", path, err)
	}
	switch {
	case version > len(migrations):
		return fmt.Errorf("%s has schema version %d, but this gigagate knows only versions up to %d: the file was used by a later one", path, version, len(migrations))
	case version == 0 && tables > 0:
		return fmt.Errorf("%s is another program's database", path)
	case version == 0:
		return fmt.Errorf("%s contains no journal: put the journal back, or remove the file to start with an empty one, which can buy old request ids again", path)
	}
	return c.bringFrom(ctx, path, version)
}

// bringFrom migrates the file from the given version to the newest one, and commits the transaction.
func (c *connection) bringFrom(ctx context.Context, path string, version int) error {
	for i, migration := range migrations[version:] {
		if err := c.exec(ctx, migration); err != nil {
			return fmt.Errorf("migrate %s to schema version %d: %w", path, version+i+1, err)
		}
	}
	if err := c.exec(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(migrations))); err != nil {
		return err
	}
	return c.exec(ctx, "COMMIT")
}

func (c *connection) prepare(ctx context.Context) error {
	for _, s := range []struct {
		into  **sql.Stmt
		query string
	}{
		{&c.begin, "BEGIN IMMEDIATE"},
		{&c.commit, "COMMIT"},
		{&c.rollback, "ROLLBACK"},
		{&c.insertPurchase, insertPurchase},
		{&c.insertOpen, insertOpen},
		{&c.updateOpen, updateOpen},
		{&c.deleteOpen, deleteOpen},
		{&c.insertEvent, insertEvent},
		{&c.insertLate, insertLate},
		{&c.insertOutcome, insertOutcome},
		{&c.insertSecret, insertSecret},
		{&c.revision, selectRevision},
		{&c.item, selectItem},
		{&c.updateProbe, "UPDATE journal_probe SET at = ?"},
		{&c.byKey, selectByKey},
		{&c.byID, selectByID},
		{&c.history, selectHistory},
		{&c.secrets, selectSecrets},
		{&c.lapsed, selectLapsed},
		{&c.watched, selectWatched},
		{&c.absent, selectAbsent},
		{&c.witnessesBefore, fmt.Sprintf(selectWitnesses, "DESC")},
		{&c.witnessesAfter, fmt.Sprintf(selectWitnesses, "ASC")},
		{&c.checkpoint, "PRAGMA wal_checkpoint(PASSIVE)"},
		{&c.walFrames, "PRAGMA wal_checkpoint(NOOP)"},
	} {
		stmt, err := c.conn.PrepareContext(ctx, s.query)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", s.query, err)
		}
		*s.into = stmt
		c.prepared = append(c.prepared, stmt)
	}
	return nil
}

// settleLog copies the WAL into the database file, syncs it and empties the WAL. After a failed fsync, a commit
// may be in the WAL without being on disk. Another fsync of the same file would not report that.
func (c *connection) settleLog(ctx context.Context) error {
	var busy, frames, copied int
	if err := c.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &copied); err != nil {
		return fmt.Errorf("copy the WAL into the database file: %w", err)
	}
	if busy != 0 || frames != copied {
		return fmt.Errorf("copy the WAL into the database file: only %d of %d pages were copied", copied, frames)
	}
	return nil
}

// close finalizes the statements first. SQLite keeps the connection and its lock as long as one statement is
// open.
func (c *connection) close() error {
	var errs []error
	for _, stmt := range c.prepared {
		errs = append(errs, stmt.Close())
	}
	if c.conn != nil {
		errs = append(errs, c.conn.Close())
	}
	return errors.Join(append(errs, c.pool.Close())...)
}

// change runs a statement that changes one row or none. It reports whether it did.
func (c *connection) change(stmt *sql.Stmt, args ...any) (changed bool, err error) {
	result, err := stmt.ExecContext(background, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// code returns SQLite's extended result code, or 0 if err does not come from SQLite.
func code(err error) int {
	if e, ok := errors.AsType[*modernc.Error](err); ok {
		return e.Code()
	}
	return 0
}

// isFault reports whether err concerns the file or the connection. Other errors concern a single operation.
func isFault(err error) bool {
	switch code(err) & 0xff {
	case 0:
		return errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn)
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE:
		return false
	default:
		return true
	}
}

// isTaken reports whether a unique index refused a statement.
func isTaken(err error) bool { return code(err) == sqlite3.SQLITE_CONSTRAINT_UNIQUE }
