package sandbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"gigagate.internal/gigastore/sandbox"
)

func TestRegisterSpendsPurchasePriceAndMakesCustomerAndESIM(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	answer := w.ok(w.post(register, order(sandbox.ItemWorldwide1GB, "gg1 mine", m{"customerEmail": "a@example.com"}), "idempotency-key", "k1"))
	if !strings.Contains(answer.text, `"priceValue":4.20,`) {
		t.Errorf("the price is not a plain JSON number: %s", answer.text)
	}
	object := answer.object(t)
	code := text(t, object, "esimProfile", "activationCode")
	if !strings.HasPrefix(code, "LPA:1$sandbox.invalid$") {
		t.Errorf("activation code %q could be taken for a real one", code)
	}
	for _, link := range []string{"appleUniversalLink", "installationUrl"} {
		if got := text(t, object, "esimProfile", link); !strings.HasPrefix(got, "https://sandbox.invalid/") {
			t.Errorf("%s is %q", link, got)
		}
	}
	ledger := w.Ledger()
	if len(ledger.Sales) != 1 || ledger.CreditLeft != 995_80 || ledger.Requests[register] != 1 {
		t.Fatalf("ledger %+v", ledger)
	}
	want := sandbox.Sale{
		Kind: sandbox.KindRegister, ItemUID: text(t, object, "activatedItem", "uid"), CustomerUID: text(t, object, "customer", "uid"),
		ICCID: text(t, object, "esimProfile", "iccid"), InventoryItemID: sandbox.ItemWorldwide1GB, Metatag: "gg1 mine",
		IdempotencyKey: "k1", Mode: sandbox.ModeNow, PurchasePrice: 420, RetailPrice: 999, Time: began, Requests: 1,
	}
	if ledger.Sales[0] != want {
		t.Errorf("sale %+v, want %+v", ledger.Sales[0], want)
	}
}

func TestTopUpsStayWithTheCustomer(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	first := w.register(sandbox.ItemWorldwide1GB, "a")
	plain := w.topUp(first, sandbox.ItemWorldwide50MB, "b")
	second := w.sell(topUpProfile, order(sandbox.ItemWorldwide1GB, "c", m{"customerUid": first.customer, "dedicated": true}))
	if plain.customer != first.customer || second.customer != first.customer {
		t.Error("a top-up changed the customer")
	}
	if plain.iccid != "" || second.iccid == "" || second.iccid == first.iccid {
		t.Errorf("eSIMs %q, %q, %q", first.iccid, plain.iccid, second.iccid)
	}
	record := w.ok(w.get(customers + "/" + first.customer)).object(t)
	if got := len(record["activatedItems"].([]any)); got != 3 {
		t.Errorf("%d packages, want 3", got)
	}
	if got := len(record["relatedEsims"].([]any)); got != 2 {
		t.Errorf("%d eSIMs, want 2", got)
	}
	domains := w.ok(w.get(customers + "/" + first.customer + "/profile-domains")).object(t)["customerProfileDomains"].([]any)
	if len(domains) != 2 {
		t.Errorf("%d profile domains, want 2", len(domains))
	}
	into := text(t, domains[1], "id")
	w.sell(topUp, order(sandbox.ItemWorldwide1GB, "d", m{"customerUid": first.customer, "customerProfileDomainId": into, "activationMode": "FIRST_USE"}))
	w.refused(w.post(topUp, order(sandbox.ItemWorldwide1GB, "e", m{"customerUid": first.customer, "customerProfileDomainId": "other"})),
		404, sandbox.SentenceProfileDomainNotFound)
}

