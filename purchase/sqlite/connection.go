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

// migrations bring the file from version i, kept in user_version, to i+1. A migration tool would
// bring a table, a lock and a second connection, none of which one exclusive file needs.
var migrations = []string{schema}

// connection is the one connection to the file. Only the writer uses it.
type connection struct {
	pool *sql.DB
	conn *sql.Conn
	open map[string]row // see remember
	// newest is the number of the newest purchase that was inserted.
	newest int64
	// database and log are the files as they were opened.
	database, log openFile
	statements
}

// openFile is a file, and where it has to stay: what is written to one that was deleted or moved away is lost with this
// process, while another gateway finds its place free.
type openFile struct {
	path string
	info os.FileInfo
}

// statements are prepared for as long as the connection lives.
type statements struct {
	begin, commit, rollback *sql.Stmt

	insertPurchase, insertEvent, insertPersonal, insertSale *sql.Stmt
	updatePurchase, updateLease, updateProbe                *sql.Stmt

	byKey, byID, history, personal, sale *sql.Stmt
	lapsed, watched, absent              *sql.Stmt
	witnessesBefore                      *sql.Stmt
	witnessesAfter                       *sql.Stmt
	checkpoint, walFrames                *sql.Stmt
}

// connect opens the file, alone, with every commit durable. What a commit that failed left in the
// write-ahead log counts from here on: it is brought to the database file and synced.
func connect(ctx context.Context, path string) (_ *connection, err error) {
	pool, err := sql.Open("sqlite", location(path))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	c := &connection{pool: pool, open: map[string]row{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.database, err = hold(path); err != nil { // before it is opened: one that is exchanged meanwhile is noticed then
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if c.conn, err = pool.Conn(ctx); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	for _, pragma := range []string{
		// Before the first access: so the lock is taken with it, and the index of the log lives in this
		// process's memory instead of a shared file.
		"locking_mode = EXCLUSIVE",
		"schema_version", // reads the file: one that is no database stays as it is
		"journal_mode = WAL",
		"synchronous = FULL",
		"foreign_keys = ON",
		"trusted_schema = OFF",
		"cache_size = -2000", // KiB; a larger one costs more CPU than it saves
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
	place, err := filepath.EvalSymlinks(path) // where SQLite keeps the log
	if err != nil {
		return nil, err
	}
	c.log, err = hold(place + "-wal")
	return c, err
}

func hold(path string) (openFile, error) {
	info, err := os.Stat(path) //nolint:gosec // the operator names the file
	return openFile{path, info}, err
}

// inPlace fails if another process, started now, would not find this file, which this one has open.
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

// checkSettings: SQLite keeps silent about pragmas that it does not follow.
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
		return fmt.Errorf("%s has schema version %d, and this gigagate knows %d: it was used by a later one", path, version, len(migrations))
	case version == 0 && tables > 0:
		return fmt.Errorf("%s is another program's database", path)
	case version == 0:
		return fmt.Errorf("%s holds no journal: restore it, or remove the file yourself to begin with one that knows of no purchase", path)
	}
	return c.bringFrom(ctx, path, version)
}

// bringFrom brings the file from a version to the newest, and ends the transaction.
func (c *connection) bringFrom(ctx context.Context, path string, version int) error {
	for i, migration := range migrations[version:] {
		if err := c.exec(ctx, migration); err != nil {
			return fmt.Errorf("bring %s to schema version %d: %w", path, version+i+1, err)
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
		{&c.insertEvent, insertEvent},
		{&c.insertPersonal, "INSERT INTO purchase_personal (purchase, personal) VALUES (?, ?)"},
		{&c.insertSale, "INSERT INTO purchase_sale (purchase, sale) VALUES (?, ?)"},
		{&c.updatePurchase, updatePurchase},
		{&c.updateLease, "UPDATE purchase SET lease_until = ?, updated_at = ? WHERE number = ? AND state = 'ACCEPTED'"},
		{&c.updateProbe, "UPDATE journal_probe SET at = ?"},
		{&c.byKey, "SELECT " + columns + " FROM purchase WHERE request_id = ? AND caller = ?"},
		{&c.byID, "SELECT " + columns + " FROM purchase WHERE id = ?"},
		{&c.history, selectHistory},
		{&c.personal, "SELECT personal FROM purchase_personal WHERE purchase = ?"},
		{&c.sale, "SELECT sale FROM purchase_sale WHERE purchase = ?"},
		{&c.lapsed, selectLapsed},
		{&c.watched, selectWatched},
		{&c.absent, selectAbsent},
		{&c.witnessesBefore, selectWitnesses + " ORDER BY permitted_at DESC LIMIT ?"},
		{&c.witnessesAfter, selectWitnesses + " ORDER BY permitted_at LIMIT ?"},
		{&c.checkpoint, "PRAGMA wal_checkpoint(PASSIVE)"},
		{&c.walFrames, "PRAGMA wal_checkpoint(NOOP)"},
	} {
		stmt, err := c.conn.PrepareContext(ctx, s.query)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", s.query, err)
		}
		*s.into = stmt
	}
	return nil
}

// settleLog makes what the log holds durable, or fails. A commit whose fsync failed may be in the
// log without being on the disk, and a second fsync of the same file would not say so.
func (c *connection) settleLog(ctx context.Context) error {
	var busy, frames, copied int
	if err := c.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &copied); err != nil {
		return fmt.Errorf("bring the log to the database file: %w", err)
	}
	if busy != 0 || frames != copied {
		return fmt.Errorf("bring the log to the database file: %d of %d pages copied", copied, frames)
	}
	return nil
}

// close finalizes the statements first: SQLite keeps a connection, and its lock, while one is left.
func (c *connection) close() error {
	var errs []error
	s := &c.statements
	for _, stmt := range []*sql.Stmt{
		s.begin, s.commit, s.rollback, s.insertPurchase, s.insertEvent, s.insertPersonal, s.insertSale,
		s.updatePurchase, s.updateLease, s.updateProbe, s.byKey, s.byID, s.history, s.personal, s.sale,
		s.lapsed, s.watched, s.absent, s.witnessesBefore, s.witnessesAfter, s.checkpoint, s.walFrames,
	} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	if c.conn != nil {
		errs = append(errs, c.conn.Close())
	}
	return errors.Join(append(errs, c.pool.Close())...)
}

// code is SQLite's extended result code, 0 if err is none of SQLite's.
func code(err error) int {
	if e, ok := errors.AsType[*modernc.Error](err); ok {
		return e.Code()
	}
	return 0
}

// isFault reports whether err is about the file or the connection, and not about one operation.
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
