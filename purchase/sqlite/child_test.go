package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gigagate.internal/purchase"
)

// childArgument makes this test binary run as a child process. The next arguments are what to do and the path
// of the journal.
const childArgument = "journal-child"

func childMain(arguments []string) {
	if err := child(arguments[0], arguments[1]); err != nil {
		fmt.Fprintln(os.Stdout, "error", err)
		os.Exit(1)
	}
}

func child(what, path string) error {
	if strings.HasPrefix(what, "full") {
		// Writes beyond the limit then fail with EFBIG instead of killing the process.
		signal.Ignore(syscall.SIGXFSZ)
	}
	journal, err := Open(context.Background(), path, Options{})
	if err != nil {
		return err
	}
	switch what {
	case "open":
		fmt.Fprintln(os.Stdout, "opened")
		return journal.Close()
	case "buy":
		return buyForEver(journal)
	case "full":
		return errors.Join(fillDisk(journal), journal.Close())
	case "full backup":
		return errors.Join(backUpToFullDisk(journal), journal.Close())
	case "back up":
		return backUpForEver(journal)
	}
	return fmt.Errorf("there is no child task %q", what)
}

// buyForEver claims and records from eight goroutines, and prints each operation that the journal acknowledged.
func buyForEver(journal *Journal) error {
	var output sync.Mutex
	say := func(what, id string) {
		output.Lock()
		defer output.Unlock()
		fmt.Fprintln(os.Stdout, what, id)
	}
	ctx := context.Background()
	errs := make(chan error)
	for range 8 {
		go func() {
			for {
				p, err := journal.Claim(ctx, newClaim())
				if err != nil {
					errs <- err
					return
				}
				say("claimed", p.ID)
				if _, _, err := purchase.Record(ctx, journal, p, sold(p)); err != nil {
					errs <- err
					return
				}
				say("recorded", p.ID)
			}
		}()
	}
	return <-errs
}

func startChild(t *testing.T, what, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], childArgument, what, path)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return command, bufio.NewScanner(output)
}

// TestKilledProcess kills a process at varying moments. Everything that the process acknowledged must still be
// there.
func TestKilledProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	done := map[string]string{}
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		command, output := startChild(t, "buy", path)
		// The number of lines differs in each round, so that the kill hits different points of a group.
		for lines := 0; lines < 50+round*61 && output.Scan(); lines++ {
			note(t, done, output.Text())
		}
		if err := command.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for output.Scan() {
			note(t, done, output.Text())
		}
		_ = command.Wait() // it reports the kill
		checkKept(t, path, done)
	}
	t.Logf("%d purchases acknowledged over %d kills", len(done), rounds)
}

func note(t *testing.T, done map[string]string, line string) {
	t.Helper()
	what, id, _ := strings.Cut(line, " ")
	if what == "error" || len(id) != 26 {
		t.Fatalf("the child says %q", line)
	}
	done[id] = what
}

