package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

var requests atomic.Int64

// requestID returns a new request id, which no other test uses.
func requestID() string { return fmt.Sprintf("order-%d", requests.Add(1)) }

// register returns a valid RegisterRequest with the edits applied.
func register(edits ...func(*gigagatev1.RegisterRequest)) *gigagatev1.RegisterRequest {
	r := &gigagatev1.RegisterRequest{
		RequestId: requestID(), InventoryItemId: sandbox.ItemWorldwide1GB, Metatag: "shop order 4711",
		UserIp: "203.0.113.24", UserCountry: "GR",
	}
	for _, edit := range edits {
		edit(r)
	}
	return r
}

// topUp returns a valid TopUpRequest for customer with the edits applied.
func topUp(customer string, edits ...func(*gigagatev1.TopUpRequest)) *gigagatev1.TopUpRequest {
	r := &gigagatev1.TopUpRequest{
		RequestId: requestID(), InventoryItemId: sandbox.ItemWorldwide1GB, Metatag: "shop order 4712",
		CustomerUid: customer,
	}
	for _, edit := range edits {
		edit(r)
	}
	return r
}

func withProfile(edits ...func(*gigagatev1.NewProfile)) func(*gigagatev1.TopUpRequest) {
	return func(r *gigagatev1.TopUpRequest) {
		r.NewProfile = &gigagatev1.NewProfile{UserIp: "203.0.113.24", UserCountry: "GR"}
		for _, edit := range edits {
			edit(r.NewProfile)
		}
	}
}

func activate(uid string) *gigagatev1.ActivateRequest { return &gigagatev1.ActivateRequest{Uid: uid} }

func getCustomer(uid string) *gigagatev1.GetCustomerRequest {
	return &gigagatev1.GetCustomerRequest{Uid: uid}
}

func findCustomer(iccid string) *gigagatev1.FindCustomerRequest {
	return &gigagatev1.FindCustomerRequest{Iccid: iccid}
}

// invalid is a request that breaks a rule of the contract in the given fields.
type invalid struct {
	name    string
	message proto.Message
	fields  []string
	replace [2]string // see question
}

// metatagRoom is how many bytes the harness's limit leaves for the caller's metatag.
const metatagRoom = 255 - len("gg01ARZ3NDEKTSV4RRFFQ69G5FAV ")

type (
	reg     = gigagatev1.RegisterRequest
	top     = gigagatev1.TopUpRequest
	profile = gigagatev1.NewProfile
)

