package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gigagate.internal/purchase/memory"
)

// backUp makes a backup of a running gateway.
func (g *gateway) backUp(t *testing.T, file string) command {
	t.Helper()
	return gigagate(t, "journal", "backup", file, "--admin-address="+g.admin)
}

// check runs `gigagate journal check` with the credentials of a vendor.
func (v *vendor) check(t *testing.T, where string, args ...string) (command, journalReport) {
	t.Helper()
	line := append([]string{"journal", "check", "--journal=" + where, "--reconcile-settle-delay=1ms"}, v.flags(t)...)
	got := gigagate(t, append(line, args...)...)
	var report journalReport
	if got.out != "" {
		if err := json.Unmarshal([]byte(got.out), &report); err != nil {
			t.Fatalf("%v in %s", err, got.out)
		}
	}
	return got, report
}

// TestRestoreDoesNotSellTwice: a backup does not start before a check. While the vendor shows a sale that it does not
// know, or shows nothing that proves the contrary, only the operator's word lets it start.
func TestRestoreDoesNotSellTwice(t *testing.T) {
	t.Parallel()
	v := startVendor(t)
	g := v.startGateway(t)
	for _, id := range []string{"order-1", "order-2"} {
		if got := g.sell(t, id); got.status != 0 {
			t.Fatal(got.err)
		}
	}
	backup := filepath.Join(t.TempDir(), "backup.db")
	if got := g.backUp(t, backup); got.status != 0 || !strings.Contains(got.out, `"file": "`+backup+`"`) {
		t.Fatalf("%+v", got)
	}
	refused := func(why string) {
		t.Helper()
		got := gigagate(t, serveLine(t, append(v.flags(t), "--journal=sqlite:"+backup)...)...)
		if got.status != exitFailed || !strings.Contains(got.err, "is a backup of ") || !strings.Contains(got.err, "gigagate journal check --allow-start") ||
			!strings.Contains(got.err, "gigagate journal check --accept-unknown-sales") {
			t.Fatalf("%s, and a gateway started on the backup: %+v", why, got)
		}
	}
	refused("nothing was checked")
	fails := func(want string, args ...string) journalReport {
		t.Helper()
		got, report := v.check(t, "sqlite:"+backup, append(args, "--allow-start")...)
		if got.status != exitFailed || !strings.Contains(got.err, want) || report.StartAllowed {
			t.Errorf("%+v, want %q", got, want)
		}
		refused(want)
		return report
	}

	// No unknown sale is shown, but the list is not whole, or shows nothing that the journal knows.
	const list = `{"path":"/gigastore/activations/activated-items","fault":`
	g.inject(t, list+`"garble"}`)
	if report := fails("the vendor's list could not be read to its end"); report.Vendor.Recognized != 2 {
		t.Errorf("the list broke off too early for this test: %+v", report.Vendor)
	}
	g.inject(t, list+`"list_cut"}`)
	fails("the vendor's list has no package of this journal")

	sold := g.sell(t, "order-3")
	report := fails("the journal does not know 1 packages that were sold")
	if n := len(report.Vendor.UnknownSales); n != 1 || report.Vendor.Recognized != 2 || !strings.Contains(sold.out, report.Vendor.UnknownSales[0].PurchaseID) ||
		!strings.Contains(sold.out, report.Vendor.UnknownSales[0].ItemUID) {
		t.Errorf("%+v, want the sale %s", report.Vendor, sold.out)
	}
	g.inject(t, list+`"list_no_metatags"}`)
	fails("the journal does not know 1 packages that were sold")
	if table := gigagate(t, append([]string{"journal", "check", "--journal=sqlite:" + backup, "--output=table"}, v.flags(t)...)...); !strings.Contains(table.out, report.Vendor.UnknownSales[0].ItemUID+"  ") {
		t.Errorf("%+v", table)
	}
	if got, report := v.check(t, "sqlite:"+backup, "--accept-unknown-sales"); got.status != 0 || !report.StartAllowed {
		t.Errorf("%+v", got)
	}
	g.exit()
	restored := v.startGateway(t, "--journal=sqlite:"+backup)
	if again := restored.sell(t, "order-1"); again.status != 0 || len(restored.ledger(t).Sales) != 3 {
		t.Errorf("%+v, %d sales", again, len(restored.ledger(t).Sales))
	}
}

