package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

// newKeyFile writes a key file with a key of `gigagate journal keys new`, and the earlier lines after it.
func newKeyFile(t *testing.T, path string, earlier ...string) (line string) {
	t.Helper()
	got := gigagate(t, "journal", "keys", "new")
	if got.status != 0 || !regexp.MustCompile(`^\d{8}-[0-9a-f]{6}: \S{44}\n$`).MatchString(got.out) {
		t.Fatalf("%+v", got)
	}
	if err := os.WriteFile(path, []byte(got.out+strings.Join(earlier, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return got.out
}

// stored returns the journal's files as they are on disk.
func (g *gateway) stored(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	files, err := filepath.Glob(g.journal + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// canariesOf are the personal data of a register, and the codes, links and numbers in its answer.
func canariesOf(t *testing.T, sold string) []string {
	t.Helper()
	canaries := []string{"LPA:1", "sandbox.invalid"}
	for _, made := range regexp.MustCompile(`"(?:iccid|imsi|activationCode|matchingId)": ?"([^"]+)"`).FindAllStringSubmatch(sold, -1) {
		canaries = append(canaries, made[1])
	}
	if len(canaries) < 4 {
		t.Fatalf("the answer has no codes: %s", sold)
	}
	return canaries
}

// TestSealedJournalTellsNothing: with a key file, no file of the journal holds anything about an end user, or anything
// that installs an eSIM. Without one, the same search finds it.
func TestSealedJournalTellsNothing(t *testing.T) {
	t.Parallel()
	for _, isSealed := range []bool{false, true} {
		var flags []string
		if isSealed {
			path := filepath.Join(t.TempDir(), "keys")
			newKeyFile(t, path)
			flags = []string{"--journal-key-file=" + path}
		}
		g := startGateway(t, flags...)
		sold := g.sell(t, "order-1", "--email=canary@example.com", "--ip=198.51.100.77")
		customer := decode(t, sold, &gigagatev1.RegisterResponse{}).GetCustomer().GetUid()
		for _, fault := range []string{
			`"refuse","params":{"message":"canary@example.com at 198.51.100.77 has LPA:1$sandbox.invalid$x"}`,
			`"status","params":{"code":500,"body":"canary@example.com"}`, `"garble"`, `"commit_then_reset"`,
		} {
			g.inject(t, `{"path":"/gigastore/activations/register","fault":`+fault+`}`)
			g.sell(t, "fault-"+fault[1:5], "--email=canary@example.com", "--ip=198.51.100.77", "--timeout=1s")
		}
		if got := gigagate(t, "top-up", "--address="+g.grpc, "--item="+sandbox.ItemWorldwide1GB, "--request-id=order-2", "--metatag=text",
			"--customer="+customer, "--new-profile", "--ip=198.51.100.77", "--country=GR"); got.status != 0 {
			t.Fatalf("%+v", got)
		}
		backup := filepath.Join(t.TempDir(), "backup.db")
		if got := g.backUp(t, backup); got.status != 0 {
			t.Fatalf("%+v", got)
		}
		if got := gigagate(t, "journal", "check", "--journal=sqlite:"+backup); got.status != 0 || !strings.Contains(got.out, `"problems": []`) {
			t.Errorf("the check of a backup: %+v", got)
		}
		copied, err := os.ReadFile(backup)
		if err != nil {
			t.Fatal(err)
		}
		stored := g.stored(t) + string(copied)
		g.exit()
		stored += g.stored(t)
		if !strings.Contains(stored, "order-1") || !strings.Contains(stored, customer) {
			t.Fatal("the files do not hold the purchases")
		}
		for _, canary := range append(canariesOf(t, sold.out), "canary@example.com", "198.51.100.77") {
			if got := strings.Contains(stored, canary); got == isSealed {
				t.Errorf("sealed = %t: the files hold %q: %t", isSealed, canary, got)
			}
		}
	}
}

// TestEraseCommand: after it, no file holds the customer's data, and its purchases are still known. A purchase that is
// not settled is named and left. Nobody else's data is touched.
func TestEraseCommand(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	sold := g.sell(t, "order-1", "--email=canary@example.com", "--ip=198.51.100.77")
	other := g.sell(t, "order-2", "--email=other@example.com", "--ip=198.51.100.78")
	bought := decode(t, sold, &gigagatev1.RegisterResponse{})
	customer := bought.GetCustomer().GetUid()
	g.inject(t, `{"path":"/gigastore/activations/top-up","fault":"commit_then_reset"}`)
	g.inject(t, `{"path":"/gigastore/activations/customers/*","fault":"5xx","count":1000}`)
	g.inject(t, `{"path":"/gigastore/activations/activated-items","fault":"5xx","count":1000}`)
	topUp := []string{"top-up", "--address=" + g.grpc, "--item=" + sandbox.ItemWorldwide1GB, "--request-id=order-3", "--metatag=text", "--customer=" + customer, "--timeout=2s"}
	if got := gigagate(t, topUp...); got.status != exitIndeterminate {
		t.Fatalf("%+v", got)
	}
	erase := func(args ...string) command {
		t.Helper()
		return gigagate(t, append([]string{"erase", "--operator=dana", "--admin-address=" + g.admin}, args...)...)
	}
	var open struct{ Purchases []struct{ ID string } }
	if err := json.Unmarshal([]byte(g.purchases(t, "list", "--request-id=order-3").out), &open); err != nil || len(open.Purchases) != 1 {
		t.Fatalf("%v, %+v", err, open)
	}
	for range 2 { // the second time it is already erased
		got := erase("--customer=" + customer)
		if got.status != exitIndeterminate || !strings.Contains(got.err, "1 purchases are not settled, so their data is still there: "+open.Purchases[0].ID) || !strings.Contains(got.out, `"purchases": 1`) {
			t.Fatalf("%+v", got)
		}
	}
	stored := g.stored(t)
	for _, canary := range append(canariesOf(t, sold.out)[2:], "canary@example.com", "198.51.100.77") {
		if strings.Contains(stored, canary) {
			t.Errorf("the files still hold %q", canary)
		}
	}
	if !strings.Contains(stored, "other@example.com") {
		t.Error("another customer's data is gone")
	}
	history := g.purchases(t, "get", bought.GetPurchaseId()).out
	if !strings.Contains(history, "PURCHASE_EVENT_TYPE_ERASED") || !strings.Contains(history, `"operator": "dana"`) || strings.Count(history, "ERASED") != 1 {
		t.Errorf("the history is %s", history)
	}
	again := decode(t, g.sell(t, "order-1"), &gigagatev1.RegisterResponse{}) // without the e-mail, which nobody knows any more
	if again.GetActivatedItem().GetUid() != bought.GetActivatedItem().GetUid() || again.GetEsimProfile() != nil || len(g.ledger(t).Sales) != 3 {
		t.Errorf("a repeated call gets %v", again)
	}
	if replayed := g.sell(t, "order-2", "--email=other@example.com"); replayed.out != other.out {
		t.Errorf("another's repeated call gets %s", replayed.out)
	}
	if got := erase("--purchase=" + decode(t, other, &gigagatev1.RegisterResponse{}).GetPurchaseId()); got.status != 0 || strings.Contains(g.stored(t), "other@example.com") {
		t.Errorf("%+v", got)
	}
	for want, got := range map[string]command{
		"give either a customer or a purchase": erase(),
		"give either a customer or":            erase("--customer=a", "--purchase=b"),
		"must not be the number of an eSIM":    erase("--customer=89972000000000000012"),
		"no such purchase":                     erase("--purchase=01ARZ3NDEKTSV4RRFFQ69G5FAV"),
		"no gateway answers at 127.0.0.1:1":    erase("--customer=a", "--admin-address=127.0.0.1:1"),
	} {
		if got.status == 0 || !strings.Contains(got.err, want) {
			t.Errorf("%+v, want %q", got, want)
		}
	}
	if got := erase("--customer=nobody"); got.status != 0 || !strings.Contains(got.out, `"purchases": 0`) {
		t.Errorf("%+v", got)
	}
	audit := gigagate(t, "audit", "--address="+g.grpc, "--output=json").out
	// An erasure that left data, or that found no purchase, has a record of its beginning only.
	for outcome, want := range map[string]int{"AUDIT_OUTCOME_BEGUN": 5, "AUDIT_OUTCOME_DONE": 2} {
		found := 0
		for record := range strings.SplitSeq(audit, "}") {
			if strings.Contains(record, "AUDIT_ACTION_ERASE") && strings.Contains(record, outcome) && strings.Contains(record, `"dana"`) {
				found++
			}
		}
		if found != want {
			t.Errorf("%d records of erasures are %s, want %d: %s", found, outcome, want, audit)
		}
	}
}

// TestKeysCommands: a running gateway takes a new key, and afterwards the earlier one is not needed.
func TestKeysCommands(t *testing.T) {
	t.Parallel()
	v := startVendor(t)
	path := filepath.Join(t.TempDir(), "keys")
	plain := v.startGateway(t)
	sold := plain.sell(t, "order-1")
	journal := "--journal=sqlite:" + plain.journal
	rotate := func(g *gateway) command {
		t.Helper()
		return gigagate(t, "journal", "keys", "rotate", "--admin-address="+g.admin)
	}
	if got := rotate(plain); got.status != exitFailed || !strings.Contains(got.err, "no key file is given") {
		t.Errorf("%+v", got)
	}
	plain.exit()
	const inPlain = "the journal holds personal data and activation codes in plain text"
	if n := strings.Count(plain.log.String(), inPlain); n != 1 {
		t.Errorf("the log says %d times that the journal is in plain", n)
	}

	first := newKeyFile(t, path)
	g := v.startGateway(t, journal, "--journal-key-file="+path)
	g.sell(t, "order-2")
	newKeyFile(t, path, first)
	for _, sealed := range []string{"2", "0"} {
		if got := rotate(g); got.status != 0 || !strings.Contains(got.out, `"rows": 2`) || !strings.Contains(got.out, `"sealed": `+sealed) {
			t.Errorf("%+v, want %s", got, sealed)
		}
	}
	if strings.Contains(g.stored(t), "LPA:1") || strings.Contains(g.stored(t), "203.0.113.24") {
		t.Error("the files still hold what was in plain")
	}
	g.exit()
	text, err := os.ReadFile(path)
	if err != nil || os.WriteFile(path, []byte(strings.TrimSuffix(string(text), first)), 0o644) != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	g = v.startGateway(t, journal, "--journal-key-file="+path)
	if again := g.sell(t, "order-1"); again.out != sold.out {
		t.Errorf("%+v", again)
	}
	if log := g.log.String(); strings.Contains(log, inPlain) || !strings.Contains(log, "others than its owner may read or change the key file") {
		t.Errorf("the log is %s", log)
	}
	newKeyFile(t, path)
	if got := rotate(g); got.status != exitIndeterminate || !strings.Contains(got.err, "the data of 2 purchases cannot be read") || !strings.Contains(got.err, "is sealed with the key") {
		t.Errorf("%+v", got)
	}
	if err := os.WriteFile(path, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := rotate(g); got.status != exitFailed || !strings.Contains(got.err, "has to be 32 bytes in base64") {
		t.Errorf("%+v", got)
	}
	g.exit()
	if got := gigagate(t, serveLine(t, append(v.flags(t), journal, "--journal-key-file="+path)...)...); got.status != exitFailed || !strings.Contains(got.err, "--journal-key-file: "+path+": line 1") {
		t.Errorf("%+v", got)
	}
	// Nothing is open, so a gateway starts without the key. It sells, and only the old answers cannot be read.
	g = v.startGateway(t, journal)
	again, next := g.sell(t, "order-1", "--timeout=1s"), g.sell(t, "order-4")
	if again.status == 0 || next.status != 0 || !strings.Contains(g.log.String(), "it is sealed with the key") {
		t.Errorf("%+v, %+v: %s", again, next, g.log)
	}
	bought := decode(t, sold, &gigagatev1.RegisterResponse{})
	binding := decode(t, g.purchases(t, "get", bought.GetPurchaseId()), &gigagatev1.GetPurchaseResponse{}).GetPurchase()
	if binding.GetActivatedItemUid() != bought.GetActivatedItem().GetUid() || len(g.ledger(t).Sales) != 3 {
		t.Errorf("without the key, what was bought is %v", binding)
	}
}

// TestRestoreOfASealedJournal: a check with a key file says whether the keys can read a backup, and allows no start if they
// cannot. With the keys, a gateway on the backup repeats its answers.
func TestRestoreOfASealedJournal(t *testing.T) {
	t.Parallel()
	v := startVendor(t)
	path, another := filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "another")
	line := newKeyFile(t, path)
	newKeyFile(t, another)
	g := v.startGateway(t, "--journal-key-file="+path)
	sold := g.sell(t, "order-1")
	backup := filepath.Join(t.TempDir(), "backup.db")
	if got := g.backUp(t, backup); got.status != 0 {
		t.Fatalf("%+v", got)
	}
	g.exit()
	where := "sqlite:" + backup
	if got, report := v.check(t, where); got.status != 0 || report.Secrets != nil {
		t.Errorf("without keys: %+v", got)
	}
	id, _, _ := strings.Cut(line, ":")
	got, report := v.check(t, where, "--allow-start", "--journal-key-file="+another)
	if got.status != exitFailed || report.StartAllowed || report.Secrets == nil || report.Secrets.Unreadable != 1 || len(report.Problems) > 0 ||
		!strings.Contains(got.err, `the data of 1 purchases cannot be read with the keys in `+another) || !strings.Contains(got.err, `the key "`+id+`"`) {
		t.Errorf("with another key: %+v", got)
	}
	if got, _ := v.check(t, where, "--journal-key-file="+another+".none"); got.status != exitFailed || !strings.Contains(got.err, "--journal-key-file: ") {
		t.Errorf("without a file: %+v", got)
	}
	got, report = v.check(t, where, "--allow-start", "--journal-key-file="+path)
	if got.status != 0 || !report.StartAllowed || report.Secrets == nil || *report.Secrets != (secretsReport{Rows: 1}) {
		t.Errorf("with the key: %+v", got)
	}
	g = v.startGateway(t, "--journal="+where, "--journal-key-file="+path)
	if again := g.sell(t, "order-1"); again.out != sold.out || len(g.ledger(t).Sales) != 1 {
		t.Errorf("on the backup: %+v", again)
	}
}

// TestStartWithoutANeededKey: a gateway does not start if it cannot read the data of an open purchase.
func TestStartWithoutANeededKey(t *testing.T) {
	t.Parallel()
	v := startVendor(t)
	path := filepath.Join(t.TempDir(), "keys")
	newKeyFile(t, path)
	g := v.startGateway(t, "--journal-key-file="+path)
	g.inject(t, `{"path":"/gigastore/activations/register","fault":"commit_then_reset"}`)
	g.inject(t, `{"path":"/gigastore/activations/activated-items","fault":"5xx","count":1000}`)
	if got := g.sell(t, "order-1", "--timeout=1s"); got.status != exitIndeterminate {
		t.Fatalf("%+v", got)
	}
	g.exit()
	newKeyFile(t, path)
	for want, flags := range map[string][]string{"which is not in " + path: {"--journal-key-file=" + path}, "no key file is given": nil} {
		got := gigagate(t, serveLine(t, append(append(v.flags(t), "--journal=sqlite:"+g.journal), flags...)...)...)
		if got.status != exitFailed || !strings.Contains(got.err, "--journal-key-file: open purchases need 1 keys that are missing: ") || !strings.Contains(got.err, want) {
			t.Errorf("%+v, want %q", got, want)
		}
	}
}

// TestWhoMayAskForAnErasure: a program on the gateway's machine, and no web page.
func TestWhoMayAskForAnErasure(t *testing.T) {
	t.Parallel()
	handler := newErasures(t.Context(), nil) // no call reaches the engine
	for _, test := range []struct {
		peer, site, contentType, body string
		want                          int
	}{
		{"127.0.0.1:5", "", "application/json", `{"customerUid":"a"}`, http.StatusBadRequest},
		{"127.0.0.1:5", "", "application/json", `{"customerUid":"a","operator":"b","all":true}`, http.StatusBadRequest},
		{"127.0.0.1:5", "", "application/json", `{"customerUid":"a","operator":"` + strings.Repeat("b", 9000) + `"}`, http.StatusBadRequest},
		{"127.0.0.1:5", "", "text/plain", `{"customerUid":"a","operator":"b"}`, http.StatusBadRequest},
		{"192.0.2.1:5", "", "application/json", `{"customerUid":"a","operator":"b"}`, http.StatusForbidden},
		{"127.0.0.1:5", "cross-site", "application/json", `{"customerUid":"a","operator":"b"}`, http.StatusForbidden},
	} {
		request := httptest.NewRequest(http.MethodPost, erasePath, strings.NewReader(test.body))
		request.RemoteAddr = test.peer
		request.Header.Set("Content-Type", test.contentType)
		request.Header.Set("Sec-Fetch-Site", test.site)
		answer := httptest.NewRecorder()
		if handler.ServeHTTP(answer, request); answer.Code != test.want {
			t.Errorf("%.60v: %d %s", test, answer.Code, answer.Body)
		}
	}
}
