package main

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
	"gigagate.internal/purchase/journaltest"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/postgres/postgrestest"
	"gigagate.internal/purchase/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(postgrestest.Tests{M: m}) }

func TestSQLite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "full.db")
	fill(t, "sqlite:"+file, "")
	journal, err := sqlite.Open(t.Context(), file, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	checkFilled(t, journal)
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	fillAgain(t, "sqlite:"+file, "")
}

func TestPostgreSQL(t *testing.T) {
	server := postgrestest.Shared(t)
	schema := server.Schema(t)
	fill(t, server.URL, schema)
	journal, err := postgres.Open(t.Context(), server.URL, postgres.Options{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	checkFilled(t, journal)
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	fillAgain(t, server.URL, schema)
}

func fill(t *testing.T, where, schema string) {
	t.Helper()
	if err := run(t.Context(), where, schema, &filling{count: 100}); err != nil {
		t.Fatal(err)
	}
}

// fillAgain checks that a journal with purchases is refused. These purchases were never made. Among real ones they could not
// be told apart.
func fillAgain(t *testing.T, where, schema string) {
	t.Helper()
	if err := run(t.Context(), where, schema, &filling{count: 1}); !errors.Is(err, journaltest.ErrNotEmpty) {
		t.Errorf("the second fill: %v", err)
	}
}

// checkFilled checks a journal with 100 purchases.
func checkFilled(t *testing.T, journal purchase.Journal) {
	t.Helper()
	all, _, err := journal.List(t.Context(), purchase.Filter{}, purchase.Page{Size: 1000})
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, p := range all {
		if p.State == purchase.Failed {
			failed++
		} else if p.State != purchase.Succeeded {
			t.Errorf("%s is %v", p.ID, p.State)
		}
	}
	if len(all) != 100 || failed != 2 || all[98].State != purchase.Failed || all[99].State != purchase.Failed {
		t.Errorf("%d purchases, of which %d failed; the two oldest should have", len(all), failed)
	}
	secrets, err := journal.Secrets(t.Context(), all[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	var sold gigastore.Sale
	if err := json.Unmarshal(secrets.Sale, &sold); err != nil || sold.ActivatedItem.UID != all[0].ItemUID || sold.Customer.UID != all[0].CustomerUID {
		t.Errorf("the sale of %s is %s: %v", all[0].ItemUID, secrets.Sale, err)
	}
	var personal purchase.Personal
	if err := json.Unmarshal(secrets.Personal, &personal); err != nil || personal.UserIP != "203.0.113.24" {
		t.Errorf("the personal data is %s: %v", secrets.Personal, err)
	}
}
