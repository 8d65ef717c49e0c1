package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/postgres/postgrestest"
)

// group is a number of calls that a journal writes in one transaction.
type group struct {
	t       *testing.T
	journal *postgres.Journal
	release func()
	calls   sync.WaitGroup
}

// newGroup holds a journal that has one connection.
func newGroup(t *testing.T, journal *postgres.Journal) *group {
	t.Helper()
	return &group{t: t, journal: journal, release: journal.Hold(t)}
}

// result is the result of a call. It may be read after the group was written, or after done is closed.
type result struct {
	p    purchase.Purchase
	err  error
	done chan struct{}
}

// add makes a call that waits in the queue, behind those that were added before.
func (g *group) add(call func() (purchase.Purchase, error)) *result {
	g.t.Helper()
	r, before := &result{done: make(chan struct{})}, g.journal.Waiting()
	g.calls.Go(func() {
		r.p, r.err = call()
		close(r.done)
	})
	eventually(g.t, func(context.Context) error {
		select {
		case <-r.done:
			g.t.Errorf("the call does not wait in the queue: err = %v", r.err)
			return nil
		default:
		}
		if g.journal.Waiting() == before {
			return errors.New("the call does not wait in the queue yet")
		}
		return nil
	})
	return r
}

func (g *group) claim(c purchase.Claim) *result {
	g.t.Helper()
	return g.add(func() (purchase.Purchase, error) { return g.journal.Claim(g.t.Context(), c) })
}

func (g *group) write(p purchase.Purchase, transition purchase.Transition) *result {
	g.t.Helper()
	step, err := purchase.Decide(p, transition)
	if err != nil {
		g.t.Fatal(err)
	}
	return g.add(func() (purchase.Purchase, error) { return g.journal.Write(g.t.Context(), step) })
}

// commit lets the journal write the group.
func (g *group) commit() {
	g.release()
	g.calls.Wait()
}

func claimNew(t *testing.T, journal purchase.Journal) purchase.Purchase {
	t.Helper()
	p, err := journal.Claim(t.Context(), newClaim())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// isOnDisk checks that the journal has a purchase as a call returned it.
func (r *result) isOnDisk(t *testing.T, name string, journal purchase.Journal, want purchase.State) {
	t.Helper()
	if r.err != nil || r.p.State != want {
		t.Errorf("%s: %s, err = %v, want %s", name, r.p.State, r.err, want)
		return
	}
	if read, err := journal.Get(t.Context(), r.p.ID); err != nil || read != r.p {
		t.Errorf("%s: read %+v, written %+v, err = %v", name, read, r.p, err)
	}
}

// TestGroup: each change of a group gets its own result, and a bad one fails alone. A group without a bad one is one
// transaction.
func TestGroup(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	for _, withBad := range []bool{false, true} {
		t.Run(fmt.Sprintf("bad %t", withBad), func(t *testing.T) {
			t.Parallel()
			journal := open(t, server.URL+"&pool_max_conns=1", postgres.Options{Schema: server.Schema(t)})
			sold, moved, taken, stale, bad := claimNew(t, journal), claimNew(t, journal), claimNew(t, journal), claimNew(t, journal), claimNew(t, journal)
			g := newGroup(t, journal)
			first, second := newClaim(), newClaim()
			second.Key = first.Key
			claimed, others := g.claim(first), g.claim(second)
			byTwo := applied(sold.ID)
			settled := g.write(sold, byTwo)
			itemTaken := g.write(taken, byTwo)
			accepted := g.write(moved, purchase.Transition{Event: purchase.AnsweredNoEffect, Attempt: 1, By: "gateway", Lease: time.Hour})
			old := stale
			old.Revision = 7
			outdated := g.write(old, applied(stale.ID))
			refused := &result{err: purchase.ErrNotWritten}
			if withBad {
				unstorable := applied(bad.ID)
				unstorable.CustomerUID = "a\x00b"
				refused = g.write(bad, unstorable)
			}
			g.commit()

			claimed.isOnDisk(t, "a claim", journal, purchase.Sending)
			if others.err != nil || others.p.ID != first.ID {
				t.Errorf("a claim of the same key: %s, err = %v, want %s", others.p.ID, others.err, first.ID)
			}
			settled.isOnDisk(t, "a sale", journal, purchase.Succeeded)
			accepted.isOnDisk(t, "another step", journal, purchase.Accepted)
			if !errors.Is(itemTaken.err, purchase.ErrItemTaken) {
				t.Errorf("a package that another purchase of the group has: err = %v", itemTaken.err)
			}
			if !errors.Is(outdated.err, purchase.ErrStale) {
				t.Errorf("a step of another revision: err = %v", outdated.err)
			}
			if !errors.Is(refused.err, purchase.ErrNotWritten) {
				t.Errorf("a bad step: err = %v, want ErrNotWritten", refused.err)
			}
			for _, p := range []purchase.Purchase{taken, stale, bad} {
				if read, err := journal.Get(t.Context(), p.ID); err != nil || read != p {
					t.Errorf("a purchase whose step was refused: read %+v, want %+v, err = %v", read, p, err)
				}
			}
			if together := settled.p.SettledAt.Equal(claimed.p.ClaimedAt); together == withBad {
				t.Errorf("claimed at %s, settled at %s, with a bad change: %t", claimed.p.ClaimedAt, settled.p.SettledAt, withBad)
			}
		})
	}
}

// TestGroupInDoubt: if it is unknown whether the commit of a group happened, no call of it is told that nothing was
// written. Doing the same again shows what became of it.
func TestGroupInDoubt(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	for name, end := range map[string]struct {
		written bool
		make    func(t *testing.T, pool *pooler, schema string)
	}{
		"the answer is lost":        {true, func(_ *testing.T, pool *pooler, _ string) { pool.lose(answerLost) }},
		"the end is lost":           {true, func(_ *testing.T, pool *pooler, _ string) { pool.lose(readyLost) }},
		"the answer never comes":    {true, func(_ *testing.T, pool *pooler, _ string) { pool.lose(answerHeld) }},
		"the statements are lost":   {false, func(_ *testing.T, pool *pooler, _ string) { pool.lose(statementLost) }},
		"the server's process dies": {false, killWriter},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema := server.Schema(t)
			pool := newPooler(t, server.URL)
			journal := open(t, pool.url+"&pool_max_conns=1", postgres.Options{Schema: schema})
			journal.SetLimits(100, time.Second)
			p := claimNew(t, journal)
			g := newGroup(t, journal)
			claims := []purchase.Claim{newClaim(), newClaim()}
			results := []*result{g.claim(claims[0]), g.claim(claims[1]), g.write(p, applied(p.ID))}
			end.make(t, pool, schema)
			g.commit()
			for _, r := range results {
				if r.err == nil || errors.Is(r.err, purchase.ErrNotWritten) {
					t.Errorf("err = %v, want one that is not ErrNotWritten", r.err)
				}
			}
			for _, claim := range claims {
				_, err := journal.Get(t.Context(), claim.ID)
				if written := err == nil; written != end.written || err != nil && !errors.Is(err, purchase.ErrNotFound) {
					t.Errorf("written = %t, want %t, err = %v", written, end.written, err)
				}
				if again, err := journal.Claim(t.Context(), claim); err != nil || again.ID != claim.ID || again.State != purchase.Sending {
					t.Errorf("claiming again: %+v, err = %v", again, err)
				}
			}
			if p, _, err := purchase.Record(t.Context(), journal, p, applied(p.ID)); err != nil || p.State != purchase.Succeeded {
				t.Errorf("recording again: %+v, err = %v", p, err)
			}
			if entries, err := journal.History(t.Context(), p.ID); err != nil || len(entries) != 2 {
				t.Errorf("%d entries, want 2, err = %v", len(entries), err)
			}
		})
	}
}

