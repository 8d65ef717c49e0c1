package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/internal/groups"
)

// held blocks the writer between two transactions until release is called. Writes that are enqueued meanwhile
// form one group.
func held(t *testing.T, j *Journal) (release func()) {
	t.Helper()
	entered, leave := make(chan struct{}), make(chan struct{})
	o := groups.New(work{run: func(*connection) error { close(entered); <-leave; return nil }})
	if err := j.queue.read(o); err != nil {
		t.Fatal(err)
	}
	<-entered
	return func() { close(leave) }
}

// enqueue puts a write into the queue and does not wait for it.
func enqueue(t *testing.T, j *Journal, run func(c *connection) error) *operation {
	t.Helper()
	o := groups.New(work{run: run})
	if err := j.queue.write(o); err != nil {
		t.Fatal(err)
	}
	return o
}

func claiming(claim purchase.Claim, j *Journal) func(c *connection) error {
	return func(c *connection) error {
		_, err := c.claim(claim, []byte(`{"kind":"register","inventory_item_id":"i","metatag":"m"}`), j.began)
		return err
	}
}

func answer(t *testing.T, o *operation) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := o.Wait(ctx)
	if ctx.Err() != nil {
		t.Fatal("the writer does not answer")
	}
	return err
}

func exists(t *testing.T, j *Journal, id string) bool {
	t.Helper()
	_, err := j.Get(t.Context(), id)
	if err != nil && !errors.Is(err, purchase.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// TestAnswersFollowTheCommit: no operation is answered before its group is durable. That includes a claim whose
// key is taken by another claim of the group.
func TestAnswersFollowTheCommit(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	release := held(t, j)
	claim, same := newClaim(), newClaim()
	same.Key = claim.Key
	group := []*operation{
		enqueue(t, j, claiming(claim, j)),
		enqueue(t, j, claiming(same, j)),
		enqueue(t, j, func(*connection) error { return purchase.ErrStale }),
	}
	commits, answered, early := 0, 0, 0
	for _, o := range group { // no race: the writer is blocked
		o.Work.finished = func(bool) { answered++ }
	}
	commit := j.commit
	j.commit = func(c *connection) error {
		commits++
		early = answered
		return commit(c)
	}
	release()
	for _, o := range group {
		_ = answer(t, o)
	}
	inWriter(t, j, func(*connection) {
		if commits != 1 || early != 0 {
			t.Errorf("%d commits for one group, %d answers before it", commits, early)
		}
	})
}

// TestOneBadOperation: an operation that cannot be written fails alone, and nothing of it is kept.
func TestOneBadOperation(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	release := held(t, j)
	before, bad, behind := newClaim(), newClaim(), newClaim()
	good := enqueue(t, j, claiming(before, j))
	broken := enqueue(t, j, func(c *connection) error {
		if err := claiming(bad, j)(c); err != nil {
			return err
		}
		return c.exec("UPDATE purchase_open SET attempt = NULL WHERE id = ?", bad.ID)
	})
	alsoGood := enqueue(t, j, claiming(behind, j))
	release()
	if err := answer(t, broken); !errors.Is(err, purchase.ErrNotWritten) || !strings.Contains(err.Error(), "NOT NULL") {
		t.Errorf("the bad operation: err = %v", err)
	}
	for _, o := range []*operation{good, alsoGood} {
		if err := answer(t, o); err != nil {
			t.Errorf("another of its group: %v", err)
		}
	}
	if exists(t, j, bad.ID) || !exists(t, j, before.ID) || !exists(t, j, behind.ID) {
		t.Error("the stored purchases do not match the answers")
	}
	if _, _, err := purchase.Record(t.Context(), j, purchase.New(bad, time.Now()), sold(purchase.New(bad, time.Now()))); !errors.Is(err, purchase.ErrNotFound) {
		t.Errorf("an outcome for the rolled back claim: err = %v, want ErrNotFound", err)
	}
}

// TestFreezeOutlivesARollback: a group with a thaw is rolled back, and its operations are tried one by one. The claim before
// the thaw is refused again, although the connection has seen the thaw.
func TestFreezeOutlivesARollback(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	everything := purchase.FreezeTarget{Scope: purchase.FreezeAll}
	if _, err := j.Freeze(t.Context(), everything, purchase.AuditRecord{ID: "1"}); err != nil {
		t.Fatal(err)
	}
	release := held(t, j)
	before, after := newClaim(), newClaim()
	frozen := enqueue(t, j, claiming(before, j))
	thaw := enqueue(t, j, func(c *connection) error { return j.thaw(c, everything, purchase.AuditRecord{ID: "2"}) })
	good := enqueue(t, j, claiming(after, j))
	broken := enqueue(t, j, func(c *connection) error { return c.exec("UPDATE purchase SET caller = NULL") })
	release()
	if _, ok := errors.AsType[*purchase.FrozenError](answer(t, frozen)); !ok || exists(t, j, before.ID) {
		t.Errorf("the claim before the thaw is written: %t", exists(t, j, before.ID))
	}
	if err := errors.Join(answer(t, thaw), answer(t, good)); err != nil {
		t.Errorf("the thaw, and the claim after it: %v", err)
	}
	if err := answer(t, broken); err == nil {
		t.Error("the bad operation succeeded")
	}
}

// TestFailedCommit: after a failed commit, the error of every operation in the group leaves its outcome open.
// The writer opens the file again before it does anything else.
func TestFailedCommit(t *testing.T) {
	t.Parallel()
	for _, happened := range []bool{true, false} {
		t.Run(fmt.Sprintf("happened=%t", happened), func(t *testing.T) {
			t.Parallel()
			j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
			loseCommit(t, j, happened)
			release := held(t, j)
			first := j.conn
			claims := []purchase.Claim{newClaim(), newClaim(), newClaim()}
			var group []*operation
			for _, claim := range claims {
				group = append(group, enqueue(t, j, claiming(claim, j)))
			}
			release()
			for _, o := range group {
				if err := answer(t, o); !errors.Is(err, errLost) || errors.Is(err, purchase.ErrNotWritten) {
					t.Errorf("err = %v, want an error that leaves the outcome open", err)
				}
			}
			for _, claim := range claims {
				if exists(t, j, claim.ID) != happened {
					t.Errorf("%s: there = %t", claim.ID, !happened)
				}
			}
			inWriter(t, j, func(c *connection) {
				if c == first {
					t.Error("the connection whose commit failed is still in use")
				}
			})
		})
	}
}

func untilUsable(t *testing.T, j *Journal) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for j.Ping(ctx) != nil {
		select {
		case <-ctx.Done():
			t.Fatal("the journal does not recover")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestReadOnly: a write that fails before its commit is reported as not written.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	inWriter(t, j, func(c *connection) {
		if err := c.exec("PRAGMA query_only = ON"); err != nil {
			t.Error(err)
		}
	})
	claim := newClaim()
	if _, err := j.Claim(t.Context(), claim); !errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("claim: err = %v, want ErrNotWritten", err)
	}
	untilUsable(t, j)
	if exists(t, j, claim.ID) {
		t.Error("the claim is there")
	}
}

// TestQueueFull: a claim also reserves the place for its outcome. The queue refuses only claims.
func TestQueueFull(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{MaxOpen: 2})
	ctx := t.Context()
	first, second, third := newClaim(), newClaim(), newClaim()
	for _, claim := range []purchase.Claim{first, second} {
		if _, err := j.Claim(ctx, claim); err != nil {
			t.Fatal(err)
		}
	}
	refused := func() {
		t.Helper()
		_, err := j.Claim(ctx, third)
		if !errors.Is(err, purchase.ErrQueueFull) || !errors.Is(err, purchase.ErrNotWritten) {
			t.Fatalf("claim beyond the bound: err = %v", err)
		}
	}
	refused()
	if p, err := j.Claim(ctx, second); err != nil || p.ID != second.ID {
		t.Errorf("a claim that has its place, %s, again: %s, err = %v", second.ID, p.ID, err)
	}
	refused()

	p, err := j.Get(ctx, first.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := purchase.Record(ctx, j, p, sold(p)); err != nil {
		t.Errorf("an outcome is refused: %v", err)
	}
	loser := newClaim()
	loser.Key = first.Key
	for range 5 { // claims of a taken key give their place back
		if p, err := j.Claim(ctx, loser); err != nil || p.ID != first.ID {
			t.Errorf("a claim of the key of %s: %s, err = %v", first.ID, p.ID, err)
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := j.Claim(gone, newClaim()); err == nil { // so do claims whose caller has left
		t.Error("claimed for a caller who has left")
	}
	if _, err := j.Claim(ctx, third); err != nil {
		t.Errorf("with a place given back: %v", err)
	}
	fourth := newClaim()
	if _, err := j.Claim(ctx, fourth); !errors.Is(err, purchase.ErrQueueFull) {
		t.Errorf("with none: err = %v", err)
	}
}

// TestLeasesEndWithTheirProcess: after a process died, its purchases are taken over at the next start, without
// waiting for their leases.
func TestLeasesEndWithTheirProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path, Options{})
	sending, accepted := newClaim(), newClaim()
	for _, claim := range []purchase.Claim{sending, accepted} {
		if _, err := j.Claim(t.Context(), claim); err != nil {
			t.Fatal(err)
		}
	}
	transition := purchase.Transition{Event: purchase.AnsweredNoEffect, Attempt: 1, Lease: time.Hour, By: "gateway"}
	if _, _, err := purchase.Record(t.Context(), j, purchase.Purchase{ID: accepted.ID}, transition); err != nil {
		t.Fatal(err)
	}
	if lapsed, err := j.Lapsed(t.Context(), 100); err != nil || len(lapsed) != 0 {
		t.Fatalf("%d have lost their living owner, err = %v", len(lapsed), err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}

	j = open(t, path, Options{})
	lapsed, err := j.Lapsed(t.Context(), 100)
	if err != nil || len(lapsed) != 2 {
		t.Fatalf("%d have lapsed after the restart, err = %v", len(lapsed), err)
	}

	// Reopening the file within one process does not end leases: the owner still lives.
	living := newClaim()
	if _, err := j.Claim(t.Context(), living); err != nil {
		t.Fatal(err)
	}
	loseCommit(t, j, false)
	_ = j.Ping(t.Context())
	untilUsable(t, j)
	lapsed, err = j.Lapsed(t.Context(), 100)
	if err != nil || slices.ContainsFunc(lapsed, func(p purchase.Purchase) bool { return p.ID == living.ID }) {
		t.Errorf("a living owner's lease ended, err = %v", err)
	}
}

// TestCheckpoint: a commit is not followed by a checkpoint at once. The writer copies the WAL after many writes, after long
// ones, and when it is idle.
func TestCheckpoint(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	// behind returns how many pages the database file lacks after a group of writes.
	behind := func(writes int, write func(c *connection) error) int {
		pages := make(chan int, 1)
		count := groups.New(work{run: func(c *connection) error {
			behind, err := c.checkpoint("NOOP")
			pages <- behind
			return err
		}})
		release := held(t, j)
		commit := j.commit
		j.commit = func(c *connection) error {
			j.commit = commit
			return errors.Join(commit(c), j.queue.read(count)) // the writer runs count next
		}
		j.maxGroup = writes
		var group []*operation
		for range writes {
			group = append(group, enqueue(t, j, write))
		}
		release()
		for _, o := range append(group, count) {
			if err := answer(t, o); err != nil {
				t.Fatal(err)
			}
		}
		return <-pages
	}
	short := func(c *connection) error { return c.probe(j.began) }
	if behind(writesPerCheckpoint, short) > 0 {
		t.Error("a busy writer makes no checkpoint")
	}
	long := []byte(strings.Repeat("x", textPerCheckpoint))
	if behind(1, func(c *connection) error {
		_, err := c.change(insertSecret, "01", []byte("{}"), long)
		return err
	}) > 0 {
		t.Error("a long write is followed by no checkpoint")
	}
	if behind(1, short) == 0 {
		t.Error("a commit is followed by a checkpoint")
	}
	deadline := time.After(30 * time.Second)
	for behind := -1; behind != 0; {
		select {
		case <-deadline:
			t.Fatal("no checkpoint while idle")
		case <-time.After(2 * idleBeforeCheckpoint): // asking more often would keep the writer busy
		}
		inWriter(t, j, func(c *connection) {
			var err error
			if behind, err = c.checkpoint("NOOP"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLogIsSettledAtOpen: opening copies the WAL of a dead process into the database file and syncs it, before
// anybody reads.
func TestLogIsSettledAtOpen(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	claim := newClaim()
	if _, err := j.Claim(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	release := held(t, j)
	path := copyOf(t, j.path)
	release()
	c, err := connect(path)
	if err != nil {
		t.Fatal(err)
	}
	if log, err := os.Stat(path + "-wal"); err != nil || log.Size() != 0 {
		t.Errorf("the WAL has %d bytes, err = %v", log.Size(), err)
	}
	if _, err := c.row(selectByID, claim.ID); err != nil {
		t.Errorf("a purchase that was only in the WAL: %v", err)
	}
	if err := c.close(); err != nil {
		t.Error(err)
	}
}

// TestVirtualTime: simulations run the journal in a synctest bubble. The idle journal lets virtual time pass,
// and its goroutine ends before the bubble does.
func TestVirtualTime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	synctest.Test(t, func(t *testing.T) {
		j, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		claim := newClaim()
		p, err := j.Claim(t.Context(), claim)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		if p, _, err = purchase.Record(t.Context(), j, p, sold(p)); err != nil || p.SettledAt.Sub(p.ClaimedAt) != time.Hour {
			t.Errorf("settled %s after the claim, err = %v", p.SettledAt.Sub(p.ClaimedAt), err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
}
