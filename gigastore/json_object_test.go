package gigastore

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// FuzzObject: an object is read as encoding/json reads it. Other text causes no panic.
func FuzzObject(f *testing.F) {
	f.Add([]byte(` {"a" : 1 , "b":[{"c":"]}\\\""}],"a":-1.5e3,"\u0064":null,"e":{},"":true}`))
	f.Add([]byte("{\"\xff\":\"\\ud800\",\"n\":[null,{}]\n}\t"))
	f.Add([]byte(`{"a":}`))
	f.Add([]byte(`{"a":1`))
	f.Add([]byte("{\"a\":[\"\\"))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var want map[string]json.RawMessage
		err := json.Unmarshal(data, &want)
		data = slices.Clip(data) // so that reading beyond the end panics
		got, ours := readObject(data)
		if (err == nil && want != nil) != (ours == nil) {
			t.Fatalf("%v, %v", err, ours)
		}
		agreeInside(t, got)
		if ours == nil && len(got)+len(want) > 0 && !reflect.DeepEqual(map[string]json.RawMessage(got.rest()), want) {
			t.Fatalf("%q instead of %q", got.rest(), want)
		}
		for _, m := range got.members() {
			name := string(m.name)
			if got.last(name) < 0 {
				continue // the name is repeated, and was taken already
			}
			var text, wanted string
			err := json.Unmarshal(want[name], &wanted)
			take(got, name, &text)
			if left := got.last(name) >= 0; left != (err != nil) || err == nil && text != wanted {
				t.Fatalf("%q is %q instead of %q, %v, left: %t", name, text, wanted, err, left)
			}
		}
		_ = new(Sale).UnmarshalJSON(data)
		_ = new(CustomerRecord).UnmarshalJSON(data)
	})
}

// agreeInside fails if the members of an inner object are not those that encoding/json finds in its text.
func agreeInside(t *testing.T, o object) {
	t.Helper()
	for i, m := range o.members() {
		inside := o[i+1 : i+1+m.inside]
		agreeInside(t, inside)
		var want map[string]json.RawMessage
		if m.raw[0] == '{' && json.Unmarshal(m.raw, &want) != nil {
			t.Fatalf("%q is no object", m.raw)
		}
		if got := inside.rest(); len(got)+len(want) > 0 && !reflect.DeepEqual(map[string]json.RawMessage(got), want) {
			t.Fatalf("%q has %q inside instead of %q", m.raw, got, want)
		}
	}
}

// TestObjectsOfEveryShape: an object is read if and only if encoding/json takes its text for valid.
func TestObjectsOfEveryShape(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, value := range []string{
		"", "0", "-0", "00", "01", "-", "+1", "1.", ".5", "1.5", "1e", "1e+", "1e+5", "1E-05", "1e5.5", "--1", "0x1", "9a", "NaN", "-Infinity",
		"true", "false", "null", "tru", "nulll", "True", "'a'",
		`"`, `""`, `"\"`, `"\\"`, `"\/\b\f\n\r\t"`, `"\x"`, `"\u00e9"`, `"\u00E9"`, `"\u00g9"`, `"\u00e"`, "\"\\u00\x10\x11\"",
		"\"\t\"", "\"\x00\"", "\"\x7f\"", "\"\xff\"",
		"[]", "[ ]", "[,]", "[1,]", "[1 2]", "[1", "[1,2]", `[{"b":1}]`, deep(9_999), deep(10_000),
		"{}", "{ }", "{,}", `{"b":1,}`, `{"b":}`, `{"b"}`, `{b:1}`, `{"b":1 "c":2}`, `{"b":1,"b":{"c":[{"d":2}]}}`,
		"1}", "1,", "1\x00", "1\v", "\f1", "\xef\xbb\xbf1", " \t\r\n1 \t\r\n",
	} {
		text := []byte(`{"a":` + value + `}`)
		o, err := readObject(text)
		if valid := json.Valid(text); valid != (err == nil) || valid && len(o) == 0 {
			t.Errorf("%.40q: valid is %t, and %d members, %v", value, valid, len(o), err)
		}
	}
}

// TestObjectsThatAreCut: no beginning of an object is read as one, and none causes a panic. The text has no spare
// capacity, as a body of 8 KiB has none.
func TestObjectsThatAreCut(t *testing.T) {
	t.Parallel()
	text := []byte(`{"a\\\"\u00e9":[{"b":"\/\n\u0073"},-1.5e+3,true,null,""],"c":{"d":"\\"}}`)
	if _, err := readObject(text); err != nil {
		t.Fatal(err)
	}
	for n := range text {
		if _, err := readObject(slices.Clip(text[:n])); err == nil {
			t.Errorf("%q is read as an object", text[:n])
		}
	}
}

