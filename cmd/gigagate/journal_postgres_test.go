package main

import (
	"strings"
	"testing"
	"time"

	"gigagate.internal/purchase/postgres/postgrestest"
)

// TestRestoreOfPostgreSQL: no gateway starts on a restored database that is read-only. A check of it finds the sale that was
// made after the backup, and allows nothing before that.
func TestRestoreOfPostgreSQL(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	v := startVendor(t)
	g := v.startGateway(t, "--journal="+server.URL)
	g.sell(t, "order-1")
	g.sell(t, "order-2")
	if got, report := v.check(t, server.URL); got.status != 0 || report.Purchases != 2 || report.BackupTime != nil || report.Vendor.Recognized != 2 {
		t.Errorf("while a gateway serves: %+v", got)
	}
	g.exit()

	// A copy of the database takes the place of a backup.
	template := *server
	template.URL = strings.Replace(server.URL, "/postgres?", "/template1?", 1)
	restored := *server
	restored.URL = strings.Replace(server.URL, "/postgres?", "/restored?", 1)
	copied := time.Now()
	inDatabase(t, &template, "CREATE DATABASE restored TEMPLATE postgres")
	g = v.startGateway(t, "--journal="+server.URL)
	sold := g.sell(t, "order-3")
	g.exit()

	restoredTo := "--restored-to=" + copied.Format(time.RFC3339)
	if got, _ := v.check(t, restored.URL, restoredTo, "--accept-unknown-sales"); got.status != exitFailed || !strings.Contains(got.err, "the database accepts writes") {
		t.Errorf("gateways can use the database: %+v", got)
	}
	inDatabase(t, &template, "ALTER DATABASE restored SET default_transaction_read_only = on")
	if got := gigagate(t, serveLine(t, append(v.flags(t), "--journal="+restored.URL)...)...); got.status != exitFailed || !strings.Contains(got.err, "is read-only") {
		t.Fatalf("a gateway on a read-only database: %+v", got)
	}
	got, report := v.check(t, restored.URL, restoredTo, "--allow-start")
	if got.status != exitFailed || !strings.Contains(got.err, "the journal does not know 1 packages that were sold") || report.StartAllowed ||
		report.BackupTime == nil || report.BackupTime.Unix() != copied.Unix() || len(report.Vendor.UnknownSales) != 1 ||
		!strings.Contains(sold.out, report.Vendor.UnknownSales[0].ItemUID) {
		t.Errorf("%+v, want the sale %s", got, sold.out)
	}
	g.inject(t, `{"path":"/gigastore/activations/activated-items","fault":"list_no_metatags"}`)
	if _, report := v.check(t, restored.URL, restoredTo); len(report.Vendor.UnknownSales) != 1 {
		t.Errorf("a sale without a mark: %+v", report.Vendor)
	}
	if got, report := v.check(t, restored.URL, restoredTo, "--accept-unknown-sales"); got.status != 0 || !report.StartAllowed {
		t.Errorf("%+v", got)
	}
	inDatabase(t, &template, "ALTER DATABASE restored RESET default_transaction_read_only")
	g = v.startGateway(t, "--journal="+restored.URL)
	if again := g.sell(t, "order-1"); again.status != 0 || len(g.ledger(t).Sales) != 3 {
		t.Errorf("%+v, %d sales", again, len(g.ledger(t).Sales))
	}

	for want, args := range map[string][]string{
		"a backup in SQLite knows when it was made": {"--journal=sqlite:x.db", restoredTo},
		"give --restored-to":                        {"--journal=" + server.URL, "--accept-unknown-sales"},
	} {
		if got := gigagate(t, append([]string{"journal", "check"}, args...)...); got.status != exitUsage || !strings.Contains(got.err, want) {
			t.Errorf("%+v, want %q", got, want)
		}
	}
}
