package gigastore

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFixtureSales(t *testing.T) {
	for name, want := range map[string]struct {
		mode               ActivationMode
		activated, expires string // RFC 3339
		size, available    string
		purchase, retail   string
		email              string
		profile            bool
	}{
		"register-response-now.json":        {ModeNow, "2025-11-03T09:15:27.43Z", "2025-12-03T09:15:27.43Z", "1 GB", "1 GB", "4.2", "9.99", "traveller@example.com", true},
		"register-response-first-use.json":  {ModeFirstUse, "", "2026-02-01T14:02:11Z", "3 GB", "3 GB", "3.1", "7.49", "", true},
		"register-response-on-demand.json":  {ModeOnDemand, "", "2026-02-01T16:40:05.12Z", "5 GB", "5 GB", "6.75", "14.99", "second@example.com", true},
		"top-up-response.json":              {ModeNow, "2025-11-10T10:41:03.14304Z", "2026-11-10T10:41:03Z", "50 MB", "0.05 GB", "1.49", "4.99", "", false},
		"top-up-with-profile-response.json": {ModeFirstUse, "", "2026-02-09T08:00:00Z", "1 GB", "1 GB", "4.2", "9.99", "traveller@example.com", true},
	} {
		t.Run(name, func(t *testing.T) {
			var s Sale
			if err := json.Unmarshal(fixture(t, name), &s); err != nil {
				t.Fatal(err)
			}
			b := s.ActivatedItem.Balance
			if s.Status != "success" || s.ActivatedItem.UID == "" || !strings.HasPrefix(s.ActivatedItem.Metatag, "gw-op-") ||
				s.ActivatedItem.SalesChannelTypeCode != "API" || s.ActivatedItem.ActivationType != "DATA_PLAN" ||
				s.ActivatedItem.SalesChannel == "" || s.ActivatedItem.SalesDate.IsZero() || b.Name == "" || b.ValidityUnit != "days" || b.ValiditySize.IsZero() {
				t.Errorf("item %+v", s.ActivatedItem)
			}
			if b.ActivationMode != want.mode || rfc3339(b.ActivatedAt) != want.activated || rfc3339(b.ExpiresAt) != want.expires {
				t.Errorf("mode %s, %s to %s", b.ActivationMode, rfc3339(b.ActivatedAt), rfc3339(b.ExpiresAt))
			}
			if got := b.Size.Value.String() + " " + b.Size.Unit; got != want.size {
				t.Errorf("size %s", got)
			}
			if got := b.AvailableBalance.Value.String() + " " + b.AvailableBalance.Unit; got != want.available {
				t.Errorf("available %s", got)
			}
			if p, r := s.ActivatedItem.PurchasePrice, s.ActivatedItem.RetailPrice; p.Value.String() != want.purchase ||
				r.Value.String() != want.retail || p.Currency != "USD" || p.SortIndex != 1 {
				t.Errorf("prices %v, %v", p, r)
			}
			if s.Customer.UID == "" || s.Customer.ProfileURL == "" || s.Customer.Email != want.email {
				t.Errorf("customer %s, %q", s.Customer.UID, s.Customer.Email)
			}
			if (s.ESIMProfile != nil) != want.profile {
				t.Fatalf("profile %v", s.ESIMProfile)
			}
			if e := s.ESIMProfile; e != nil && (e.ICCID == "" || e.UID == "" || e.IMSI == "" || e.State == "" ||
				!strings.HasPrefix(e.ActivationCode, "LPA:1$") || e.InstallationURL == "" || e.AppleUniversalLink == "") {
				t.Error("profile incomplete")
			}
			if s.Unknown != nil || s.ActivatedItem.Unknown != nil || b.Unknown != nil || s.Customer.Unknown != nil {
				t.Error("a member of a fixture is unknown")
			}
		})
	}
}

