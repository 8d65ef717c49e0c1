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

// TestFileGone: while the file cannot be opened, every call fails. Writes fail with ErrNotWritten, and Ping
// returns the cause. The journal does not create a new file in its place, and it recovers when the file is
// back.
func TestFileGone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path, Options{})
	kept := newClaim()
	if _, err := j.Claim(t.Context(), kept); err != nil {
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
	if _, err := j.Claim(t.Context(), lost); err == nil || errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("the lost commit: err = %v", err)
	}
	for range 3 {
		if _, err := j.Claim(t.Context(), newClaim()); !errors.Is(err, purchase.ErrNotWritten) {
			t.Errorf("claim without a file: err = %v, want ErrNotWritten", err)
		}
		if _, err := j.Lookup(t.Context(), kept.Key); err == nil || errors.Is(err, purchase.ErrNotFound) {
			t.Errorf("look-up without a file: err = %v, so the request id could buy again", err)
		}
	}
	if err := j.Ping(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ping: %v", err)
	}
	for _, name := range moved {
		if _, err := os.Stat(name); err == nil {
			t.Errorf("%s was created again", filepath.Base(name))
		}
		// Closing may have copied the whole WAL into the database and removed it.
		if err := os.Rename(name+".away", name); err != nil && name == path {
			t.Fatal(err)
		}
	}
	untilUsable(t, j)
	if !exists(t, j, kept.ID) || !exists(t, j, lost.ID) {
		t.Error("a committed purchase is gone")
	}
}

// TestFileTakenAway: anything written to a deleted or moved file is lost, and a second gateway could start at
// its path. So the journal refuses writes, still serves reads, and goes on when the file is back.
func TestFileTakenAway(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path, Options{})
	kept := newClaim()
	p, err := j.Claim(t.Context(), kept)
	if err != nil {
		t.Fatal(err)
	}
	unusable := func(why string) {
		t.Helper()
		if _, err := j.Claim(t.Context(), newClaim()); !errors.Is(err, purchase.ErrNotWritten) {
			t.Errorf("claim: err = %v, want ErrNotWritten", err)
		}
		if _, _, err := purchase.Record(t.Context(), j, p, sold(p)); !errors.Is(err, purchase.ErrNotWritten) {
			t.Errorf("record: err = %v, want ErrNotWritten", err)
		}
		if err := j.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("ping: %v", err)
		}
		if _, err := j.Lookup(t.Context(), kept.Key); err != nil {
			t.Errorf("look-up of a purchase in the file: %v", err)
		}
	}
	rename(t, path, path+".away")
	unusable("taken away")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	unusable("replaced")
	rename(t, path+".away", path)
	if _, _, err := purchase.Record(t.Context(), j, p, sold(p)); err != nil {
		t.Errorf("with the file back: %v", err)
	}
}

// TestFileTakenAwayMeanwhile: if the file disappears before the commit, the commit does not count as durable.
func TestFileTakenAwayMeanwhile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path, Options{})
	beforeCommit(t, j, func() { rename(t, path, path+".away") })
	claim := newClaim()
	if _, err := j.Claim(t.Context(), claim); err == nil || errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("claim: err = %v, want an error that leaves the outcome open", err)
	}
	rename(t, path+".away", path)
	if p, err := j.Claim(t.Context(), claim); err != nil || p.ID != claim.ID {
		t.Errorf("asked again for %s with the file back: %s, err = %v", claim.ID, p.ID, err)
	}
}

// TestLogTakenAway: if only the WAL file is gone, closing checkpoints the open WAL into the database, and the
// journal goes on with a new WAL.
func TestLogTakenAway(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path, Options{})
	kept := newClaim()
	p, err := j.Claim(t.Context(), kept)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := purchase.Record(t.Context(), j, p, sold(p)); !errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("record: err = %v, want ErrNotWritten", err)
	}
	if _, _, err := purchase.Record(t.Context(), j, p, sold(p)); err != nil {
		t.Errorf("record, again: %v", err)
	}
	j = open(t, copyOf(t, path), Options{})
	if got, err := j.Get(t.Context(), kept.ID); err != nil || got.State != purchase.Succeeded {
		t.Errorf("after a kill: %s, %v", got.State, err)
	}
}

// TestFileReplaced: a running gateway does not accept a backup in place of its journal, however the backup got
// there.
func TestFileReplaced(t *testing.T) {
	t.Parallel()
	for name, restore := range map[string]func(t *testing.T, backup, path string){
		"renamed": rename,
		"copied": func(t *testing.T, backup, path string) {
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
			copyOver(t, backup, path)
		},
		"copied over": copyOver,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "journal.db")
			j := open(t, path, Options{})
			if _, err := j.Claim(t.Context(), newClaim()); err != nil {
				t.Fatal(err)
			}
			backup := copyOf(t, path)
			kept := newClaim()
			if _, err := j.Claim(t.Context(), kept); err != nil {
				t.Fatal(err)
			}
			inWriter(t, j, func(*connection) {
				j.fail(errLost)
				restore(t, backup, path)
			})
			if _, err := j.Lookup(t.Context(), kept.Key); err == nil || errors.Is(err, purchase.ErrNotFound) {
				t.Errorf("look-up: err = %v, so the request id could buy again", err)
			}
			if err := j.Ping(t.Context()); !errors.Is(err, errRolledBack) {
				t.Errorf("ping: %v", err)
			}
		})
	}
}

// beforeCommit calls happens once, between the writes of the next group and its commit.
func beforeCommit(t *testing.T, j *Journal, happens func()) {
	t.Helper()
	inWriter(t, j, func(*connection) {
		commit := j.commit
		j.commit = func(c *connection) error {
			j.commit = commit
			happens()
			return commit(c)
		}
	})
}

func rename(t *testing.T, from, to string) {
	if err := os.Rename(from, to); err != nil {
		t.Error(err)
	}
}

func copyOver(t *testing.T, from, to string) {
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Error(err)
	}
}
