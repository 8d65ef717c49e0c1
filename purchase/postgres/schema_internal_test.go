package postgres

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"gigagate.internal/purchase"
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

// fill writes n purchases. One in 5,000 is uncertain, and one is being sent. The others are sold.
const fill = `
INSERT INTO gigagate.purchase SELECT to_char(n, 'FM00000000'), 'shop', 'order-' || n, 'account', CASE WHEN n % 2 = 0 THEN 'customer-' || n END,
    now() - n * interval '1 minute', '{"kind":"register"}' FROM generate_series(1, $1::integer) AS n;
INSERT INTO gigagate.purchase_open SELECT id, CASE WHEN id::integer % 5000 = 0 THEN 'UNCERTAIN' ELSE 'SENDING' END, NULL, 1, 2, claimed_at,
    claimed_at, CASE WHEN id::integer % 5000 = 1 THEN claimed_at END, false, 0, claimed_at, '{}'
    FROM gigagate.purchase WHERE id::integer % 5000 < 2;
INSERT INTO gigagate.purchase_outcome SELECT id, 'SUCCEEDED', NULL, 1, 2, claimed_at, claimed_at, false, 0, claimed_at, 'item-' || id,
    'customer-' || id, NULL, account, 'register', 'NOW', 'ANSWERED_APPLIED', 1, '{}', 'gateway' FROM gigagate.purchase WHERE id::integer % 5000 > 1;
INSERT INTO gigagate.purchase_event SELECT id, 3, settled_at, 'ANSWERED_UNKNOWN', 1, 'STAYS', state, false, 0, NULL, NULL, '{}', 'gateway'
    FROM gigagate.purchase_outcome;
INSERT INTO gigagate.purchase_secret SELECT id, '{}', '{}' FROM gigagate.purchase_outcome;
INSERT INTO gigagate.audit_record SELECT id, claimed_at, 'shop', 'CALLER', 'ACTIVATE', 'DONE' FROM gigagate.purchase;
ANALYZE`

func filled(t *testing.T, purchases int) (conn *pgx.Conn, schema string) {
	t.Helper()
	conn, schema = inSchemaOf(t)
	sql := strings.ReplaceAll(inSchema(schema, fill), "$1", strconv.Itoa(purchases))
	if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	return conn, schema
}

// TestImpossibleRows: the schema refuses to lose what must be kept, and outcomes that cannot be, whoever writes them.
func TestImpossibleRows(t *testing.T) {
	t.Parallel()
	conn, schema := filled(t, 3)
	const outcome = `INSERT INTO gigagate.purchase_outcome SELECT 'other', state, reason, attempt, revision, permitted_at, send_not_after,
success_seen, anomalies, settled_at, item_uid, customer_uid, charge, account, kind, mode, event, event_attempt, evidence, actor
FROM gigagate.purchase_outcome WHERE id = '00000002'`
	for query, want := range map[string]string{
		`DELETE FROM gigagate.purchase`:                                             "kept for ever",
		`TRUNCATE gigagate.purchase`:                                                "kept for ever",
		`DELETE FROM gigagate.purchase_outcome`:                                     "kept for ever",
		`TRUNCATE gigagate.purchase_outcome`:                                        "kept for ever",
		`UPDATE gigagate.purchase_outcome SET state = 'FAILED'`:                     "is final",
		`UPDATE gigagate.purchase SET caller = NULL`:                                "not-null",
		`UPDATE gigagate.purchase SET id = '00000002' WHERE id = '00000003'`:        "purchase_pkey",
		`UPDATE gigagate.purchase SET request_id = 'order-2' WHERE id = '00000003'`: "purchase_key",
		outcome:                                                            "purchase_item",
		`DELETE FROM gigagate.audit_record`:                                "kept for ever",
		`TRUNCATE gigagate.audit_record`:                                   "kept for ever",
		`UPDATE gigagate.audit_record SET actor = 'eve'`:                   "is final",
		strings.ReplaceAll(outcome, "item_uid", "NULL"):                    "item_iff_succeeded",
		strings.ReplaceAll(outcome, "reason,", "'REASON',"):                "reason_iff_failed",
		strings.ReplaceAll(outcome, "'other', state", "'other', 'FAILED'"): "iff",
	} {
		if _, err := conn.Exec(t.Context(), inSchema(schema, query)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v, want %q", query, err, want)
		}
	}
}