// FuzzDecode: a member is decoded as encoding/json decodes it.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`"\u00e9\ud800 \"x\""`))
	f.Add([]byte("\"\xff\""))
	f.Add([]byte(`null`))
	f.Add([]byte(`-0.0e1`))
	f.Add([]byte(`{"priceValue":1.5}`))
	f.Add([]byte(`{"sizeValue":1,"sizeUnit":"GB"}`))
	f.Add([]byte(`{"iccid":"8","state":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var members map[string]json.RawMessage
		if json.Unmarshal([]byte(`{"m":`+string(data)+`}`), &members) != nil || len(members) != 1 {
			return
		}
		raw := members["m"]
		decodesAlike[string](t, raw)
		decodesAlike[bool](t, raw)
		decodesAlike[int](t, raw)
		decodesAlike[*bool](t, raw)
		decodesAlike[*Price](t, raw)
		decodesAlike[*Size](t, raw)
		decodesAlike[*ESIMProfile](t, raw)
		decodesAlike[[]ESIMProfile](t, raw)
		decodesAlike[ActivatedItem](t, raw)
		decodesAlike[uid](t, raw)
		decodesAlike[Time](t, raw)
		decodesAlike[Decimal](t, raw)
		decodesAlike[ActivationMode](t, raw)
	})
}

func decodesAlike[T any](t *testing.T, raw json.RawMessage) {
	t.Helper()
	o, err := readObject([]byte(`{"m":` + string(raw) + `}`))
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	var want, got T
	err, ours := json.Unmarshal(raw, &want), decode(o[0].raw, o[1:], &got)
	if (err == nil) != (ours == nil) || err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("%T of %q: %+v, %v instead of %+v, %v", got, raw, got, ours, want, err)
	}
}

// FuzzSaleKept: a sale that was stored reads back as it was. The first answer to a call is made from the sale in
// memory, and every later answer from the stored one.
func FuzzSaleKept(f *testing.F) {
	f.Add([]byte(`{"status":"success","activatedItem":{"uid":"u","metatag":"gw-op-000001 x","purchasePrice":{"priceValue":4.20},"balance":{"expiresAt":"soon"}},"customer":{"uid":"c"}}`))
	f.Add([]byte(`{"status":"success","activatedItem":{"uid":"u","metatag":"gw-op-000001","countries":[{"iso2":"GR"}],"balance":{"activatedAt":"2026-01-02T03:04:05.67890Z","sizeLeft":{"sizeValue":1.0}}}}`))
	f.Add([]byte(saleJSON(testMark)))
	f.Fuzz(func(t *testing.T, data []byte) {
		sale := saleOf("gw-op-000001", data)
		if sale == nil {
			return
		}
		if kept := keptSale(t, *sale); !reflect.DeepEqual(kept, *sale) {
			t.Fatalf("%s\nread back as %+#v\ninstead of   %+#v", data, kept, *sale)
		}
		// A sale that the reconciler put together has no text.
		sale.text = nil
		kept := keptSale(t, *sale)
		if got, want := withoutUnknown(kept), withoutUnknown(*sale); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\nread back as %+#v\ninstead of   %+#v", data, got, want)
		}
		if again := keptSale(t, kept); !reflect.DeepEqual(again, kept) {
			t.Fatalf("%s\nthe second time read back as %+#v\ninstead of %+#v", data, again, kept)
		}
	})
}

// keptSale stores s and reads it back.
func keptSale(t *testing.T, s Sale) Sale {
	t.Helper()
	text, err := s.Kept()
	if err != nil {
		t.Fatalf("cannot be kept: %v", err)
	}
	var kept Sale
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatalf("cannot be read back: %v", err)
	}
	kept.text = s.text
	return kept
}

// withoutUnknown removes what is lost if a sale is stored without the vendor's text: unknown members, and the form of
// times that could be read.
func withoutUnknown(s Sale) Sale {
	s.Unknown, s.ActivatedItem.Unknown, s.Customer.Unknown, s.ActivatedItem.Balance.Unknown = nil, nil, nil, nil
	if s.ESIMProfile != nil {
		profile := *s.ESIMProfile
		profile.Unknown = nil
		s.ESIMProfile = &profile
	}
	balance := &s.ActivatedItem.Balance
	for _, t := range []*Time{&s.ActivatedItem.SalesDate, &balance.ActivatedAt, &balance.ExpiresAt} {
		if !t.IsZero() {
			t.text = ""
		}
	}
	return s
}

// TestUnknownMembersAreCopies: an unknown member survives a change of the text that it was read from.
func TestUnknownMembersAreCopies(t *testing.T) {
	t.Parallel()
	text := []byte(`{"status":"success","new":"kept"}`)
	var sale Sale
	if err := json.Unmarshal(text, &sale); err != nil {
		t.Fatal(err)
	}
	clear(text)
	if got := string(sale.Unknown["new"]); got != `"kept"` {
		t.Errorf("the member became %q", got)
	}
}

// TestOddUIDIsUnknown: a value that is not a valid uid is kept in Unknown.
func TestOddUIDIsUnknown(t *testing.T) {
	t.Parallel()
	for _, odd := range []string{`"a\u0000"`, `7`, `"` + strings.Repeat("u", maxUID+1) + `"`} {
		var customer Customer
		if err := json.Unmarshal([]byte(`{"uid":`+odd+`}`), &customer); err != nil || customer.UID != "" || string(customer.Unknown["uid"]) != odd {
			t.Errorf("%s: %q, %d unknown, %v", odd, customer.UID, len(customer.Unknown), err)
		}
	}
}

func BenchmarkSale(b *testing.B) {
	data := fixture(b, "register-response-now.json")
	b.ReportAllocs()
	for b.Loop() {
		if saleOf("gw-op-000001", data) == nil {
			b.Fatal("no sale")
		}
	}
}
