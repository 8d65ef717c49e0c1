package postgres

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"gigagate.internal/purchase"
)

// TestSearchReadsNoMoreThanItMust: a search that finds nothing has looked at as many purchases as a page examines. It has not
// read a table that it could do without, because every table more takes the time of so many look-ups.
//
//nolint:paralleltest // another test that analyzes the database at the same time would wait for the locks of this one
func TestSearchReadsNoMoreThanItMust(t *testing.T) {
	conn, schema := filled(t, 20_000)
	sold, failed := []purchase.State{purchase.Succeeded}, []purchase.State{purchase.Failed}
	for _, c := range []struct {
		name   string
		filter purchase.Filter
		setup  string
		unread []string
	}{
		{"metatag", purchase.Filter{Metatag: "unknown"}, "", []string{"purchase_open", "purchase_outcome", "purchase_event"}},
		{"item", purchase.Filter{InventoryItemID: "unknown"}, "", []string{"purchase_open", "purchase_outcome", "purchase_event"}},
		{"trace", purchase.Filter{TraceID: "unknown"}, "", []string{"purchase_open", "purchase_outcome", "purchase_event"}},
		{"kind of a caller", purchase.Filter{Caller: "shop", Kind: "TOP_UP"}, "", []string{"purchase_open", "purchase_outcome", "purchase_event"}},
		{"metatag, sold", purchase.Filter{Metatag: "unknown", States: sold}, "", []string{"purchase_open", "purchase_outcome", "purchase_event"}},
		{"metatag, uncertain", purchase.Filter{Metatag: "unknown", States: []purchase.State{purchase.Uncertain}}, "", []string{"purchase_outcome", "purchase_event"}},
		// From here on nothing is sold.
		{"sold", purchase.Filter{States: sold}, `ALTER TABLE gigagate.purchase_outcome DISABLE TRIGGER USER;
			UPDATE gigagate.purchase_outcome SET state = 'FAILED', reason = 'REFUSED', item_uid = NULL;
			ANALYZE gigagate.purchase_outcome`, []string{"purchase_open", "purchase_event"}},
		{"metatag, failed", purchase.Filter{Metatag: "unknown", States: failed}, "", []string{"purchase_open", "purchase_event"}},
		// All open purchases are uncertain.
		{
			"needs an operator",
			purchase.Filter{States: []purchase.State{purchase.NeedsOperator}},
			`DELETE FROM gigagate.purchase_open; INSERT INTO gigagate.purchase_open
			SELECT id, 'UNCERTAIN', NULL, 1, 1, claimed_at, claimed_at, NULL, false, 0, claimed_at, '{}' FROM gigagate.purchase LIMIT 100`,
			[]string{"purchase", "purchase_outcome", "purchase_event"},
		},
	} {
		if _, err := conn.Exec(t.Context(), inSchema(schema, c.setup), pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
		query, args := matching(c.filter, "", behindAll, 10)
		rows, err := conn.Query(t.Context(), `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) `+inSchema(schema, query), append([]any{pgx.QueryExecModeExec}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for _, line := range lines {
			for _, table := range c.unread {
				if onTable(line, table) && !strings.Contains(line, "never executed") {
					t.Errorf("%s reads %s:\n%s", c.name, table, strings.Join(lines, "\n"))
				}
			}
		}
		if plan := strings.Join(lines, "\n"); strings.Contains(smallTables.ReplaceAllString(plan, ""), "Seq Scan") {
			t.Errorf("%s reads a whole table:\n%s", c.name, plan)
		}
	}
}

// onTable reports whether a line of a plan reads a table.
func onTable(line, table string) bool { return strings.Contains(line+" ", " on "+table+" ") }

// TestLongestPlain: what is looked for in the text of an order is a part that no encoder writes in another way.
func TestLongestPlain(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"order 4711": "order 4711", `a "quoted" word`: "quoted", "<b>fett</b>": "fett", "größe": "gr", "…": "", `back\slash/es`: "slash",
	} {
		if got := longestPlain(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
