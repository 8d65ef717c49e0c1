package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

const (
	restRegister = "/v1/activations/register"
	restTopUp    = "/v1/activations/top-up"
	restActivate = "/v1/activations/activated-items/u/activate"
	restCustomer = "/v1/customers/u"
	restPurchase = "/v1/purchases/" + noPurchase
)

// validJSON is a register request without its last brace.
const validJSON = `{"requestId":"r-1","inventoryItemId":"` + sandbox.ItemWorldwide1GB + `","metatag":"m","userIp":"203.0.113.24","userCountry":"GR"`

// with is validJSON with more members.
func with(members string) string { return validJSON + "," + members + "}" }

// strictCase is a request that REST must refuse. The answer must not contain its text CANARY.
type strictCase struct {
	name   string
	verb   string // by default POST
	path   string // by default that of Register
	header http.Header
	body   string
	fields []string // the fields of MALFORMED_REQUEST, or of reason if it is set
	reason string
	unread bool // the order may name a request id that cannot be read
}

var whole = []string{""} // the request as a whole is wrong

var strictCases = []strictCase{
	{name: "unknown field", body: with(`"activationMod":"CANARY"`), fields: []string{"activationMod"}},
	{name: "unknown nested field", body: with(`"expectedPrice":{"currencyCode":"USD","amount":"1","CANARY value":1}`), fields: []string{"expected_price"}},
	{name: "unknown field of a message", path: restTopUp, body: `{"newProfile":{"userIP":"CANARY"}}`, fields: []string{"new_profile.userIP"}},
	{name: "a value in place of a name", body: with(`"CANARY@mail.example":"customerEmail"`), fields: whole},
	{name: "field of the other case", body: with(`"ACTIVATIONMODE":"ACTIVATION_MODE_NOW"`), fields: []string{"ACTIVATIONMODE"}},
	{name: "same key twice", body: with(`"metatag":"CANARY"`), fields: []string{"metatag"}},
	{name: "both spellings of a key", body: with(`"request_id":"r-1"`), fields: []string{"request_id"}},
	{name: "nested key twice", body: with(`"expectedPrice":{"currencyCode":"USD","currency_code":"CANARY"}`), fields: []string{"expected_price.currency_code"}},
	{name: "key twice, by an escape", body: with(`"\u006detatag":"CANARY"`), fields: []string{"metatag"}},
	{name: "key twice, once null", body: with(`"metatag":null`), fields: []string{"metatag"}},
	{name: "trailing text", body: with(`"activationMode":1`) + "CANARY", fields: whole},
	{name: "two objects", body: validJSON + "}" + validJSON + "}", fields: whole},
	{name: "array", body: "[" + validJSON + "}]", fields: whole, unread: true},
	{name: "null", body: "null", fields: whole},
	{name: "text", body: `"CANARY"`, fields: whole},
	{name: "number", body: `1`, fields: whole},
	{name: "cut", body: validJSON, fields: whole},
	{name: "not JSON", body: "requestId=CANARY", fields: whole, unread: true},
	{name: "single quotes", body: `{'requestId':'CANARY'}`, fields: whole, unread: true},
	{name: "comma at the end", body: validJSON + ",}", fields: whole},
	{name: "comment", body: validJSON + "/* CANARY */}", fields: whole},
	{name: "BOM", body: "\ufeff" + validJSON + "}", fields: whole, unread: true},
	{name: "UTF-16", body: "\xff\xfe{\x00}\x00", fields: whole, unread: true},
	{name: "control character in a text", body: with("\"customerEmail\":\"CANARY\n\""), fields: whole},
	{name: "number for a text", body: strings.Replace(with(`"activationMode":1`), `"m"`, "4711", 1), fields: []string{"metatag"}},
	{name: "object for a text", body: strings.Replace(with(`"activationMode":1`), `"m"`, `{"CANARY":1}`, 1), fields: []string{"metatag"}},
	{name: "array for a text", body: strings.Replace(with(`"activationMode":1`), `"m"`, `["CANARY"]`, 1), fields: []string{"metatag"}},
	{name: "number for an amount", body: with(`"expectedPrice":{"currencyCode":"USD","amount":9.99}`), fields: []string{"expected_price.amount"}},
	{name: "text for a message", body: with(`"expectedPrice":"9.99 USD"`), fields: []string{"expected_price"}},
	{name: "array for a message", body: with(`"expectedPrice":[{"amount":"9.99"}]`), fields: []string{"expected_price"}},
	{name: "text for a truth value", path: restTopUp, body: `{"newProfile":{"dedicated":"true"}}`, fields: []string{"new_profile.dedicated"}},
	{name: "number for a truth value", path: restTopUp, body: `{"newProfile":{"dedicated":1}}`, fields: []string{"new_profile.dedicated"}},
	{name: "unknown mode", body: with(`"activationMode":"ON_DEMNAD"`), fields: []string{"activation_mode"}},
	{name: "the vendor's word for a mode", body: with(`"activationMode":"FIRST_USE"`), fields: []string{"activation_mode"}},
	{name: "mode in small letters", body: with(`"activationMode":"activation_mode_now"`), fields: []string{"activation_mode"}},
	{name: "mode as text of a number", body: with(`"activationMode":"3"`), fields: []string{"activation_mode"}},
	{name: "truth value for a mode", body: with(`"activationMode":true`), fields: []string{"activation_mode"}},
	{name: "whole number with a point for a mode", body: with(`"activationMode":1.0`), fields: []string{"activation_mode"}},
	{name: "whole number with an exponent for a mode", body: with("\"activationMode\": \n1e0"), fields: []string{"activation_mode"}},
	{name: "broken number for a mode", body: with(`"activationMode":1.5`), fields: []string{"activation_mode"}},
	{name: "huge number for a mode", body: with(`"activationMode":99999999999`), fields: []string{"activation_mode"}},
	{name: "lone surrogate", body: with(`"customerEmail":"CANARY\ud800@mail.example"`), fields: whole},
	{name: "surrogates in the wrong order", body: with(`"customerEmail":"\ude00\ud83d"`), fields: whole},
	{name: "deep array", body: strings.Repeat("[", 60<<10), fields: whole, unread: true},
	{name: "deep object", body: strings.Repeat(`{"a":`, 10<<10), fields: []string{"a"}, unread: true},
	{name: "deep value", body: with(`"metatag":` + strings.Repeat("[", 60<<10)), fields: []string{"metatag"}},
	{name: "deep mode", body: with(`"activationMode":` + strings.Repeat("[", 60<<10)), fields: []string{"activation_mode"}},
	{name: "5 MiB", body: with(`"customerEmail":"` + strings.Repeat("e", 5<<20) + `"`), fields: whole},
	{name: "5 MiB of space", body: strings.Repeat(" ", 5<<20), fields: whole, unread: true},

	{name: "query on a POST", path: restRegister + "?metatag=CANARY", body: validJSON + "}", fields: whole},
	{name: "bare question mark on a POST", path: restRegister + "?", body: validJSON + "}", fields: whole},
	{name: "uid in the body too", path: restActivate, body: `{"uid":"CANARY"}`, fields: []string{"uid"}},
	{name: "no uid in the body too", path: restActivate, body: `{"uid":null}`, fields: []string{"uid"}},
	{name: "the same uid in the body too", path: restActivate, body: `{"uid":"u"}`, fields: []string{"uid"}},
	{name: "unknown field of activate", path: restActivate, body: `{"CANARY":1}`, fields: []string{"CANARY"}, reason: "named"},
	{name: "unknown query parameter", verb: "GET", path: "/v1/inventory?limit=CANARY", fields: []string{"limit"}},
	{name: "value for a parameter's name", verb: "GET", path: "/v1/inventory?CANARY@mail.example", fields: whole},
	{name: "query repeats the path", verb: "GET", path: restCustomer + "?uid=CANARY", fields: []string{"uid"}},
	{name: "unknown value of pretty", path: restRegister + "?pretty=CANARY", body: validJSON + "}", fields: []string{"pretty"}},
	{name: "pretty twice", verb: "GET", path: "/v1/inventory?pretty&pretty=true", fields: []string{"pretty"}},
	{name: "pretty in capitals", verb: "GET", path: "/v1/inventory?PRETTY", fields: []string{"PRETTY"}},
	{name: "pretty beside a query on a POST", path: restRegister + "?pretty&metatag=CANARY", body: validJSON + "}", fields: whole},
	{name: "pretty beside an unknown parameter", verb: "GET", path: "/v1/inventory?pretty&limit=CANARY", fields: []string{"limit"}},
	{name: "pretty in the body", body: with(`"pretty":true`), fields: []string{"pretty"}},
	{name: "broken query", verb: "GET", path: restCustomer + "?a=%zzCANARY", fields: whole},
	{name: "semicolon in the query", verb: "GET", path: restCustomer + "?a=1;CANARY", fields: whole},
	{name: "body on a GET", verb: "GET", path: restCustomer, body: `{"CANARY":1}`, fields: whole},
	{name: "body on a GET without parameters", verb: "GET", path: "/v1/inventory", body: "CANARY", fields: whole},

	{name: "unknown parameter of a list", verb: "GET", path: "/v1/purchases?limit=CANARY", fields: []string{"limit"}},
	{name: "parameter twice", verb: "GET", path: "/v1/purchases?pageSize=1&pageSize=2", fields: []string{"page_size"}},
	{name: "same parameter twice", verb: "GET", path: "/v1/purchases?requestId=CANARY&requestId=CANARY", fields: []string{"request_id"}},
	{name: "both spellings of a parameter", verb: "GET", path: "/v1/purchases?pageToken=" + noPurchase + "&page_token=CANARY", fields: []string{"page_token"}},
	{name: "text for a page size", verb: "GET", path: "/v1/purchases?pageSize=CANARY", fields: []string{"page_size"}},
	{name: "fraction for a page size", verb: "GET", path: "/v1/purchases?page_size=1.5", fields: []string{"page_size"}},
	{name: "huge page size", verb: "GET", path: "/v1/purchases?pageSize=99999999999", fields: []string{"page_size"}},
	{name: "empty page size", verb: "GET", path: "/v1/purchases?pageSize", fields: []string{"page_size"}},
	{name: "unknown state", verb: "GET", path: "/v1/purchases?state=CANARY", fields: []string{"state"}},
	{name: "unknown number of a state", verb: "GET", path: "/v1/purchases?state=9", fields: []string{"state"}},
	{name: "state without its prefix", verb: "GET", path: "/v1/purchases?state=FAILED", fields: []string{"state"}},
	{name: "state in small letters", verb: "GET", path: "/v1/purchases?state=purchase_state_failed", fields: []string{"state"}},
	{name: "text that is not a time", verb: "GET", path: "/v1/purchases?fromTime=CANARY", fields: []string{"from_time"}},
	{name: "a day for a time", verb: "GET", path: "/v1/purchases?toTime=2026-01-01", fields: []string{"to_time"}},
	{name: "null for a time", verb: "GET", path: "/v1/purchases?toTime=null", fields: []string{"to_time"}},
	{name: "part of a time", verb: "GET", path: "/v1/purchases?fromTime.seconds=1", fields: whole},
	{name: "index of a parameter", verb: "GET", path: "/v1/purchases?requestId[CANARY]=1", fields: whole},
	{name: "text that is not a duration", verb: "GET", path: restPurchase + ":wait?timeout=CANARY", fields: []string{"timeout"}},
	{name: "duration without a unit", verb: "GET", path: restPurchase + ":wait?timeout=30", fields: []string{"timeout"}},
	{name: "zero without a unit", verb: "GET", path: restPurchase + ":wait?timeout=0", fields: []string{"timeout"}},
	{name: "duration in two parts", verb: "GET", path: restPurchase + ":wait?timeout=0s0s", fields: []string{"timeout"}},
	{name: "duration in minutes", verb: "GET", path: restPurchase + ":wait?timeout=0.5m", fields: []string{"timeout"}},
	{name: "query repeats the purchase", verb: "GET", path: restPurchase + ":wait?id=CANARY", fields: []string{"id"}},
	{name: "parameter of another call", verb: "GET", path: restPurchase + "?timeout=1s", fields: []string{"timeout"}},
	{name: "body on a wait", verb: "GET", path: restPurchase + ":wait", body: `{"timeout":"1s"}`, fields: whole},
	{name: "id in the body of a resolution", path: restPurchase + ":resolve", body: `{"id":"` + noPurchase + `","nothingSold":true}`, fields: []string{"id"}},
	{name: "two decisions in a resolution", path: restPurchase + ":resolve", body: `{"nothingSold":true,"activatedItemUid":"CANARY","operator":"o","note":"n"}`, fields: whole},
	{name: "text for a decision", path: restPurchase + ":resolve", body: `{"nothingSold":"CANARY"}`, fields: []string{"nothing_sold"}},
	{name: "unknown field of a resolution", path: restPurchase + ":resolve", body: `{"nothingsold":true}`, fields: []string{"nothingsold"}},
	{name: "query on a resolution", path: restPurchase + ":resolve?nothingSold=true", body: `{}`, fields: whole},
	{name: "unknown verb of a purchase", verb: "GET", path: restPurchase + ":CANARY", fields: []string{"id"}, reason: "INVALID_FIELD"},
	{name: "too long a wait", verb: "GET", path: restPurchase + ":wait?timeout=61s", fields: []string{"timeout"}, reason: "INVALID_FIELD"},
	{name: "negative page size", verb: "GET", path: "/v1/purchases?pageSize=-1", fields: []string{"page_size"}, reason: "INVALID_FIELD"},
	{name: "invalid UTF-8 in a query", verb: "GET", path: "/v1/purchases?requestId=%ffCANARY", fields: []string{"request_id"}, reason: "INVALID_FIELD"},

	{name: "no content type", header: http.Header{"Content-Type": nil}, body: validJSON + "}", fields: whole},
	{name: "form", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, body: "requestId=CANARY", fields: whole, unread: true},
	{name: "plain text", header: http.Header{"Content-Type": {"text/plain"}}, body: validJSON + "}", fields: whole},
	{name: "protobuf", header: http.Header{"Content-Type": {"application/x-protobuf"}}, body: "\n\x06CANARY", fields: whole, unread: true},
	{name: "other charset", header: http.Header{"Content-Type": {"application/json; charset=iso-8859-1"}}, body: validJSON + "}", fields: whole},
	{name: "two content types", header: http.Header{"Content-Type": {"application/json", "text/plain"}}, body: validJSON + "}", fields: whole},
	{name: "compressed", header: http.Header{"Content-Encoding": {"gzip"}}, body: "\x1f\x8bCANARY", fields: whole, unread: true},

	{name: "two idempotency keys", header: http.Header{"Idempotency-Key": {"a", "b"}}, body: validJSON + "}", fields: []string{"request_id"}},
	{name: "one idempotency key twice", header: http.Header{"Idempotency-Key": {"r-1", "r-1"}}, body: validJSON + "}", fields: []string{"request_id"}},
	{name: "two idempotency keys on a read", verb: "GET", path: restCustomer, header: http.Header{"Idempotency-Key": {"a", "b"}}, fields: []string{"request_id"}},
	{name: "other idempotency key", header: http.Header{"Idempotency-Key": {"CANARY"}}, body: validJSON + "}", fields: []string{"request_id"}},
	{name: "empty idempotency key beside a request id", header: http.Header{"Idempotency-Key": {""}}, body: validJSON + "}", fields: []string{"request_id"}},
	{name: "idempotency key with a space", header: http.Header{"Idempotency-Key": {"CANARY 1"}}, body: withoutID, fields: []string{"request_id"}, reason: "INVALID_FIELD"},
	{name: "idempotency key in UTF-8", header: http.Header{"Idempotency-Key": {"CANÄRY"}}, body: withoutID, fields: []string{"request_id"}, reason: "INVALID_FIELD"},
	{name: "idempotency key in Latin-1", header: http.Header{"Idempotency-Key": {"CAN\xc4RY"}}, body: withoutID, fields: []string{"request_id"}, reason: "INVALID_FIELD"},
	{name: "idempotency key quoted twice", header: http.Header{"Idempotency-Key": {`""CANARY""`}}, body: withoutID, fields: []string{"request_id"}, reason: "INVALID_FIELD"},
	{name: "half a quoted idempotency key", header: http.Header{"Idempotency-Key": {`"CANARY`}}, body: withoutID, fields: []string{"request_id"}, reason: "INVALID_FIELD"},
	{name: "the other half", header: http.Header{"Idempotency-Key": {`CANARY"`}}, body: withoutID, fields: []string{"request_id"}, reason: "INVALID_FIELD"},
	{name: "quotation mark for an idempotency key", header: http.Header{"Idempotency-Key": {`"`}}, body: withoutID, fields: []string{"request_id"}, reason: "INVALID_FIELD"},
	{name: "empty quotes", header: http.Header{"Idempotency-Key": {`""`}}, body: withoutID, fields: []string{"request_id"}, reason: "INVALID_FIELD"},
	{name: "empty quotes beside a request id", header: http.Header{"Idempotency-Key": {`""`}}, body: validJSON + "}", fields: []string{"request_id"}},
	{name: "quoted idempotency key with a space", header: http.Header{"Idempotency-Key": {`"CANARY 1"`}}, body: withoutID, fields: []string{"request_id"}, reason: "INVALID_FIELD"},
	{name: "quoted idempotency key with a parameter", header: http.Header{"Idempotency-Key": {`"CANARY";a=1`}}, body: withoutID, fields: []string{"request_id"}, reason: "INVALID_FIELD"},
	{name: "two quoted idempotency keys in one header", header: http.Header{"Idempotency-Key": {`"CANARY","b"`}}, body: withoutID, fields: []string{"request_id"}, reason: "INVALID_FIELD"},
	{name: "quoted idempotency key with an escape", header: http.Header{"Idempotency-Key": {`"CAN\\ARY"`}}, body: withoutID, fields: []string{"request_id"}, unread: true},
	{name: "quoted idempotency key with an escaped quote", header: http.Header{"Idempotency-Key": {`"CAN\"ARY"`}}, body: withoutID, fields: []string{"request_id"}, unread: true},
	{name: "other quoted idempotency key", header: http.Header{"Idempotency-Key": {`"CANARY"`}}, body: validJSON + "}", fields: []string{"request_id"}},
	{name: "empty idempotency key alone", header: http.Header{"Idempotency-Key": {""}}, body: withoutID, fields: []string{"request_id"}, reason: "INVALID_FIELD"},

	{name: "no body", fields: []string{"request_id", "inventory_item_id", "metatag", "user_ip", "user_country"}, reason: "INVALID_FIELD"},
	{name: "nulls", body: `{"requestId":null,"expectedPrice":null}`, fields: []string{"request_id", "inventory_item_id", "metatag", "user_ip", "user_country"}, reason: "INVALID_FIELD"},
	{name: "dots in the path", verb: "GET", path: "/v1/customers/..", fields: []string{"uid"}, reason: "INVALID_FIELD"},
	{name: "escaped dots in the path", verb: "GET", path: "/v1/customers/%2e%2e", fields: []string{"uid"}, reason: "INVALID_FIELD"},
	{name: "escaped slash in the path", verb: "GET", path: "/v1/customers/u%2fCANARY", fields: []string{"uid"}, reason: "INVALID_FIELD"},
	{name: "escaped escape in the path", verb: "GET", path: "/v1/customers/u%252fCANARY", fields: []string{"uid"}, reason: "INVALID_FIELD"},
	{name: "escaped slash in an activation", path: "/v1/activations/activated-items/..%2f..%2fCANARY/activate", fields: []string{"uid"}, reason: "INVALID_FIELD"},
	{name: "empty uid", path: "/v1/activations/activated-items//activate", fields: []string{"uid"}, reason: "INVALID_FIELD"},
}

