package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// companions are the suffixes of the files that SQLite keeps beside a database.
var companions = []string{"-wal", "-shm", "-journal"}

// makeNew creates the file if there is none and there never was one. The remains of a lost journal must not
// lead to a new, empty one: everything in the lost journal could then be sold again.
//
// makeNew does not open a file that exists. Closing any handle of it would drop the lock that another Journal
// in this process may hold (POSIX fcntl locks).
func makeNew(path string) (created bool, err error) {
	info, err := os.Stat(path) //nolint:gosec // the operator chooses the path
	switch {
	case err == nil && !info.Mode().IsRegular():
		return false, fmt.Errorf("%s is not a regular file", path)
	case err == nil && info.Size() == 0:
		return false, fmt.Errorf("%s is empty, so the journal that was there is lost. "+
			"Put it back, or remove the file to start with an empty one, which can buy old request ids again", path)
	case err == nil:
		return false, nil
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	for _, companion := range companions {
		if _, err := os.Lstat(path + companion); err == nil { //nolint:gosec // the operator chooses the path
			return false, fmt.Errorf("%s is missing, but %s exists, so the journal that was there is lost. "+
				"Put it back, or remove %[2]s to start with an empty one, which can buy old request ids again", path, path+companion)
		}
	}
	return true, publish(path)
}

// publish builds the journal under a temporary name and then links it to path. An interrupted start therefore
// leaves no half-made journal at path, and two simultaneous starts do not disturb each other.
func publish(path string) (err error) {
	draft, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // readable by its owner only
	if err != nil {
		return err
	}
	name := draft.Name()
	defer func() { err = errors.Join(err, os.Remove(name)) }() //nolint:gosec // our own file
	if err := draft.Close(); err != nil {
		return err
	}
	if err := fill(name); err != nil {
		return err
	}
	if err := os.Link(name, path); err != nil && !errors.Is(err, fs.ErrExist) {
		if err := copyTo(name, path); err != nil { // some file systems do not support links
			return err
		}
	}
	return nil // SQLite syncs the folder when it creates the WAL and commits to it for the first time
}

// fill creates the newest schema in an empty file, durably.
func fill(path string) (err error) {
	c := &connection{}
	if c.conn, err = openFileAt(path); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.exec("PRAGMA synchronous = FULL"); err != nil {
		return err
	}
	if err := c.exec("BEGIN EXCLUSIVE"); err != nil {
		return err
	}
	return c.bringFrom(path, 0)
}

// copyTo copies a file to a path where no file exists yet. A copy that was cut short cannot be opened as a
// journal later.
func copyTo(from, to string) error {
	text, err := os.ReadFile(from) //nolint:gosec // our own file
	if err != nil {
		return err
	}
	file, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator chooses the path
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
}

// location returns the path as a URI, with its special characters escaped so that SQLite does not read them as
// options. mode=rw never creates a file: a missing file must not come back empty.
func location(path string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?mode=rw"
}

// makePrivate makes the file and its companions readable by their owner only, because they hold secrets. SQLite
// gives companions that it creates later the mode of the database file.
func makePrivate(path string) error {
	place, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for _, companion := range append([]string{""}, companions...) {
		info, err := os.Stat(place + companion) //nolint:gosec // the operator chooses the path
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && info.Mode().Perm() != 0o600 {
			err = os.Chmod(place+companion, 0o600) //nolint:gosec // the operator chooses the path
		}
		if err != nil {
			return fmt.Errorf("make %s private to its owner: %w", place+companion, err)
		}
	}
	return nil
}
