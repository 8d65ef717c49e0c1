package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"zombiezen.com/go/sqlite"
)

const (
	// stepPages is the number of pages that one step copies. A write waits for at most one step.
	stepPages = 128
	// syncEvery is the number of steps after which the copy is synced. Otherwise the disk would get the whole copy
	// at once, and the next commit would wait for it.
	syncEvery = 16
)

// BackupError means that the file is a backup that nobody has allowed to start.
type BackupError struct {
	Path string
	Made time.Time
}

func (e *BackupError) Error() string {
	return fmt.Sprintf("%s is a backup of %s: purchases made since then are missing in it, and their request ids would buy again",
		e.Path, e.Made.Format(time.RFC3339))
}

// Backup copies the journal into a new file, which must not exist. Purchases go on meanwhile: between two steps of
// the copy, the writer does its other work. The copy has every purchase that was durable when Backup began, and
// those that were written until its last step. It is marked as a backup: see [BackupError]. The file appears when it
// is complete and on disk. Until then it has another name. Backup returns the time of its beginning.
//
// Only one backup can run at a time. An error of the copy, such as a full disk, is no fault of the journal.
func (j *Journal) Backup(ctx context.Context, file string) (made time.Time, err error) {
	made = j.time()
	// A step is short, and a step that nobody waits for could outlive the copy's file.
	steps := context.WithoutCancel(ctx)
	return made, backUp(ctx, file, made, func(step func(c *connection) error) error { return j.read(steps, step) })
}

// backUp makes a backup. It calls run for every use of the connection.
func backUp(ctx context.Context, file string, made time.Time, run func(step func(c *connection) error) error) (err error) {
	if _, err := os.Lstat(file); err == nil { //nolint:gosec // the operator chooses the path
		return &fs.PathError{Op: "backup", Path: file, Err: fs.ErrExist}
	}
	draft, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".unfinished-*") // readable by its owner only
	if err != nil {
		return err
	}
	name := draft.Name()
	defer func() { err = errors.Join(err, draft.Close(), os.Remove(name)) }() //nolint:gosec // our own file
	if err := copyPages(ctx, draft, run); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := markBackup(name, made); err != nil {
		return fmt.Errorf("mark %s as a backup: %w", file, err)
	}
	if err := draft.Sync(); err != nil {
		return err
	}
	if err := os.Link(name, file); err != nil { // unlike a rename, a link never replaces a file
		return err
	}
	return syncFolder(filepath.Dir(file))
}

// copyPages copies the journal into the draft, step by step.
func copyPages(ctx context.Context, draft *os.File, run func(step func(c *connection) error) error) (err error) {
	var b *copying
	if err := run(func(c *connection) (err error) {
		b, err = c.startBackup(draft.Name())
		return err
	}); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, run(func(c *connection) error {
			if c.backup != b {
				return nil // it ended when the connection was closed
			}
			return c.endBackup()
		}))
	}()
	for n, more := 1, true; more; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := run(func(c *connection) (err error) {
			if c.backup != b {
				return errors.New("the journal had to be opened again")
			}
			more, err = b.pages.Step(stepPages)
			return err
		}); err != nil {
			return err
		}
		if n%syncEvery == 0 {
			if err := draft.Sync(); err != nil {
				return err
			}
		}
	}
	return nil
}

// copying is a backup that is being made.
type copying struct {
	to    *sqlite.Conn
	pages *sqlite.Backup
}

// startBackup begins a copy into an empty file. The copy needs no protection against a crash, because nobody uses
// it before it is complete. Its errors are no faults of the connection, see isFault.
func (c *connection) startBackup(path string) (*copying, error) {
	if c.backup != nil {
		return nil, errors.New("another backup is being made")
	}
	to, err := openFileAt(path)
	if err != nil {
		return nil, err
	}
	b := &copying{to: to}
	if err = execAll(&connection{conn: to}, "PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF"); err == nil {
		b.pages, err = sqlite.NewBackup(to, "", c.conn, "")
	}
	if err != nil {
		// Not %w: a fault of the new file is no fault of the journal.
		return nil, fmt.Errorf("the new file: %v", errors.Join(err, to.Close())) //nolint:errorlint // see above
	}
	c.backup = b
	return b, nil
}

// endBackup releases the backup that is being made, if there is one.
func (c *connection) endBackup() error {
	b := c.backup
	if b == nil {
		return nil
	}
	c.backup = nil
	return errors.Join(b.pages.Close(), b.to.Close())
}

func execAll(c *connection, statements ...string) error {
	for _, statement := range statements {
		if err := c.exec(statement); err != nil {
			return err
		}
	}
	return nil
}

// markBackup writes into a copy when it was made. It turns the copy into a single file without a WAL.
func markBackup(path string, made time.Time) (err error) {
	conn, err := openFileAt(path)
	if err != nil {
		return err
	}
	c := &connection{conn: conn}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := execAll(c, "PRAGMA locking_mode = EXCLUSIVE", "PRAGMA synchronous = OFF", "PRAGMA journal_mode = DELETE"); err != nil {
		return err
	}
	return c.exec("INSERT INTO journal_backup (made_at) VALUES (?)", micros(made))
}

// backupTime returns the time of the backup that the file is, if nobody has allowed it to start. Otherwise it
// returns the zero time.
func (c *connection) backupTime() (made time.Time, err error) {
	err = c.one("SELECT min(made_at) FROM journal_backup WHERE allowed_at IS NULL", nil, func(r *reader) { made = r.time() })
	return made, err
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // the operator chooses the path
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