// TestDocumentedQueries runs the statements that the schema documents for operators.
func TestDocumentedQueries(t *testing.T) {
	t.Parallel()
	conn, schema := filled(t, 3)
	known, err := knownSteps()
	if err != nil {
		t.Fatal(err)
	}
	queries, query := []string{}, ""
	for line := range strings.Lines(known[0]) {
		text, indented := strings.CutPrefix(line, "--   ")
		if !indented {
			continue
		}
		if query += text; strings.HasSuffix(text, ";\n") {
			queries, query = append(queries, inSchema(schema, query)), ""
		}
	}
	if len(queries) != 3 {
		t.Fatalf("%d statements found, want 3", len(queries))
	}
	if _, err := conn.Exec(t.Context(), inSchema(schema, `ALTER TABLE gigagate.purchase_outcome DISABLE TRIGGER USER;
UPDATE gigagate.purchase_outcome SET settled_at = now() - interval '401 days' WHERE id = '00000002'`), pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{1, 3, 1} { // unsettled; entries of the history; purged
		sql := strings.NewReplacer("'default'", "'shop'", "order-4711", "order-3").Replace(queries[i])
		if done, err := conn.Exec(t.Context(), sql); err != nil || done.RowsAffected() != want {
			t.Errorf("%s: %s, want %d; err = %v", sql, done, want, err)
		}
	}
}

var smallTables = regexp.MustCompile(`Seq Scan on purchase_(open|freeze)`)

// TestIndexesServe: no query reads a whole table, but for the small ones, once there are enough rows.
func TestIndexesServe(t *testing.T) {
	t.Parallel()
	conn, schema := filled(t, 20_000)
	q := newStatements(schema)
	type query struct {
		statement string
		args      []any
	}
	list := func(filter purchase.Filter) query {
		sql, args := matching(filter, "00010000", behindAll, 10)
		return query{inSchema(schema, sql), args}
	}
	for _, c := range []struct {
		name string
		query
		indexes []string
	}{
		{"Lookup", query{q.lookup, []any{"order-7", "shop"}}, []string{"purchase_key", "purchase_outcome_pkey", "purchase_event_pkey"}},
		{"Get", query{q.get, []any{"00000007"}}, []string{"purchase_pkey", "purchase_outcome_pkey", "purchase_event_pkey"}},
		{"OfItem", query{q.ofItem, []any{"item-7", []string{"account", "former"}}}, []string{"purchase_item", "purchase_pkey"}},
		{"History", query{q.history, []any{"00000007"}}, []string{"purchase_pkey", "purchase_event_pkey", "purchase_outcome_pkey"}},
		{"Secrets", query{q.secrets, []any{"00000007"}}, []string{"purchase_pkey", "purchase_secret_pkey"}},
		{"AuditRecords", query{q.records, []any{"~", "", 100}}, []string{"audit_record_pkey"}},
		{"Freezes", query{q.freezes, nil}, []string{"audit_record_pkey"}},
		{"Lapsed", query{q.lapsed, []any{nil, nil, "", 100}}, []string{"purchase_pkey"}},
		{"Watched, open", query{q.watched, []any{"", 100}}, []string{"purchase_pkey"}},
		{"Watched, absent", query{q.absent, []any{nil, "48 hours", nil, "~", 100}}, []string{"purchase_absent"}},
		{"Witnesses, older", query{q.older, []any{"account", "register", "NOW", nil, "2026-01-01", 10}}, []string{"purchase_witness"}},
		{"Witnesses, younger", query{q.younger, []any{"account", "register", "NOW", "2026-01-01", nil, 10}}, []string{"purchase_witness"}},
		{"List", list(purchase.Filter{}), []string{"purchase_pkey"}},
		{"List of one request", list(purchase.Filter{Caller: "shop", RequestID: "order-7"}), []string{"purchase_key"}},
		{"List of a caller", list(purchase.Filter{Caller: "one of many"}), []string{"purchase_caller"}},
		{"List of a customer", list(purchase.Filter{CustomerUID: "customer-8"}), []string{"purchase_customer", "purchase_ordered"}},
		{"List of uncertain purchases", list(purchase.Filter{States: []purchase.State{purchase.Uncertain}}), nil},
		{"List of failed purchases", list(purchase.Filter{States: []purchase.State{purchase.Failed}}), []string{"purchase_failed"}},
		{"List of purchases with anomalies", list(purchase.Filter{WithAnomalies: true}), []string{"purchase_contradicted", "purchase_event_contradicted"}},
		{"List of sold purchases", list(purchase.Filter{States: []purchase.State{purchase.Succeeded}}), []string{"purchase_pkey"}},
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
		if strings.Contains(smallTables.ReplaceAllString(plan, ""), "Seq Scan") {
			t.Errorf("%s reads a whole table:\n%s", c.name, plan)
		}
		for _, index := range c.indexes {
			if !strings.Contains(plan, " "+index) {
				t.Errorf("%s does not use %s:\n%s", c.name, index, plan)
			}
		}
	}
}