// killWriter ends the server's process of the group in the middle: it waits for a lock.
func killWriter(t *testing.T, _ *pooler, schema string) {
	t.Helper()
	server := postgrestest.Shared(t)
	locker := connect(t, server)
	if _, err := locker.Exec(t.Context(), `BEGIN; LOCK TABLE `+schema+`.purchase_outcome`); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		eventually(t, func(ctx context.Context) error {
			killed, err := locker.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_locks
				WHERE NOT granted AND relation = ($1::text || '.purchase_outcome')::regclass`, schema)
			if err == nil && killed.RowsAffected() == 0 {
				err = errors.New("the group does not wait for the lock yet")
			}
			return err
		})
		_, _ = locker.Exec(t.Context(), `ROLLBACK`)
	}()
}

// TestGroupsOfTheSamePurchases: two replicas write the same purchases at the same time, and their calls came in opposite
// orders. They never wait for each other for ever. Each key is claimed once, and one of two steps is written.
func TestGroupsOfTheSamePurchases(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t, "-c", "deadlock_timeout=10ms")
	replicas := make([]*postgres.Journal, 2)
	for i := range replicas {
		replicas[i] = open(t, server.URL+"&pool_max_conns=1&application_name=gigagate", postgres.Options{})
	}
	const size = 5
	var claims []purchase.Claim
	var owned []purchase.Purchase
	for range size {
		claims, owned = append(claims, newClaim()), append(owned, claimNew(t, replicas[0]))
	}
	// play holds a group of each replica in its middle, by a lock of another session, until both wait.
	play := func(lock, arg string, call func(g *group, i int) *result) (results [2][size]*result) {
		var both sync.WaitGroup
		locker := connect(t, server)
		if _, err := locker.Exec(t.Context(), `BEGIN`); err != nil {
			t.Fatal(err)
		}
		if _, err := locker.Exec(t.Context(), lock, arg); err != nil {
			t.Fatal(err)
		}
		for k, journal := range replicas {
			g := newGroup(t, journal)
			for i := range size {
				if k == 1 {
					i = size - 1 - i
				}
				results[k][i] = call(g, i)
			}
			both.Go(g.commit)
		}
		eventually(t, func(ctx context.Context) error {
			var waiting int
			err := locker.QueryRow(ctx, `SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted`).Scan(&waiting)
			if err == nil && waiting < 2 {
				err = fmt.Errorf("%d groups wait", waiting)
			}
			return err
		})
		if _, err := locker.Exec(t.Context(), `ROLLBACK`); err != nil {
			t.Error(err)
		}
		both.Wait()
		return results
	}

	middle := claims[size/2]
	claimed := play(`INSERT INTO gigagate.purchase VALUES ('other', 'shop', $1, '', NULL, now(), '{}')`, middle.Key.RequestID,
		func(g *group, i int) *result {
			claim := claims[i]
			if g.journal == replicas[1] {
				claim.ID = newClaim().ID
			}
			return g.claim(claim)
		})
	written := play(`SELECT FROM gigagate.purchase_open WHERE id = $1 FOR UPDATE`, owned[size/2].ID,
		func(g *group, i int) *result { return g.write(owned[i], applied(owned[i].ID)) })
	for i := range size {
		if a, b := claimed[0][i], claimed[1][i]; a.err != nil || b.err != nil || a.p != b.p {
			t.Errorf("claims of one key: %+v and %+v", a, b)
		}
		if a, b := written[0][i].err, written[1][i].err; (a == nil) == (b == nil) || !errors.Is(errors.Join(a, b), purchase.ErrStale) {
			t.Errorf("steps of one revision: err = %v and %v, want one ErrStale", a, b)
		}
	}
	hasNoDeadlocks(t, server, replicas)
}

// hasNoDeadlocks closes the journals and checks that the server has seen no deadlock.
func hasNoDeadlocks(t *testing.T, server *postgrestest.Server, journals []*postgres.Journal) {
	t.Helper()
	for _, journal := range journals {
		_ = journal.Close() // the server's processes report their deadlocks at their end
	}
	conn := connect(t, server)
	eventually(t, func(ctx context.Context) error {
		var others, deadlocks int
		err := conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gigagate'), deadlocks
			FROM pg_stat_database WHERE datname = current_database()`).Scan(&others, &deadlocks)
		if err == nil && others > 0 {
			err = errors.New("the journals are still connected")
		}
		if err == nil && deadlocks > 0 {
			t.Errorf("%d deadlocks", deadlocks)
		}
		return err
	})
}

