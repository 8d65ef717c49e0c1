package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gigagate.internal/purchase/postgres/postgrestest"
)

// inSchemaOf returns a connection to a server with a fresh journal schema, and the schema's name.
func inSchemaOf(t *testing.T) (conn *pgx.Conn, schema string) {
	t.Helper()
	server := postgrestest.Shared(t)
	schema = server.Schema(t)
	journal, err := Open(t.Context(), server.URL, Options{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	if conn, err = pgx.Connect(t.Context(), server.URL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.PgConn().Conn().Close() })
	return conn, schema
}

const possible = `
INSERT INTO gigagate.purchase (id, caller, request_id, account, kind, mode, order_json, state, attempt, revision,
       claimed_at, permitted_at, send_not_after, lease_until, success_seen, anomalies, updated_at)
VALUES ('01', 'shop', 'order-1', 'account', 'register', 'NOW', '{}', 'SENDING', 1, 1,
       now(), now(), now(), now(), false, 0, now())`

// TestImpossibleRows: the schema refuses rows that no life of a purchase produces, whoever writes them.
func TestImpossibleRows(t *testing.T) {
	t.Parallel()
	conn, schema := inSchemaOf(t)
	run := func(sql string) error {
		_, err := conn.Exec(t.Context(), inSchema(schema, sql))
		return err
	}
	if err := run(possible); err != nil {
		t.Fatal(err)
	}
	if err := run(`INSERT INTO gigagate.purchase_secret (purchase_id, sale) VALUES ('01', '{}')`); err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{
		`state = 'SUCCEEDED', item_uid = 'i', settled_at = now()`,
		`state = 'FAILED', item_uid = NULL, reason = 'R'`,
		`state = 'NEEDS_OPERATOR', settled_at = NULL`,
		`state = 'SENDING', reason = NULL`,
	} {
		if err := run(`UPDATE gigagate.purchase SET ` + set); err != nil {
			t.Errorf("%s: %v", set, err)
		}
	}
	for _, c := range []struct{ set, constraint string }{
		{`state = 'SENT'`, "purchase_state_check"},
		{`attempt = 0`, "purchase_attempt_check"},
		{`revision = 0`, "purchase_revision_check"},
		{`anomalies = -1`, "purchase_anomalies_check"},
		{`id = ''`, "purchase_named"},
		{`caller = ''`, "purchase_named"},
		{`request_id = ''`, "purchase_named"},
		{`settled_at = now()`, "purchase_settled"},
		{`state = 'FAILED', reason = 'R'`, "purchase_settled"},
		{`item_uid = 'i'`, "purchase_bound"},
		{`state = 'SUCCEEDED', settled_at = now()`, "purchase_bound"},
		{`customer_uid = 'c'`, "purchase_sold_to"},
		{`reason = 'R'`, "purchase_reasoned"},
		{`state = 'NEEDS_OPERATOR'`, "purchase_reasoned"},
		{`state = 'FAILED', settled_at = now()`, "purchase_reasoned"},
		{`send_not_after = permitted_at - interval '1 microsecond'`, "purchase_permitted"},
	} {
		refusedBy(t, run(`UPDATE gigagate.purchase SET `+c.set), c.constraint)
	}
	refusedBy(t, run(`UPDATE gigagate.purchase_secret SET purged_at = now()`), "purchase_secret_purged")
	refusedBy(t, run(strings.Replace(possible, "'01'", "'02'", 1)), "purchase_key")
	refusedBy(t, run(`DELETE FROM gigagate.purchase`), "purchase_secret_purchase_id_fkey")
	refusedBy(t, run(`INSERT INTO gigagate.purchase_event (purchase_id, sequence, at, event, attempt, verdict, state, evidence, by_whom)
VALUES ('02', 1, now(), 'LOST', 1, 'MOVES', 'UNCERTAIN', '{}', 'gateway')`), "purchase_event_purchase_id_fkey")
}

func refusedBy(t *testing.T, err error, constraint string) {
	t.Helper()
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || refused.ConstraintName != constraint {
		t.Errorf("err = %v, want a violation of %s", err, constraint)
	}
}

// TestOperatorsQueries runs the queries in the comments of the schema.
func TestOperatorsQueries(t *testing.T) {
	t.Parallel()
	conn, schema := inSchemaOf(t)
	steps, err := knownSteps()
	if err != nil {
		t.Fatal(err)
	}
	queries := 0
	var query strings.Builder
	for line := range strings.Lines(steps[0]) {
		text, indented := strings.CutPrefix(line, "--     ")
		if !indented {
			continue
		}
		query.WriteString(text)
		if strings.HasSuffix(text, ";\n") {
			if _, err := conn.Exec(t.Context(), inSchema(schema, query.String())); err != nil {
				t.Errorf("%s: %v", query.String(), err)
			}
			query.Reset()
			queries++
		}
	}
	if queries != 3 {
		t.Errorf("%d queries found, want 3", queries)
	}
}

// TestIndexesServe: the statements use the indexes that were made for them, once the table has enough rows.
func TestIndexesServe(t *testing.T) {
	t.Parallel()
	conn, schema := inSchemaOf(t)
	if _, err := conn.Exec(t.Context(), inSchema(schema, `
INSERT INTO gigagate.purchase (id, caller, request_id, account, kind, mode, order_json, state, reason, attempt, revision,
       claimed_at, permitted_at, send_not_after, lease_until, success_seen, anomalies, item_uid, customer_uid,
       ordered_customer_uid, updated_at, settled_at)
SELECT to_char(n, 'FM00000000'), 'shop', 'order-' || n, 'account', 'register', 'NOW', '{}',
       CASE WHEN n % 5000 = 0 THEN 'UNCERTAIN' WHEN n % 5000 = 1 THEN 'SENDING' ELSE 'SUCCEEDED' END, NULL, 1, 2,
       t, t, t, t, false, 0, CASE WHEN n % 5000 > 1 THEN 'item-' || n END, CASE WHEN n % 5000 > 1 THEN 'customer-' || n END,
       CASE WHEN n % 2 = 0 THEN 'customer-' || n END, t, CASE WHEN n % 5000 > 1 THEN t END
  FROM generate_series(1, 20000) AS n, LATERAL (SELECT now() - n * interval '1 minute' AS t) AS times;
ANALYZE gigagate.purchase`)); err != nil {
		t.Fatal(err)
	}
	q := newStatements(schema)
	none := (*string)(nil)
	for _, c := range []struct {
		name, statement string
		args            []any
		indexes         []string
	}{
		{"Lookup", q.lookup, []any{"shop", "order-7"}, []string{"purchase_key"}},
		{"TakeLapsed", q.takeLapsed, []any{nil, "1 hour", "gateway", 100}, []string{"purchase_owned"}},
		{"Watched, open", q.watched, []any{"", 100}, []string{"purchase_watched"}},
		{"Watched, absent", q.absent, []any{nil, "48 hours", nil, "~", 100}, []string{"purchase_absent"}},
		{"Witnesses, older", q.older, []any{"account", "register", "NOW", nil, "2026-01-01", 10}, []string{"purchase_witness"}},
		{"Witnesses, younger", q.younger, []any{"account", "register", "NOW", "2026-01-01", nil, 10}, []string{"purchase_witness"}},
		{"List", q.list, []any{none, none, none, nil, nil, nil, "00010000", 10}, []string{"purchase_pkey"}},
		{"List of one request", q.list, []any{"shop", "order-7", none, nil, nil, nil, none, 10}, []string{"purchase_key"}},
		{"List of uncertain purchases", q.list, []any{none, none, none, []string{"UNCERTAIN"}, nil, nil, none, 10}, []string{"purchase_watched"}},
		{"List of purchases being sent", q.list, []any{none, none, none, []string{"SENDING"}, nil, nil, none, 10}, []string{"purchase_owned"}},
		{"Purchases that need an operator", inSchema(schema, `SELECT FROM gigagate.purchase WHERE state = 'NEEDS_OPERATOR' OR anomalies > 0 ORDER BY id`), nil, []string{"purchase_watched", "purchase_anomalous"}},
		{"List of a customer", q.list, []any{none, none, "customer-8", nil, nil, nil, none, 10}, []string{"purchase_sold", "purchase_ordered"}},
		{"List of an hour", q.list, []any{none, none, none, nil, "2020-01-01", "2020-01-01", none, 10}, []string{"purchase_claimed"}},
	} {
		rows, err := conn.Query(t.Context(), `EXPLAIN (COSTS OFF) `+c.statement, append([]any{pgx.QueryExecModeExec}, c.args...)...)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		plan := strings.Join(lines, "\n")
		for _, index := range c.indexes {
			if !strings.Contains(plan, " "+index) || strings.Contains(plan, "Seq Scan on purchase") {
				t.Errorf("%s does not use %s:\n%s", c.name, index, plan)
			}
		}
	}
}
