package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"gigagate.internal/internal/scenarios/protocol"
)

// repository is the repository's root, from this folder.
const repository = "../.."

var scenarioFolder = filepath.Join(repository, "proto", "scenarios")

// Go and plain HTTP can be played on every machine that runs the tests.
func TestScenariosHoldInGoAndOverHTTP(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds programs and waits for a proof of absence")
	}
	var out bytes.Buffer
	err := run(t.Context(), config{root: repository, scenarios: scenarioFolder, only: []string{"go", "http"}}, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, row := range []string{"02-register", "12-unsettled", ledgerRow} {
		if !strings.Contains(out.String(), "\n"+row+" ") {
			t.Errorf("the table has no %s:\n%s", row, &out)
		}
	}
}

// Each of these scenarios expects something wrong from a gateway that works.
func TestScenariosFail(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds programs")
	}
	const (
		inventory = `{"about": "x", "steps": [{"call": "InventoryService/ListInventoryItems", "request": {}, "expect": EXPECT}]}`
		sale      = `{"about": "x", "steps": [{"call": "ActivationService/Register", "request": {"requestId": "r", "metatag": "m",
			"inventoryItemId": "6513270e-269e-4d37-b2a7-4de452e6b438", "userIp": "203.0.113.24", "userCountry": "GR"}, "expect": EXPECT}]}`
	)
	folder := t.TempDir()
	want := map[string]string{}
	for name, c := range map[string]struct{ scenario, expect, says string }{
		"other-text": {inventory, `{"response": {"items": [{"countrySet": "EU"}, {}, {}, {}, {}]}}`, `items[0].countrySet: want "EU", got "WWW"`},
		"too-few":    {inventory, `{"response": {"items": [{}]}}`, `items: want [{}], got [`},
		"absent":     {sale, `{"response": {"activatedItem": {"balance": {"expiresAt": null}}}}`, `expiresAt: want null, got "2`},
		"not-there":  {inventory, `{"response": {"totalSize": "*"}}`, `totalSize: want "*", got null`},
		"no-match":   {sale, `{"response": {"purchaseId": "/^[a-z]+$/"}}`, `purchaseId: want "/^[a-z]+$/", got "01`},
		"error":      {inventory, `{"error": {"code": "UNAVAILABLE"}}`, `answer.error: want {"code":"UNAVAILABLE"}, got null`},
		"replayed":   {sale, `{"response": {}, "replayed": true}`, `answer.replayed: want true, got false`},
		"not-saved":  {inventory, `{"response": {"items": "${nothing}"}}`, `nothing was saved as nothing`},
	} {
		text := strings.ReplaceAll(strings.ReplaceAll(c.scenario, "EXPECT", c.expect), `"r"`, `"`+name+`"`)
		if err := os.WriteFile(filepath.Join(folder, name+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want[name] = c.says
	}
	var out bytes.Buffer
	err := run(t.Context(), config{root: repository, scenarios: folder, only: []string{"go"}}, &out)
	if err == nil {
		t.Error("no scenario failed")
	}
	for name, says := range want {
		told := out.String()[max(0, strings.Index(out.String(), "go, "+name+":")):]
		told, _, _ = strings.Cut(told, "\n\n")
		if !strings.Contains(told, says) {
			t.Errorf("%s: no %q in\n%s", name, says, told)
		}
	}
}

func TestLanguageThatIsMissing(t *testing.T) {
	t.Parallel()
	nowhere := config{root: t.TempDir()}
	var out bytes.Buffer
	if _, err := nowhere.choose(&out); err == nil || !strings.Contains(out.String(), "SKIPPED: http: there is no internal/scenarios") {
		t.Errorf("nothing can be played in an empty folder: %v, %s", err, &out)
	}
	nowhere.require = []string{"all"}
	if _, err := nowhere.choose(&out); err == nil || !strings.Contains(err.Error(), "go cannot be played") {
		t.Errorf("a missing language that is required must be an error: %v", err)
	}
	if _, err := (config{only: []string{"cobol"}}).choose(&out); err == nil {
		t.Error("an unknown language is accepted")
	}
}

// Some scenario calls every method of the contract. No two scenarios share a request id.
func TestScenariosCoverTheContract(t *testing.T) {
	t.Parallel()
	scenarios, err := readScenarios(scenarioFolder)
	if err != nil {
		t.Fatal(err)
	}
	called, owner := map[string]bool{}, map[string]string{}
	for _, scenario := range scenarios {
		for _, step := range scenario.Steps {
			called[contract+step.Call] = true
			id, paid := step.Request["requestId"].(string)
			if paid && owner[id] != "" && owner[id] != scenario.name {
				t.Errorf("%s and %s share the request id %s", owner[id], scenario.name, id)
			}
			owner[id] = scenario.name
		}
	}
	protoregistry.GlobalFiles.RangeFilesByPackage("gigagate.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				if name := string(service.FullName()) + "/" + string(service.Methods().Get(j).Name()); !called[name] {
					t.Errorf("no scenario calls %s", name)
				}
			}
		}
		return true
	})
}

