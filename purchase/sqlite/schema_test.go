package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gigagate.internal/purchase"
)

// TestImpossibleRows: the schema refuses to lose what must be kept, and outcomes that cannot be, whoever writes them.
func TestImpossibleRows(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	if _, err := j.Audit(t.Context(), purchase.AuditRecord{ID: "1"}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for range 2 {
		p, err := j.Claim(t.Context(), newClaim())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := purchase.Record(t.Context(), j, p, sold(p)); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, p.ID)
	}
	const outcome = `INSERT INTO purchase_outcome SELECT 'other', state, reason, attempt, revision, permitted_at, send_not_after, success_seen,
		anomalies, settled_at, item_uid, customer_uid, charge, account, kind, mode, event, event_attempt, evidence, actor FROM purchase_outcome WHERE id = 'done'`
	for query, want := range map[string]string{
		"DELETE FROM purchase WHERE id = 'done'":                                  "kept for ever",
		"DELETE FROM purchase_outcome WHERE id = 'done'":                          "kept for ever",
		"UPDATE purchase_outcome SET state = 'FAILED' WHERE id = 'done'":          "is final",
		"UPDATE purchase SET caller = NULL WHERE id = 'done'":                     "NOT NULL",
		"UPDATE purchase SET claimed_at = 'now' WHERE id = 'done'":                "cannot store TEXT value in INTEGER column",
		"UPDATE purchase SET id = 'second' WHERE id = 'done'":                     "UNIQUE",
		"UPDATE purchase SET request_id = (SELECT max(request_id) FROM purchase)": "UNIQUE",
		outcome:                                                            "UNIQUE",
		"DELETE FROM audit_record":                                         "kept for ever",
		"UPDATE audit_record SET actor = 'eve'":                            "is final",
		strings.ReplaceAll(outcome, "item_uid", "NULL"):                    "item_iff_succeeded",
		strings.ReplaceAll(outcome, "reason,", "'REASON',"):                "reason_iff_failed",
		strings.ReplaceAll(outcome, "'other', state", "'other', 'FAILED'"): "item_iff_succeeded",
		strings.ReplaceAll(outcome, "state, reason, ", "'FAILED', NULL, "): "iff",
	} {
		query = strings.NewReplacer("'second'", "'"+ids[1]+"'", "'done'", "'"+ids[0]+"'").Replace(query)
		err := j.write(t.Context(), func(c *connection) error {
			if changed, err := c.change(query); changed || err != nil {
				return err
			}
			return errors.New("there is no such row")
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
	if err := j.write(t.Context(), func(c *connection) error {
		return c.exec("INSERT INTO purchase_event VALUES (?,2,1,'SHREDDED',1,'STAYS','SENDING',0,0,NULL,NULL,'{}','console')", claim.ID)
	}, nil); err != nil {
		t.Fatal(err)
	}
	entries, err := j.History(t.Context(), claim.ID)
	if err != nil || len(entries) != 2 || entries[1].Event != purchase.UnknownEvent || entries[1].By != "console" || entries[1].State != purchase.Sending {
		t.Errorf("%+v, err = %v", entries, err)
	}
}

// scans matches a plan that reads a whole table. purchase_open is small, and the others are parts of the query itself.
var scans = regexp.MustCompile(`SCAN (p|o|s|late|purchase|purchase_(now|outcome|event|secret)|audit_record)\b`)

// TestQueryPlans: no query that runs between two transactions reads a whole table.
func TestQueryPlans(t *testing.T) {
	t.Parallel()
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	list := func(filter purchase.Filter) string {
		ids, _ := examined(filter, "")
		conditions, _ := conditionsOf(filter)
		return fmt.Sprintf("SELECT %s FROM (%s LIMIT 9) found CROSS JOIN purchase_now n ON n.id = found.id WHERE true%s LIMIT 9", columns, ids, conditions)
	}
	for query, index := range map[string]string{
		selectByKey:                          "purchase_key (request_id=? AND caller=?)",
		selectByID:                           "SEARCH late USING PRIMARY KEY (id=? AND sequence=?)",
		selectAbsent:                         "purchase_absent ((settled_at,id)>(?,?))",
		fmt.Sprintf(selectWitnesses, "DESC"): "purchase_witness (account=? AND kind=? AND mode=? AND permitted_at>? AND permitted_at<?)",
		fmt.Sprintf(selectWitnesses, "ASC"):  "purchase_witness (account=? AND kind=? AND mode=? AND permitted_at>? AND permitted_at<?)",
		fmt.Sprintf(selectByItem, "?, ?"):    "purchase_item (item_uid=? AND account=?)",
		selectHistory:                        "SEARCH purchase_event USING PRIMARY KEY (id=?)",
		selectSecrets:                        "SEARCH s USING INDEX sqlite_autoindex_purchase_secret_1 (id=?)",
		selectOpenSecrets:                    "SEARCH purchase_open USING PRIMARY KEY (id>?)",
		selectSettledSecrets:                 "SEARCH purchase_secret USING INDEX sqlite_autoindex_purchase_secret_1 (id>?)",
		insertLate:                           "SEARCH p USING COVERING INDEX sqlite_autoindex_purchase_1 (id=?)",
		selectRecords:                        "SEARCH audit_record USING PRIMARY KEY (id>? AND id<?)",
		selectFreezes:                        "SEARCH audit_record USING PRIMARY KEY (id=?)",
		selectWatched:                        "SEARCH purchase_open USING PRIMARY KEY (id>?)",
		selectLapsed:                         "SCAN purchase_open", // a small table
		list(purchase.Filter{}):              "SEARCH purchase USING COVERING INDEX sqlite_autoindex_purchase_1 (id>? AND id<?)",
		list(purchase.Filter{Caller: "c", States: []purchase.State{purchase.Succeeded}}): "purchase_caller (caller=? AND id>? AND id<?)",
		list(purchase.Filter{RequestID: "r", Caller: "c"}):                               "purchase_key (request_id=? AND caller=?)",
		list(purchase.Filter{RequestID: "r"}):                                            "purchase_key (request_id=?)",
		list(purchase.Filter{ItemUID: "i", Caller: "c"}):                                 "purchase_item (item_uid=?)",
		list(purchase.Filter{Metatag: "m", TraceID: "t", Kind: "k"}):                     "SEARCH purchase USING COVERING INDEX sqlite_autoindex_purchase_1 (id>? AND id<?)",
		list(purchase.Filter{CustomerUID: "c"}):                                          "purchase_customer (customer_uid=? AND id>? AND id<?)",
		list(purchase.Filter{CustomerUID: "c", Caller: "c"}):                             "purchase_ordered (ordered_customer_uid=? AND id>? AND id<?)",
		list(purchase.Filter{States: []purchase.State{purchase.Failed}}):                 "purchase_failed (id>? AND id<?)",
		list(purchase.Filter{WithAnomalies: true}):                                       "purchase_contradicted (id>? AND id<?)",
		list(purchase.Filter{WithAnomalies: true, Caller: "c"}):                          "purchase_event_contradicted (id>? AND id<?)",
		list(purchase.Filter{States: []purchase.State{purchase.Uncertain}}):              "SEARCH purchase_open USING PRIMARY KEY (id>? AND id<?)",
	} {
		inWriter(t, j, func(c *connection) {
			var plan strings.Builder
			err := c.each("EXPLAIN QUERY PLAN "+query, nil, func(r *reader) error {
				r.column = 3
				fmt.Fprintln(&plan, r.text())
				return nil
			})
			if err != nil || !strings.Contains(plan.String(), index) || scans.MatchString(plan.String()) {
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
	old.Personal = purchase.Personal{CustomerEmail: "purged@example.invalid"}.Encode()
	p, err := j.Claim(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	unsettled := newClaim()
	if _, err := j.Claim(t.Context(), unsettled); err != nil {
		t.Fatal(err)
	}
	inWriter(t, j, func(*connection) { day = day.Add(-401 * 24 * time.Hour) }) // the writer reads the clock
	if _, _, err := purchase.Record(t.Context(), j, p, sold(p)); err != nil {
		t.Fatal(err)
	}
	queries := documented(t)
	if len(queries) != 4 {
		t.Fatalf("schema.sql documents %d statements, want 4", len(queries))
	}
	inWriter(t, j, func(c *connection) {
		var id string
		if err := c.one(queries[0], nil, func(r *reader) { id = r.text() }); err != nil || id != unsettled.ID {
			t.Errorf("unsettled purchases: %s, err = %v", id, err)
		}
		events := 0
		err := c.each(strings.ReplaceAll(queries[1], "order-4711", old.Key.RequestID), nil, func(*reader) error { events++; return nil })
		if err != nil || events != 2 {
			t.Errorf("history: %d events, err = %v", events, err)
		}
		if _, err := c.checkpoint("PASSIVE"); err != nil { // the purged text must be in the database file
			t.Error(err)
		}
		for _, purge := range append([]string{"PRAGMA secure_delete = OFF"}, queries[2:]...) { // SQLite may be built with this default
			if err := c.exec(purge); err != nil {
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
		if err := c.settleLog(); err != nil {
			t.Error(err)
		}
		text, err := os.ReadFile(path)
		for _, purged := range [][]byte{sale, []byte("purged@example.invalid")} {
			if err != nil || bytes.Contains(text, purged) {
				t.Errorf("the file still contains %.30q, err = %v", purged, err)
			}
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
			queries, query = append(queries, strings.TrimSpace(query)), ""
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
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		conn, err := openFileAt(path)
		if err != nil {
			t.Fatal(err)
		}
		c := &connection{conn: conn}
		if err := errors.Join(c.exec(query), c.close()); err != nil {
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

// TestListWithADamagedOrder: an order that is no JSON any more is reported by each list that could have it. It does not count as
// a fault of the file. Otherwise each such list would close the file and refuse the writes that wait.
func TestListWithADamagedOrder(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	j := open(t, filepath.Join(t.TempDir(), "journal.db"), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	damaged, whole := newClaim(), newClaim()
	for _, claim := range []purchase.Claim{damaged, whole} {
		if _, err := j.Claim(t.Context(), claim); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.write(t.Context(), func(c *connection) error {
		return c.exec("UPDATE purchase SET order_json = '{' WHERE id = ?", damaged.ID)
	}, nil); err != nil {
		t.Fatal(err)
	}
	for _, filter := range []purchase.Filter{
		{}, {Kind: whole.Order.Kind}, {InventoryItemID: whole.Order.InventoryItemID}, {Metatag: whole.Order.Metatag},
	} {
		found, _, err := j.List(t.Context(), filter, purchase.Page{Size: 10})
		if !errors.Is(err, purchase.ErrUnreadableOrder) || len(found) != 1 || found[0].ID != whole.ID {
			t.Errorf("%+v: %d purchases, err = %v", filter, len(found), err)
		}
	}
	if err := j.Close(); err != nil || strings.Contains(log.String(), "the journal cannot be used") {
		t.Errorf("%v\n%s", err, log.String())
	}
}