func TestRefusalsSpendNothing(t *testing.T) {
	t.Parallel()
	price := func(value json.Number, currency string) m {
		return m{"expectedPrice": m{"sortIndex": 0, "priceValue": value, "currencyCode": currency}}
	}
	for _, test := range []struct {
		name, path string
		body       any
		status     int
		sentence   string
	}{
		{"purchase price instead of retail", register, order(sandbox.ItemWorldwide1GB, "x", price("4.20", "USD")), 400, sandbox.SentencePriceMismatch},
		{"a fraction of a cent off", register, order(sandbox.ItemWorldwide1GB, "x", price("9.9900000000000000000001", "USD")), 400, sandbox.SentencePriceMismatch},
		{"other currency", register, order(sandbox.ItemWorldwide1GB, "x", price("9.99", "EUR")), 400, sandbox.SentencePriceMismatch},
		{"huge exponent", register, order(sandbox.ItemWorldwide1GB, "x", price("1e999999999", "USD")), 400, "expectedPrice.priceValue"},
		{"large exponent", register, order(sandbox.ItemWorldwide1GB, "x", price("1e99999", "USD")), 400, "expectedPrice.priceValue"},
		{"negative price", register, order(sandbox.ItemWorldwide1GB, "x", price("-9.99", "USD")), 400, "expectedPrice.priceValue"},
		{"no currency", register, order(sandbox.ItemWorldwide1GB, "x", price("9.99", "")), 400, "expectedPrice.currencyCode"},
		{"on demand in one country", register, order(sandbox.ItemGreece2GB, "x", mode("ON_DEMAND")), 400, sandbox.SentenceModeNotAvailable},
		{"unknown item", register, order("nothing", "x"), 404, sandbox.SentenceInventoryItemNotFound},
		{"unknown customer", topUp, order(sandbox.ItemWorldwide1GB, "x", m{"customerUid": "nobody"}), 404, sandbox.SentenceCustomerNotFound},
		{"no item", register, m{"metatag": "x", "userIp": "::1", "userCountry": "GR"}, 400, "inventoryItemId is required"},
		{"no metatag", register, order(sandbox.ItemWorldwide1GB, ""), 400, "metatag is required"},
		{"null metatag", register, order(sandbox.ItemWorldwide1GB, "", m{"metatag": nil}), 400, "metatag is required"},
		{"no customer", topUp, order(sandbox.ItemWorldwide1GB, "x"), 400, "customerUid is required"},
		{"no ip", register, order(sandbox.ItemWorldwide1GB, "x", m{"userIp": nil}), 400, "userIp is required"},
		{"bad ip", register, order(sandbox.ItemWorldwide1GB, "x", m{"userIp": "203.0.113"}), 400, "userIp must be"},
		{"lower-case country", register, order(sandbox.ItemWorldwide1GB, "x", m{"userCountry": "gr"}), 400, "userCountry must be"},
		{"bad e-mail", register, order(sandbox.ItemWorldwide1GB, "x", m{"customerEmail": "a@b@c"}), 400, "customerEmail must be"},
		{"metatag a number", register, order(sandbox.ItemWorldwide1GB, "x", m{"metatag": 1}), 400, "metatag must be a string"},
		{"wrong case of a member", register, m{"InventoryItemId": sandbox.ItemWorldwide1GB, "metatag": "x", "userIp": "::1", "userCountry": "GR"}, 400, "inventoryItemId is required"},
		{"both domain members", topUpProfile, order(sandbox.ItemWorldwide1GB, "x", m{"customerUid": "u", "dedicated": true, "customerProfileDomainId": "d"}), 400, "exclude each other"},
		{"not JSON", register, "{", 400, sandbox.SentenceMalformedBody},
		{"trailing data", register, `{} {}`, 400, sandbox.SentenceMalformedBody},
		{"an array", register, "[]", 400, sandbox.SentenceMalformedBody},
		{"null", register, "null", 400, sandbox.SentenceMalformedBody},
		{"invalid UTF-8", register, "{\"metatag\":\"\xff\"}", 400, sandbox.SentenceMalformedBody},
		{"2 MB", register, `{"metatag":"` + strings.Repeat("x", 2<<20) + `"}`, 413, sandbox.SentenceBodyTooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := open(t, nil)
			got := w.post(test.path, test.body)
			if test.status == 413 && got.err != nil {
				return // the sandbox may close the connection before the client has sent everything
			}
			w.refused(got, test.status, test.sentence)
			if l := w.Ledger(); len(l.Sales) != 0 || l.CreditLeft != 1000_00 || l.Requests[test.path] != 1 {
				t.Errorf("ledger %+v", l)
			}
		})
	}
}

func TestExpectedPriceIsTheRetailPriceByValue(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	for _, value := range []json.Number{"9.99", "9.990", "999e-2", "0.00999E+3"} {
		w.register(sandbox.ItemWorldwide1GB, "x", m{"expectedPrice": m{"priceValue": value, "currencyCode": "USD"}})
	}
	item := inventory + "/" + sandbox.ItemWorldwide1GB
	put := w.do(t.Context(), http.MethodPut, item, m{"name": "Renamed", "retailPrice": m{"sortIndex": 0, "priceValue": json.Number("10.49"), "currencyCode": "USD"}})
	if changed := w.ok(put).object(t); text(t, changed, "name") != "Renamed" {
		t.Errorf("changed to %v", changed)
	}
	w.refused(w.post(register, order(sandbox.ItemWorldwide1GB, "x", m{"expectedPrice": m{"priceValue": 9.99, "currencyCode": "USD"}})), 400, sandbox.SentencePriceMismatch)
	w.register(sandbox.ItemWorldwide1GB, "x", m{"expectedPrice": m{"priceValue": 10.49, "currencyCode": "USD"}})
	for _, bad := range []json.Number{"10.495", "-1"} {
		w.refused(w.do(t.Context(), http.MethodPut, item, m{"retailPrice": m{"priceValue": bad, "currencyCode": "USD"}}), 400, "retailPrice")
	}
}