func invalidRequests() []invalid {
	cases := []invalid{
		{name: "empty register", message: &reg{}, fields: []string{"inventory_item_id", "metatag", "request_id", "user_country", "user_ip"}},
		{name: "top up an ICCID", message: topUp("89972000000000000012"), fields: []string{"customer_uid"}},
		{name: "read an ICCID", message: getCustomer("89972000000000000012"), fields: []string{"uid"}},
		{name: "empty top-up", message: &top{}, fields: []string{"customer_uid", "inventory_item_id", "metatag", "request_id"}},
		{name: "top-up with an empty profile", message: topUp("c", func(r *top) { r.NewProfile = &profile{} }), fields: []string{"new_profile.user_country", "new_profile.user_ip"}},
		{name: "unknown mode number", message: register(func(r *reg) { r.ActivationMode = 9 }), fields: []string{"activation_mode"}},
		{name: "unknown mode number on top-up", message: topUp("c", func(r *top) { r.ActivationMode = -1 }), fields: []string{"activation_mode"}},
		{name: "negative zero price", message: register(price("USD", "-0")), fields: []string{"expected_price.amount"}},
		{name: "price without currency", message: register(price("", "9.99")), fields: []string{"expected_price.currency_code"}},
		{name: "price without amount", message: register(price("USD", "")), fields: []string{"expected_price.amount"}},
		{name: "empty price", message: topUp("c", func(r *top) { r.ExpectedPrice = &gigagatev1.Money{} }), fields: []string{"expected_price.amount", "expected_price.currency_code"}},
		{name: "empty limit", message: register(func(r *reg) { r.MaxPurchasePrice = &gigagatev1.Money{} }), fields: []string{"max_purchase_price.amount", "max_purchase_price.currency_code"}},
		{name: "negative limit", message: topUp("c", func(r *top) { r.MaxPurchasePrice = usd("-1") }), fields: []string{"max_purchase_price.amount"}},
		{name: "empty profile domain", message: topUp("c", withProfile(func(p *profile) { p.CustomerProfileDomainId = new("") })), fields: []string{"new_profile.customer_profile_domain_id"}},
	}
	for field, values := range map[string][]string{
		"request_id":        {"a b", strings.Repeat("r", 65), `say"so`, "ümlaut", "tab\there", "new\nline", "nul\x00"},
		"inventory_item_id": {"a/b", "../x", "item 1", strings.Repeat("i", 65), "ïtem"},
		"metatag": {
			" leading", "trailing ", "bell\a", "line\nbreak", "del\x7f", "c1\u0085control", "rtl\u202eoverride", "ltr\u202doverride",
			"\u00a0no-break", "no-break\u00a0", "ideographic\u3000", "\u2003em", "zero width\u200b", "\ufeffmark", "ogham\u1680",
			"line\u2028separator", "paragraph\u2029separator", "end of a line\u2028",
			"ref gg01ARZ3NDEKTSV4RRFFQ69G5FAV", "refgg01arz3ndektsv4rrffq69g5fav.", "GG01ARZ3NDEKTSV4RRFFQ69G5FAV",
			strings.Repeat("m", metatagRoom+1), strings.Repeat("ä", metatagRoom/2) + "m" + "mm",
		},
		"user_ip": {
			"localhost", "203.0.113.24:80", "203.0.113.024", "203.0.113", "fe80::1%eth0", "[2001:db8::1]", "2001:db8::1/64", "203.0.113.24 ",
			"0.0.0.0", "127.0.0.1", "127.8.9.10", "224.0.0.1", "239.255.255.250", "255.255.255.255", "::", "::1", "ff02::1",
			"::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:7f00:1",
		},
		"user_country":   {"gr", "GRC", "G", "Gr", "G1", "ΕΛ", "UK", "EL", "ZZ", "AA", "XK", "EU", "SU", "AN", "QM"},
		"customer_email": {"nobody", "a@b@c", "two@mail.example,three@mail.example", "@mail.example", strings.Repeat("e", 255-len("@mail.example")) + "@mail.example"},
	} {
		for _, value := range values {
			message := register()
			set(message, field, value)
			cases = append(cases, invalid{name: field + " " + short(value), message: message, fields: []string{field}})
		}
	}
	for field, value := range map[string]string{"user_ip": "::ffff:127.0.0.1", "user_country": "UK"} {
		message := topUp("c", withProfile())
		set(message, "new_profile."+field, value)
		cases = append(cases, invalid{name: "profile with " + field + " " + value, message: message, fields: []string{"new_profile." + field}})
	}
	for _, amount := range []string{"-1", "+1", "1e3", "1.1234567890", ".5", "5.", "1234567890", "1,5", " 1", "0x1", "NaN", "١"} {
		cases = append(cases, invalid{name: "amount " + amount, message: register(price("USD", amount)), fields: []string{"expected_price.amount"}})
	}
	for _, currency := range []string{"usd", "US", "USDT", "U$D"} {
		cases = append(cases, invalid{name: "currency " + currency, message: topUp("c", func(r *top) {
			r.ExpectedPrice = &gigagatev1.Money{CurrencyCode: currency, Amount: "9.99"}
		}), fields: []string{"expected_price.currency_code"}})
	}
	for _, iccid := range []string{"", "89972119683000013", "89972119683000000013000", "8997211968300000001X", "8997 2119 6830 0000 0013", "٨٩٩٧٢١١٩٦٨٣٠٠٠٠٠٠٠"} {
		cases = append(cases, invalid{name: "find " + short(iccid), message: findCustomer(iccid), fields: []string{"iccid"}})
	}
	for _, uid := range []string{"..", ".", "a/b", "a b", "a:b", "%2e%2e", "a%2fb", "üid", strings.Repeat("u", 65), "a\x00b", "a?b=c", "a#b"} {
		cases = append(cases,
			invalid{name: "activate " + short(uid), message: activate(uid), fields: []string{"uid"}},
			invalid{name: "get customer " + short(uid), message: getCustomer(uid), fields: []string{"uid"}},
			invalid{name: "top up customer " + short(uid), message: topUp(uid), fields: []string{"customer_uid"}},
			invalid{name: "profile domain " + short(uid), message: topUp("c", withProfile(func(p *profile) { p.CustomerProfileDomainId = &uid })), fields: []string{"new_profile.customer_profile_domain_id"}},
		)
	}
	return slices.Concat(cases, invalidPurchaseRequests(), invalidUTF8(), hugeTexts())
}