var withoutID = strings.Replace(validJSON+"}", `"requestId":"r-1",`, "", 1)

func TestRESTIsStrict(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	for _, c := range strictCases {
		t.Run(c.name, func(t *testing.T) {
			if c.verb == "" {
				c.verb = http.MethodPost
			}
			if c.path == "" {
				c.path = restRegister
			}
			a := g.http(t, t.Context(), c.verb, c.path, []byte(c.body), c.header, &gigagatev1.RegisterResponse{})
			w := want{codes.InvalidArgument, http.StatusBadRequest, "MALFORMED_REQUEST", "NOT_STARTED", c.fields}
			if c.header.Get("Content-Encoding") != "" {
				w.http = http.StatusUnsupportedMediaType
			}
			if c.reason == "INVALID_FIELD" {
				w.reason = c.reason
			}
			if c.unread {
				w.effect = "INDETERMINATE"
			}
			a.check(t, w)
			if c.reason != "named" && strings.Contains(a.text, "CANARY") {
				t.Errorf("a value is in the answer: %s", a.text)
			}
		})
	}
	if calls := g.box.Ledger().Calls; len(calls) > 0 {
		t.Errorf("the vendor was called: %v", calls)
	}
	if strings.Contains(g.logs.String(), "CANARY") {
		t.Error("a value is in the log")
	}
}

