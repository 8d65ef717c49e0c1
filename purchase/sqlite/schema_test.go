package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gigagate.internal/purchase"
)

// TestImpossibleRows: the schema refuses rows that purchase.Next cannot produce, whoever writes them.
func TestImpossibleRows(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	sending, done := newClaim(), newClaim()
	for _, claim := range []purchase.Claim{sending, done} {
		if _, err := j.Claim(t.Context(), claim); err != nil {
			t.Fatal(err)
		}
	}
	p, err := j.Get(t.Context(), done.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := j.Record(t.Context(), p.ID, sold(p)); err != nil {
		t.Fatal(err)
	}
	const of = " WHERE id = 'sending'"
	for query, want := range map[string]string{
		"UPDATE purchase SET state = 'LOST'" + of:                                               "state_known",
		"UPDATE purchase SET attempt = 0" + of:                                                  "attempt_positive",
		"UPDATE purchase SET events = 0" + of:                                                   "counts_sound",
		"UPDATE purchase SET anomalies = 1" + of:                                                "counts_sound",
		"UPDATE purchase SET success_seen = 2" + of:                                             "success_seen_boolean",
		"UPDATE purchase SET reason = 'R'" + of:                                                 "reason_iff_failed_or_needs_operator",
		"UPDATE purchase SET state = 'NEEDS_OPERATOR'" + of:                                     "reason_iff_failed_or_needs_operator",
		"UPDATE purchase SET state = 'NEEDS_OPERATOR', reason = ''" + of:                        "reason_iff_failed_or_needs_operator",
		"UPDATE purchase SET state = 'FAILED', settled_at = 1" + of:                             "reason_iff_failed_or_needs_operator",
		"UPDATE purchase SET settled_at = 1" + of:                                               "settled_at_iff_settled",
		"UPDATE purchase SET state = 'FAILED', reason = 'R'" + of:                               "settled_at_iff_settled",
		"UPDATE purchase SET item_uid = 'i'" + of:                                               "item_iff_succeeded",
		"UPDATE purchase SET state = 'SUCCEEDED', settled_at = 1" + of:                          "item_iff_succeeded",
		"UPDATE purchase SET item_uid = '' WHERE id = 'done'":                                   "item_iff_succeeded",
		"UPDATE purchase SET customer_uid = 'c'" + of:                                           "customer_only_if_succeeded",
		"UPDATE purchase SET send_not_after = permitted_at - 1" + of:                            "permit_ends_after_it_begins",
		"UPDATE purchase SET request_id = ''" + of:                                              "key_named",
		"UPDATE purchase SET attempt = 'two'" + of:                                              "cannot store TEXT value in INTEGER column",
		"UPDATE purchase SET caller = NULL" + of:                                                "NOT NULL",
		"DELETE FROM purchase WHERE id = 'done'":                                                "kept for ever",
		"DELETE FROM purchase_personal WHERE purchase = 1":                                      "only details of settled purchases",
		"INSERT INTO purchase_personal VALUES (99, '{}')":                                       "FOREIGN KEY",
		"INSERT INTO purchase_event VALUES (1,2,1,'CLAIMED',1,'MOVES','SENDING',NULL,'{}','b')": "claim_comes_first",
		"INSERT INTO purchase_event VALUES (1,2,1,'LOST',1,'ILLEGAL','SENDING',NULL,'{}','b')":  "verdict_kept",
		"INSERT INTO purchase_event VALUES (1,2,1,'LOST',0,'MOVES','SENDING',NULL,'{}','b')":    "event_attempt_positive",
		"INSERT INTO purchase_event VALUES (1,2,1,'LOST',1,'MOVES','GONE',NULL,'{}','b')":       "event_state_known",
		"INSERT INTO purchase_event VALUES (99,2,1,'LOST',1,'MOVES','SENDING',NULL,'{}','b')":   "FOREIGN KEY",
	} {
		query = strings.NewReplacer("'sending'", "'"+sending.ID+"'", "'done'", "'"+done.ID+"'").Replace(query)
		err := j.write(t.Context(), false, func(c *connection) error {
			result, err := c.conn.ExecContext(background, query)
			if err != nil {
				return err
			}
			if n, _ := result.RowsAffected(); n == 0 {
				return errors.New("there is no such row")
			}
			return nil
		}, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v, want %q", query, err, want)
		}
	}
}

// TestHistoryOfALaterVersion: an event and an actor from a later version do not hide the rest of the history.
func TestHistoryOfALaterVersion(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	claim := newClaim()
	if _, err := j.Claim(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	if err := j.write(t.Context(), false, func(c *connection) error {
		_, err := c.conn.ExecContext(background, "INSERT INTO purchase_event VALUES (1,2,1,'SHREDDED',1,'STAYS','SENDING',NULL,'{}','console')")
		return err
	}, nil); err != nil {
		t.Fatal(err)
	}
	entries, err := j.History(t.Context(), claim.ID)
	if err != nil || len(entries) != 2 || entries[1].Event != purchase.UnknownEvent || entries[1].By != "console" || entries[1].State != purchase.Sending {
		t.Errorf("%+v, err = %v", entries, err)
	}
}

// TestQueryPlans: no query that runs between two transactions reads a whole table.
func TestQueryPlans(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	list := func(id, conditions string) string {
		return "SELECT " + columns + " FROM purchase WHERE " + id + " < 'b' AND id >= 'a'" + conditions + " ORDER BY " + id + " DESC LIMIT 9"
	}
	byRequest, _ := conditionsOf(purchase.Filter{RequestID: "r"})
	byCustomer, _ := conditionsOf(purchase.Filter{CustomerUID: "c"})
	for query, index := range map[string]string{
		"SELECT " + columns + " FROM purchase WHERE request_id = ? AND caller = ?": "purchase_key (request_id=? AND caller=?)",
		selectLapsed:  "purchase_leased (lease_until<?)",
		selectWatched: "purchase_watched (number>?)",
		selectAbsent:  "purchase_absent (settled_at>?)",
		selectWitnesses + " ORDER BY permitted_at DESC LIMIT ?": "purchase_witness (account=? AND kind=? AND mode=? AND permitted_at>? AND permitted_at<?)",
		selectHistory:                 "PRIMARY KEY (purchase=?)",
		list("id", ""):                "(id>? AND id<?)",
		list("+id", byRequest):        "purchase_key (request_id=?)",
		list("+id", byCustomer):       "purchase_customer (customer_uid=?)",
		list("+id", byCustomer) + " ": "purchase_ordered_customer (ordered_customer_uid=?)",
	} {
		inWriter(t, j, func(c *connection) {
			args := make([]any, strings.Count(query, "?"))
			rows, err := c.conn.QueryContext(background, "EXPLAIN QUERY PLAN "+query, args...)
			if err != nil {
				t.Errorf("%s: %v", query, err)
				return
			}
			defer func() { _ = rows.Close() }()
			var plan strings.Builder
			for rows.Next() {
				var id, parent, unused int
				var detail string
				if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
					t.Error(err)
				}
				fmt.Fprintln(&plan, detail)
			}
			if err := rows.Err(); err != nil || !strings.Contains(plan.String(), index) || strings.Contains(plan.String(), "SCAN") {
				t.Errorf("%s\nis planned as\n%s\nwithout %q, err = %v", query, plan.String(), index, err)
			}
		})
	}
}

// TestDocumentedQueries runs the statements that schema.sql documents for operators.
func TestDocumentedQueries(t *testing.T) {
	t.Parallel()
	day := time.Now()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path, Options{Now: func() time.Time { return day }})
	old := newClaim()
	p, err := j.Claim(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	inWriter(t, j, func(*connection) { day = day.Add(-401 * 24 * time.Hour) }) // the writer reads the clock
	if _, _, err := j.Record(t.Context(), p.ID, sold(p)); err != nil {
		t.Fatal(err)
	}
	unsettled := newClaim()
	if _, err := j.Claim(t.Context(), unsettled); err != nil {
		t.Fatal(err)
	}
	queries := documented(t)
	if len(queries) != 5 {
		t.Fatalf("schema.sql documents %d statements, want 5", len(queries))
	}
	inWriter(t, j, func(c *connection) {
		var id string
		var rest [5]any
		err := c.conn.QueryRowContext(background, queries[0]).Scan(&id, &rest[0], &rest[1], &rest[2], &rest[3], &rest[4])
		if err != nil || id != unsettled.ID {
			t.Errorf("unsettled purchases: %s, err = %v", id, err)
		}
		events := 0
		rows, err := c.conn.QueryContext(background, strings.ReplaceAll(queries[1], "order-4711", old.Key.RequestID))
		if err != nil {
			t.Error(err)
			return
		}
		for rows.Next() {
			events++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || events != 2 {
			t.Errorf("history: %d events, err = %v", events, err)
		}
		if _, err := c.copyLog(); err != nil { // the purged text must be in the database file
			t.Error(err)
		}
		for _, purge := range append([]string{"PRAGMA secure_delete = OFF"}, queries[2:]...) { // SQLite may be built with this default
			if err := c.exec(background, purge); err != nil {
				t.Errorf("%s: %v", purge, err)
			}
		}
	})
	for id, purged := range map[string]bool{old.ID: true, unsettled.ID: false} {
		if secrets, err := j.Secrets(t.Context(), id); err != nil || secrets.Purged != purged || secrets.Sale != nil {
			t.Errorf("%s: purged = %t, want %t, err = %v", id, secrets.Purged, purged, err)
		}
	}
	inWriter(t, j, func(c *connection) {
		if err := c.settleLog(background); err != nil {
			t.Error(err)
		}
		text, err := os.ReadFile(path)
		if err != nil || bytes.Contains(text, sale) {
			t.Errorf("the file still contains the purged sale, err = %v", err)
		}
	})
}

// documented returns the statements in the comment at the head of schema.sql.
func documented(t *testing.T) (queries []string) {
	t.Helper()
	head, _, found := strings.Cut(schema, "CREATE TABLE")
	if !found {
		t.Fatal("schema.sql creates no table")
	}
	query := ""
	for line := range strings.Lines(head) {
		line, indented := strings.CutPrefix(line, "--   ")
		if !indented {
			continue
		}
		query += line
		if strings.HasSuffix(strings.TrimSpace(line), ";") {
			queries, query = append(queries, query), ""
		}
	}
	return queries
}

func TestForeignFiles(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"CREATE TABLE notes (text)":                                "another program's database",
		fmt.Sprintf("PRAGMA user_version = %d", len(migrations)+1): "used by a later one",
	} {
		path := filepath.Join(t.TempDir(), "journal.db")
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if j, err := Open(t.Context(), path, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a file after %q: err = %v, want %q", query, err, want)
			if err == nil {
				_ = j.Close()
			}
		}
	}
}

// TestOddPaths: neither SQLite nor its driver reads a part of the path as an option.
func TestOddPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b.db", "q?mode=memory.db", "h#1.db", "p%41.db", "file:x.db", "ü&_pragma=1.db"} {
		path := filepath.Join(t.TempDir(), name)
		j := open(t, path, Options{})
		claim := newClaim()
		if _, err := j.Claim(t.Context(), claim); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := j.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if again := open(t, path, Options{}); !exists(t, again, claim.ID) {
			t.Errorf("%s: the purchase was written to another file", name)
		}
	}
}

// TestListPassesOverMany: List finds the few rows that match a filter, even behind more rows than it scans at
// once.
func TestListPassesOverMany(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	rare := newClaim()
	rare.Key.Caller = "rare"
	claims := []purchase.Claim{rare}
	for range 2*scanAtOnce + 10 {
		claims = append(claims, newClaim())
	}
	release := held(t, j)
	var last *operation
	for _, claim := range claims {
		last = enqueue(t, j, claiming(claim, j))
	}
	release()
	if err := answer(t, last); err != nil {
		t.Fatal(err)
	}
	list, err := j.List(t.Context(), purchase.Filter{Caller: "rare"}, purchase.Page{Size: 5})
	if err != nil || len(list) != 1 || list[0].ID != rare.ID {
		t.Errorf("%d found, err = %v", len(list), err)
	}
	all, err := j.List(t.Context(), purchase.Filter{}, purchase.Page{Size: 10_000})
	if err != nil || len(all) != len(claims) {
		t.Errorf("%d of %d listed, err = %v", len(all), len(claims), err)
	}
}
