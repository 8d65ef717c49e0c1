package sqlite

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"gigagate.internal/purchase"
)

//go:embed schema.sql
var schema string

// migrations[i] brings the file from version i to version i+1. SQLite's user_version holds the version. A
// migration tool would need a table, a lock and a second connection. A file with a single user needs none of
// them.
var migrations = []string{schema}

// connection is the one connection to the file. Only the writer uses it.
type connection struct {
	conn *sqlite.Conn
	// newest is the highest purchase id inserted so far.
	newest string
	// text is how many bytes of text the statements have taken since the writer's last checkpoint.
	text int
	// database and log identify the two files that are open, so that inPlace notices a swap.
	database, log openFile
	backup        *copying // the backup that is being made, or nil
	// postings are those of the group that is being written.
	postings postings
	// freezes is the table of that name, if freezesKnown.
	freezes      []purchase.Freeze
	freezesKnown bool
}

// openFile is an open file and the path it has to stay at. If the file is deleted or moved away, everything
// written to it is lost when this process ends. Another gateway could also start with a new file at the path.
type openFile struct {
	path string
	info os.FileInfo
}

// connect opens the file for this process alone and makes every commit durable. A failed commit may have left
// its pages in the WAL. From here on such a commit counts: connect copies the WAL into the database file and
// syncs it.
func connect(path string) (_ *connection, err error) {
	c := &connection{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.database, err = hold(path); err != nil { // before it is opened, so that a swap during the open is noticed
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if c.conn, err = openFileAt(path); err != nil {
		return nil, err
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
		if err = c.exec("PRAGMA " + pragma); err != nil {
			return nil, inUse(path, fmt.Errorf("open %s: %s: %w", path, pragma, err))
		}
		if pragma == "schema_version" {
			if err = makePrivate(path); err != nil {
				return nil, fmt.Errorf("open %s: %w", path, err)
			}
		}
	}
	if err = c.checkSettings(); err != nil {
		return nil, inUse(path, fmt.Errorf("open %s: %w", path, err))
	}
	if err = c.migrate(path); err != nil {
		return nil, inUse(path, err)
	}
	if err := c.settleLog(); err != nil {
		return nil, err
	}
	readAtRandom(c.database.info)
	place, err := filepath.EvalSymlinks(path) // SQLite puts the WAL beside the target of a link
	if err != nil {
		return nil, err
	}
	c.log, err = hold(place + "-wal")
	return c, err
}

// openFileAt opens the file and fails at once if another process has locked it.
func openFileAt(path string) (*sqlite.Conn, error) {
	conn, err := sqlite.OpenConn(location(path), sqlite.OpenReadWrite|sqlite.OpenURI)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	conn.SetBusyTimeout(0)
	return conn, nil
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
func (c *connection) checkSettings() error {
	for pragma, want := range map[string]string{"locking_mode": "exclusive", "journal_mode": "wal", "synchronous": "2"} {
		var got string
		if err := c.one("PRAGMA "+pragma, nil, func(r *reader) { got = r.text() }); err != nil {
			return fmt.Errorf("read %s: %w", pragma, err)
		}
		if got != want {
			return fmt.Errorf("%s = %s instead of %s", pragma, got, want)
		}
	}
	return nil
}

func inUse(path string, err error) error {
	if code(err).ToPrimary() == sqlite.ResultBusy {
		return fmt.Errorf("%s: %w", path, ErrInUse)
	}
	return err
}

func (c *connection) migrate(path string) error {
	if err := c.exec("BEGIN EXCLUSIVE"); err != nil {
		return err
	}
	var version, tables int
	err := c.one("SELECT user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version", nil, func(r *reader) {
		version, tables = r.int(), r.int()
	})
	switch {
	case err != nil:
		return fmt.Errorf("read the version of %s: %w", path, err)
	case version > len(migrations):
		return fmt.Errorf("%s has schema version %d, but this gigagate knows only versions up to %d: the file was used by a later one", path, version, len(migrations))
	case version == 0 && tables > 0:
		return fmt.Errorf("%s is another program's database", path)
	case version == 0:
		return fmt.Errorf("%s contains no journal: put the journal back, or remove the file to start with an empty one, which can buy old request ids again", path)
	}
	return c.bringFrom(path, version)
}

// bringFrom migrates the file from the given version to the newest one, and commits the transaction.
func (c *connection) bringFrom(path string, version int) error {
	for i, migration := range migrations[version:] {
		if err := sqlitex.ExecScript(c.conn, migration); err != nil {
			return fmt.Errorf("migrate %s to schema version %d: %w", path, version+i+1, err)
		}
	}
	if err := c.exec(fmt.Sprintf("PRAGMA user_version = %d", len(migrations))); err != nil {
		return err
	}
	return c.exec("COMMIT")
}

// settleLog copies the WAL into the database file, syncs it and empties the WAL. After a failed fsync, a commit
// may be in the WAL without being on disk. Another fsync of the same file would not report that.
func (c *connection) settleLog() error {
	behind, err := c.checkpoint("TRUNCATE")
	if err == nil && behind > 0 {
		err = fmt.Errorf("%d pages were not copied", behind)
	}
	if err != nil {
		return fmt.Errorf("copy the WAL into the database file: %w", err)
	}
	return nil
}

// checkpoint runs a checkpoint and returns the number of WAL pages that the database file still lacks.
func (c *connection) checkpoint(mode string) (behind int, err error) {
	err = c.one("PRAGMA wal_checkpoint("+mode+")", nil, func(r *reader) {
		busy, logged, copied := r.int(), r.int(), r.int()
		behind = logged - copied + busy
	})
	return behind, err
}

// close ends a backup first. SQLite keeps the connection and its lock as long as a backup uses it.
func (c *connection) close() error {
	if c.conn == nil {
		return nil
	}
	return errors.Join(c.endBackup(), c.conn.Close())
}

// errSQLite marks the errors that come from SQLite.
var errSQLite = errors.New("SQLite")

// each runs a statement and calls row for each row of its result. The connection keeps statements prepared.
func (c *connection) each(query string, args []any, row func(r *reader) error) error {
	stmt, err := c.conn.Prepare(query)
	if err != nil {
		return fmt.Errorf("%w: %w", errSQLite, err)
	}
	defer func() { _ = stmt.Reset() }() // its error is that of the last Step
	for i, arg := range args {
		c.text += bind(stmt, i+1, arg)
	}
	for {
		switch found, err := stmt.Step(); {
		case err != nil:
			return fmt.Errorf("%w: %w", errSQLite, err)
		case !found:
			return nil
		}
		if err := row(&reader{stmt, 0}); err != nil {
			return err
		}
	}
}

// bind sets a parameter of a statement. It returns the length of a text.
func bind(stmt *sqlite.Stmt, param int, arg any) (length int) {
	switch arg := arg.(type) {
	case nil:
		stmt.BindNull(param)
	case string:
		stmt.BindText(param, arg)
		return len(arg)
	case []byte:
		stmt.BindBytes(param, arg)
		return len(arg)
	case int:
		stmt.BindInt64(param, int64(arg))
	case int64:
		stmt.BindInt64(param, arg)
	case bool:
		stmt.BindBool(param, arg)
	default:
		panic(fmt.Sprintf("a value of type %T", arg))
	}
	return 0
}

// one reads the first row of a result, or returns ErrNotFound.
func (c *connection) one(query string, args []any, row func(r *reader)) error {
	err := purchase.ErrNotFound
	failed := c.each(query, args, func(r *reader) error {
		if err != nil {
			row(r)
		}
		err = nil
		return nil
	})
	return cmp.Or(failed, err)
}

// exec runs a statement.
func (c *connection) exec(query string, args ...any) error {
	return c.each(query, args, func(*reader) error { return nil })
}

// change runs a statement that changes one row or none. It reports whether it did.
func (c *connection) change(query string, args ...any) (changed bool, err error) {
	err = c.exec(query, args...)
	return err == nil && c.conn.Changes() > 0, err
}

// reader reads the columns of a row, from left to right.
type reader struct {
	stmt   *sqlite.Stmt
	column int
}

func (r *reader) next() int { r.column++; return r.column - 1 }

func (r *reader) text() string { return r.stmt.ColumnText(r.next()) }

func (r *reader) int() int { return r.stmt.ColumnInt(r.next()) }

func (r *reader) micros() purchase.Micros { return purchase.Micros(r.stmt.ColumnInt64(r.next())) }

// charge returns nil for NULL.
func (r *reader) charge() *purchase.Micros {
	if r.stmt.ColumnIsNull(r.column) {
		return nil
	}
	charge := r.micros()
	return &charge
}

func (r *reader) bool() bool { return r.stmt.ColumnBool(r.next()) }

// time returns the zero time for NULL.
func (r *reader) time() time.Time {
	column := r.next()
	if r.stmt.ColumnIsNull(column) {
		return time.Time{}
	}
	return time.UnixMicro(r.stmt.ColumnInt64(column)).UTC()
}

// bytes returns nil for NULL.
func (r *reader) bytes() []byte {
	column := r.next()
	if r.stmt.ColumnIsNull(column) {
		return nil
	}
	value := make([]byte, r.stmt.ColumnLen(column))
	r.stmt.ColumnBytes(column, value)
	return value
}

// code returns SQLite's extended result code, or ResultOK if err does not come from SQLite.
func code(err error) sqlite.ResultCode {
	if !errors.Is(err, errSQLite) {
		return sqlite.ResultOK
	}
	return sqlite.ErrCode(err)
}

// isFault reports whether err concerns the file or the connection. Other errors concern a single operation.
func isFault(err error) bool {
	switch code(err).ToPrimary() {
	case sqlite.ResultOK, sqlite.ResultConstraint, sqlite.ResultTooBig, sqlite.ResultMismatch, sqlite.ResultRange:
		return false
	default:
		return true
	}
}

// isTaken reports whether a unique index refused a statement.
func isTaken(err error) bool { return code(err) == sqlite.ResultConstraintUnique }