func TestIdempotencyKeyHeader(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	const key = `a,b;c='~#\%2F`
	var first answer
	for i, c := range []struct{ name, body string }{
		{"alone", withoutID},
		{"beside the same id", strings.Replace(validJSON+"}", `"r-1"`, `"a,b;c='~#\\%2F"`, 1)},
		{"beside an empty id", strings.Replace(validJSON+"}", `"r-1"`, `""`, 1)},
		{"beside an id of null", strings.Replace(validJSON+"}", `"r-1"`, `null`, 1)},
		{"in the body alone", strings.Replace(validJSON+"}", `"r-1"`, `"a,b;c='~#\\%2F"`, 1)},
		{"with charset and case", withoutID},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := http.Header{"Idempotency-Key": {key}}
			switch c.name {
			case "in the body alone":
				header = nil
			case "with charset and case":
				header.Set("Content-Type", "Application/JSON; Charset=UTF-8")
			}
			a := g.http(t, t.Context(), "POST", restRegister, []byte(c.body), header, &gigagatev1.RegisterResponse{})
			a.ok(t)
			if i == 0 {
				first = a
			} else if a.replayed != "true" || a.purchaseID(t) != first.purchaseID(t) {
				t.Errorf("another purchase: %s", a.text)
			}
		})
	}
	message := register(func(r *reg) { r.RequestId, r.Metatag = key, "m" })
	g.checkReplay(t, g.transports()[0], message, first)
	if sales := g.box.Ledger().Sales; len(sales) != 1 || g.sends.of(key) != 1 {
		t.Errorf("%d sales", len(sales))
	}
}