// TestLockedRow: a row that another session has locked holds up its group for a short time, and then fails alone. A claim
// of the group does not wait for it twice.
func TestLockedRow(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	schema := server.Schema(t)
	journal := open(t, server.URL+"&pool_max_conns=1", postgres.Options{Schema: schema})
	locked, free := claimNew(t, journal), claimNew(t, journal)
	locker := connect(t, server)
	if _, err := locker.Exec(t.Context(), `BEGIN`); err != nil {
		t.Fatal(err)
	}
	if _, err := locker.Exec(t.Context(), `SELECT FROM `+schema+`.purchase_open WHERE id = $1 FOR UPDATE`, locked.ID); err != nil {
		t.Fatal(err)
	}
	g := newGroup(t, journal)
	waits, written, claimed := g.write(locked, applied(locked.ID)), g.write(free, applied(free.ID)), g.claim(newClaim())
	g.release()
	<-claimed.done
	select {
	case <-waits.done:
		t.Error("a claim waited for the locked row")
	default:
	}
	g.calls.Wait()
	if !errors.Is(waits.err, purchase.ErrNotWritten) {
		t.Errorf("the step of a locked purchase: err = %v, want ErrNotWritten", waits.err)
	}
	written.isOnDisk(t, "another step", journal, purchase.Succeeded)
	claimed.isOnDisk(t, "a claim", journal, purchase.Sending)
}

// TestQueueFull: a full queue refuses claims, and no steps. Who leaves gives up the place.
func TestQueueFull(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	journal := open(t, server.URL+"&pool_max_conns=1", postgres.Options{Schema: server.Schema(t)})
	journal.SetLimits(2, time.Minute)
	p := claimNew(t, journal)
	g := newGroup(t, journal)
	ctx, leave := context.WithCancel(t.Context())
	first, gone := g.claim(newClaim()), newClaim()
	left := g.add(func() (purchase.Purchase, error) { return journal.Claim(ctx, gone) })
	if _, err := journal.Claim(t.Context(), newClaim()); !errors.Is(err, purchase.ErrQueueFull) || !errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("a claim beyond the limit: err = %v", err)
	}
	settled := g.write(p, applied(p.ID))
	leave()
	<-left.done
	g.commit()
	if !errors.Is(left.err, purchase.ErrNotWritten) {
		t.Errorf("a claim whose caller left: err = %v, want ErrNotWritten", left.err)
	}
	if _, err := journal.Get(t.Context(), gone.ID); !errors.Is(err, purchase.ErrNotFound) {
		t.Errorf("a claim whose caller left was written: err = %v", err)
	}
	first.isOnDisk(t, "a claim", journal, purchase.Sending)
	settled.isOnDisk(t, "a step beside a full queue", journal, purchase.Succeeded)
}