func TestAnswersAreComparedWithTheLedger(t *testing.T) {
	t.Parallel()
	const purchase, other = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAW"
	sale := func(id, uid string) map[string]any {
		return map[string]any{"metatag": "gg" + id + " m", "itemUid": uid}
	}
	register := func(answer string) told {
		call := told{method: contract + "ActivationService/Register", request: map[string]any{"requestId": "r"}}
		if err := json.Unmarshal([]byte(answer), &call.answer); err != nil {
			t.Fatal(err)
		}
		return call
	}
	sold := register(`{"response": {"purchaseId": "` + purchase + `", "activatedItem": {"uid": "u"}}}`)
	failed := register(`{"error": {"outcome": {"purchaseId": "` + purchase + `", "effect": "EFFECT_NOT_APPLIED"}}}`)
	again := register(`{"response": {"purchaseId": "` + other + `", "activatedItem": {"uid": "v"}}}`)
	refused := register(`{"refused": {"purchaseId": "` + purchase + `", "effect": "NOT_APPLIED"}}`)
	notKnown := register(`{"notKnownYet": {"purchaseId": "` + purchase + `"}}`)
	unknown := register(`{"error": {"outcome": {"purchaseId": "` + purchase + `", "effect": "EFFECT_INDETERMINATE"}}}`)
	for name, c := range map[string]struct {
		heard []told
		sales []any
		says  string
	}{
		"as told":                     {[]told{sold}, []any{sale(purchase, "u")}, ""},
		"unknown, and sold":           {[]told{unknown}, []any{sale(purchase, "u")}, ""},
		"unknown, then sold":          {[]told{unknown, sold}, []any{sale(purchase, "u")}, ""},
		"twice":                       {[]told{sold}, []any{sale(purchase, "u"), sale(purchase, "v")}, "r bought 2 packages"},
		"twice, as two":               {[]told{sold, again}, []any{sale(purchase, "u"), sale(other, "v")}, "r bought 2 packages"},
		"another package":             {[]told{sold}, []any{sale(purchase, "v")}, "r was told that it bought u"},
		"told that none was sold":     {[]told{failed}, []any{sale(purchase, "u")}, "r was told that it bought nothing"},
		"refused":                     {[]told{refused}, []any{sale(purchase, "u")}, "r was told that it bought nothing"},
		"not known yet":               {[]told{notKnown}, []any{sale(purchase, "u")}, ""},
		"a sale that nobody was told": {[]told{sold}, []any{sale(purchase, "u"), sale(other, "v")}, "no answer named the purchase " + other},
		"told, but never bought":      {[]told{sold}, []any{sale(other, "u")}, "r was told that it bought u"},
		"nothing at all":              {nil, nil, "the ledger is empty"},
	} {
		problems := judgeLedger(c.heard, map[string]any{"sales": c.sales})
		if text := strings.Join(problems, "; "); (c.says == "") != (text == "") || !strings.Contains(text, c.says) {
			t.Errorf("%s: %q, want %q", name, text, c.says)
		}
	}
}

