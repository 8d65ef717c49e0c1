package gigastore

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestClassify covers the table in classify's comment, case by case.
func TestClassify(t *testing.T) {
	const (
		problem = `{"type":"about:blank","title":"Bad Request","status":400,"detail":"The expected price does not match the retail price of the inventory item."}`
		html    = `<html><body>502 Bad Gateway</body></html>`
	)
	sale := saleJSON(testMark)
	whole := func(status int, body string) answer {
		return answer{
			operation: OpRegister, mark: testMark, status: status, contentType: "application/json",
			body: []byte(body), whole: true, evidence: Evidence{BytesWritten: 500},
		}
	}
	with := func(a answer, change func(*answer)) answer { change(&a); return a }
	cut := func(a *answer) { a.whole, a.err = false, errCutOff }
	unsent := func(a *answer) { a.evidence.BytesWritten = 0 }
	op := func(name string) func(*answer) { return func(a *answer) { a.operation = name } }
	media := func(contentType string) func(*answer) { return func(a *answer) { a.contentType = contentType } }
	noAnswer := answer{operation: OpRegister, mark: testMark, err: errCutOff, evidence: Evidence{BytesWritten: 500}}

	type want struct {
		applied bool
		effect  Effect
		reason  Reason
		success bool // want SuccessSeen
	}
	none, unknown, applied := want{effect: EffectNone}, want{}, want{applied: true}
	unknownSeen := want{success: true}
	refused := func(r Reason) want { return want{effect: EffectRefused, reason: r} }

	for _, tc := range []struct {
		name string
		a    answer
		want want
	}{
		// Bytes.
		{"no answer, nothing left", with(noAnswer, unsent), none},
		{"no answer, bytes left", noAnswer, unknown},
		{"4xx though nothing left", with(whole(409, `{}`), unsent), none},
		{"sale though nothing left contradicts itself", with(whole(200, sale), unsent), unknownSeen},

		// No effect.
		{"401", whole(401, `{"error":"unauthorized"}`), none},
		{"401 empty", with(whole(401, ``), media("")), none},
		{"401 HTML", with(whole(401, html), media("text/html")), none},
		{"401 cut", with(whole(401, `{"err`), cut), unknown},
		{"429", whole(429, `{"message":"slow down"}`), unknown},

		// Refused.
		{"400 problem", whole(400, problem), refused(ReasonPriceMismatch)},
		{"400 message", whole(400, `{"message":"The inventory item does not match the country set of the customer."}`), refused(ReasonCountrySetMismatch)},
		{"400 error member", whole(400, `{"error":"Insufficient credits."}`), refused(ReasonInsufficientCredit)},
		{"400 title only", whole(400, `{"title":"Bad Request"}`), refused(ReasonVendorRefused)},
		{"400 detail only", whole(400, `{"detail":"no"}`), refused(ReasonVendorRefused)},
		{"402 with any words", whole(402, `{"message":"pay"}`), refused(ReasonInsufficientCredit)},
		{"403", whole(403, `{"message":"no"}`), refused(ReasonVendorRefused)},
		{"404 item", whole(404, `{"message":"The inventory item was not found."}`), refused(ReasonInventoryItemNotFound)},
		{"404 customer", whole(404, `{"message":"The customer was not found."}`), refused(ReasonCustomerNotFound)},
		{"404 of a sale, words unknown", whole(404, `{"title":"Not Found","message":"error.fixture.notFound"}`), refused(ReasonVendorRefused)},
		{"404 of activate, words unknown", with(whole(404, `{"title":"Not Found","message":"error.fixture.notFound"}`), op(OpActivate)), refused(ReasonActivatedItemNotFound)},
		{"404 of a customer read", with(whole(404, `{"error":"x"}`), op(OpCustomer)), refused(ReasonCustomerNotFound)},
		{"404 of an inventory read", with(whole(404, `{"error":"x"}`), op(OpInventoryItem)), refused(ReasonInventoryItemNotFound)},
		{"422 mode", whole(422, `{"message":"The activation mode ON_DEMAND is not available for this inventory item."}`), refused(ReasonModeNotOffered)},
		{"already active", with(whole(400, `{"message":"The package is already active."}`), op(OpActivate)), refused(ReasonAlreadyActive)},
		{"already active is no answer to a sale", whole(400, `{"message":"The package is already active."}`), refused(ReasonVendorRefused)},
		{"problem+json", with(whole(400, problem), media("application/problem+json; charset=utf-8")), refused(ReasonPriceMismatch)},
		{"no content type", with(whole(400, problem), media("")), refused(ReasonPriceMismatch)},
		{"400 cut", with(whole(400, problem), cut), unknown},
		{"400 empty", whole(400, ``), unknown},
		{"400 plain text", with(whole(400, `Bad Request`), media("text/plain")), unknown},
		{"400 HTML", with(whole(400, html), media("text/html")), unknown},
		{"400 JSON that calls itself HTML", with(whole(400, problem), media("text/html")), unknown},
		{"400 array", whole(400, `["no"]`), unknown},
		{"400 string", whole(400, `"no"`), unknown},
		{"400 null", whole(400, `null`), unknown},
		{"400 object without words", whole(400, `{"code":17}`), unknown},
		{"400 words that are not a string", whole(400, `{"message":{"text":"no"}}`), unknown},
		{"400 empty words", whole(400, `{"message":"","error":"  "}`), unknown},
		{"400 garbled", whole(400, `{"message":"no"`), unknown},
		{"400 trailing text", whole(400, `{"message":"no"} x`), unknown},
		{"400 in another coding", with(whole(400, problem), func(a *answer) { a.encoded = true }), unknown},

		// Statuses that prove nothing, whatever the body.
		{"301", whole(301, `{"message":"moved"}`), unknown},
		{"307", whole(307, ``), unknown},
		{"405", whole(405, `{"message":"no"}`), unknown},
		{"408", whole(408, `{"message":"late"}`), unknown},
		{"409", whole(409, `{"message":"conflict"}`), unknown},
		{"410", whole(410, `{"message":"gone"}`), unknown},
		{"413", whole(413, `{"message":"large"}`), unknown},
		{"425", whole(425, `{"message":"early"}`), unknown},
		{"500", whole(500, `{"message":"no"}`), unknown},
		{"502 plain", with(whole(502, `Bad Gateway`), media("text/plain")), unknown},
		{"503", whole(503, `{"message":"The expected price does not match"}`), unknown},
		{"504", whole(504, ``), unknown},
		{"101", whole(101, ``), unknown},

		// Applied.
		{"sale", whole(200, sale), applied},
		{"sale 201", whole(201, sale), applied},
		{"sale without content type", with(whole(200, sale), media("")), applied},
		{"top-up", with(whole(200, sale), op(OpTopUp)), applied},
		{"metatag is the mark alone", whole(200, `{"status":"success","activatedItem":{"uid":"u","metatag":"`+testMark+`"}}`), applied},
		{"secondary members of any shape", whole(200, `{"status":"success","activatedItem":{"uid":"u","metatag":"`+testMark+`","purchasePrice":"?","salesDate":7,"balance":[]},"customer":3,"esimProfile":"x"}`), applied},
		{"status in capitals", whole(200, strings.Replace(sale, "success", "SUCCESS", 1)), unknownSeen},
		{"STATUS is another member", whole(200, strings.Replace(sale, `"status"`, `"STATUS"`, 1)), unknownSeen},
		{"other status word", whole(200, strings.Replace(sale, "success", "pending", 1)), unknownSeen},
		{"other status word, no item", whole(200, `{"status":"error","activatedItem":null}`), unknown},
		{"no status", whole(200, `{"activatedItem":{"uid":"u","metatag":"`+testMark+`"}}`), unknownSeen},
		{"uid that no database keeps", whole(200, strings.Replace(sale, `"uid":"`, `"uid":"\u0000`, 1)), unknownSeen},
		{"no uid", whole(200, `{"status":"success","activatedItem":{"metatag":"`+testMark+`"}}`), unknownSeen},
		{"uid is a number", whole(200, `{"status":"success","activatedItem":{"uid":7,"metatag":"`+testMark+`"}}`), unknownSeen},
		{"somebody else's mark", whole(200, saleJSON("gg01KA0SOMEBODYELSE00000000")), unknownSeen},
		{"mark cut", whole(200, saleJSON(testMark[:20])), unknownSeen},
		{"mark only a prefix", whole(200, saleJSON(testMark+"X")), unknownSeen},
		{"mark not first", whole(200, saleJSON("order "+testMark)), unknownSeen},
		{"no metatag", whole(200, `{"status":"success","activatedItem":{"uid":"u"}}`), unknownSeen},
		{"uid with a zero byte", whole(200, strings.Replace(sale, `"uid":"`, `"uid":"\u0000`, 1)), unknownSeen},
		{"item null", whole(200, `{"status":"success","activatedItem":null}`), unknownSeen},
		{"200 empty", whole(200, ``), unknown},
		{"204", whole(204, ``), unknown},
		{"200 HTML", with(whole(200, html), media("text/html")), unknown},
		{"200 array", whole(200, `[]`), unknown},

		// SuccessSeen, garbled.
		{"sale cut late", with(whole(200, sale[:len(sale)-3]), cut), unknownSeen},
		{"sale cut after uid", with(whole(200, `{"activatedItem":{"uid":"item-1"`), cut), unknownSeen},
		{"sale cut within the word", with(whole(200, `{"status":"suc`), cut), unknownSeen},
		{"sale cut before the word", with(whole(200, `{"stat`), cut), unknown},
		{"sale garbled", whole(200, `{"status":success,"activatedItem`), unknownSeen},
		{"sale escaped", whole(200, `{"\u0073tatus":"\u0073uccess"}`), unknownSeen},
		{"uid escaped", whole(200, `{"activatedItem":{"\u0075id":"u"}}`), unknownSeen},
		{"sale in a coding", with(whole(200, "\x1f\x8b\x08"), func(a *answer) { a.encoded = true }), unknownSeen},
		{"unsuccessful", whole(200, `{"status":"unsuccessful"}`), unknown},
		{"success in a 500", whole(500, sale), unknown},

		// Activate.
		{"activate envelope", with(whole(200, sale), op(OpActivate)), applied},
		{"activate empty object", with(whole(200, `{}`), op(OpActivate)), applied},
		{"activate empty", with(whole(204, ``), op(OpActivate)), applied},
		{"activate other status", with(whole(200, `{"status":"error"}`), op(OpActivate)), unknown},
		{"activate status not a string", with(whole(200, `{"status":1}`), op(OpActivate)), unknown},
		{"activate text", with(whole(200, `ok`), op(OpActivate)), unknown},
		{"activate 429", with(whole(429, `{}`), op(OpActivate)), unknown},

		// Reads.
		{"read", with(whole(200, `[]`), op(OpInventory)), applied},
		{"read cut", with(with(whole(200, `[`), op(OpInventory)), cut), unknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := classifier{rules: AssumedRefusals()}.classify(tc.a)
			got := want{v.applied, v.effect, v.reason, v.successSeen}
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}

	configured := classifier{throttledHasNoEffect: true}
	for _, tc := range []struct {
		name string
		a    answer
		want Effect
	}{
		{"whole 429 of a paid call", whole(429, ``), EffectNone},
		{"cut 429", with(whole(429, `x`), cut), EffectUnknown},
		{"429 of activate", with(whole(429, ``), op(OpActivate)), EffectUnknown},
		{"503", whole(503, ``), EffectUnknown},
	} {
		if got := configured.classify(tc.a).effect; got != tc.want {
			t.Errorf("configured, %s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestFixtureErrors(t *testing.T) {
	for name, want := range map[string]struct {
		effect  Effect
		message string
	}{
		"error-problem.json":              {EffectRefused, "The expected price does not match the retail price of the inventory item."},
		"error-problem-with-message.json": {EffectRefused, "error.fixture.notFound"},
		"error-message-only.json":         {EffectRefused, "The inventory item does not match the country set of the customer."},
		"error-error-field.json":          {EffectNone, "unauthorized"},
		"error-plain-text.json":           {EffectUnknown, "Bad Gateway"},
		"error-empty-body.json":           {EffectNone, ""},
		"error-status-not-success.json":   {EffectUnknown, ""},
	} {
		var f struct {
			HTTPStatus  int
			ContentType *string
			Body        json.RawMessage
		}
		if err := json.Unmarshal(fixture(t, name), &f); err != nil {
			t.Fatal(err)
		}
		a := answer{operation: OpRegister, mark: testMark, status: f.HTTPStatus, whole: true, evidence: Evidence{BytesWritten: 1}}
		if f.ContentType != nil {
			a.contentType = *f.ContentType
		}
		var text string
		switch {
		case json.Unmarshal(f.Body, &text) == nil: // null too
			a.body = []byte(text)
		default:
			a.body = f.Body
		}
		v := classifier{rules: AssumedRefusals()}.classify(a)
		if v.applied || v.effect != want.effect || v.message != want.message {
			t.Errorf("%s: %+v, want %+v", name, v, want)
		}
	}
}

func TestVendorMessageIsBounded(t *testing.T) {
	a := answer{status: 502, body: []byte(strings.Repeat("ä", 4000) + "\x00")}
	if got := vendorMessage(a); len(got) > maxMessage || !strings.HasPrefix(got, "ää") {
		t.Errorf("%d bytes", len(got))
	}
	a.body = []byte("two\nlines\x1b[31m")
	if got := vendorMessage(a); got != "two lines [31m" {
		t.Errorf("%q", got)
	}
}

func TestParseRefusals(t *testing.T) {
	data, err := json.Marshal(AssumedRefusals())
	if err != nil {
		t.Fatal(err)
	}
	rules, err := ParseRefusals(data)
	if err != nil || len(rules) != len(AssumedRefusals()) {
		t.Fatalf("%d rules, %v", len(rules), err)
	}
	for name, text := range map[string]string{
		"unknown member":    `[{"reason":"VENDOR_REFUSED","status":[400]}]`,
		"unknown operation": `[{"operations":["buy"],"reason":"VENDOR_REFUSED"}]`,
		"unknown reason":    `[{"reason":"NO"}]`,
		"no reason":         `[{"statuses":[400]}]`,
		"other status":      `[{"statuses":[500],"reason":"VENDOR_REFUSED"}]`,
		"empty text":        `[{"contains":[""],"reason":"VENDOR_REFUSED"}]`,
		"trailing data":     `[] []`,
		"null":              `null`,
		"object":            `{}`,
		"nothing":           ``,
	} {
		if _, err := ParseRefusals([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	own, err := ParseRefusals([]byte(`[{"operations":["register"],"contains":["KAPUTT"],"reason":"INSUFFICIENT_CREDIT"}]`))
	if err != nil {
		t.Fatal(err)
	}
	if got := refusalReason(own, OpRegister, 400, "Alles kaputt"); got != ReasonInsufficientCredit {
		t.Error(got)
	}
	if got := refusalReason(own, OpTopUp, 400, "Alles kaputt"); got != ReasonVendorRefused {
		t.Error(got)
	}
}
