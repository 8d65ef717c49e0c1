package gigastore

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// Seeds are small because the fuzzing engine minimizes interesting inputs, which takes much longer for long ones.

// FuzzSale: a body that classify accepts as a sale decodes to one.
func FuzzSale(f *testing.F) {
	f.Add([]byte(`{"status":"success","activatedItem":{"uid":"u","metatag":"gw-op-000001 x","purchasePrice":{"priceValue":4.20}},"customer":{"uid":"c"}}`))
	f.Add([]byte(saleJSON(testMark)))
	f.Add([]byte(`{"status":"success","activatedItem":{"uid":"u","metatag":"gw-op-000001"},"esimProfile":7}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		const mark = "gw-op-000001"
		a := answer{operation: OpRegister, mark: mark, status: 200, body: data, whole: true, evidence: Evidence{BytesWritten: 1}}
		v := classifier{}.classify(a)
		var s Sale
		err := json.Unmarshal(data, &s)
		if v.applied && (err != nil || s.Status != statusSuccess || s.ActivatedItem.UID == "" || firstWord(s.ActivatedItem.Metatag) != mark) {
			t.Fatalf("applied, but it decodes to %+v, %v", s, err)
		}
		if v.effect != EffectUnknown {
			t.Fatalf("effect %v of a 200", v.effect)
		}
		if a.whole = false; (classifier{}).classify(a).applied {
			t.Fatal("applied, but the answer is not whole")
		}
	})
}

// FuzzActivatedItems: the stream finds the same elements as decoding the whole text. It is complete only if the whole
// text decodes.
func FuzzActivatedItems(f *testing.F) {
	f.Add([]byte(`[]`))
	f.Add([]byte(`[{"activatedItem":{"uid":"a"}},{"uid":"b"}]`))
	f.Add([]byte(`[{"uid":"a"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var streamed []string
		_, err := eachElement(bytes.NewReader(data), func(r ActivatedItemRecord) bool {
			streamed = append(streamed, r.ActivatedItem.UID)
			return true
		})
		if err != nil {
			return
		}
		var whole []ActivatedItemRecord
		if err := json.Unmarshal(data, &whole); err != nil {
			t.Fatalf("complete, but %v", err)
		}
		if len(whole) != len(streamed) {
			t.Fatalf("%d streamed, %d decoded", len(streamed), len(whole))
		}
		for i, r := range whole {
			if r.ActivatedItem.UID != streamed[i] {
				t.Fatalf("element %d: %q, %q", i, r.ActivatedItem.UID, streamed[i])
			}
		}
	})
}

// FuzzCustomers: no member of a record is lost. It is either decoded or in Unknown.
func FuzzCustomers(f *testing.F) {
	f.Add([]byte(`{"customers":[{"customer":{"uid":"c"},"activatedItems":[{"uid":"a"}]}]}`))
	f.Add([]byte(`{"customer":{"uid":"c"},"totalAvailableBalance":{"sizeValue":1.67},"relatedEsims":[{"iccid":"8"}],"x":1}`))
	f.Add([]byte(`[{},null]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var list []CustomerRecord
		_ = intoList("customers", &list)(data)
		var record CustomerRecord
		if json.Unmarshal(data, &record) != nil {
			return
		}
		o, err := readObject(data)
		if err != nil {
			return // data is null
		}
		for _, member := range o.members() {
			name := string(member.name)
			_, unknown := record.Unknown[name]
			known := name == "customer" || name == "totalAvailableBalance" || name == "activatedItems" || name == "relatedEsims"
			if !unknown && !known {
				t.Fatalf("member %q is lost", name)
			}
		}
	})
}

func FuzzErrorBody(f *testing.F) {
	f.Add([]byte(`{"type":"about:blank","title":"Bad Request","status":400,"detail":"The expected price does not match"}`))
	f.Add([]byte(`{"error":"unauthorized"}`))
	f.Add([]byte(`{"message":"Insufficient credits."}`))
	f.Add([]byte("Bad Gateway"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := classifier{rules: AssumedRefusals()}
		a := answer{operation: OpTopUp, mark: testMark, status: 400, body: data, whole: true, evidence: Evidence{BytesWritten: 1}}
		v := c.classify(a)
		if v.applied || v.effect == EffectNone {
			t.Fatalf("%+v of a 400", v)
		}
		if (v.effect == EffectRefused) != (v.reason != "") {
			t.Fatalf("%+v", v)
		}
		if len(v.message) > maxMessage || !utf8.ValidString(v.message) || strings.ContainsAny(v.message, "\r\n\x00") {
			t.Fatalf("message %q", v.message)
		}
		if a.whole = false; c.classify(a).effect != EffectUnknown {
			t.Fatal("a 400 that was cut off has a known effect")
		}
		if text := a.failure(v).Error(); len(text) > 200 || !utf8.ValidString(text) {
			t.Fatalf("error text %q", text)
		}
	})
}

func FuzzTime(f *testing.F) {
	for _, s := range []string{"2025-11-10T10:41:03.14304Z", "2025-11-10", "", "2025-11-10T10:41:03+02:00", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, ok := ParseTime(text)
		if !ok && (!v.IsZero() || v.Text() == "") {
			t.Fatalf("unreadable, but %v with text %q", v, v.Text())
		}
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var again Time
		if err := json.Unmarshal(data, &again); err != nil || !again.Equal(v.Time) {
			t.Fatalf("%v became %v, %v", v, again, err)
		}
	})
}

func FuzzDecimal(f *testing.F) {
	for _, s := range [][2]string{{"4.20", "4.2"}, {"1e3", "-1e-3"}, {"0", "-0"}, {"9.99", "10"}, {"1e999999999", "x"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, x, y string) {
		a, err := ParseDecimal(x)
		if err != nil {
			return
		}
		if !json.Valid([]byte(x)) {
			t.Fatalf("%q is not a JSON number, but it was read as %s", x, a)
		}
		if len(a.String()) > maxDecimalInteger+maxDecimalFraction+2 || strings.ContainsAny(a.String(), "eE+") {
			t.Fatalf("%q became %s", x, a)
		}
		for _, text := range []string{a.String(), `"` + a.String() + `"`} {
			var again Decimal
			if err := json.Unmarshal([]byte(text), &again); err != nil || again != a || !again.Equal(a) || again.Cmp(a) != 0 {
				t.Fatalf("%s became %s, %v", text, again, err)
			}
		}
		b, err := ParseDecimal(y)
		if err != nil {
			return
		}
		if a.Cmp(b) != -b.Cmp(a) || (a.Cmp(b) == 0) != (a == b) || a.Cmp(Decimal{}) != a.Sign() {
			t.Fatalf("%s against %s: %d, %d", a, b, a.Cmp(b), b.Cmp(a))
		}
		if len(x) < 16 && len(y) < 16 {
			// float64 orders the numbers that it can distinguish.
			var p, q float64
			_ = json.Unmarshal([]byte(x), &p)
			_ = json.Unmarshal([]byte(y), &q)
			if p < q && a.Cmp(b) > 0 || p > q && a.Cmp(b) < 0 {
				t.Fatalf("%s against %s: %d", a, b, a.Cmp(b))
			}
		}
	})
}
