package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/journaltest"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/postgres/postgrestest"
)

func openReader(t *testing.T, url, schema string) *postgres.Reader {
	t.Helper()
	reader, err := postgres.OpenReader(t.Context(), url, postgres.Options{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
	})
	return reader
}

// TestCheckFinds: the check finds each broken rule, while a gateway uses the journal.
func TestCheckFinds(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	for _, test := range []struct{ statements, want string }{
		{"SELECT 1", ""},
		{"DELETE FROM gigagate.purchase_open WHERE id = 'open'", "open: it has to be either open or settled"},
		{"INSERT INTO gigagate.purchase_open SELECT 'done', state, reason, attempt, revision, permitted_at, send_not_after, lease_until, success_seen, anomalies, updated_at, personal FROM gigagate.purchase_open LIMIT 1", "done: it has to be either open or settled"},
		{"ALTER TABLE gigagate.purchase DISABLE TRIGGER USER; DELETE FROM gigagate.purchase WHERE id = 'open'", "open: it is open, but has no claim"},
		{"ALTER TABLE gigagate.purchase DISABLE TRIGGER USER; DELETE FROM gigagate.purchase WHERE id = 'done'", "done: it is settled, but has no claim"},
		{"INSERT INTO gigagate.purchase_event VALUES ('none', 2, now(), 'LOST', 1, 'MOVES', 'UNCERTAIN', false, 0, NULL, NULL, '{}', 'gateway')", "none: it has an event, but no claim"},
		{"INSERT INTO gigagate.purchase_secret VALUES ('open', '{}', NULL)", "open: only a settled purchase has secrets"},
		{"UPDATE gigagate.purchase_secret SET sale = NULL", "done: only a settled purchase has secrets"},
		{"UPDATE gigagate.purchase SET account = 'other' WHERE id = 'done'", "done: its claim and its outcome name different accounts"},
		{"UPDATE gigagate.purchase SET order_json = '{\"later\":1}' WHERE id = 'open'", "open: the stored order was written by a later version"},
		{"UPDATE gigagate.purchase_open SET revision = 2", "at revision 2, but its history leads to SENDING"},
		{"UPDATE gigagate.purchase_open SET state = 'UNCERTAIN'", "it is UNCERTAIN"},
		{"INSERT INTO gigagate.purchase_event VALUES ('open', 3, now(), 'LOST', 1, 'MOVES', 'UNCERTAIN', false, 0, NULL, NULL, '{}', 'gateway')", "entry 2 of the history is missing"},
		{"ALTER TABLE gigagate.purchase_outcome DISABLE TRIGGER USER; UPDATE gigagate.purchase_outcome SET item_uid = 'other'", "or to another package"},
		{"ALTER TABLE gigagate.purchase_outcome DISABLE TRIGGER USER; UPDATE gigagate.purchase_outcome SET charge = NULL", "done: it was sold on a budget, but not charged"},
		{"UPDATE gigagate.budget_total SET spent = spent + 1 WHERE period = 'total'", " EUR total: the total of the budget"},
		{"UPDATE gigagate.budget_total SET reserved = reserved - 1 WHERE length(period) = 7", " EUR 20"},
		{"DELETE FROM gigagate.budget_total WHERE length(period) = 10", " EUR 20"},
	} {
		schema := server.Schema(t)
		j := open(t, server.URL, postgres.Options{Schema: schema})
		var ids []string
		for range 2 {
			claim := newClaim()
			claim.Budget, claim.Amount = &purchase.Budget{Currency: "EUR"}, 4_200_000
			p, err := j.Claim(t.Context(), claim)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, p.ID)
		}
		if _, _, err := purchase.Record(t.Context(), j, purchase.Purchase{ID: ids[1]}, applied(ids[1])); err != nil {
			t.Fatal(err)
		}
		sql := strings.NewReplacer("'open'", "'"+ids[0]+"'", "'done'", "'"+ids[1]+"'", "gigagate.", schema+".").Replace(test.statements)
		execute(t, server, sql, pgx.QueryExecModeSimpleProtocol)
		reader := openReader(t, server.URL, schema)
		n, problems, err := reader.Check(t.Context())
		got := strings.NewReplacer(ids[0], "open", ids[1], "done").Replace(strings.Join(problems, "; "))
		if err != nil || !strings.Contains(got, test.want) || test.want == "" && (got != "" || n != 2) {
			t.Errorf("%s: %d purchases, %q, %v; want %q", test.statements, n, got, err, test.want)
		}
		if test.want != "" {
			continue
		}
		for uid, want := range map[string]bool{applied(ids[1]).ItemUID: true, "item-other": false, "\x00": false} {
			if has, err := reader.HasItem(t.Context(), uid); has != want || err != nil {
				t.Errorf("%q: %t, %v", uid, has, err)
			}
		}
	}
	if _, err := postgres.OpenReader(t.Context(), server.URL, postgres.Options{Schema: "none"}); err == nil || !strings.Contains(err.Error(), "has no journal") {
		t.Errorf("without a journal: %v", err)
	}
}

