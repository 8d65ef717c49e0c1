package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// companions are the files that SQLite keeps beside a database, by what their names add to its own.
var companions = []string{"-wal", "-shm", "-journal"}

// makeNew makes the file where there is none and never was one. What is left of a journal that was lost
// is no reason to begin anew: everything that it knew of would be sold again. A file that exists is not
// opened here: closing any handle of it would drop the lock of a journal that this process has open
// already (POSIX fcntl locks).
func makeNew(ctx context.Context, path string) (created bool, err error) {
	info, err := os.Stat(path) //nolint:gosec // the operator names the file
	switch {
	case err == nil && !info.Mode().IsRegular():
		return false, fmt.Errorf("%s is not a file", path)
	case err == nil && info.Size() == 0:
		return false, fmt.Errorf("%s is empty: the journal that was there is lost. "+
			"Restore it; to begin with a journal that knows of no purchase, remove the file yourself", path)
	case err == nil:
		return false, nil
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	for _, companion := range companions {
		if _, err := os.Lstat(path + companion); err == nil { //nolint:gosec // the operator names the file
			return false, fmt.Errorf("%s is missing beside %s: the journal that was there is lost. "+
				"Restore it; to begin with a journal that knows of no purchase, remove %[2]s yourself", path, path+companion)
		}
	}
	return true, publish(ctx, path)
}

// publish makes a journal under another name first, so that a start that is cut off leaves no half of
// one in its place, and two starts at a time do not meet in it.
func publish(ctx context.Context, path string) (err error) {
	draft, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // for its owner alone
	if err != nil {
		return err
	}
	name := draft.Name()
	defer func() { err = errors.Join(err, os.Remove(name)) }() //nolint:gosec // our own
	if err := draft.Close(); err != nil {
		return err
	}
	if err := fill(ctx, name); err != nil {
		return err
	}
	if err := os.Link(name, path); err != nil && !errors.Is(err, fs.ErrExist) {
		if err := copyTo(name, path); err != nil { // some file systems have no links
			return err
		}
	}
	return nil // SQLite syncs the folder together with the first commit to the log that it makes there
}

// fill brings an empty file to the newest version, on the disk.
func fill(ctx context.Context, path string) (err error) {
	pool, err := sql.Open("sqlite", location(path))
	if err != nil {
		return err
	}
	c := &connection{pool: pool}
	defer func() { err = errors.Join(err, c.close()) }()
	if c.conn, err = pool.Conn(ctx); err != nil {
		return err
	}
	if err := c.exec(ctx, "PRAGMA synchronous = FULL"); err != nil {
		return err
	}
	if err := c.exec(ctx, "BEGIN EXCLUSIVE"); err != nil {
		return err
	}
	return c.bringFrom(ctx, path, 0)
}

// copyTo copies a file to a place where nothing is yet. One that is cut off is not opened later.
func copyTo(from, to string) error {
	text, err := os.ReadFile(from) //nolint:gosec // our own
	if err != nil {
		return err
	}
	file, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
}

// location is a path as a URI, so that no character of it is taken for an option. Nothing is made where
// it leads: a file that went missing must not come back empty.
func location(path string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?mode=rw"
}

// makePrivate makes the file and its companions readable for their owner alone, because they hold secrets. Companions that
// SQLite makes later get the mode of the file.
func makePrivate(path string) error {
	place, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for _, companion := range append([]string{""}, companions...) {
		info, err := os.Stat(place + companion) //nolint:gosec // the operator names the file
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && info.Mode().Perm() != 0o600 {
			err = os.Chmod(place+companion, 0o600) //nolint:gosec // likewise
		}
		if err != nil {
			return fmt.Errorf("keep %s from other users: %w", place+companion, err)
		}
	}
	return nil
}