// One pair of quotation marks does not change the request id. The IETF draft wants the header quoted, as in RFC 8941.
func TestQuotedIdempotencyKey(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	const key = "a,b;c='~#%2F"
	quoted := http.Header{"Idempotency-Key": {`"` + key + `"`}}
	inBody := strings.Replace(validJSON+"}", "r-1", key, 1)
	var first answer
	for i, c := range []struct {
		name, body string
		header     http.Header
	}{
		{"quoted", withoutID, quoted},
		{"quoted again", withoutID, quoted},
		{"quoted beside the same id", inBody, quoted},
		{"bare", withoutID, http.Header{"Idempotency-Key": {key}}},
		{"in the body", inBody, nil},
	} {
		a := g.http(t, t.Context(), "POST", restRegister, []byte(c.body), c.header, &gigagatev1.RegisterResponse{})
		a.ok(t)
		if i == 0 {
			first = a
		} else if a.replayed != "true" || a.purchaseID(t) != first.purchaseID(t) {
			t.Errorf("%s is another purchase: %s", c.name, a.text)
		}
	}
	g.checkReplay(t, g.transports()[0], register(func(r *reg) { r.RequestId, r.Metatag = key, "m" }), first)
	if sales := g.box.Ledger().Sales; len(sales) != 1 || g.sends.of(key) != 1 {
		t.Errorf("%d sales", len(sales))
	}
}

