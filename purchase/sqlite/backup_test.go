package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"zombiezen.com/go/sqlite"

	"gigagate.internal/purchase"
)

// TestBackupUnderLoad: purchases go on during a backup. Every purchase that was answered before it is in it, and the
// whole backup passes the check.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	var (
		mu       sync.Mutex
		answered []string
		buyers   sync.WaitGroup
	)
	ctx, stop := context.WithCancel(t.Context())
	enough := make(chan struct{})
	for range 8 {
		buyers.Go(func() {
			for ctx.Err() == nil {
				p, err := j.Claim(context.Background(), newClaim())
				if err == nil {
					_, _, err = purchase.Record(context.Background(), j, p, sold(p))
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if answered = append(answered, p.ID); len(answered) == 1000 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	mu.Lock()
	before := answered
	mu.Unlock()
	backup := filepath.Join(t.TempDir(), "backup.db")
	made, err := j.Backup(t.Context(), backup)
	stop()
	buyers.Wait()
	if err != nil {
		t.Fatal(err)
	}

	info, err := os.Stat(backup)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	checkAlone(t, backup)
	f := inspect(t, backup)
	if at, err := f.BackupTime(); err != nil || !at.Equal(made) {
		t.Errorf("the backup says it was made at %v, %v; want %v", at, err, made)
	}
	n, problems, err := f.Check(t.Context())
	if err != nil || len(problems) > 0 || n < len(before) || n > len(answered) {
		t.Errorf("%d purchases, %d before and %d after the backup; %q, %v", n, len(before), len(answered), problems, err)
	}
	for _, id := range before {
		if p, err := f.Get(t.Context(), id); err != nil || p.State != purchase.Succeeded {
			t.Fatalf("%s was answered before the backup, and is %s in it: %v", id, p.State, err)
		}
	}
	for uid, want := range map[string]bool{sold(purchase.Purchase{ID: before[0]}).ItemUID: true, "item-other": false} {
		if has, err := f.HasItem(t.Context(), uid); has != want || err != nil {
			t.Errorf("%s: %t, %v", uid, has, err)
		}
	}
}

func inspect(t *testing.T, path string) *File {
	t.Helper()
	f, err := OpenFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// checkAlone checks that a file is the only one in its folder.
func checkAlone(t *testing.T, path string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 1 || files[0].Name() != filepath.Base(path) {
		t.Errorf("the folder has %v, %v", files, err)
	}
}

// TestBackupIsCompleteOrAbsent: whatever ends a backup, there is no file, and the journal goes on.
func TestBackupIsCompleteOrAbsent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path, Options{})
	folder := t.TempDir()
	failed := func(file, want string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q", err, want)
		}
		if left, _ := filepath.Glob(file + "*"); len(left) > 0 {
			t.Errorf("there is %q", left)
		}
		if _, err := j.Claim(t.Context(), newClaim()); err != nil {
			t.Errorf("a claim after it: %v", err)
		}
	}
	for range 200 { // several steps
		p, err := j.Claim(t.Context(), newClaim())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := purchase.Record(t.Context(), j, p, sold(p)); err != nil {
			t.Fatal(err)
		}
	}

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	file := filepath.Join(folder, "canceled.db")
	_, err := j.Backup(canceled, file)
	failed(file, "context canceled", err)

	file = filepath.Join(folder, "none", "backup.db")
	_, err = j.Backup(t.Context(), file)
	failed(file, "no such file", err)

	// Between two steps the journal gets a fault, and another backup is asked for.
	file = filepath.Join(folder, "interrupted.db")
	steps := 0
	err = backUp(t.Context(), file, j.time(), func(step func(c *connection) error) error {
		if steps++; steps == 3 {
			if _, err := j.Backup(t.Context(), filepath.Join(folder, "second.db")); err == nil || !strings.Contains(err.Error(), "another backup") {
				t.Errorf("a second backup at once: %v", err)
			}
			loseCommit(t, j, true)
			if _, err := j.Claim(t.Context(), newClaim()); !errors.Is(err, errLost) {
				t.Errorf("claim: %v", err)
			}
			untilUsable(t, j)
		}
		return j.read(t.Context(), step)
	})
	failed(file, "the journal had to be opened again", err)

	file = filepath.Join(folder, "taken.db")
	if err := os.WriteFile(file, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Backup(t.Context(), file); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file that exists: err = %v", err)
	}
	if text, err := os.ReadFile(file); string(text) != "other" {
		t.Errorf("a file that existed has %q, %v", text, err)
	}
}

// TestBackupDoesNotStart: a gateway starts on a backup only after somebody allowed it, and a running gateway does not
// take a backup for its journal. What may have been sent since the backup is uncertain.
func TestBackupDoesNotStart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	j := open(t, filepath.Join(folder, "journal.db"), Options{})
	var ids []string
	for _, event := range []purchase.Event{purchase.AnsweredNoEffect, purchase.AnsweredUnknown, ""} {
		p, err := j.Claim(t.Context(), newClaim())
		if err != nil {
			t.Fatal(err)
		}
		if event != "" {
			if _, _, err := purchase.Record(t.Context(), j, p, purchase.Transition{Event: event, Attempt: 1, By: purchase.ByGateway}); err != nil {
				t.Fatal(err)
			}
		}
		ids = append(ids, p.ID)
	}
	backup := filepath.Join(folder, "backup.db")
	made, err := j.Backup(t.Context(), backup)
	if err != nil {
		t.Fatal(err)
	}
	refused := func() {
		t.Helper()
		_, err := Open(t.Context(), backup, Options{})
		if told, ok := errors.AsType[*BackupError](err); !ok || !told.Made.Equal(made) {
			t.Fatalf("open a backup: err = %v, want a BackupError of %v", err, made)
		}
	}
	refused()
	f, err := OpenFile(t.Context(), backup)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), backup, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("open it during a check: err = %v, want ErrInUse", err)
	}
	again := filepath.Join(folder, "again.db")
	if _, err := f.Backup(t.Context(), again); err != nil { // a backup of a backup
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	refused()

	copied, err := OpenFile(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := copied.BackupTime(); err != nil || !at.Equal(made) {
		t.Errorf("the copy of a backup is of %v, %v; want %v, when the first was made", at, err, made)
	}
	if err := copied.AllowStart(t.Context(), `{"found":"nothing"}`); err != nil {
		t.Fatal(err)
	}
	if _, problems, err := copied.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("after the start was allowed: %q, %v", problems, err)
	}
	if err := copied.Close(); err != nil {
		t.Fatal(err)
	}
	restored := open(t, again, Options{})
	for i, want := range []purchase.State{purchase.Uncertain, purchase.Uncertain, purchase.Sending} {
		if p, err := restored.Get(t.Context(), ids[i]); err != nil || p.State != want {
			t.Errorf("%s is %s, %v; want %s", ids[i], p.State, err, want)
		}
	}
}

