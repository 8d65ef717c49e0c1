package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/postgres/postgrestest"
)

// soon is the longest time that a test waits.
const soon = 60 * time.Second

// eventually calls try until it succeeds.
func eventually(t *testing.T, try func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Error(err)
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// TestServerKilled: a server crashes under load. Every acknowledged purchase must be there, and no purchase
// that was reported as not written. In all other cases repeating the same claim must give the answer.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	url := server.URL + "&pool_max_conns=8"
	replicas := []*postgres.Journal{open(t, url, postgres.Options{}), open(t, url, postgres.Options{})}

	var (
		workers                  sync.WaitGroup
		stop                     = make(chan struct{})
		progress                 = make(chan struct{}, 1)
		mu                       sync.Mutex
		settled, never           []string
		refused, unknown, failed atomic.Int64
	)
	claimAndRecord := func(journal *postgres.Journal) {
		claim := newClaim()
		p, err := journal.Claim(t.Context(), claim)
		switch {
		case errors.Is(err, purchase.ErrNotWritten):
			refused.Add(1)
			mu.Lock()
			never = append(never, claim.ID)
			mu.Unlock()
			return
		case err != nil:
			unknown.Add(1)
			eventually(t, func(ctx context.Context) (err error) {
				p, err = journal.Claim(ctx, claim)
				return err
			})
		}
		if p.ID != claim.ID {
			t.Errorf("claim %s found %s", claim.ID, p.ID)
		}
		eventually(t, func(ctx context.Context) error {
			_, _, err := purchase.Record(ctx, journal, purchase.Purchase{ID: claim.ID}, applied(claim.ID))
			if err != nil {
				failed.Add(1)
			}
			return err
		})
		mu.Lock()
		settled = append(settled, claim.ID)
		mu.Unlock()
		select {
		case progress <- struct{}{}:
		default:
		}
	}
	for i := range 16 {
		workers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					claimAndRecord(replicas[i%2])
				}
			}
		})
	}
	for range 3 {
		for range 100 {
			<-progress
		}
		server.Kill()
		if err := replicas[0].Ping(t.Context()); err == nil {
			t.Error("a dead server can be written to")
		}
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		<-progress
	}
	close(stop)
	workers.Wait()

	t.Logf("%d settled; %d claims refused, %d unknown, %d records failed", len(settled), refused.Load(), unknown.Load(), failed.Load())
	if refused.Load()+unknown.Load()+failed.Load() == 0 {
		t.Error("no call failed although the server was killed")
	}
	for _, id := range settled {
		p, err := replicas[0].Get(t.Context(), id)
		if err != nil || p.State != purchase.Succeeded {
			t.Errorf("%s was settled, but it is %s, err = %v", id, p.State, err)
		}
		if entries, err := replicas[0].History(t.Context(), id); err != nil || len(entries) != 2 {
			t.Errorf("%s has %d entries, err = %v", id, len(entries), err)
		}
	}
	for _, id := range never {
		if _, err := replicas[0].Get(t.Context(), id); !errors.Is(err, purchase.ErrNotFound) {
			t.Errorf("%s was reported as not written, but Get returned err = %v", id, err)
		}
	}
}

// TestServerReadOnly: while the server is read-only, Ping says so and writes fail. When it accepts writes
// again, the journal uses it again.
func TestServerReadOnly(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	journal := open(t, server.URL, postgres.Options{})
	kept := newClaim()
	if _, err := journal.Claim(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	set := func(value string) {
		conn := connect(t, server)
		for _, sql := range []string{`ALTER SYSTEM SET default_transaction_read_only = ` + value, `SELECT pg_reload_conf()`} {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
	}

	set("on")
	eventually(t, func(ctx context.Context) error {
		if journal.Ping(ctx) == nil {
			return errors.New("a read-only server can be written to")
		}
		return nil
	})
	if err := journal.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("ping: err = %v", err)
	}
	if _, err := journal.Claim(t.Context(), newClaim()); !errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("claim: err = %v, want ErrNotWritten", err)
	}
	if _, _, err := purchase.Record(t.Context(), journal, purchase.Purchase{ID: kept.ID}, applied(kept.ID)); !errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("record: err = %v, want ErrNotWritten", err)
	}
	if p, err := journal.Lookup(t.Context(), kept.Key); err != nil || p.State != purchase.Sending {
		t.Errorf("lookup: %s, err = %v", p.State, err)
	}

	set("off")
	eventually(t, journal.Ping)
	claim := newClaim()
	if p, err := journal.Claim(t.Context(), claim); err != nil || p.ID != claim.ID {
		t.Errorf("claim %s: %s, err = %v", claim.ID, p.ID, err)
	}
}