// hugeTexts puts 60 KiB into each text of each request. Such a request must not take much CPU time.
func hugeTexts() []invalid {
	var cases []invalid
	for _, message := range fullRequests() {
		for _, path := range textFields(message.ProtoReflect(), "") {
			if _, query := message.(*gigagatev1.ListPurchasesRequest); query || path == "uid" || path == "id" {
				continue // over REST it is part of the URL, whose length net/http bounds
			}
			huge := proto.Clone(message)
			set(huge, path, strings.Repeat("h", 60<<10))
			cases = append(cases, invalid{name: "60 KiB in " + string(message.ProtoReflect().Descriptor().Name()) + " " + path, message: huge, fields: []string{path}})
		}
	}
	return cases
}

// fullRequests returns requests in which every text is set.
func fullRequests() []proto.Message {
	return []proto.Message{
		register(price("USD", "9.99"), func(r *reg) { r.CustomerEmail, r.MaxPurchasePrice = new("a@mail.example"), usd("9.99") }),
		topUp("c", withProfile(func(p *profile) { p.CustomerProfileDomainId = new("d") }), func(r *top) {
			r.ExpectedPrice, r.MaxPurchasePrice = usd("9.99"), usd("9.99")
		}),
		activate("u"), getCustomer("u"), findCustomer("89972119683000000013"), getPurchase(noPurchase), waitPurchase(noPurchase, 0), itemSold(noPurchase, "u"),
		&gigagatev1.ListPurchasesRequest{RequestId: "r"},
	}
}

// invalidUTF8 puts invalid UTF-8 into each text of each request.
func invalidUTF8() []invalid {
	const mark, broken = "MARK-THE-SPOT", "MARK\xc3\x28HE\xffSPOT"
	var cases []invalid
	for _, message := range fullRequests() {
		for _, path := range textFields(message.ProtoReflect(), "") {
			marked := proto.Clone(message)
			set(marked, path, mark)
			name := string(message.ProtoReflect().Descriptor().Name()) + " " + path
			cases = append(cases, invalid{name: "invalid UTF-8 in " + name, message: marked, fields: []string{path}, replace: [2]string{mark, broken}})
		}
	}
	return cases
}

func short(text string) string { return text[:min(len(text), 40)] }

func price(currency, amount string) func(*reg) {
	return func(r *reg) { r.ExpectedPrice = &gigagatev1.Money{CurrencyCode: currency, Amount: amount} }
}

func TestInvalidFieldsOnBothTransports(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	for _, c := range invalidRequests() {
		for _, d := range g.transports() {
			t.Run(d.name+"/"+c.name, func(t *testing.T) {
				a := d.call(t, t.Context(), question{message: c.message, replace: c.replace})
				a.check(t, want{codes.InvalidArgument, http.StatusBadRequest, "INVALID_FIELD", "NOT_STARTED", c.fields})
				a.echoesNothingOf(t, c.message)
				if strings.Contains(a.text, "regex") || strings.Contains(a.text, `\\p{`) {
					t.Errorf("the refusal is not a sentence: %s", a.text)
				}
				if strings.HasPrefix(c.name, "60 KiB") && !strings.Contains(a.text, "at most 4096 bytes") {
					t.Errorf("a rule's pattern was tried on 60 KiB: %s", a.text)
				}
			})
		}
	}
	if calls := g.box.Ledger().Calls; len(calls) > 0 {
		t.Errorf("the vendor was called: %v", calls)
	}
}

func TestValidFormsOnBothTransports(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	for _, d := range g.transports() {
		for name, message := range validRequests() {
			t.Run(d.name+"/"+name, func(t *testing.T) {
				d.call(t, t.Context(), ask(message)).ok(t)
			})
		}
	}
	// The two requests about the request id itself have the same id over both transports.
	if got, want := len(g.box.Ledger().Sales), 2*len(validRequests())-2; got != want {
		t.Errorf("%d sales, want %d", got, want)
	}
}