func TestOneCustomerHasOneCountrySet(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	austria := w.register(sandbox.ItemAustria3GB, "a")
	for _, path := range []string{topUp, topUpProfile} {
		w.refused(w.post(path, order(sandbox.ItemEurope5GB, "b", m{"customerUid": austria.customer})), 400, sandbox.SentenceCountrySetMismatch)
	}
	w.topUp(austria, sandbox.ItemAustria3GB, "c")
}

func TestParallelRegistersNeverOversellTheCredit(t *testing.T) {
	t.Parallel()
	w := open(t, func(s *sandbox.Settings) { s.InitialCredit = 42_50 }) // enough for ten packages at 4.20
	var group sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range 64 {
		group.Go(func() {
			got := w.post(register, order(sandbox.ItemWorldwide1GB, fmt.Sprint(i)))
			mu.Lock()
			defer mu.Unlock()
			statuses[got.status]++
		})
	}
	group.Wait()
	ledger := w.Ledger()
	if statuses[200] != 10 || statuses[402] != 54 || len(ledger.Sales) != 10 || ledger.CreditLeft != 50 || ledger.Requests[register] != 64 {
		t.Errorf("statuses %v, %d sales, credit %v", statuses, len(ledger.Sales), ledger.CreditLeft)
	}
	w.refused(w.post(register, order(sandbox.ItemWorldwide1GB, "last")), 402, sandbox.SentenceInsufficientCredits)
}

func TestSameSeedSameWorld(t *testing.T) {
	t.Parallel()
	play := func(w *world) string {
		first := w.register(sandbox.ItemWorldwide1GB, "a")
		w.topUp(first, sandbox.ItemWorldwide1GB, "b", mode("FIRST_USE"))
		w.register(sandbox.ItemGreece2GB, "c")
		return w.ok(w.get(items)).text + w.ok(w.get(customers)).text
	}
	w := open(t, nil)
	first := play(w)
	w.advance(1e18)
	w.must(w.Reset(1, nil))
	w.get(items) // reads and logins do not change the ids
	w.authenticate()
	if second := play(w); first != second {
		t.Errorf("seed 1 gave\n%s\nthen\n%s", first, second)
	}
	w.must(w.Reset(2, nil))
	if other := play(w); first == other {
		t.Error("seed 2 gave the same world")
	}
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	a, b := order(sandbox.ItemWorldwide1GB, "a"), order(sandbox.ItemWorldwide1GB, "b")
	bad := order(sandbox.ItemWorldwide1GB, "a", m{"userIp": "nonsense"})
	const key = "idempotency-key"
	for _, test := range []struct {
		name     string
		settings func(*sandbox.Settings)
		play     func(*world) reply
		status   int
		sentence string
		sales    string
	}{
		{"ignored", nil, func(w *world) reply { return w.post(register, a, key, "k") }, 200, "success", "a a"},
		{"replayed", replayed, func(w *world) reply { return w.post(register, a, key, "k") }, 200, "success", "a"},
		{"refused", func(s *sandbox.Settings) { s.IdempotencyKey = sandbox.KeyRefusedWithConflict }, func(w *world) reply { return w.post(register, a, key, "k") }, 409, sandbox.SentenceKeyUsed, "a"},
		{"other key", replayed, func(w *world) reply { return w.post(register, a, key, "k2") }, 200, "success", "a a"},
		{"no key", replayed, func(w *world) reply { return w.post(register, a) }, 200, "success", "a a"},
		{"other body replayed", replayed, func(w *world) reply { return w.post(register, b, key, "k") }, 200, `"metatag":"a"`, "a"},
		{"other body refused", func(s *sandbox.Settings) { replayed(s); s.IdempotencyOtherBody = sandbox.OtherBodyRefused }, func(w *world) reply { return w.post(register, b, key, "k") }, 409, sandbox.SentenceKeyOtherBody, "a"},
		{"forgotten", func(s *sandbox.Settings) { replayed(s); s.IdempotencyForgottenAfter = 1e9 }, func(w *world) reply {
			w.advance(1e9)
			return w.post(register, a, key, "k")
		}, 200, "success", "a a"},
		{"other path, key of the account", replayed, func(w *world) reply { return w.post(topUp, a, key, "k") }, 200, "success", "a"},
		{"other path, key of the path", func(s *sandbox.Settings) { replayed(s); s.IdempotencyScope = sandbox.KeyPerPath }, func(w *world) reply { return w.post(topUp, a, key, "k") }, 400, "customerUid", "a"},
		{"failure not stored", replayed, func(w *world) reply { w.post(register, bad, key, "f"); return w.post(register, a, key, "f") }, 200, "success", "a a"},
		{"failure stored", func(s *sandbox.Settings) { replayed(s); s.IdempotencyStoresFailures = true }, func(w *world) reply { w.post(register, bad, key, "f"); return w.post(register, a, key, "f") }, 400, "userIp", "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := open(t, test.settings)
			w.ok(w.post(register, a, key, "k"))
			w.refused(test.play(w), test.status, test.sentence)
			if got := metatags(w.Ledger()); got != test.sales {
				t.Errorf("sold %q, want %q", got, test.sales)
			}
		})
	}
}