// TestRestoreOfWholeJournal: a check that finds nothing lets a gateway start on the backup.
func TestRestoreOfWholeJournal(t *testing.T) {
	t.Parallel()
	v := startVendor(t)
	g := v.startGateway(t)
	g.sell(t, "order-1")
	if got := gigagate(t, "journal", "check", "--journal=sqlite:"+g.journal); got.status != exitFailed || !strings.Contains(got.err, "in use by another process. Make a backup") {
		t.Errorf("a check of a journal in use: %+v", got)
	}
	g.exit()
	if got, report := v.check(t, "sqlite:"+g.journal); got.status != 0 || report.Purchases != 1 || report.BackupTime != nil || report.Vendor.Recognized != 1 {
		t.Errorf("%+v", got)
	}
	backup := filepath.Join(t.TempDir(), "backup.db")
	if got := gigagate(t, "journal", "backup", backup, "--journal=sqlite:"+g.journal, "--output=table"); got.status != 0 || !strings.Contains(got.out, backup) {
		t.Fatalf("%+v", got)
	}
	if got := gigagate(t, "journal", "check", "--journal=sqlite:"+backup); got.status != 0 || !strings.Contains(got.out, `"purchases": 1`) {
		t.Errorf("without the vendor's records: %+v", got)
	}
	if got, report := v.check(t, "sqlite:"+backup); got.status != 0 || report.StartAllowed {
		t.Errorf("a check allowed a start that nobody asked for: %+v", got)
	}
	if got, report := v.check(t, "sqlite:"+backup, "--allow-start"); got.status != 0 || !report.StartAllowed {
		t.Fatalf("%+v", got)
	}
	restored := v.startGateway(t, "--journal=sqlite:"+backup)
	if got := restored.sell(t, "order-1"); got.status != 0 || len(restored.ledger(t).Sales) != 1 {
		t.Errorf("%+v, %d sales", got, len(restored.ledger(t).Sales))
	}
}

func TestBackupRefusals(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "backup.db")
	if err := os.WriteFile(file, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, got := range map[string]command{
		"backup.db exists, and a backup never replaces a file": g.backUp(t, file),
		"no such file or directory":                            g.backUp(t, filepath.Join(folder, "none", "backup.db")),
		"no gateway answers at 127.0.0.1:1: ":                  gigagate(t, "journal", "backup", file, "--admin-address=127.0.0.1:1"),
		"does not know /journal/backup: 404 Not Found":         gigagate(t, "journal", "backup", file, "--admin-address="+g.rest),
		"--journal: must be sqlite:FILE":                       gigagate(t, "journal", "backup", file, "--journal=postgres://127.0.0.1/gigagate"),
		"the journal is in use by another process":             gigagate(t, "journal", "backup", file, "--journal=sqlite:"+g.journal),
		"none.db: no such file or directory":                   gigagate(t, "journal", "check", "--journal=sqlite:"+filepath.Join(folder, "none.db")),
		"is no journal of schema version":                      gigagate(t, "journal", "check", "--journal=sqlite:"+writeFile(t, "")),
		"file is not a database":                               gigagate(t, "journal", "check", "--journal=sqlite:"+writeFile(t, strings.Repeat("text", 1000))),
	} {
		if got.status != exitFailed || !strings.Contains(got.err, want) {
			t.Errorf("%+v, want %q", got, want)
		}
	}
	if got := gigagate(t, "journal", "check", "--allow-start"); got.status != exitUsage || !strings.Contains(got.err, "give --gigastore-client-id") {
		t.Errorf("%+v", got)
	}
	if left, err := filepath.Glob(filepath.Join(folder, "*")); len(left) != 1 {
		t.Errorf("there is %q, %v", left, err)
	}
}

// TestWhoMayAskForABackup: a program on the gateway's machine, and no web page.
func TestWhoMayAskForABackup(t *testing.T) {
	t.Parallel()
	handler := newBackups(t.Context(), memory.Open(nil))
	for _, test := range []struct {
		peer, site, contentType, body string
		want                          int
	}{
		{"127.0.0.1:5", "", "application/json", `{"file":"/a"}`, http.StatusNotImplemented}, // a journal without backups
		{"[::1]:5", "", "application/json", `{"file":"/a"}`, http.StatusNotImplemented},
		{"192.0.2.1:5", "", "application/json", `{"file":"/a"}`, http.StatusForbidden},
		{"", "", "application/json", `{"file":"/a"}`, http.StatusForbidden},
		{"127.0.0.1:5", "cross-site", "application/json", `{"file":"/a"}`, http.StatusForbidden},
	} {
		request := httptest.NewRequest(http.MethodPost, backupPath, strings.NewReader(test.body))
		request.RemoteAddr = test.peer
		request.Header.Set("Content-Type", test.contentType)
		request.Header.Set("Sec-Fetch-Site", test.site)
		answer := httptest.NewRecorder()
		if handler.ServeHTTP(answer, request); answer.Code != test.want {
			t.Errorf("%+v: %d %s", test, answer.Code, answer.Body)
		}
	}
	g := startGateway(t)
	for body, contentType := range map[string]string{
		`{"file":"relative.db"}`: "application/json",
		`{"file":`:               "application/json",
		`{"file":"/a.db"}`:       "text/plain",
		`{"file":"/` + strings.Repeat("a", 9000) + `"}`: "application/json",
	} {
		got := do(t, http.MethodPost, "http://"+g.admin+backupPath, body, http.Header{"Content-Type": {contentType}})
		if got.status != http.StatusBadRequest {
			t.Errorf("%.30s: %+v", body, got)
		}
	}
}
