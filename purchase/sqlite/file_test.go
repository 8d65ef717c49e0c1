package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gigagate.internal/purchase"
)

// TestFileGone: while the file cannot be opened every call fails, writes with a promise, Ping says
// why, and no new file takes the old one's place. It ends by itself.
func TestFileGone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path, Options{})
	kept := newClaim()
	if _, _, err := j.Claim(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	lost := newClaim()
	moved := []string{path, path + "-wal"}
	loseCommit(t, j, true)
	inWriter(t, j, func(*connection) {
		commit := j.commit
		j.commit = func(c *connection) error {
			err := commit(c)
			for _, name := range moved {
				if err := os.Rename(name, name+".away"); err != nil {
					t.Error(err)
				}
			}
			return err
		}
	})
	if _, _, err := j.Claim(t.Context(), lost); err == nil || errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("the lost commit: err = %v", err)
	}
	for range 3 {
		if _, _, err := j.Claim(t.Context(), newClaim()); !errors.Is(err, purchase.ErrNotWritten) {
			t.Errorf("claim without a file: err = %v, want ErrNotWritten", err)
		}
		if _, err := j.Lookup(t.Context(), kept.Key); err == nil || errors.Is(err, purchase.ErrNotFound) {
			t.Errorf("look-up without a file: err = %v, which would let it be bought again", err)
		}
	}
	if err := j.Ping(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ping: %v", err)
	}
	for _, name := range moved {
		if _, err := os.Stat(name); err == nil {
			t.Errorf("%s was made anew", filepath.Base(name))
		}
		// Closing may have brought all of the log home and removed it.
		if err := os.Rename(name+".away", name); err != nil && name == path {
			t.Fatal(err)
		}
	}
	untilUsable(t, j)
	if !exists(t, j, kept.ID) || !exists(t, j, lost.ID) {
		t.Error("what was committed is gone")
	}
}

// TestFileTakenAway: what is written to a file that was deleted or moved is lost, and a second gateway finds its place
// free. So nothing is written to it, what it holds is still read, and once it is back all is well.
func TestFileTakenAway(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"", "-wal"} {
		t.Run("journal.db"+suffix, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "journal.db")
			j := open(t, path, Options{})
			kept := newClaim()
			p, _, err := j.Claim(t.Context(), kept)
			if err != nil {
				t.Fatal(err)
			}
			unusable := func(why string) {
				t.Helper()
				if _, _, err := j.Claim(t.Context(), newClaim()); !errors.Is(err, purchase.ErrNotWritten) {
					t.Errorf("claim: err = %v, want ErrNotWritten", err)
				}
				if _, _, err := j.Record(t.Context(), kept.ID, sold(p)); !errors.Is(err, purchase.ErrNotWritten) {
					t.Errorf("record: err = %v, want ErrNotWritten", err)
				}
				if err := j.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), why) {
					t.Errorf("ping: %v", err)
				}
				if _, err := j.Lookup(t.Context(), kept.Key); err != nil {
					t.Errorf("look-up of what it holds: %v", err)
				}
			}
			if err := os.Rename(path+suffix, path+".away"); err != nil {
				t.Fatal(err)
			}
			unusable("taken away")
			if err := os.WriteFile(path+suffix, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			unusable("replaced")
			if err := os.Rename(path+".away", path+suffix); err != nil {
				t.Fatal(err)
			}
			if _, _, err := j.Record(t.Context(), kept.ID, sold(p)); err != nil {
				t.Errorf("with the file back: %v", err)
			}
		})
	}
}

// TestFileReplaced: another file, like a backup, is not taken for the journal by a gateway that runs.
func TestFileReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path, Options{})
	if err := j.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	backup := copyOf(t, path)
	kept := newClaim()
	if _, _, err := j.Claim(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	loseCommit(t, j, true)
	inWriter(t, j, func(*connection) {
		commit := j.commit
		j.commit = func(c *connection) error {
			err := commit(c)
			if rename := os.Rename(backup, path); rename != nil {
				t.Error(rename)
			}
			return err
		}
	})
	if err := j.Ping(t.Context()); !errors.Is(err, errLost) {
		t.Fatal(err)
	}
	if _, err := j.Lookup(t.Context(), kept.Key); err == nil || errors.Is(err, purchase.ErrNotFound) {
		t.Errorf("look-up: err = %v, which would let it be bought again", err)
	}
	if err := j.Ping(t.Context()); !errors.Is(err, errReplaced) {
		t.Errorf("ping: %v", err)
	}
}
