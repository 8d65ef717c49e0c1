package sqlite

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestJournalThatWasLost: Open does not mistake the remains of a lost journal for a new installation. The
// remains stay unchanged.
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
			for range 2 { // a service manager would try again
				j, err := Open(t.Context(), path, Options{})
				if err == nil {
					_ = j.Close()
					t.Fatal("it opens with an empty journal")
				}
				if !strings.Contains(err.Error(), left) || !strings.Contains(err.Error(), "remove") {
					t.Errorf("the error does not name the file and the remedy: %v", err)
				}
			}
			if err := os.Remove(left); err != nil {
				t.Error(err)
			}
			j, err := Open(t.Context(), path, Options{})
			if err != nil {
				t.Fatalf("after the remains were removed: %v", err)
			}
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// emptyDatabase returns the bytes of a valid database without tables.
func emptyDatabase(t *testing.T) string {
	t.Helper()
	page := make([]byte, 4096)
	copy(page, "SQLite format 3\x00\x10\x00\x01\x01\x00\x40\x20\x20")
	page[31] = 1                                // number of pages
	page[100], page[105], page[106] = 13, 16, 0 // an empty table leaf page whose content area starts at 4096
	return string(page)
}

// TestFirstStart: the first start leaves only the database and its WAL in the folder.
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

// TestPrivateHoweverItCame: the files hold activation codes. They are private even if somebody restored them
// with another mode.
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
			if _, err := j.Claim(t.Context(), newClaim()); err != nil {
				t.Fatal(err)
			}
			if mode != 0 {
				path = copyOf(t, path) // with the WAL that a killed process leaves
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
			if _, err := j.Claim(t.Context(), newClaim()); err != nil {
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

// TestRefusedPlaceStaysAsItIs: Open makes only journals private. A mistyped name must not make a folder or a
// foreign file unreadable for others.
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
