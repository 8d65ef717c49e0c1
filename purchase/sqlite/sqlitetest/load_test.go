package sqlitetest_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/journaltest"
	journal "gigagate.internal/purchase/sqlite"
	"gigagate.internal/purchase/sqlite/sqlitetest"
)

// After Load the journal is complete: it has all indexes and no contradiction.
func TestLoad(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "loaded.db")
	j, err := journal.Open(t.Context(), file, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	const n = 1_234
	load := func() error {
		return sqlitetest.Load(t.Context(), file, func(yield func(journaltest.Sale) bool) {
			for i := range n {
				id := fmt.Sprintf("%026d", i)
				claim := purchase.Claim{
					ID: id, Key: purchase.Key{Caller: "default", RequestID: id}, Account: "account",
					Order:      purchase.Order{Kind: purchase.Register, InventoryItemID: "item"},
					Personal:   purchase.Personal{}.Encode(),
					PermitLife: time.Minute, Lease: time.Minute,
				}
				settled := purchase.Transition{
					Event: purchase.AnsweredApplied, Attempt: 1, By: purchase.ByGateway, SuccessSeen: true,
					ItemUID: "item-" + id, CustomerUID: "customer-" + id, Sale: []byte("{}"),
				}
				if !yield(journaltest.Sale{Claim: claim, At: time.Now(), Settled: settled}) {
					return
				}
			}
		}, func(int) {})
	}
	before := indexes(t, file)
	if err := load(); err != nil {
		t.Fatal(err)
	}
	if after := indexes(t, file); !slices.Equal(after, before) || len(before) < 8 {
		t.Errorf("the indexes are %q; want %q", after, before)
	}
	f, err := journal.OpenFile(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	if got, problems, err := f.Check(t.Context()); got != n || err != nil || len(problems) > 0 {
		t.Errorf("%d purchases, %q, %v", got, problems, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := load(); !errors.Is(err, journaltest.ErrNotEmpty) {
		t.Errorf("a journal with purchases: err = %v", err)
	}
}

func indexes(t *testing.T, file string) (all []string) {
	t.Helper()
	conn, err := sqlite.OpenConn(file, sqlite.OpenReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	err = sqlitex.ExecuteTransient(conn, "SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name", &sqlitex.ExecOptions{
		ResultFunc: func(row *sqlite.Stmt) error { all = append(all, row.ColumnText(0)); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