func TestComparingLanguagesIgnoresIDsAndTimes(t *testing.T) {
	t.Parallel()
	heard := func(uids ...string) []told {
		var all []told
		for _, uid := range uids {
			all = append(all, told{scenario: "s", answer: map[string]any{"uid": uid, "at": time.Now().UTC().Format(time.RFC3339Nano)}})
		}
		return all
	}
	const a, b, c = "6513270e-269e-4d37-b2a7-4de452e6b438", "2b9e1f64-7c35-4a8d-b0e2-91d4c6f3a857", "d23f0824-128b-4f33-8c5c-7fd0a6a3a450"
	if problems := sameAnswers("s", heard(a, b, a), heard(b, c, b)); problems != nil {
		t.Errorf("answers that differ only in ids and times: %q", problems)
	}
	for name, second := range map[string][]told{
		"another one the third time": heard(b, c, a),
		"one answer less":            heard(b, c),
		"no id":                      heard(b, c, ""),
	} {
		if problems := sameAnswers("s", heard(a, b, a), second); len(problems) == 0 {
			t.Errorf("%s is taken as the same", name)
		}
	}
	if problems := sameAnswers("other scenario", heard(a), nil); problems != nil {
		t.Errorf("the answers of another scenario count: %q", problems)
	}
}

func TestScenariosWithoutAnEffectAreRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, text := range []string{
		`{"about": "x", "steps": []}`,
		`{"about": "x", "credential": "password", "steps": [{"sandbox": "GET /_sandbox/clock"}]}`,
		`{"steps": [{"sandbox": "GET /_sandbox/clock"}]}`,
		`{"about": "x", "steps": [{"call": "A/B", "request": {}}]}`,
		`{"about": "x", "steps": [{"call": "A/B", "request": {}, "expect": {"response": {}, "error": {}}}]}`,
		`{"about": "x", "steps": [{"call": "A/B", "sandbox": "GET /", "expect": {"response": {}}}]}`,
		`{"about": "x", "steps": [{"call": "A/B", "request": {}, "expect": {"response": {}}, "expects": {}}]}`,
		`{"about": "x", "steps": [{"call": "A/B", "helper": true, "request": {}, "expect": {"response": {}}}]}`,
		`{"about": "x", "steps": [{"call": "ActivationService/TopUp", "request": {}, "expect": {"refused": {}}}]}`,
		`{"about": "x", "steps": [{"call": "ActivationService/TopUp", "helper": true, "request": {}, "expect": {"error": {}}}]}`,
	} {
		if err := os.WriteFile(filepath.Join(folder, "one.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readScenarios(folder); err == nil {
			t.Errorf("taken: %s", text)
		}
	}
}

func TestClientProgramsThatBreakTheProtocol(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script, asked, stopped string
		helper                 bool
	}{
		"keeps to it":    {`read l; echo '{"response":{}}'; read l; exit 0`, "", "", false},
		"says more":      {`read l; echo '{"response":{}}'; echo done`, "", "a line without a request", false},
		"says otherwise": {`read l; echo hello; read l`, "a line that is not an answer", "exit status 1", false},
		"says both":      {`read l; echo '{"response":{},"error":{}}'; read l; exit 0`, "a line that is not an answer", "", false},
		"has a helper":   {`read l; echo '{"refused":{}}'; read l; exit 0`, "", "", true},
		"has none":       {`read l; echo '{"error":{}}'; read l; exit 0`, "a line that is not an answer", "", true},
		"helps unasked":  {`read l; echo '{"notKnownYet":{}}'; read l; exit 0`, "a line that is not an answer", "", false},
		"ends":           {`read l; echo sorry >&2; exit 3`, "ended without an answer", "exit status 3; it wrote:\nsorry", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := startProgram(t.Context(), t.TempDir(), []string{"sh", "-c", c.script}, "127.0.0.1:1", os.Environ())
			if err != nil {
				t.Fatal(err)
			}
			_, asked := p.ask(protocol.Request{Method: "A/B", Request: []byte("{}"), Helper: c.helper})
			says(t, "ask", asked, c.asked)
			says(t, "stop", p.stop(), c.stopped)
		})
	}
}

func says(t *testing.T, what string, err error, part string) {
	t.Helper()
	if (err == nil) != (part == "") || err != nil && !strings.Contains(err.Error(), part) {
		t.Errorf("%s: %v, want %q", what, err, part)
	}
}
