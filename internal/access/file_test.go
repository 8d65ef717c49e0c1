package access

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// goodFile has every field.
const goodFile = `
issuers:
  - issuer: https://login.example.com
    audience: gigagate
    algorithms: [RS256, ES256]
callers:
  - name: shop
    inherits_default: true
    identities:
      - certificate: spiffe://corp.example/shop
      - certificate: shop.corp.example
      - key: {id: 123456, sha256: 9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab}
      - jwt: {issuer: https://login.example.com, subject: shop}
    may:
      methods: [all]
      activation_modes: [NOW, ON_DEMAND]
      inventory_items: [all]
      country_sets: [Europe]
      countries: [GR, NO]
      secrets: true
      sold_elsewhere: false
    rate: {per_second: 50, burst: 100}
    at_once: 200
    budget:
      currency: USD
      per_purchase: 20
      per_day: 250.5
      per_month: '4000.00'
      total: 999999999.999999
      time_zone: Europe/Berlin
  - name: billing
    may:
      methods: [ListPurchases]
  - name: nothing
operators:
  - name: anna
    may: [read]
  - name: otto
    may: [resolve, secrets]
`

func directory(t *testing.T, text string) *Directory {
	t.Helper()
	d, err := decode([]byte(text), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestFileSaysWhatEachMayDo(t *testing.T) {
	t.Parallel()
	entries := map[string]*Entry{}
	for _, e := range directory(t, goodFile).Entries() {
		entries[e.Name] = e
	}
	shop := entries["shop"]
	if shop.Kind != "caller" || shop.Certificates != 2 || shop.Keys != 1 || shop.Subjects != 1 {
		t.Errorf("shop: %+v", shop)
	}
	for _, right := range []struct {
		of   string
		what string
		has  bool
		want bool
	}{
		{"shop", "the old purchases", shop.Rights.InheritsDefault, true},
		{"shop", "Register", shop.Rights.Methods.Has("Register"), true},
		{"shop", "WaitPurchase", shop.Rights.Methods.Has("WaitPurchase"), true},
		{"shop", "ResolvePurchase, which is no method of callers, by [all]", shop.Rights.Methods.Has("ResolvePurchase"), false},
		{"shop", "ON_DEMAND", shop.Rights.Modes.Has("ON_DEMAND"), true},
		{"shop", "FIRST_USE", shop.Rights.Modes.Has("FIRST_USE"), false},
		{"shop", "any item", shop.Rights.Items.Has("x"), true},
		{"shop", "Europe", shop.Rights.CountrySets.Has("Europe"), true},
		{"shop", "Asia", shop.Rights.CountrySets.Has("Asia"), false},
		{"shop", "NO, which is Norway and not the truth value", shop.Rights.Countries.Has("NO"), true},
		{"shop", "US", shop.Rights.Countries.Has("US"), false},
		{"shop", "secrets", shop.Rights.Secrets, true},
		{"shop", "sold elsewhere", shop.Rights.SoldElsewhere, false},
		{"shop", "purchases of others", shop.Rights.All, false},
		{"billing", "ListPurchases", entries["billing"].Rights.Methods.Has("ListPurchases"), true},
		{"billing", "GetPurchase", entries["billing"].Rights.Methods.Has("GetPurchase"), false},
		{"billing", "an item", entries["billing"].Rights.Items.Has("x"), false},
		{"billing", "secrets", entries["billing"].Rights.Secrets, false},
		{"nothing", "GetPurchase", entries["nothing"].Rights.Methods.Has("GetPurchase"), false},
		{"anna", "GetPurchase", entries["anna"].Rights.Methods.Has("GetPurchase"), true},
		{"anna", "ListBudgets", entries["anna"].Rights.Methods.Has("ListBudgets"), true},
		{"otto", "GetBudget", entries["otto"].Rights.Methods.Has("GetBudget"), false},
		{"anna", "ResolvePurchase", entries["anna"].Rights.Methods.Has("ResolvePurchase"), false},
		{"anna", "Register", entries["anna"].Rights.Methods.Has("Register"), false},
		{"anna", "secrets", entries["anna"].Rights.Secrets, false},
		{"anna", "purchases of others", entries["anna"].Rights.All, true},
		{"otto", "ResolvePurchase", entries["otto"].Rights.Methods.Has("ResolvePurchase"), true},
		{"otto", "GetPurchase", entries["otto"].Rights.Methods.Has("GetPurchase"), false},
		{"otto", "secrets", entries["otto"].Rights.Secrets, true},
	} {
		if right.has != right.want {
			t.Errorf("%s: %s is %v", right.of, right.what, right.has)
		}
	}
}

func TestBudgetsAreExact(t *testing.T) {
	t.Parallel()
	d := directory(t, goodFile)
	shop := d.entries[0].Budget
	if shop.Zone.String() != "Europe/Berlin" {
		t.Errorf("the zone is %v", shop.Zone)
	}
	if got := *shop; got != (Budget{
		Currency: "USD", PerPurchase: 20_000_000, PerDay: 250_500_000, PerMonth: 4_000_000_000, Total: 999_999_999_999_999, Zone: got.Zone,
	}) {
		t.Errorf("%+v", got)
	}
	if d.entries[1].Budget != nil || len(d.budgeted) != 1 || d.budgeted[0].Name != "shop" {
		t.Errorf("the principals with a budget: %+v", d.budgeted)
	}
	small := directory(t, shopWithBudget("{currency: EUR, per_day: 0.000001}")).entries[0].Budget
	if *small != (Budget{Currency: "EUR", PerDay: 1, Zone: time.UTC}) {
		t.Errorf("%+v", small)
	}
}

// A small container may have no time zones.
func TestNoTimeZonesOnThisMachine(t *testing.T) {
	t.Parallel()
	none := func(name string) (*time.Location, error) { return nil, errors.New("unknown time zone " + name) }
	if _, err := zoneNamed("Europe/Berlin", none); err == nil || !strings.HasPrefix(err.Error(), "this machine has no time zones: install tzdata") {
		t.Error(err)
	}
}

// badFiles are callers files with one mistake each, and the whole error.
var badFiles = map[string]struct{ text, says string }{
	"empty":                  {"", "line 1: the file is empty"},
	"only comments":          {"# nothing\n", "line 1: the file is empty"},
	"null":                   {"~", "line 1: the file: it must be a mapping with issuers, callers, operators"},
	"nobody":                 {"callers: []", "line 1: the file: it has no callers and no operators"},
	"no YAML":                {"callers:\n  - name: [", "line 2: did not find expected node content"},
	"a tab":                  {"callers:\n\t- name: shop", "line 2: found character that cannot start any token"},
	"a zero byte":            {"callers:\n- name: sh\x00op", "line 2: it has a byte that is not text"},
	"no UTF-8":               {"callers:\n- name: sh\xffop", "line 2: it has a byte that is not text"},
	"two documents":          {"callers:\n- name: shop\n---\ncallers: []\n", "line 3: the file has more than one document"},
	"unknown field":          {"callers:\n- name: shop\n  limits: 5\n", `line 3: callers[0]: "limits" is not a field here, the fields are name, inherits_default, identities, may, rate, at_once, budget`},
	"unknown root field":     {"callers:\n- name: shop\nlimits: 5\n", `line 3: the file: "limits" is not a field here, the fields are issuers, callers, operators`},
	"merged":                 {"callers:\n- <<: {}\n", "line 2: callers[0]: this value is not a field here, the fields are name, inherits_default, identities, may, rate, at_once, budget"},
	"a field twice":          {"callers:\n- name: shop\n  name: shop\n", "line 3: callers[0]: the field name is there twice"},
	"an alias":               {"callers:\n- &a\n  name: shop\n- *a\n", "line 4: callers[1]: aliases are not supported, write the value here again"},
	"an alias to itself":     {"callers: &a\n- *a\n", "line 2: callers[0]: aliases are not supported, write the value here again"},
	"no list":                {"callers: {name: shop}\n", "line 1: callers: it must be a list"},
	"no name":                {"callers:\n- may: {}\n", "line 2: callers[0].name: it is missing"},
	"name null":              {"callers:\n- name:\n", "line 2: callers[0].name: it must be a text"},
	"name a list":            {"callers:\n- name: [a]\n", "line 2: callers[0].name: it must be a text"},
	"name empty":             {"callers:\n- name: ''\n", "line 2: callers[0].name: it must have 1 to 512 bytes"},
	"name binary":            {"callers:\n- name: !!binary c2hvcA==\n", "line 2: callers[0].name: it must be a text"},
	"name with capitals":     {"callers:\n- name: Shop\n", "line 2: callers[0].name: it must be 1 to 63 small letters, digits and -, and must not start with -"},
	"name too long":          {"callers:\n- name: " + strings.Repeat("a", 64) + "\n", "line 2: callers[0].name: it must be 1 to 63 small letters, digits and -, and must not start with -"},
	"reserved name":          {"callers:\n- name: default\n", `line 2: callers[0].name: the name "default" is reserved`},
	"reserved name 2":        {"operators:\n- name: gateway\n", `line 2: operators[0].name: the name "gateway" is reserved`},
	"duplicate name":         {"callers:\n- name: shop\n- name: shop\n", "line 3: callers[1].name: there is another caller or operator of this name"},
	"an operator's name":     {"callers:\n- name: shop\noperators:\n- name: shop\n", "line 4: operators[0].name: there is another caller or operator of this name"},
	"an alias named all":     {"callers:\n- {name: a, may: {countries: [&all GR]}}\n- {name: b, may: {countries: [*all]}}\n", "line 3: callers[1].may.countries[0]: aliases are not supported, write the value here again"},
	"two heirs":              {"callers:\n- {name: a, inherits_default: true}\n- {name: b, inherits_default: true}\n", "line 3: callers[1].inherits_default: another caller has this already"},
	"an heir by yes":         {"callers:\n- {name: a, inherits_default: yes}\n", "line 2: callers[0].inherits_default: it must be true or false"},
	"an heir by text":        {"callers:\n- {name: a, inherits_default: 'true'}\n", "line 2: callers[0].inherits_default: it must be true or false"},
	"misspelt method":        {"callers:\n- name: shop\n  may:\n    methods: [Register, Regsiter]\n", `line 4: callers[0].may.methods[1]: "Regsiter" is not Register, TopUp, Activate, GetPurchase, ListPurchases, WaitPurchase, GetCustomer, FindCustomer, ListInventoryItems, GetBudget or ListBudgets`},
	"an operator's method":   {"callers:\n- name: shop\n  may:\n    methods: [ResolvePurchase]\n", `line 4: callers[0].may.methods[0]: "ResolvePurchase" is not Register, TopUp, Activate, GetPurchase, ListPurchases, WaitPurchase, GetCustomer, FindCustomer, ListInventoryItems, GetBudget or ListBudgets`},
	"all and one":            {"callers:\n- name: shop\n  may:\n    countries: [GR, all]\n", `line 4: callers[0].may.countries[1]: "all" must be alone in the list`},
	"a country twice":        {"callers:\n- name: shop\n  may:\n    countries: [GR, GR]\n", "line 4: callers[0].may.countries[1]: it is there twice"},
	"a country by name":      {"callers:\n- name: shop\n  may:\n    countries: [Greece]\n", "line 4: callers[0].may.countries[0]: it must be two capital letters of ISO 3166-1, such as GR for Greece"},
	"an item with a space":   {"callers:\n- name: shop\n  may:\n    inventory_items: [a b]\n", "line 4: callers[0].may.inventory_items[0]: it must be the id of an inventory item"},
	"misspelt mode":          {"callers:\n- name: shop\n  may:\n    activation_modes: [ACTIVATION_MODE_NOW]\n", `line 4: callers[0].may.activation_modes[0]: "ACTIVATION_MODE_NOW" is not NOW, FIRST_USE or ON_DEMAND`},
	"methods by a text":      {"callers:\n- name: shop\n  may:\n    methods: all\n", "line 4: callers[0].may.methods: it must be a list"},
	"misspelt right":         {"operators:\n- name: anna\n  may: [reed]\n", `line 3: operators[0].may[0]: "reed" is not audit, freeze, read, resolve or secrets`},
	"all of an operator":     {"operators:\n- name: anna\n  may: [all]\n", `line 3: operators[0].may: operators have no right "all": name each right, audit, freeze, read, resolve or secrets`},
	"an identity of two":     {"callers:\n- name: shop\n  identities:\n  - certificate: a\n    key: {}\n", "line 4: callers[0].identities[0]: it must have one of certificate, key and jwt"},
	"an identity of none":    {"callers:\n- name: shop\n  identities:\n  - {}\n", "line 4: callers[0].identities[0]: it must have one of certificate, key and jwt"},
	"a wildcard":             {"callers:\n- name: shop\n  identities:\n  - certificate: '*.example.com'\n", "line 4: callers[0].identities[0].certificate: it must be a URI such as spiffe://corp.example/shop, or a DNS name in small letters without *"},
	"a certificate twice":    {"callers:\n- name: a\n  identities: [certificate: a.b]\n- name: b\n  identities: [certificate: a.b]\n", "line 5: callers[1].identities[0].certificate: this identity is there twice"},
	"a short sum":            {"callers:\n- name: shop\n  identities:\n  - key: {id: abcdef, sha256: 9c}\n", "line 4: callers[0].identities[0].key.sha256: it must be 64 hexadecimal digits in small letters, as gigagate keys new prints them"},
	"a key without id":       {"callers:\n- name: shop\n  identities:\n  - key: {sha256: 9c}\n", "line 4: callers[0].identities[0].key.id: it is missing"},
	"three keys":             {"callers:\n- name: shop\n  identities:\n" + keyLine("abcdef") + keyLine("bcdefg") + keyLine("cdefgh"), "line 6: callers[0].identities[2].key: a caller has at most 2 keys"},
	"a key twice":            {"callers:\n- name: shop\n  identities:\n" + keyLine("abcdef") + keyLine("abcdef"), "line 5: callers[0].identities[1].key.id: this identity is there twice"},
	"an unknown issuer":      {"callers:\n- name: shop\n  identities:\n  - jwt: {issuer: https://a.b, subject: shop}\n", "line 4: callers[0].identities[0].jwt.issuer: it is not under issuers"},
	"no audience":            {"issuers:\n- issuer: https://a.b\n", "line 2: issuers[0].audience: it is missing"},
	"an issuer twice":        {"issuers:\n- {issuer: https://a.b, audience: a}\n- {issuer: https://a.b, audience: b}\n", "line 3: issuers[1].issuer: there is another issuer of this name"},
	"an issuer without TLS":  {"issuers:\n- {issuer: http://a.b, audience: a}\n", "line 2: issuers[0].issuer: without jwks_file it must be an https URL, or an http URL of this machine"},
	"a password in a URL":    {"issuers:\n- {issuer: 'https://me:word@a.b', audience: a}\n", "line 2: issuers[0].issuer: without jwks_file it must be an https URL, or an http URL of this machine"},
	"algorithm none":         {"issuers:\n- {issuer: https://a.b, audience: a, algorithms: [none]}\n", `line 2: issuers[0].algorithms[0]: "none" is not RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA`},
	"HMAC":                   {"issuers:\n- {issuer: https://a.b, audience: a, algorithms: [HS256]}\n", `line 2: issuers[0].algorithms[0]: "HS256" is not RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA`},
	"an empty budget":        {shopWithBudget("{}"), "line 3: callers[0].budget.currency: it is missing"},
	"a budget by a number":   {shopWithBudget("5"), "line 3: callers[0].budget: it must be a mapping with currency, per_purchase, per_day, per_month, total, time_zone"},
	"no limit":               {shopWithBudget("{currency: USD}"), "line 3: callers[0].budget: it has no limit: give at least one of per_purchase, per_day, per_month and total"},
	"a misspelt limit":       {shopWithBudget("{currency: USD, daily: 5}"), `line 3: callers[0].budget: "daily" is not a field here, the fields are currency, per_purchase, per_day, per_month, total, time_zone`},
	"a negative limit":       {shopWithBudget("{currency: USD, per_day: -5}"), "line 3: callers[0].budget.per_day: " + anAmount},
	"a limit of zero":        {shopWithBudget("{currency: USD, per_month: 0.00}"), "line 3: callers[0].budget.per_month: it must be more than zero: for no limit, leave the field out"},
	"an empty limit":         {shopWithBudget("{currency: USD, total: }"), "line 3: callers[0].budget.total: it must be a text"},
	"seven decimals":         {shopWithBudget("{currency: USD, total: 1.0000000}"), "line 3: callers[0].budget.total: " + anAmount},
	"ten digits":             {shopWithBudget("{currency: USD, total: 1000000000}"), "line 3: callers[0].budget.total: " + anAmount},
	"a leading zero":         {shopWithBudget("{currency: USD, total: 0100}"), "line 3: callers[0].budget.total: " + anAmount},
	"an exponent":            {shopWithBudget("{currency: USD, total: 1e3}"), "line 3: callers[0].budget.total: " + anAmount},
	"an infinite limit":      {shopWithBudget("{currency: USD, total: .inf}"), "line 3: callers[0].budget.total: " + anAmount},
	"an amount with a unit":  {shopWithBudget("{currency: USD, per_purchase: 5 USD}"), "line 3: callers[0].budget.per_purchase: " + anAmount},
	"a small currency":       {shopWithBudget("{currency: usd, total: 5}"), "line 3: callers[0].budget.currency: it must be three capital letters of ISO 4217, such as USD"},
	"a currency's sign":      {shopWithBudget("{currency: $, total: 5}"), "line 3: callers[0].budget.currency: it must be three capital letters of ISO 4217, such as USD"},
	"an unknown zone":        {shopWithBudget("{currency: USD, total: 5, time_zone: Europe/Berlni}"), "line 3: callers[0].budget.time_zone: this value is not a time zone, use a name such as Europe/Berlin"},
	"the machine's zone":     {shopWithBudget("{currency: USD, total: 5, time_zone: Local}"), "line 3: callers[0].budget.time_zone: it must be a time zone such as Europe/Berlin, or UTC"},
	"a zone by a short name": {shopWithBudget("{currency: USD, total: 5, time_zone: CET}"), "line 3: callers[0].budget.time_zone: it must be a time zone such as Europe/Berlin, or UTC"},
	"a zone by its offset":   {shopWithBudget("{currency: USD, total: 5, time_zone: '+01:00'}"), "line 3: callers[0].budget.time_zone: it must be a time zone such as Europe/Berlin, or UTC"},
	"a zone by a path":       {shopWithBudget("{currency: USD, total: 5, time_zone: ../Berlin}"), "line 3: callers[0].budget.time_zone: it must be a time zone such as Europe/Berlin, or UTC"},
	"an operator's budget":   {"operators:\n- name: anna\n  budget: {}\n", `line 3: operators[0]: "budget" is not a field here, the fields are name, identities, may`},
	"no algorithms":          {"issuers:\n- {issuer: https://a.b, audience: a, algorithms: []}\n", "line 2: issuers[0].algorithms: it is empty: leave it out for RS256, ES256 and EdDSA"},
}

const anAmount = "it must be an amount such as 250 or 99.50, with up to 9 digits before the point and up to 6 after it"

func shopWithBudget(budget string) string {
	return "callers:\n- name: shop\n  budget: " + budget + "\n"
}

func keyLine(id string) string {
	return "  - key: {id: " + id + ", sha256: " + strings.Repeat("ab", 32) + "}\n"
}

func TestBadFilesHaveOneClearError(t *testing.T) {
	t.Parallel()
	for name, bad := range badFiles {
		_, err := decode([]byte(bad.text), t.TempDir())
		if err == nil || err.Error() != bad.says {
			t.Errorf("%s:\n got %v\nwant %s", name, err, bad.says)
		}
	}
}

// An operator may paste a key where it does not belong. The error must not repeat it.
func TestErrorsDoNotRepeatAKey(t *testing.T) {
	t.Parallel()
	key, id, _ := NewKey()
	places := regexp.MustCompile(`shop|spiffe\S+|123456|9c56\w+|NOW|Europe|GR|true|anna|\bread|RS256|https\S+login\.example\.com|\[all\]|callers|name|may`)
	for _, place := range places.FindAllStringIndex(goodFile, -1) {
		for _, pasted := range []string{key, `"` + key, `'` + key, "*" + key, "&" + key + " x", "!" + key + " x", "%" + key, "[" + key, "{" + key} {
			text := goodFile[:place[0]] + pasted + goodFile[place[1]:]
			_, err := decode([]byte(text), t.TempDir())
			if err != nil && (strings.Contains(err.Error(), id) || strings.Contains(err.Error(), key[len(key)-10:])) {
				t.Errorf("%q: %v", text[place[0]:place[0]+12], err)
			}
		}
	}
}

func TestJWKSFileHasOnlyPublicKeys(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "ES256", "k1")
	folder := t.TempDir()
	file := filepath.Join(folder, "keys.json")
	text := "issuers:\n- issuer: mine\n  audience: gigagate\n  jwks_file: keys.json\ncallers:\n- name: shop\n"
	for name, test := range map[string]struct{ keys, says string }{
		"public":       {jwks(t, s.public), ""},
		"private":      {jwks(t, s.key), "line 4: issuers[0].jwks_file: it has a private or a symmetric key: give only public keys"},
		"symmetric":    {`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`, "line 4: issuers[0].jwks_file: it has a private or a symmetric key: give only public keys"},
		"none":         {`{"keys":[]}`, "line 4: issuers[0].jwks_file: it has no key that can check a signature"},
		"unknown kind": {`{"keys":[{"kty":"new"}]}`, "line 4: issuers[0].jwks_file: it has no key that can check a signature"},
		"a short RSA":  {jwks(t, newRSASigner(t, 1024, "k").public), "line 4: issuers[0].jwks_file: it has no key that can check a signature"},
		"no JSON":      {"-----BEGIN", "line 4: issuers[0].jwks_file: it is not a JSON Web Key Set"},
		"a huge set":   {`{"keys":[` + strings.Repeat("{},", 100) + `{}]}`, "line 4: issuers[0].jwks_file: it has more than 100 keys"},
		"a huge file":  {strings.Repeat(" ", largestFile+1), "line 4: issuers[0].jwks_file: " + file + " is larger than 1048576 bytes"},
	} {
		if err := os.WriteFile(file, []byte(test.keys), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := decode([]byte(text), folder)
		if err == nil && test.says != "" || err != nil && err.Error() != test.says {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
}

func FuzzCallersFile(f *testing.F) {
	f.Add(goodFile)
	for _, bad := range badFiles {
		f.Add(bad.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "jwks_file") {
			return // it names a file of this machine
		}
		d, err := decode([]byte(text), "")
		if err != nil {
			if !regexp.MustCompile(`^line [0-9]+: [^\n]+$`).MatchString(err.Error()) {
				t.Errorf("the error %q", err)
			}
			return
		}
		if len(d.Entries()) == 0 {
			t.Error("nobody is in the file")
		}
		for _, e := range d.Entries() {
			caller := e.Kind == "caller"
			if CheckName(e.Name) != nil || caller && (e.Rights.All || e.Rights.Methods.Has("ResolvePurchase")) || e.Keys > mostKeys || e.Rights.Methods.all {
				t.Errorf("%+v", e)
			}
			if !caller && slices.ContainsFunc([]string{"Register", "TopUp", "Activate"}, e.Rights.Methods.Has) {
				t.Errorf("an operator may spend: %+v", e)
			}
		}
	})
}

// No right of an operator implies another.
func TestRightsOfOperators(t *testing.T) {
	t.Parallel()
	for right, want := range map[string][]string{
		"read":    {"GetPurchase", "ListPurchases", "WaitPurchase", "GetCustomer", "FindCustomer", "ListInventoryItems", "GetBudget", "ListBudgets", "ListFreezes"},
		"resolve": {"ResolvePurchase"},
		"freeze":  {"Freeze", "Thaw", "ListFreezes"},
		"audit":   {"ListAuditRecords"},
		"secrets": nil,
	} {
		p := directory(t, "operators:\n- name: anna\n  may: ["+right+"]\n").Entries()[0]
		for _, method := range Methods() {
			if may := p.Rights.Methods.Has(method); may != slices.Contains(want, method) {
				t.Errorf("%s allows %s: %t", right, method, may)
			}
		}
		if p.Rights.Secrets != (right == "secrets") {
			t.Errorf("%s shows secrets: %t", right, p.Rights.Secrets)
		}
	}
}