func replayed(s *sandbox.Settings) { s.IdempotencyKey = sandbox.KeyReplayed }

func TestSettingsOfASale(t *testing.T) {
	t.Parallel()
	greece := order(sandbox.ItemGreece2GB, "tag", mode("ON_DEMAND"))
	for _, test := range []struct {
		name     string
		settings func(*sandbox.Settings)
		body     m
		status   int
		want     string // part of the answer
		mode     sandbox.Mode
	}{
		{"on demand becomes now", func(s *sandbox.Settings) { s.OnDemandSingleCountry = sandbox.OnDemandBecomesNow }, greece, 200, `"activationMode":"NOW"`, "NOW"},
		{"on demand becomes first use", func(s *sandbox.Settings) { s.OnDemandSingleCountry = sandbox.OnDemandBecomesFirstUse }, greece, 200, `"activationMode":"FIRST_USE"`, "FIRST_USE"},
		{"on demand sold", func(s *sandbox.Settings) { s.OnDemandSingleCountry = sandbox.OnDemandSold }, greece, 200, `"activationMode":"ON_DEMAND"`, "ON_DEMAND"},
		{"a typo becomes now", nil, order(sandbox.ItemWorldwide1GB, "tag", mode("ON_DEMNAD")), 200, `"activationMode":"NOW"`, "NOW"},
		{"a typo refused", func(s *sandbox.Settings) { s.UnknownActivationMode = sandbox.UnknownModeRefused }, order(sandbox.ItemWorldwide1GB, "tag", mode("ON_DEMNAD")), 400, "activationMode must be", ""},
		{"unknown member ignored", nil, order(sandbox.ItemWorldwide1GB, "tag", m{"colour": "red"}), 200, "success", "NOW"},
		{"unknown member refused", func(s *sandbox.Settings) { s.UnknownMembers = sandbox.UnknownMembersRefused }, order(sandbox.ItemWorldwide1GB, "tag", m{"colour": "red"}), 400, "unknown field", ""},
		{"metatag truncated", func(s *sandbox.Settings) { s.MetatagMax = 4 }, order(sandbox.ItemWorldwide1GB, "tagéé"), 200, `"metatag":"tag"`, "NOW"},
		{"metatag refused", func(s *sandbox.Settings) { s.MetatagMax = 4; s.MetatagTooLong = sandbox.MetatagRefused }, order(sandbox.ItemWorldwide1GB, "tag45"), 400, "metatag is too long", ""},
		{"no salesDate", func(s *sandbox.Settings) { s.SalesDateShown = false }, order(sandbox.ItemWorldwide1GB, "tag"), 200, `"activationType":"DATA_PLAN","purchasePrice"`, "NOW"},
		{"activatedAt null", nil, order(sandbox.ItemWorldwide1GB, "tag", mode("FIRST_USE")), 200, `"balance":{"activatedAt":null,`, "FIRST_USE"},
		{"activatedAt empty", func(s *sandbox.Settings) { s.EmptyActivatedAt = sandbox.EmptyText }, order(sandbox.ItemWorldwide1GB, "tag", mode("FIRST_USE")), 200, `"balance":{"activatedAt":"",`, "FIRST_USE"},
		{"activatedAt absent", func(s *sandbox.Settings) { s.EmptyActivatedAt = sandbox.EmptyAbsent }, order(sandbox.ItemWorldwide1GB, "tag", mode("FIRST_USE")), 200, `"balance":{"expiresAt":`, "FIRST_USE"},
		{"e-mail shown", nil, order(sandbox.ItemWorldwide1GB, "tag", m{"customerEmail": "a@example.com"}), 200, `"email":"a@example.com"`, "NOW"},
		{"e-mail null", func(s *sandbox.Settings) { s.CustomerEmail = sandbox.EmailNull }, order(sandbox.ItemWorldwide1GB, "tag", m{"customerEmail": "a@example.com"}), 200, `"email":null`, "NOW"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := open(t, test.settings)
			w.refused(w.post(register, test.body), test.status, test.want)
			sales := w.Ledger().Sales
			if test.mode == "" != (len(sales) == 0) || len(sales) == 1 && sales[0].Mode != test.mode {
				t.Errorf("sales %+v, want mode %q", sales, test.mode)
			}
		})
	}
}