func TestNoRoute(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	notFound := want{codes.NotFound, http.StatusNotFound, "ROUTE_NOT_FOUND", "NOT_STARTED", nil}
	for _, path := range []string{
		"/", "/v1", "/v1/", "/v2/inventory", "/v1/inventory/", "//v1/inventory", "/v1//inventory", "/v1/../v1/inventory",
		"/v1/./inventory", "/V1/inventory", "/v1/INVENTORY", "/v1/customers", "/v1/customers/u/", "/v1/customers/u/v",
		"/v1/inventory:CANARY", "/v1/customers/CANARY/..", "/gigagate.v1.CustomerService/GetCustomer", "/_sandbox/ledger",
		"/metrics", "/v1/activations/register/CANARY", "/v1/%2e%2e/v1/inventory", "/%76%31/../CANARY",
		"/v1/purchases:wait", restPurchase + "/wait", restPurchase + "/", "/v1/purchases//x",
	} {
		for _, verb := range []string{"GET", "POST"} {
			if verb+path == "GET/" {
				continue // GET / is served: it says where the calls are
			}
			t.Run(verb+path, func(t *testing.T) {
				a := g.http(t, t.Context(), verb, path, nil, nil, nil)
				a.check(t, notFound)
				if strings.Contains(a.text, "CANARY") || a.header.Get("Location") != "" {
					t.Error(a.text)
				}
			})
		}
	}
	for path, allow := range map[string]string{
		"/v1/purchases": "GET", restPurchase: "GET", restPurchase + ":wait": "GET", restPurchase + ":resolve": "POST",
		restRegister: "POST", restTopUp: "POST", restActivate: "POST", restCustomer: "GET", "/v1/inventory": "GET",
	} {
		for _, verb := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CANARY"} {
			if strings.Contains(allow, verb) {
				continue
			}
			t.Run(verb+path, func(t *testing.T) {
				a := g.http(t, t.Context(), verb, path, nil, nil, nil)
				a.check(t, want{codes.Unimplemented, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "NOT_STARTED", nil})
				if a.header.Get("Allow") != allow || strings.Contains(a.text, "CANARY") {
					t.Error(a.text)
				}
			})
		}
	}
	if calls := g.box.Ledger().Calls; len(calls) > 0 {
		t.Errorf("the vendor was called: %v", calls)
	}
}

// A body that ends too early is not taken for a short body.
func TestRESTBodiesCutOnTheWire(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	head := "POST " + restRegister + " HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(validJSON)+1, validJSON+"}")
	for name, request := range map[string]string{
		"chunks without an end": head + "Transfer-Encoding: chunked\r\n\r\n" + chunk,
		"broken chunk":          head + "Transfer-Encoding: chunked\r\n\r\n" + chunk + "CANARY\r\n",
		"short of its length":   head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(validJSON)+2) + validJSON + "}",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.restAddr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := io.Copy(conn, strings.NewReader(request)); err != nil {
				t.Fatal(err)
			}
			_ = conn.(*net.TCPConn).CloseWrite()
			data, err := io.ReadAll(conn)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(data)), nil)
			if err != nil {
				// net/http may notice that the caller is gone before the gateway can answer.
				return
			}
			readAnswer(t, resp, nil).check(t, want{codes.InvalidArgument, http.StatusBadRequest, "MALFORMED_REQUEST", "NOT_STARTED", whole})
		})
	}
	if calls := g.box.Ledger().Calls; len(calls) > 0 {
		t.Errorf("the vendor was called: %v", calls)
	}
}