// TestRestoredJournal: what may have been sent since the backup becomes uncertain, but only while no gateway can start.
func TestRestoredJournal(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	schema := server.Schema(t)
	j := open(t, server.URL, postgres.Options{Schema: schema})
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
	states := func(want ...purchase.State) {
		t.Helper()
		for i, id := range ids {
			if p, err := j.Get(t.Context(), id); err != nil || p.State != want[i] {
				t.Errorf("%s is %s, %v; want %s", id, p.State, err, want[i])
			}
		}
	}
	if err := openReader(t, server.URL, schema).AllowStart(t.Context(), ""); !errors.Is(err, postgres.ErrWritable) {
		t.Errorf("a server that gateways may use: err = %v", err)
	}
	states(purchase.Accepted, purchase.Uncertain, purchase.Sending)
	readOnly := server.URL + "&default_transaction_read_only=on"
	if _, err := postgres.Open(t.Context(), readOnly, postgres.Options{Schema: schema}); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a gateway on a read-only server: err = %v", err)
	}
	reader := openReader(t, readOnly, schema)
	if err := reader.AllowStart(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	states(purchase.Uncertain, purchase.Uncertain, purchase.Sending)
	if n, problems, err := reader.Check(t.Context()); n != 3 || err != nil || len(problems) > 0 {
		t.Errorf("afterwards: %d purchases, %q, %v", n, problems, err)
	}
}

// TestLoad: loaded purchases are what the journal itself writes, and the tables have all their indexes. There are enough for
// several copies, and for several pages of a check.
func TestLoad(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	schema := server.Schema(t)
	open(t, server.URL, postgres.Options{Schema: schema})
	indexes := func() []string {
		t.Helper()
		rows, _ := connect(t, server).Query(t.Context(), `SELECT indexdef FROM pg_indexes WHERE schemaname = $1 ORDER BY 1`, schema)
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	const n = 12_345
	load := func() error {
		return postgrestest.Load(t.Context(), server.URL, schema, func(yield func(journaltest.Sale) bool) {
			for i := range n {
				c := newClaim()
				c.ID = fmt.Sprintf("%026d", i)
				if !yield(journaltest.Sale{Claim: c, At: time.Now(), Settled: applied(c.ID)}) {
					return
				}
			}
		}, func(int) {})
	}
	before := indexes()
	if err := load(); err != nil {
		t.Fatal(err)
	}
	if after := indexes(); !slices.Equal(after, before) || len(before) < 10 {
		t.Errorf("the indexes are %q; want %q", after, before)
	}
	if got, problems, err := openReader(t, server.URL, schema).Check(t.Context()); got != n || err != nil || len(problems) > 0 {
		t.Errorf("%d purchases, %q, %v", got, problems, err)
	}
	if err := load(); !errors.Is(err, journaltest.ErrNotEmpty) {
		t.Errorf("a journal with purchases: err = %v", err)
	}
}