func TestSameEmailAgain(t *testing.T) {
	t.Parallel()
	email := m{"customerEmail": "Same@Example.com"}
	for policy, same := range map[sandbox.SecondRegisterPolicy]bool{
		sandbox.SecondRegisterNewCustomer: false, sandbox.SecondRegisterSameCustomer: true,
	} {
		w := open(t, func(s *sandbox.Settings) { s.SecondRegister = policy })
		first, second := w.register(sandbox.ItemWorldwide1GB, "a", email), w.register(sandbox.ItemWorldwide1GB, "b", email)
		if (first.customer == second.customer) != same {
			t.Errorf("%s: customers %s and %s", policy, first.customer, second.customer)
		}
		if other := w.register(sandbox.ItemGreece2GB, "c", email); other.customer == first.customer {
			t.Errorf("%s: one customer got a second country set", policy)
		}
	}
	w := open(t, func(s *sandbox.Settings) { s.SecondRegister = sandbox.SecondRegisterRefused })
	w.register(sandbox.ItemWorldwide1GB, "a", email)
	w.refused(w.post(register, order(sandbox.ItemWorldwide1GB, "b", email)), 400, sandbox.SentenceCustomerExists)
}

func TestErrorShapes(t *testing.T) {
	t.Parallel()
	const sentence = sandbox.SentenceCustomerNotFound
	for shape, want := range map[sandbox.ErrorShape]struct{ media, body string }{
		sandbox.ShapeProblem:            {"application/problem+json", `{"type":"about:blank","title":"Not Found","status":404,"detail":"` + sentence + `"}`},
		sandbox.ShapeProblemWithMessage: {"application/problem+json", `{"type":"https://sandbox.invalid/problem/problem-with-message","title":"Not Found","status":404,"path":"/gigastore/activations/top-up","message":"` + sentence + `"}`},
		sandbox.ShapeMessage:            {"application/json", `{"message":"` + sentence + `"}`},
		sandbox.ShapeError:              {"application/json", `{"error":"` + sentence + `"}`},
		sandbox.ShapePlainText:          {"text/plain", sentence},
		sandbox.ShapeHTML:               {"text/html", "<html><head><title>404 Not Found</title></head><body><p>" + sentence + "</p></body></html>"},
		sandbox.ShapeEmpty:              {"", ""},
		sandbox.ShapeStatusWord:         {"application/json", `{"status":"error","activatedItem":null,"customer":null,"esimProfile":null}`},
	} {
		w := open(t, func(s *sandbox.Settings) { s.ErrorShape = shape })
		got := w.post(topUp, order(sandbox.ItemWorldwide1GB, "x", m{"customerUid": "nobody"}))
		status := 404
		if shape == sandbox.ShapeStatusWord {
			status = 200
		}
		if got.err != nil || got.status != status || got.text != want.body || got.header.Get("Content-Type") != want.media {
			t.Errorf("%s: %+v", shape, got)
		}
		w.token = "stale"
		if got := w.post(topUp, m{}); got.status != 401 {
			t.Errorf("%s: a wrong token got %d", shape, got.status)
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*sandbox.Settings){
		func(s *sandbox.Settings) { s.ErrorShape = "xml" },
		func(s *sandbox.Settings) { s.InitialCredit = -1 },
		func(s *sandbox.Settings) { s.TokenLifetime = 0 },
		func(s *sandbox.Settings) { s.Statuses.PriceMismatch = 200 },
		func(s *sandbox.Settings) { *s = sandbox.Settings{InitialCredit: 1} },
	} {
		settings := sandbox.DefaultSettings()
		change(&settings)
		if _, err := sandbox.New(sandbox.Config{Settings: settings}); err == nil || !strings.HasPrefix(err.Error(), "setting ") {
			t.Errorf("error %v does not name the setting", err)
		}
	}
	if _, err := sandbox.New(sandbox.Config{}); err != nil {
		t.Error(errors.Join(errors.New("the zero Config"), err))
	}
}
