package postgres

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/internal/groups"
	"gigagate.internal/purchase/postgres/postgrestest"
)

func claiming(id, order string) *change {
	return &change{key: id, values: []any{id, "shop", id, "account-1", nil, order, 10 * time.Second, time.Hour, "{}"}}
}

// TestOneBadChange: a change that the server refuses fails alone, and the others of its group are written.
func TestOneBadChange(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	journal, err := Open(t.Context(), server.URL, Options{Schema: server.Schema(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = journal.Close() })
	conn, err := journal.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	const order = `{"kind":"register"}`
	before, bad, behind := groups.New(claiming("1", order)), groups.New(claiming("2", "no JSON")), groups.New(claiming("3", order))
	journal.writeGroup(conn.Conn(), []*operation{before, bad, behind})
	if _, err := bad.Wait(t.Context()); !errors.Is(err, purchase.ErrNotWritten) {
		t.Errorf("the bad change: err = %v, want ErrNotWritten", err)
	}
	for _, o := range []*operation{before, behind} {
		if _, err := o.Wait(t.Context()); err != nil || o.Work.result != written {
			t.Errorf("another of its group: %q, err = %v", o.Work.result, err)
		}
	}
	for id, want := range map[string]error{"1": nil, "2": purchase.ErrNotFound, "3": nil} {
		if _, err := journal.Get(t.Context(), id); !errors.Is(err, want) {
			t.Errorf("purchase %s: err = %v, want %v", id, err, want)
		}
	}
}

// TestGroupsLockInOneOrder: two groups of the same purchases lock them in the same order, so they cannot deadlock.
func TestGroupsLockInOneOrder(t *testing.T) {
	t.Parallel()
	batch := &pgx.Batch{}
	(&Journal{}).enqueue(batch, "", []*change{claiming("3", ""), claiming("1", ""), claiming("2", "")})
	if ids := batch.QueuedQueries[0].Arguments[1].([]any); !slices.Equal(ids, []any{"1", "2", "3"}) {
		t.Errorf("the ids are sent as %v", ids)
	}
}