// TestServerOutOfReach: calls fail with ErrNotWritten if the server cannot be reached, or if all connections of
// the pool are busy.
func TestServerOutOfReach(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	pool := newPooler(t, server.URL)
	journal := open(t, pool.url+"&pool_max_conns=1", postgres.Options{Schema: server.Schema(t)})
	_ = pool.listener.Close()
	pool.cut()
	// The outcome of the first claim is unknown, because the broken connection may have carried it. Later ones cannot
	// connect.
	_, _ = journal.Claim(t.Context(), newClaim())
	if _, err := journal.Claim(t.Context(), newClaim()); !errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("claim: err = %v, want ErrNotWritten", err)
	}
	if _, _, err := purchase.Record(t.Context(), journal, purchase.Purchase{ID: "01"}, applied("01")); !errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("record: err = %v, want ErrNotWritten", err)
	}

	schema := server.Schema(t)
	journal = open(t, server.URL+"&pool_max_conns=1", postgres.Options{Schema: schema})
	blocker := connect(t, server)
	if _, err := blocker.Exec(t.Context(), `BEGIN; LOCK TABLE `+schema+`.purchase`); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := journal.Claim(t.Context(), newClaim())
		waiting <- err
	}()
	eventually(t, func(ctx context.Context) error {
		var locked bool
		err := blocker.QueryRow(ctx, `
SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = ($1::text || '.purchase')::regclass)`, schema).Scan(&locked)
		if err == nil && !locked {
			err = errors.New("the claim does not wait for the lock yet")
		}
		return err
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := journal.Claim(ctx, newClaim()); !errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("claim without a connection: err = %v, want ErrNotWritten", err)
	}
	if _, err := blocker.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Errorf("the claim that waited: %v", err)
	}
}

// TestServerRefused: Open refuses a server that could lose commits or has unsuitable settings, and the error
// names the setting.
func TestServerRefused(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	refused := func(t *testing.T, serverURL, want string) {
		t.Helper()
		journal, err := postgres.Open(t.Context(), serverURL, postgres.Options{Schema: server.Schema(t)})
		if err == nil {
			_ = journal.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q", err, want)
		}
	}
	for _, c := range []struct{ setting, want string }{
		{"synchronous_commit=off", "synchronous_commit = off"},
		{"synchronous_commit=local", "synchronous_commit = local"},
		{"client_min_messages=error", "client_min_messages = error"},
		{"default_transaction_isolation=serializable", "read committed"},
		{"default_transaction_read_only=on", "read-only"},
		{"default_query_exec_mode=exec", "has to be cache_describe or cache_statement"},
		{"default_query_exec_mode=simple_protocol", "has to be cache_describe or cache_statement"},
	} {
		refused(t, server.URL+"&"+c.setting, c.want)
	}
	t.Run("fsync off", func(t *testing.T) {
		t.Parallel()
		refused(t, postgrestest.New(t, "-c", "fsync=off").URL, "fsync = off")
	})
	t.Run("replica", func(t *testing.T) {
		t.Parallel()
		standby := postgrestest.New(t)
		execute(t, standby, `
DO $$ BEGIN EXECUTE format('COPY (SELECT) TO %L', current_setting('data_directory') || '/standby.signal'); END $$`)
		standby.Kill()
		if err := standby.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		refused(t, standby.URL, "standby mode")
	})
}

// TestPasswordIsNotTold: no error contains the URL's password.
func TestPasswordIsNotTold(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	for _, serverURL := range []string{
		"postgres://gigagate:hunter2@127.0.0.1:1/postgres?sslmode=disable",
		"postgres://gigagate:hunter2@127.0.0.1:1/postgres?sslmode=never",
		"host=127.0.0.1 port=nine password=hunter2",
		"postgres://gigagate:x@hunter2@127.0.0.1/postgres",
		"postgres://gigagate:x/hunter2@127.0.0.1/postgres",
		"postgres://gigagate:12/hunter2@127.0.0.1/postgres",
		"postgres://localhost:1/hunter2@127.0.0.1/postgres",
		"postgres://gigagate:x?hunter2@127.0.0.1/postgres",
		"postgres://gigagate:x#hunter2@127.0.0.1/postgres",
		"postgres://gigagate:%hunter2@127.0.0.1/postgres",
		"postgres://gigagate:x hunter2@127.0.0.1/postgres",
		"postgres://gigagate:x@hunter2.invalid/postgres",
		"postgres://gigagate%3Ahunter2@127.0.0.1:1/postgres",
		"postgres://127.0.0.1:1/gigagate:hunter2",
		server.URL + "&password=x&hunter2",
		server.URL + "&password=x&hunter2=",
		server.URL + "&password=x&synchronous_commit=hunter2",
	} {
		if _, err := postgres.Open(t.Context(), serverURL, postgres.Options{}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("err = %v", err)
		}
	}
}