// checkKept opens the file of a killed process and checks that all acknowledged operations are in it.
func checkKept(t *testing.T, path string, done map[string]string) {
	t.Helper()
	j, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatalf("open after the kill: %v", err)
	}
	defer func() {
		if err := j.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	for id, what := range done {
		p, err := j.Get(t.Context(), id)
		if err != nil {
			t.Fatalf("%s was acknowledged as %s: %v", id, what, err)
		}
		secrets, err := j.Secrets(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if what == "recorded" && (p.State != purchase.Succeeded || len(secrets.Sale) != len(sale)) {
			t.Fatalf("%s was acknowledged as recorded, but it is %s with a sale of %d bytes", id, p.State, len(secrets.Sale))
		}
	}
	inWriter(t, j, func(c *connection) {
		for _, check := range []struct{ query, want string }{
			{"PRAGMA integrity_check", "ok"},
			// Every purchase has all rows that were written in its transactions, and no others.
			{"SELECT count(*) FROM purchase_now n WHERE revision <> (SELECT count(*) FROM purchase_history WHERE id = n.id)", "0"},
			{"SELECT count(*) FROM purchase p WHERE 1 <> (SELECT count(*) FROM purchase_open WHERE id = p.id) + (SELECT count(*) FROM purchase_outcome WHERE id = p.id)", "0"},
			{"SELECT count(*) FROM purchase_outcome s WHERE 1 <> (SELECT count(*) FROM purchase_secret WHERE id = s.id AND (sale IS NOT NULL) = (s.state = 'SUCCEEDED'))", "0"},
			{"SELECT (SELECT count(*) FROM purchase_open) + (SELECT count(*) FROM purchase_outcome) - (SELECT count(*) FROM purchase)", "0"},
			{"SELECT (SELECT count(*) FROM purchase_secret) - (SELECT count(*) FROM purchase_outcome)", "0"},
		} {
			var got string
			if err := c.one(check.query, nil, func(r *reader) { got = r.text() }); err != nil || got != check.want {
				t.Errorf("%s: %s, err = %v; want %s", check.query, got, err, check.want)
			}
		}
	})
}

// TestSecondProcess: only one process can open the file. Another one can open it after the first has closed it.
func TestSecondProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	command, output := startChild(t, "open", path)
	if output.Scan(); !strings.Contains(output.Text(), ErrInUse.Error()) {
		t.Errorf("the second process says %q, want %q", output.Text(), ErrInUse)
	}
	_ = command.Wait()
	if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("opening it again in this process: err = %v, want ErrInUse", err)
	}
	// The refused attempts have not released the first process's lock.
	command, output = startChild(t, "open", path)
	if output.Scan(); !strings.Contains(output.Text(), ErrInUse.Error()) {
		t.Errorf("a third process says %q, want %q", output.Text(), ErrInUse)
	}
	_ = command.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	command, output = startChild(t, "open", path)
	if output.Scan(); output.Text() != "opened" {
		t.Errorf("after close, a process says %q", output.Text())
	}
	_ = command.Wait()
}

// TestDiskFull runs in a separate process, because it lowers the kernel's limit on file sizes.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	command, output := startChild(t, "full", filepath.Join(t.TempDir(), "journal.db"))
	var said []string
	for output.Scan() {
		said = append(said, output.Text())
	}
	if err := command.Wait(); err != nil || len(said) == 0 || said[len(said)-1] != "recovered" {
		t.Fatalf("the child: %v, it says:\n%s", err, strings.Join(said, "\n"))
	}
	t.Log(strings.Join(said, "; "))
}

// limitFiles lowers the kernel's limit on file sizes, or puts it back.
func limitFiles(bytes uint64, limit syscall.Rlimit) error {
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: limit.Max})
}

func fillDisk(journal *Journal) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	if err := limitFiles(1<<20, limit); err != nil {
		return err
	}
	told := map[string]error{}
	var unknown, notWritten int
	for notWritten < 100 {
		claim := newClaim()
		_, err := journal.Claim(ctx, claim)
		told[claim.ID] = err
		switch {
		case errors.Is(err, purchase.ErrNotWritten):
			notWritten++
		case err != nil:
			unknown++
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the disk is not full after %d claims: %w", len(told), ctx.Err())
		}
	}
	fmt.Fprintf(os.Stdout, "%d claims, %d unknown, %d not written\n", len(told), unknown, notWritten)
	ping := journal.Ping(ctx)
	if ping == nil {
		return errors.New("Ping reports that a full disk can be written to")
	}
	fmt.Fprintln(os.Stdout, "ping:", ping)

	if err := limitFiles(limit.Max, limit); err != nil {
		return err
	}
	for journal.Ping(ctx) != nil {
		select {
		case <-ctx.Done():
			return errors.New("the journal does not recover")
		case <-time.After(10 * time.Millisecond):
		}
	}
	for id, err := range told {
		_, found := journal.Get(ctx, id)
		if err == nil && found != nil {
			return fmt.Errorf("%s was claimed but cannot be read: %w", id, found)
		}
		if errors.Is(err, purchase.ErrNotWritten) && !errors.Is(found, purchase.ErrNotFound) {
			return fmt.Errorf("%s was reported as not written, but Get returned: %w", id, found)
		}
	}
	fmt.Fprintln(os.Stdout, "recovered")
	return nil
}
