package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/purchase/postgres/postgrestest"
)

// inTables returns all rows of all tables of a journal.
func inTables(t *testing.T, server *postgrestest.Server) string {
	t.Helper()
	conn := connectTo(t, server)
	defer func() { _ = conn.Close(t.Context()) }()
	var tables []string
	err := conn.QueryRow(t.Context(), `SELECT array_agg(tablename) FROM pg_tables WHERE schemaname = 'gigagate'`).Scan(&tables)
	if err != nil || len(tables) < 5 {
		t.Fatal(tables, err)
	}
	if _, err := conn.Exec(t.Context(), "SET bytea_output = 'escape'"); err != nil { // readable texts stay readable
		t.Fatal(err)
	}
	var all strings.Builder
	for _, table := range tables {
		var rows string
		if err := conn.QueryRow(t.Context(), `SELECT coalesce(string_agg(r::text, ' '), '') FROM gigagate.`+table+` r`).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		all.WriteString(rows)
	}
	return all.String()
}

// inFiles lists the files of the server that hold a text: tables below base, and the write-ahead log.
func inFiles(t *testing.T, server *postgrestest.Server, word string) (tables, log []string) {
	t.Helper()
	conn := connectTo(t, server)
	defer func() { _ = conn.Close(t.Context()) }()
	var folder string
	_, err := conn.Exec(t.Context(), "CHECKPOINT")
	if err := errors.Join(err, conn.QueryRow(t.Context(), "SHOW data_directory").Scan(&folder)); err != nil {
		t.Fatal(err)
	}
	for below, found := range map[string]*[]string{"base/*/*": &tables, "pg_wal/*": &log} {
		files, err := filepath.Glob(filepath.Join(folder, below))
		if err != nil || len(files) == 0 {
			t.Fatal("no files", err)
		}
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), word) { // it may be gone by now
				*found = append(*found, file)
			}
		}
	}
	return tables, log
}

// TestSealedPostgreSQLTellsNothing: with a key file, no column of the journal and no file of the server holds anything about an
// end user, or anything that installs an eSIM. Without one, the same search finds it. Two replicas rotate the keys, and each
// reads what the other has sealed. After an erasure, no column holds the data, and VACUUM FULL removes it from the tables' files.
func TestSealedPostgreSQLTellsNothing(t *testing.T) {
	t.Parallel()
	for _, isSealed := range []bool{false, true} {
		server, v := postgrestest.New(t), startVendor(t)
		email := fmt.Sprintf("canary-%t@example.com", isSealed)
		flags := []string{"--journal=" + server.URL}
		path := filepath.Join(t.TempDir(), "keys")
		if isSealed {
			newKeyFile(t, path)
			flags = append(flags, "--journal-key-file="+path)
		}
		a, b := v.startGateway(t, flags...), v.startGateway(t, flags...)
		if got := a.sell(t, "other", "--email=other@example.com", "--ip=198.51.100.80"); got.status != 0 {
			t.Fatalf("%+v", got)
		}
		sold := a.sell(t, "order-1", "--email="+email, "--ip=198.51.100.79")
		if got := b.sell(t, "order-1", "--email="+email, "--ip=198.51.100.79"); got.status != 0 || got.out != sold.out {
			t.Fatalf("%+v", got)
		}
		if isSealed {
			line, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			newest := newKeyFile(t, path, string(line))
			for _, want := range []string{`"sealed": 2`, `"sealed": 0`} {
				if got := gigagate(t, "journal", "keys", "rotate", "--admin-address="+a.admin); got.status != 0 || !strings.Contains(got.out, want) {
					t.Errorf("%+v", got)
				}
			}
			if err := os.WriteFile(path, []byte(newest), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := b.sell(t, "order-1", "--email="+email, "--ip=198.51.100.79"); got.out != sold.out { // it learns the key by itself
			t.Errorf("%+v", got)
		}
		if isSealed {
			if got, report := v.check(t, server.URL, "--journal-key-file="+path); got.status != 0 || *report.Secrets != (secretsReport{Rows: 2}) {
				t.Errorf("%+v", got)
			}
		}
		stored := inTables(t, server)
		for _, canary := range append(canariesOf(t, sold.out), email, "198.51.100.79") {
			if got := strings.Contains(stored, canary); got == isSealed {
				t.Errorf("sealed = %t: the tables hold %q: %t", isSealed, canary, got)
			}
		}
		if !strings.Contains(stored, "order-1") {
			t.Fatal("the tables do not hold the purchase")
		}
		if server.Private() {
			tables, log := inFiles(t, server, email)
			if got := len(tables) > 0 || len(log) > 0; got == isSealed {
				t.Errorf("sealed = %t: the files hold %q: %v, %v", isSealed, email, tables, log)
			}
		}

		customer := decode(t, sold, &gigagatev1.RegisterResponse{}).GetCustomer().GetUid()
		if got := gigagate(t, "erase", "--customer="+customer, "--operator=dana", "--admin-address="+b.admin); got.status != 0 {
			t.Errorf("%+v", got)
		}
		stored = inTables(t, server)
		for _, canary := range append(canariesOf(t, sold.out)[2:], email, "198.51.100.79") {
			if strings.Contains(stored, canary) {
				t.Errorf("erased, but the tables hold %q", canary)
			}
		}
		if server.Private() {
			inDatabase(t, server, "VACUUM FULL gigagate.purchase_open")
			inDatabase(t, server, "VACUUM FULL gigagate.purchase_secret")
			if tables, _ := inFiles(t, server, email); len(tables) > 0 { // the log keeps it until it is reused
				t.Errorf("erased, but %v hold %q", tables, email)
			}
		}
		a.exit()
		b.exit()
	}
}