// TestCheckFinds: the check finds each broken rule.
func TestCheckFinds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path, Options{})
	var done, waiting purchase.Purchase
	for range 3 {
		var err error
		claim := newClaim()
		claim.Budget, claim.Amount = &purchase.Budget{Currency: "EUR"}, 4_200_000
		if waiting, err = j.Claim(t.Context(), claim); err != nil {
			t.Fatal(err)
		}
		if done.ID == "" {
			if done, _, err = purchase.Record(t.Context(), j, waiting, sold(waiting)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct{ statements, want string }{
		{"SELECT 1", ""},
		{"DELETE FROM purchase_open WHERE id = 'open'", "open: it has to be either open or settled"},
		{"INSERT INTO purchase_open SELECT 'done', state, reason, attempt, revision, permitted_at, send_not_after, lease_until, success_seen, anomalies, updated_at, personal FROM purchase_open LIMIT 1", "done: it has to be either open or settled"},
		{"DROP TRIGGER purchase_is_kept; DELETE FROM purchase WHERE id = 'open'", "open: it is open, but has no claim"},
		{"DROP TRIGGER purchase_is_kept; DELETE FROM purchase WHERE id = 'done'", "done: it is settled, but has no claim"},
		{"INSERT INTO purchase_event VALUES ('none', 2, 1, 'LOST', 1, 'MOVES', 'UNCERTAIN', 0, 0, NULL, NULL, '{}', 'gateway')", "none: it has an event, but no claim"},
		{"INSERT INTO purchase_secret VALUES ('open', x'7b7d', NULL)", "open: only a settled purchase has secrets"},
		{"UPDATE purchase_secret SET sale = NULL", "done: only a settled purchase has secrets"},
		{"UPDATE purchase SET account = 'other' WHERE id = 'done'", "done: its claim and its outcome name different accounts"},
		{"UPDATE purchase SET order_json = '{\"later\":1}' WHERE id = 'open'", "open: the stored order was written by a later version"},
		{"UPDATE purchase_open SET revision = 2", "at revision 2, but its history leads to SENDING"},
		{"UPDATE purchase_open SET state = 'UNCERTAIN'", "it is UNCERTAIN"},
		{"INSERT INTO purchase_event VALUES ('open', 3, 1, 'LOST', 1, 'MOVES', 'UNCERTAIN', 0, 0, NULL, NULL, '{}', 'gateway')", "entry 2 of the history is missing"},
		{"INSERT INTO purchase_event VALUES ('open', 2, 1, 'PRESUMED_ABSENT', 1, 'MOVES', 'FAILED', 0, 0, NULL, 'PRESUMED_ABSENT', '{}', 'gateway')", "PRESUMED_ABSENT in SENDING is ILLEGAL"},
		{"DROP TRIGGER outcome_is_final; UPDATE purchase_outcome SET item_uid = 'other'", "or to another package"},
		{"DROP TRIGGER outcome_is_final; UPDATE purchase_outcome SET charge = NULL", "done: it was sold on a budget, but not charged"},
		{"UPDATE budget_total SET spent = spent + 1 WHERE period = 'total'", "default EUR total: the total of the budget"},
		{"UPDATE budget_total SET reserved = reserved - 1 WHERE length(period) = 7", "default EUR 20"},
		{"DELETE FROM budget_total WHERE length(period) = 10", "default EUR 20"},
		{"PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, '''FAILED''', '''SUCCEEDED''') WHERE name = 'purchase_failed'", "missing from index purchase_failed"},
	} {
		broken := filepath.Join(t.TempDir(), "broken.db")
		if _, err := j.Backup(t.Context(), broken); err != nil {
			t.Fatal(err)
		}
		conn, err := openFileAt(broken)
		if err != nil {
			t.Fatal(err)
		}
		statements := strings.NewReplacer("'open'", "'"+waiting.ID+"'", "'done'", "'"+done.ID+"'").Replace(test.statements)
		if err := errors.Join(execScript(conn, statements), conn.Close()); err != nil {
			t.Fatal(test.statements, err)
		}
		f := inspect(t, broken)
		_, problems, err := f.Check(t.Context())
		got := strings.NewReplacer(waiting.ID, "open", done.ID, "done").Replace(strings.Join(problems, "; "))
		if err != nil || !strings.Contains(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: %q, %v; want %q", test.statements, got, err, test.want)
		}
	}
}

// buySome makes enough purchases for several steps of a backup.
func buySome(journal *Journal) error {
	for range 500 {
		p, err := journal.Claim(context.Background(), newClaim())
		if err == nil {
			_, _, err = purchase.Record(context.Background(), journal, p, sold(p))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// backUpForEver makes backup after backup, and prints the name of each.
func backUpForEver(journal *Journal) error {
	if err := buySome(journal); err != nil {
		return err
	}
	for n := 0; ; n++ {
		name := fmt.Sprintf("%s.backup-%d", journal.path, n)
		if _, err := journal.Backup(context.Background(), name); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, name)
	}
}

// TestKilledBackup kills a process in the middle of a backup. No file that is incomplete has the name of a backup.
func TestKilledBackup(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	command, output := startChild(t, "back up", path)
	printed := map[string]bool{}
	for len(printed) < 5 && output.Scan() {
		printed[output.Text()] = true
	}
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for output.Scan() {
		printed[output.Text()] = true
	}
	_ = command.Wait() // it reports the kill
	names, err := filepath.Glob(path + ".backup-*")
	if err != nil || len(names) < 5 {
		t.Fatalf("backups: %q, %v", names, err)
	}
	for _, name := range names {
		if strings.Contains(name, ".unfinished-") {
			continue
		}
		f := inspect(t, name)
		made, err1 := f.BackupTime()
		n, problems, err2 := f.Check(t.Context())
		if made.IsZero() || n != 500 || len(problems) > 0 || err1 != nil || err2 != nil {
			t.Errorf("%s of %v has %d purchases, %q, %v, %v", filepath.Base(name), made, n, problems, err1, err2)
		}
		delete(printed, name)
	}
	if len(printed) > 0 {
		t.Errorf("backups that were reported are gone: %v", printed)
	}
}

// TestBackupToFullDisk runs in a process of its own, because it lowers the kernel's limit on file sizes.
func TestBackupToFullDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	command, output := startChild(t, "full backup", path)
	output.Scan()
	if text := output.Text(); !strings.Contains(text, "disk") {
		t.Errorf("the child says %q", text)
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
	checkAlone(t, path)
}

// backUpToFullDisk prints the error of a backup that has no room, and checks that the journal still works.
func backUpToFullDisk(journal *Journal) error {
	var limit syscall.Rlimit
	err := errors.Join(buySome(journal), syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit), limitFiles(1<<20, limit))
	if err != nil {
		return err
	}
	_, full := journal.Backup(context.Background(), journal.path+".backup")
	fmt.Fprintln(os.Stdout, full)
	if err := limitFiles(limit.Max, limit); err != nil {
		return err
	}
	return journal.Ping(context.Background())
}

// execScript runs statements outside a transaction, because some pragmas have no effect in one.
func execScript(conn *sqlite.Conn, statements string) error {
	return execAll(&connection{conn: conn}, strings.Split(statements, "; ")...)
}