func validRequests() map[string]proto.Message {
	return map[string]proto.Message{
		"metatag that fits":        register(func(r *reg) { r.Metatag = strings.Repeat("m", metatagRoom) }),
		"metatag of one character": register(func(r *reg) { r.Metatag = "m" }),
		"metatag in Greek":         register(func(r *reg) { r.Metatag = "παραγγελία 4711" }),
		"metatag with an emoji": register(func(r *reg) {
			r.Metatag = "family 👩\u200d👩\u200d👧 🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F"
		}),
		"metatag in Persian":          register(func(r *reg) { r.Metatag = "می\u200cخواهم ه\u200d" }),
		"metatag in Sinhala":          register(func(r *reg) { r.Metatag = "ශ\u200dරී" }),
		"metatag of two directions":   register(func(r *reg) { r.Metatag = "\u200fהזמנה\u200f \u2066order 7\u2069" }),
		"metatag of the future":       register(func(r *reg) { r.Metatag = "new \U0003FFF0 emoji" }), // no Unicode version has assigned it yet
		"metatag with a no-break":     register(func(r *reg) { r.Metatag = "10\u00a0€" }),
		"gg without a ULID":           register(func(r *reg) { r.Metatag = "gg01ARZ3NDEKTSV4RRFFQ69G5FA" }),
		"IPv6":                        register(func(r *reg) { r.UserIp = "2001:db8::1" }),
		"IPv4 in IPv6":                register(func(r *reg) { r.UserIp = "::ffff:203.0.113.24" }),
		"private IPv4":                register(func(r *reg) { r.UserIp = "10.0.0.7" }),
		"private IPv6":                register(func(r *reg) { r.UserIp = "fd00::7" }),
		"link-local IPv4":             register(func(r *reg) { r.UserIp = "169.254.1.2" }),
		"request id of one character": register(func(r *reg) { r.RequestId = "!" }),
		"request id of 64 characters": register(func(r *reg) { r.RequestId = strings.Repeat("~", 64) }),
		"e-mail of 254 bytes": register(func(r *reg) {
			label := strings.Repeat("d", 60) + "."
			r.CustomerEmail = new(strings.Repeat("e", 254-1-3*61-7) + "@" + label + label + label + "example")
		}),
		"price as listed":          register(price("USD", "9.99")),
		"price with more zeros":    register(price("USD", "9.990000000")),
		"price with leading zeros": register(price("USD", "000000009.99")),
		"limit as listed":          register(func(r *reg) { r.MaxPurchasePrice = usd("4.20") }),
	}
}

// The gateway refuses unknown fields, because a newer client may have set a guard that this gateway does not know. It also
// refuses requests that it cannot decode, and requests that are too large.
func TestUnknownProtobufFieldsAreRefused(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	unknown := protowire.AppendString(protowire.AppendTag(nil, 1999, protowire.BytesType), "CANARY")
	top, nested := register(), register(price("USD", "9.99"))
	top.ProtoReflect().SetUnknown(unknown)
	nested.GetExpectedPrice().ProtoReflect().SetUnknown(unknown)
	for name, message := range map[string]proto.Message{"top level": top, "nested": nested} {
		t.Run(name, func(t *testing.T) {
			a := g.overGRPC(t, t.Context(), ask(message))
			a.check(t, want{codes.InvalidArgument, 0, "INVALID_FIELD", "NOT_STARTED", []string{""}})
			if strings.Contains(a.text, "CANARY") {
				t.Error(a.text)
			}
		})
	}
	t.Run("larger than a request may be", func(t *testing.T) {
		for _, size := range []int{64 << 10, 200 << 10} {
			huge := register(func(r *reg) { r.Metatag = strings.Repeat("h", size) })
			a := g.overGRPC(t, t.Context(), ask(huge))
			a.check(t, want{codes.InvalidArgument, 0, "INVALID_FIELD", "NOT_STARTED", []string{""}})
			if !strings.Contains(a.text, "too large") {
				t.Error(a.text)
			}
		}
	})
	t.Run("not protobuf", func(t *testing.T) {
		a := g.overGRPC(t, t.Context(), question{message: register(), replace: [2]string{"\n", "\xff"}})
		a.check(t, want{codes.InvalidArgument, 0, "INVALID_FIELD", "INDETERMINATE", []string{""}})
	})
	if calls := g.box.Ledger().Calls; len(calls) > 0 {
		t.Errorf("the vendor was called: %v", calls)
	}
}