func rfc3339(t Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

func TestFixtureReads(t *testing.T) {
	for _, name := range []string{"customers-list.json", "search-customers-response.json"} {
		var records []CustomerRecord
		if err := intoList("customers", &records)(fixture(t, name)); err != nil || len(records) != 1 {
			t.Fatalf("%s: %d records, %v", name, len(records), err)
		}
		r := records[0]
		if r.Customer.Email == "" || r.TotalAvailableBalance.Value.String() != "1.67" || len(r.ActivatedItems) != 3 ||
			len(r.RelatedESIMs) != 2 || r.RelatedESIMs[0].Active == nil || r.RelatedESIMs[0].LastSeen.IsZero() || r.Unknown != nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
	var customer CustomerRecord
	if err := json.Unmarshal(fixture(t, "customer-get.json"), &customer); err != nil || len(customer.ActivatedItems) != 3 {
		t.Errorf("customer: %v", err)
	}
	var bare []CustomerRecord // docs customers print a bare array
	if err := intoList("customers", &bare)([]byte(`[{"customer":{"uid":"c"}},{}]`)); err != nil || len(bare) != 2 {
		t.Errorf("bare list: %d, %v", len(bare), err)
	}
	for _, none := range []string{`{}`, `{"customers":null}`, `{"customers":[]}`, `[]`} {
		bare = nil
		if err := intoList("customers", &bare)([]byte(none)); err != nil || len(bare) != 0 {
			t.Errorf("%s: %d, %v", none, len(bare), err)
		}
	}
	for _, wrong := range []string{`7`, `{"customers":{}}`, `[7]`, `[{"activatedItems":{}}]`, `[{"relatedEsims":[1]}]`, `[{"customer":"c"}]`} {
		if err := intoList("customers", &bare)([]byte(wrong)); err == nil {
			t.Errorf("%s: accepted", wrong)
		}
	}

	var record ActivatedItemRecord
	if err := json.Unmarshal(fixture(t, "activated-item-get.json"), &record); err != nil || record.Customer.UID == "" ||
		len(record.ESIMs) != 1 || record.ActivatedItem.Balance.ActivationMode != ModeOnDemand || record.Unknown != nil {
		t.Errorf("item: %+v, %v", record, err)
	}
	if err := json.Unmarshal([]byte(`{"uid":"a","metatag":"m","more":1}`), &record); err != nil || record.ActivatedItem.Metatag != "m" ||
		record.Customer.UID != "" || !slices.Equal(slices.Collect(maps.Keys(record.Unknown)), []string{"more"}) {
		t.Errorf("bare item: %+v, %v", record, err)
	}
	for _, wrong := range []string{`{}`, `{"activatedItem":{}}`, `{"activatedItem":null}`, `{"activatedItem":7,"uid":"a"}`} {
		if err := json.Unmarshal([]byte(wrong), &record); err == nil {
			t.Errorf("%s: accepted", wrong)
		}
	}
	list, err := collect(func(yield func(ActivatedItemRecord, error) bool) {
		if _, err := eachElement(strings.NewReader(string(fixture(t, "activated-items-list.json"))), func(r ActivatedItemRecord) bool {
			return yield(r, nil)
		}); err != nil {
			yield(ActivatedItemRecord{}, err)
		}
	})
	if err != nil || len(list) != 5 {
		t.Errorf("list: %d, %v", len(list), err)
	}

	var items []InventoryItem
	if err := intoList("items", &items)(fixture(t, "inventory-list.json")); err != nil || len(items) != 3 {
		t.Fatalf("inventory: %d, %v", len(items), err)
	}
	if i := items[0]; i.ID == "" || i.ProductID == "" || i.Name == "" || i.CountrySet != "WWW" || i.SizeValue.String() != "1" || i.SizeUnit != "GB" ||
		i.ValiditySize.String() != "30" || i.ValidityUnit != "days" || i.Prices[0].Value.String() != "4.2" || i.RetailPrices[0].Value.String() != "9.99" || i.Unknown != nil {
		t.Errorf("item %+v", i)
	}
	var countries []Country
	if err := intoList("countries", &countries)(fixture(t, "countries.json")); err != nil || len(countries) != 1 ||
		countries[0].Code != "AT" || countries[0].ImageURL == "" || countries[0].Name == "" {
		t.Errorf("countries %v, %v", countries, err)
	}
}

func TestFixtureRequests(t *testing.T) {
	price := func(text string) *Price {
		d, err := ParseDecimal(text)
		if err != nil {
			t.Fatal(err)
		}
		return &Price{Value: d, Currency: "USD"}
	}
	no := false
	for name, request := range map[string]any{
		"register-request.json": RegisterRequest{
			InventoryItemID: "6513270e-269e-4d37-b2a7-4de452e6b438", Metatag: "gw-op-000001", CustomerEmail: "traveller@example.com",
			UserIP: "203.0.113.24", UserCountry: "GR", ExpectedPrice: price("9.990"), ActivationMode: ModeNow,
		},
		"top-up-request.json": TopUpRequest{
			InventoryItemID: "6513270e-269e-4d37-b2a7-4de452e6b438", Metatag: "gw-op-000004", CustomerUID: "36f675cc-81e7-4ef5-a8e2-5d940ed90475",
			ExpectedPrice: price("4.99"), ActivationMode: ModeNow,
		},
		"top-up-with-profile-request.json": TopUpWithProfileRequest{
			InventoryItemID: "6513270e-269e-4d37-b2a7-4de452e6b438", Metatag: "gw-op-000005", CustomerUID: "36f675cc-81e7-4ef5-a8e2-5d940ed90475",
			ExpectedPrice: price("9.99"), ActivationMode: ModeFirstUse, Dedicated: &no,
			CustomerProfileDomainID: "", UserIP: "203.0.113.24", UserCountry: "GR",
		},
	} {
		data, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		var got, want map[string]any
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(fixture(t, name), &want); err != nil {
			t.Fatal(err)
		}
		for _, optional := range []string{"customerProfileDomainId", "expectedPrice"} {
			if name == "top-up-with-profile-request.json" {
				delete(want, optional)
				delete(got, optional)
			}
		}
		if g, w := mustJSON(t, got), mustJSON(t, want); g != w {
			t.Errorf("%s:\n got %s\nwant %s", name, g, w)
		}
	}
	if got := mustJSON(t, RegisterRequest{}); got != `{"inventoryItemId":"","metatag":"","userIp":"","userCountry":""}` {
		t.Errorf("optional members are sent empty: %s", got)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestOddMembersAreKept: one odd member hides nothing but itself.
func TestOddMembersAreKept(t *testing.T) {
	const text = `{"status":"success","extra":[1],"esimProfile":"soon","customer":{"uid":"c","email":7},
		"activatedItem":{"uid":"u","metatag":"m","new":{"a":1},"purchasePrice":{"priceValue":"abc"},"retailPrice":{"currencyCode":"USD"},
		"salesDate":12345,"balance":{"activatedAt":"yesterday","expiresAt":null,"size":{"sizeUnit":"GB"},"availableBalance":{"sizeValue":"0.50","sizeUnit":"GB"},
		"validitySize":1e999999999,"activationMode":"LATER"}}}`
	var s Sale
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	i, b := s.ActivatedItem, s.ActivatedItem.Balance
	if i.UID != "u" || i.PurchasePrice != nil || i.RetailPrice != nil || !i.SalesDate.IsZero() || i.SalesDate.Text() != "12345" {
		t.Errorf("item %+v", i)
	}
	if !b.ActivatedAt.IsZero() || b.ActivatedAt.Text() != "yesterday" || b.ExpiresAt != (Time{}) || b.Size != nil ||
		b.AvailableBalance.Value.String() != "0.5" || !b.ValiditySize.IsZero() || b.ActivationMode != "LATER" {
		t.Errorf("balance %+v", b)
	}
	if s.ESIMProfile != nil || s.Customer.UID != "c" || s.Customer.Email != "" {
		t.Errorf("sale %+v", s)
	}
	for where, got := range map[string]UnknownMembers{
		"esimProfile extra": s.Unknown, "email": s.Customer.Unknown,
		"new purchasePrice retailPrice": i.Unknown, "size validitySize": b.Unknown,
	} {
		if names := strings.Join(slices.Sorted(maps.Keys(got)), " "); names != where {
			t.Errorf("unknown: %s, want %s", names, where)
		}
	}
	if string(i.Unknown["new"]) != `{"a":1}` {
		t.Errorf("unknown member %s", i.Unknown["new"])
	}
	var item InventoryItem
	if err := json.Unmarshal([]byte(`{"id":"i","prices":[{"priceValue":1},{"priceValue":null}]}`), &item); err != nil || item.Prices != nil {
		t.Errorf("half a price list: %v, %v", item.Prices, err)
	}
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]string{
		"2025-11-03T09:15:27Z":            "2025-11-03T09:15:27Z",
		"2025-11-03T09:15:27.430Z":        "2025-11-03T09:15:27.43Z",
		"2025-11-10T10:41:03.14304Z":      "2025-11-10T10:41:03.14304Z",
		"2025-11-10T10:41:03.1234567891Z": "2025-11-10T10:41:03.123456789Z",
		"2025-11-10T10:41:03,5Z":          "2025-11-10T10:41:03.5Z",
		"2025-11-10T10:41:03+02:00":       "2025-11-10T08:41:03Z",
		"2025-11-10T10:41:03.5-0330":      "2025-11-10T14:11:03.5Z",
		"2025-11-10T10:41:03+02":          "2025-11-10T08:41:03Z",
		"2025-11-10T10:41:03":             "2025-11-10T10:41:03Z",
		"2025-11-10T10:41:03.25":          "2025-11-10T10:41:03.25Z",
		"2025-11-10T10:41Z":               "2025-11-10T10:41:00Z",
		"2025-11-10t10:41:03z":            "2025-11-10T10:41:03Z",
		"2025-11-10":                      "2025-11-10T00:00:00Z",
		"":                                "",
	} {
		got, ok := ParseTime(text)
		if !ok || rfc3339(got) != want {
			t.Errorf("%q: %s, %v", text, rfc3339(got), ok)
		}
	}
	for _, text := range []string{"soon", "1762161327", "2025-13-01T00:00:00Z", "2025-02-30", "2025-11-10T25:00:00Z", "9999-12-31T23:59:59-01:00", strings.Repeat("2", 100)} {
		if got, ok := ParseTime(text); ok || !got.IsZero() || got.Text() == "" || len(got.Text()) > maxTimeText {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
	var b Balance // absent, null and "" mean the same
	for _, text := range []string{`{}`, `{"activatedAt":null}`, `{"activatedAt":""}`} {
		if err := json.Unmarshal([]byte(text), &b); err != nil || b.ActivatedAt != (Time{}) {
			t.Errorf("%s: %v, %v", text, b.ActivatedAt, err)
		}
	}
	for text, want := range map[string]string{`"2025-11-10T10:41:03.10Z"`: `"2025-11-10T10:41:03.1Z"`, `"soon"`: `"soon"`, `null`: `null`, `""`: `null`, `{"a":1}`: `"{\"a\":1}"`} {
		var v Time
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if got := mustJSON(t, v); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestDecimal(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "0.000": "0", "0e40": "0", "4.20": "4.2", "4.99": "4.99", "100": "100", "-0.050": "-0.05",
		"1e3": "1000", "1E+3": "1000", "15e-1": "1.5", "1.5e1": "15", "0.001e2": "0.1", "12345678901234567890.123456789": "12345678901234567890.123456789",
		"1e39": "1" + strings.Repeat("0", 39), "1e-40": "0." + strings.Repeat("0", 39) + "1",
	} {
		d, err := ParseDecimal(text)
		if err != nil || d.String() != want {
			t.Errorf("%s: %s, %v", text, d, err)
		}
	}
	for _, text := range []string{
		"", "-", ".", "1.", ".5", "+1", "01", "--1", "1e", "1e+", "1e+-3", "e5", "1 ", " 1", "0x1", "NaN", "Infinity", "1_000", "1,5", "٣",
		"1e40", "1e-41", "1e999999999", "1e-999999999", "1e99999999999999999999", strings.Repeat("9", 41), strings.Repeat("1", 200),
	} {
		if d, err := ParseDecimal(text); err == nil {
			t.Errorf("%q: accepted as %s", text, d)
		} else if text != "" && len(text) > 3 && strings.Contains(err.Error(), text) {
			t.Errorf("%q: repeated in %v", text, err)
		}
	}
	ordered := []string{"-100", "-99.5", "-9", "-0.2", "-0.15", "0", "0.05", "0.1", "0.15", "0.2", "1", "9", "9.99", "10", "99.5", "100"}
	for i, a := range ordered {
		for j, b := range ordered {
			x, _ := ParseDecimal(a)
			y, _ := ParseDecimal(b)
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := x.Cmp(y); got != want || x.Equal(y) != (want == 0) || (x == y) != (want == 0) {
				t.Errorf("%s against %s: %d", a, b, got)
			}
		}
	}
	var v struct{ A, B, C Decimal }
	if err := json.Unmarshal([]byte(`{"A":4.20,"B":"4.20","C":null}`), &v); err != nil || v.A != v.B || !v.C.IsZero() {
		t.Errorf("%v, %v", v, err)
	}
	if got := mustJSON(t, v); got != `{"A":4.2,"B":4.2,"C":0}` {
		t.Error(got)
	}
	for _, text := range []string{`{"A":true}`, `{"A":"x"}`, `{"A":[1]}`, `{"A":""}`} {
		if err := json.Unmarshal([]byte(text), &v); err == nil {
			t.Errorf("%s: accepted", text)
		}
	}
}
