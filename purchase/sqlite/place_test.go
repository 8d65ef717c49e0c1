package sqlite

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestJournalThatWasLost: what is left of a journal is not taken for a new installation, and stays as it is.
func TestJournalThatWasLost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ left, content string }{
		"empty":               {"", ""},
		"a log":               {"-wal", "frames"},
		"an empty log":        {"-wal", ""},
		"the log's index":     {"-shm", "index"},
		"a rollback journal":  {"-journal", "pages"},
		"nothing but a table": {"", emptyDatabase(t)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "journal.db")
			left := path + c.left
			if err := os.WriteFile(left, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // a service manager tries again
				j, err := Open(t.Context(), path, Options{})
				if err == nil {
					_ = j.Close()
					t.Fatal("it opens, and knows of no purchase")
				}
				if !strings.Contains(err.Error(), left) || !strings.Contains(err.Error(), "remove") {
					t.Errorf("it does not say which file, and what to do: %v", err)
				}
			}
			if err := os.Remove(left); err != nil {
				t.Error(err)
			}
			j, err := Open(t.Context(), path, Options{})
			if err != nil {
				t.Fatalf("with nothing left: %v", err)
			}
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// emptyDatabase is a database without a table.
func emptyDatabase(t *testing.T) string {
	t.Helper()
	page := make([]byte, 4096)
	copy(page, "SQLite format 3\x00\x10\x00\x01\x01\x00\x40\x20\x20")
	page[31] = 1                                // pages
	page[100], page[105], page[106] = 13, 16, 0 // an empty leaf of tables, its content at 4096
	return string(page)
}

// TestFirstStart leaves the file alone in its folder, apart from its log.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	open(t, filepath.Join(folder, "journal.db"), Options{})
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); name != "journal.db" && name != "journal.db-wal" {
			t.Errorf("%s is left", name)
		}
	}
}

// TestPrivateHoweverItCame: the files hold activation codes. Who restored them does not decide who reads them.
func TestPrivateHoweverItCame(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]fs.FileMode{"made": 0, "restored": 0o644, "shared": 0o666} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "journal.db")
			j, err := Open(t.Context(), path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := j.Claim(t.Context(), newClaim()); err != nil {
				t.Fatal(err)
			}
			if mode != 0 {
				path = copyOf(t, path) // as a killed process leaves them
				for _, file := range []string{path, path + "-wal"} {
					if err := os.Chmod(file, mode); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.WriteFile(path+"-shm", nil, mode); err != nil {
					t.Fatal(err)
				}
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				if j, err = Open(t.Context(), path, Options{}); err != nil {
					t.Fatal(err)
				}
			}
			defer func() { _ = j.Close() }()
			if _, _, err := j.Claim(t.Context(), newClaim()); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(path + "*")
			if err != nil || len(files) < 2 {
				t.Fatalf("%v, %v", files, err)
			}
			for _, file := range files {
				if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v, %v", filepath.Base(file), info.Mode(), err)
				}
			}
		})
	}
}

// TestRefusedPlaceStaysAsItIs: a journal is kept from other users. What is no journal keeps its mode, or a mistyped name
// could take a folder away from everybody.
func TestRefusedPlaceStaysAsItIs(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "notes.txt")
	if err := os.WriteFile(file, []byte(strings.Repeat("no database at all. ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]fs.FileMode{folder: 0o755, file: 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if j, err := Open(t.Context(), path, Options{}); err == nil {
			_ = j.Close()
			t.Errorf("%s opens", path)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has the mode %s", path, info.Mode().Perm())
		}
	}
}