// TestReplicaGone: a primary that waits for a missing replica has committed locally but does not answer. The
// journal must report neither success nor ErrNotWritten, and Ping must fail.
func TestReplicaGone(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	journal := open(t, server.URL, postgres.Options{})
	reload := func(sql string) {
		conn := connect(t, server)
		for _, sql := range []string{sql, `SELECT pg_reload_conf()`} {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	const patience = 300 * time.Millisecond
	reload(`ALTER SYSTEM SET synchronous_standby_names = 'gone'`)
	eventually(t, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if journal.Ping(ctx) == nil {
			return errors.New("a server whose commits hang can be written to")
		}
		return nil
	})
	claim := newClaim()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := journal.Claim(ctx, claim); err == nil || errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("claim: err = %v", err)
	}
	reload(`ALTER SYSTEM RESET synchronous_standby_names`)
	eventually(t, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		p, err := journal.Claim(ctx, claim)
		if err == nil && p.ID != claim.ID {
			t.Errorf("claim %s found %s", claim.ID, p.ID)
		}
		return err
	})
	if err := journal.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestWaitForStandbyCancelled: an operator cancels what waits for a missing standby. Then the server reports a success,
// with a warning that the commit may not have been replicated. The journal must not take that for a success. A second try
// that finds the change of the first one must not take it for a success either, until the standby is back.
func TestWaitForStandbyCancelled(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	journal := open(t, server.URL, postgres.Options{})
	sold, accepted, claim := claimNew(t, journal), claimNew(t, journal), newClaim()
	noEffect := purchase.Transition{Event: purchase.AnsweredNoEffect, Attempt: 1, By: purchase.ByGateway}
	if _, _, err := purchase.Record(t.Context(), journal, accepted, noEffect); err != nil {
		t.Fatal(err)
	}
	reader := openReader(t, server.URL+"&default_transaction_read_only=on", "gigagate")
	execute(t, server, `ALTER SYSTEM SET synchronous_standby_names = 'gone'`)
	execute(t, server, `SELECT pg_reload_conf()`)
	operator := connect(t, server)
	settle := func() error {
		_, _, err := purchase.Record(t.Context(), journal, sold, applied(sold.ID))
		return err
	}
	freezes := 0
	freeze := func() error {
		freezes++
		_, err := journal.Freeze(t.Context(), purchase.FreezeTarget{Scope: purchase.FreezeItem, Name: "item"}, purchase.AuditRecord{ID: fmt.Sprint(freezes)})
		return err
	}
	for _, try := range []struct {
		what  string
		write func() error
	}{
		{"a claim", func() error { _, err := journal.Claim(t.Context(), claim); return err }},
		{"ping", func() error { return journal.Ping(t.Context()) }},
		{"an outcome", settle},
		{"the same outcome again", settle},
		{"a freeze", freeze},
		{"the same freeze again", freeze},
		{"the doubt about a restored purchase", func() error { return reader.AllowStart(t.Context(), "") }},
	} {
		done := make(chan error, 1)
		go func() { done <- try.write() }()
		eventually(t, func(ctx context.Context) error {
			var cancelled bool
			err := operator.QueryRow(ctx, `SELECT coalesce(bool_or(pg_cancel_backend(pid)), false)
				FROM pg_stat_activity WHERE wait_event = 'SyncRep'`).Scan(&cancelled)
			if err == nil && !cancelled && len(done) == 0 {
				err = errors.New("nothing waits for the standby")
			}
			return err
		})
		if err := <-done; err == nil || errors.Is(err, purchase.ErrNotWritten) {
			t.Errorf("%s: err = %v, want one that promises nothing", try.what, err)
		}
	}
	if p, err := journal.Get(t.Context(), sold.ID); err != nil || p.State != purchase.Succeeded {
		t.Errorf("the first try is not on the primary: %s, err = %v", p.State, err)
	}
	execute(t, server, `ALTER SYSTEM RESET synchronous_standby_names`)
	execute(t, server, `SELECT pg_reload_conf()`)
	eventually(t, func(context.Context) error { return settle() })
}
