package sqlite

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/journaltest"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArgument {
		childMain(os.Args[2:])
		return
	}
	goleak.VerifyTestMain(m)
}

func TestJournal(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(t *testing.T, clock *journaltest.Clock) journaltest.Harness {
		t.Helper()
		j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{Now: clock.Now})
		exec := func(t *testing.T, query string, args ...any) {
			t.Helper()
			if err := j.write(t.Context(), func(c *connection) error {
				return c.exec(query, args...)
			}, nil); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
		}
		return journaltest.Harness{
			Journal: j,
			Restart: func(t *testing.T, killed bool) purchase.Journal {
				t.Helper()
				path := j.path
				if killed {
					path = copyOf(t, j.path)
				} else if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				return open(t, path, Options{Now: clock.Now})
			},
			LoseCommit: func(t *testing.T, happened bool) {
				t.Helper()
				loseCommit(t, j, happened)
			},
			RewriteOrder: func(t *testing.T, id string, text []byte) {
				t.Helper()
				exec(t, "UPDATE purchase SET order_json = ? WHERE id = ?", string(text), id)
			},
			Purge: func(t *testing.T, id string) {
				t.Helper()
				exec(t, "DELETE FROM purchase_secret WHERE id = ?", id)
			},
		}
	})
}

func open(t testing.TB, path string, options Options) *Journal {
	t.Helper()
	j, err := Open(t.Context(), path, options)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return j
}

// inWriter runs f in the writer, so that nothing else uses the connection meanwhile.
func inWriter(t testing.TB, j *Journal, f func(c *connection)) {
	t.Helper()
	if err := j.read(t.Context(), func(c *connection) error { f(c); return nil }); err != nil {
		t.Fatal(err)
	}
}

// loseCommit makes the next commit return an error. With happened the commit itself succeeds before that.
func loseCommit(t *testing.T, j *Journal, happened bool) {
	t.Helper()
	inWriter(t, j, func(*connection) {
		commit := j.commit
		j.commit = func(c *connection) error {
			j.commit = commit
			if happened {
				if err := commit(c); err != nil {
					return err
				}
			}
			return errLost
		}
	})
}

var errLost = errors.New("the answer to the commit was lost")

// copyOf copies the files of the journal at path, in the state that a kill at this moment would leave.
func copyOf(t *testing.T, path string) string {
	t.Helper()
	target := filepath.Join(t.TempDir(), "journal.db")
	for _, suffix := range []string{"", "-wal"} {
		from, err := os.Open(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		to, err := os.Create(target + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(to, from); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(from.Close(), to.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return target
}
