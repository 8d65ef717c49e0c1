package sandbox_test

import (
	"net/http"
	"strings"
	"testing"

	"gigagate.internal/gigastore/sandbox"
)

func TestControlAPI(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	w.token = "" // the control API needs no token

	reset := w.ok(w.post("/_sandbox/reset", `{"seed": 7, "settings": {"initialCredit": 10.00, "idempotencyKey": "replayed", "latency": "0s", "statuses": {"priceMismatch": 422}}}`)).object(t)
	if text(t, reset, "idempotencyKey") != "replayed" {
		t.Errorf("settings %v", reset)
	}
	if got := w.Settings(); got.InitialCredit != 10_00 || got.Statuses.PriceMismatch != 422 || got.Statuses.NotFound != 404 || got.PendingPeriod != sandbox.DefaultSettings().PendingPeriod {
		t.Errorf("settings %+v", got)
	}
	if shown := w.ok(w.get("/_sandbox/settings")).text; !strings.Contains(shown, `"initialCredit":10.00`) || !strings.Contains(shown, `"pendingPeriod":"2160h0m0s"`) {
		t.Errorf("settings %s", shown)
	}

	w.authenticate()
	bought := w.register(sandbox.ItemWorldwide1GB, "a", mode("FIRST_USE"))
	w.ok(w.post("/_sandbox/connect", m{"iccid": bought.iccid, "country": "GR"}))
	w.ok(w.post("/_sandbox/use", m{"itemUid": bought.item, "bytes": 500_000_000}))
	w.ok(w.post("/_sandbox/use", m{"iccid": bought.iccid, "bytes": 400_000_000}))
	if left := w.balance(bought.item)["availableBalance"]; text(t, left, "sizeUnit") != "GB" || at(t, left, "sizeValue") == nil || !strings.Contains(w.get(items+"/"+bought.item).text, `"sizeValue":0.1`) {
		t.Errorf("left %v", left)
	}

	clock := w.ok(w.post("/_sandbox/clock", m{"advance": "91d"})).object(t)
	if got := text(t, clock, "now"); got != "2026-05-31T12:30:15.123456789Z" || got != text(t, w.ok(w.get("/_sandbox/clock")).object(t), "now") {
		t.Errorf("clock %s", got)
	}
	w.ok(w.post("/_sandbox/clock", m{"advance": "2184h"}))

	w.ok(w.post("/_sandbox/faults", m{"path": "/gigastore/*", "fault": "throttle", "count": 2, "params": m{"retryAfter": 3}}))
	w.authenticate()
	if got := w.get(inventory); got.status != 429 || got.header.Get("Retry-After") != "3" {
		t.Errorf("status %d", got.status)
	}
	armed := w.ok(w.get("/_sandbox/faults")).object(t)["armed"].([]any)
	if len(armed) != 1 || !strings.Contains(w.get("/_sandbox/faults").text, `"count":1`) {
		t.Errorf("armed %v", armed)
	}
	w.ok(w.do(t.Context(), http.MethodDelete, "/_sandbox/faults", nil))
	w.ok(w.get(inventory))

	ledger := w.ok(w.get("/_sandbox/ledger"))
	if !strings.HasPrefix(ledger.text, `{"creditLeft":5.80,"sales":[{"kind":"register","itemUid":"`+bought.item+`"`) {
		t.Errorf("ledger %s", ledger.text)
	}
	for _, part := range []string{`"metatag":"a"`, `"mode":"FIRST_USE"`, `"purchasePrice":4.20`, `"cause":"connect"`, `"requests":{"/gigastore/activations/register":1}`, `"GET /gigastore/products/inventory":2`} {
		if !strings.Contains(ledger.text, part) {
			t.Errorf("no %s in %s", part, ledger.text)
		}
	}
}

func TestControlResetStartsFromTheFirstSettings(t *testing.T) {
	t.Parallel()
	w := open(t, func(s *sandbox.Settings) { s.InitialCredit = 5_00 })
	w.ok(w.post("/_sandbox/reset", m{"settings": m{"listCap": 1}}))
	w.ok(w.post("/_sandbox/reset", m{}))
	if got := w.Settings(); got.ListCap != 0 || got.InitialCredit != 5_00 {
		t.Errorf("settings %+v", got)
	}
	w.ok(w.post("/_sandbox/reset", m{"settings": nil}))
}

func TestControlAPIRefusesBadInput(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	for _, test := range []struct {
		path, body, want string
	}{
		{"faults", `{"path":"` + register + `","fault":"explode"}`, "unknown fault"},
		{"faults", `{"path":"` + register + `","fault":"5xx","times":2}`, `unknown field \"times\"`},
		{"faults", `{"path":"` + register + `","fault":"5xx","count":"2"}`, "count cannot be: string"},
		{"faults", `{"path":"` + register + `","fault":"5xx","params":{"status":500.5}}`, "status cannot be: number"},
		{"faults", `{"path":"` + register + `","fault":"5xx"} x`, "something after"},
		{"faults", ``, "must be a JSON object"},
		{"faults", `[]`, "the body cannot be: array"},
		{"clock", `{}`, "advance is required"},
		{"clock", `{"advance":"-1h"}`, "is not a duration"},
		{"clock", `{"advance":"99999d"}`, "is not a duration"},
		{"clock", `{"advance":"9999999h"}`, "is not a duration"},
		{"clock", `{"advance":91}`, "advance cannot be: number"},
		{"clock", `{"back":"1h"}`, "unknown field"},
		{"connect", `{"iccid":"1"}`, "no eSIM"},
		{"use", `{"bytes":1}`, "either itemUid or iccid"},
		{"use", `{"itemUid":"a","iccid":"b","bytes":1}`, "either itemUid or iccid"},
		{"use", `{"itemUid":"a","bytes":0}`, "bytes must be positive"},
		{"use", `{"itemUid":"a","bytes":1}`, "no package"},
		{"reset", `{"seed":-1}`, "seed cannot be: number"},
		{"reset", `{"settings":{"listCop":1}}`, "unknown field"},
		{"reset", `{"settings":{"listCap":-1}}`, "setting listCap is -1"},
		{"reset", `{"settings":{"errorShape":"xml"}}`, "setting errorShape"},
		{"reset", `{"settings":{"initialCredit":1.005}}`, "whole number of cents"},
		{"reset", `{"settings":{"initialCredit":"1"}}`, "JSON number"},
		{"reset", `{"settings":{"latency":5}}`, "latency cannot be: number"},
		{"reset", strings.Repeat(" ", 1<<17), "too large"},
	} {
		got := w.post("/_sandbox/"+test.path, test.body)
		if got.err != nil || got.status != 400 || !strings.HasPrefix(got.text, `{"error":"`) || !strings.Contains(got.text, test.want) || strings.Contains(got.text, "sandbox.") {
			t.Errorf("%s %.80s: %d %s", test.path, test.body, got.status, got.text)
		}
	}
	if got := w.get("/_sandbox/nothing"); got.status != 404 {
		t.Errorf("an unknown control path gave %d", got.status)
	}
	if got := w.post("/_sandbox/ledger", "{}"); got.status != 405 {
		t.Errorf("POST of the ledger gave %d", got.status)
	}
}

func TestEmptyLedgerHasEmptyLists(t *testing.T) {
	t.Parallel()
	box, err := sandbox.New(sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got := box.Ledger(); got.CreditLeft.String() != "1000.00" || got.Sales == nil || got.Activations == nil || got.Requests == nil || got.Calls == nil {
		t.Errorf("ledger %+v", got)
	}
}
