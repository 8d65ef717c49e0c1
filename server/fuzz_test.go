package server

import (
	"encoding/json"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

// sentences matches every sentence that the readers of requests say about a field.
var sentences = regexp.MustCompile(`^(` + strings.Join([]string{
	`the body is not valid JSON`, `must be a JSON object`, `is not a field of this request`, `appears more than once`,
	`is part of the path and must not be in the body`, `must be a JSON string`, `is not valid UTF-8`, `must be true or false`,
	`must be one of ACTIVATION_MODE_[A-Z_, ]+`, `the body must end after the JSON object`,
	`the body is not the JSON form of this call's request`, `the request is not a valid protobuf message of this method`,
	`the query could not be read`, `is not a query parameter of this call`, `appears more than once in the query`,
	`cannot be read as a value of this parameter`,
}, "|") + `)$`)

// checkFault fails unless a fault has one of our sentences and a path of the contract. Only the last name of the path may
// come from the caller.
func checkFault(t *testing.T, f *failure, message protoreflect.MessageDescriptor) {
	t.Helper()
	if len(f.fields) != 1 || !sentences.MatchString(f.fields[0].GetDescription()) {
		t.Fatalf("fields %v", f.fields)
	}
	names := strings.Split(f.fields[0].GetField(), ".")
	for i, name := range names {
		field := message.Fields().ByName(protoreflect.Name(name))
		switch {
		case field == nil && (i < len(names)-1 || name != "" && !identifier.MatchString(name)):
			t.Fatalf("field %q", f.fields[0].GetField())
		case field != nil && field.Message() != nil:
			message = field.Message()
		}
	}
}

func FuzzStrictJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, ``, `null`, `[]`, `{"requestId":"a","requestId":"b"}`, `{"newProfile":{"dedicated":true,"userIp":"::1"}}`,
		`{"expectedPrice":{"currencyCode":"USD","amount":"9.99"},"activationMode":"ACTIVATION_MODE_NOW"}`,
		`{"activationMode":3}`, `{"activationMode":1e0}`, `{"metatag":"\ud800"}`, "{\"metatag\":\"\xff\"}", `{"a":1}{}`,
		`{"metatag":"\u0000","new_profile":null}`, `{"newProfile":{"customer_profile_domain_id":"x"},"customerUid":"y"} `,
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, inPath bool) {
		message := &gigagatev1.TopUpRequest{}
		var path []string
		if inPath {
			path = []string{"customer_uid"}
		}
		if fault := decodeStrictly(data, message, path); fault != nil {
			checkFault(t, fault, message.ProtoReflect().Descriptor())
			return
		}
		lenient := &gigagatev1.TopUpRequest{}
		if err := protojson.Unmarshal(data, lenient); err != nil || !proto.Equal(message, lenient) {
			t.Fatalf("%v is not %v: %v", message, lenient, err)
		}
		if inPath && message.GetCustomerUid() != "" {
			t.Fatal("a path field came from the body")
		}
		if named := requestIDsInJSON(data); named.unread || message.GetRequestId() != "" && !slices.Contains(named.ids, message.GetRequestId()) {
			t.Fatalf("a refusal would look %v up", named)
		}
		printed, err := protojson.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		again := &gigagatev1.TopUpRequest{}
		if fault := decodeStrictly(printed, again, path); fault != nil || !proto.Equal(message, again) {
			t.Fatalf("%v is not %v: %v", again, message, fault)
		}
	})
}

// If protobuf-go refuses a request, the fault has one of our sentences. If a string is broken, the fault names its field.
func FuzzUndecodable(f *testing.F) {
	whole, err := proto.Marshal(&gigagatev1.TopUpRequest{RequestId: "r", NewProfile: &gigagatev1.NewProfile{UserIp: "ip"}})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{whole, whole[:len(whole)-1], []byte("\n\x02\xff\xff"), []byte(":\x04\n\x02\xc3\x28"), {0xff}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		message := &gigagatev1.TopUpRequest{}
		err := proto.Unmarshal(data, message)
		broken := brokenText(data, message.ProtoReflect().Descriptor())
		if err == nil && broken != "" {
			t.Fatalf("protobuf-go accepted a broken %s", broken)
		}
		if err != nil {
			checkFault(t, undecodable(data, message.ProtoReflect().Descriptor()), message.ProtoReflect().Descriptor())
		}
	})
}

var contractAmount = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9})?$`)

// Money keeps its value from the contract through the journal to the vendor's JSON number and back.
func FuzzMoneyToVendor(f *testing.F) {
	for _, seed := range []string{"9.99", "0", "00", "04.2", "000000000.000000001", "999999999.999999999", "1.0"} {
		f.Add(seed, "USD")
	}
	f.Fuzz(func(t *testing.T, amount, currency string) {
		if !contractAmount.MatchString(amount) || !utf8.ValidString(currency) {
			t.Skip()
		}
		ordered, err := priceToOrder("expected_price", &gigagatev1.Money{CurrencyCode: currency, Amount: amount})
		if err != nil {
			t.Fatal(err)
		}
		text, err := purchase.EncodeOrder(purchase.Order{Kind: purchase.TopUp, ExpectedPrice: ordered})
		if err != nil {
			t.Fatal(err)
		}
		kept, err := purchase.DecodeOrder(text)
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(gigastore.Price{Value: kept.ExpectedPrice.Amount, Currency: kept.ExpectedPrice.Currency})
		if err != nil {
			t.Fatal(err)
		}
		var wire struct {
			PriceValue json.Number `json:"priceValue"`
		}
		var back gigastore.Price
		if err := json.Unmarshal(data, &wire); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		money := moneyFromVendor(&back)
		if rat(t, wire.PriceValue.String()).Cmp(rat(t, amount)) != 0 || rat(t, money.GetAmount()).Cmp(rat(t, amount)) != 0 {
			t.Fatalf("%s became %s and %s", amount, wire.PriceValue, money.GetAmount())
		}
		if money.GetCurrencyCode() != currency || !contractAmount.MatchString(money.GetAmount()) {
			t.Fatalf("%v", money)
		}
	})
}

// A number from the vendor keeps its value and is written in plain digits.
func FuzzMoneyFromVendor(f *testing.F) {
	for _, seed := range []string{"4.20", "4.2e0", "-1", "1e39", "0.1E-3", "1e400", "4.999999999999999", "\"4.20\""} {
		f.Add(seed)
	}
	plain := regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
	f.Fuzz(func(t *testing.T, number string) {
		var price gigastore.Price
		data := []byte(`{"priceValue":` + number + `,"currencyCode":"USD"}`)
		var wire struct {
			PriceValue json.Number `json:"priceValue"`
		}
		if json.Unmarshal(data, &price) != nil || json.Unmarshal(data, &wire) != nil || len(number) > 60 {
			t.Skip()
		}
		money := moneyFromVendor(&price)
		if !plain.MatchString(money.GetAmount()) {
			t.Fatalf("%q", money.GetAmount())
		}
		if wire.PriceValue == "" {
			t.Skip()
		}
		if rat(t, money.GetAmount()).Cmp(rat(t, wire.PriceValue.String())) != 0 {
			t.Fatalf("%s became %s", wire.PriceValue, money.GetAmount())
		}
	})
}

func rat(t *testing.T, text string) *big.Rat {
	t.Helper()
	value, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("%q is not a number", text)
	}
	return value
}

// A query is accepted if every name in it is a parameter of the call, appears once, and has a readable value in UTF-8.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "&", "a", "uid=1", "a=1&a=2", "%zz", ";", "=", "uid", "pageSize=1&page_size=1", "pageSize=1&pageSize=1", "pageSize=x",
		"state=6&requestId=a&customerUid=b", "state=PURCHASE_STATE_FAILED", "state=", "fromTime=2026-01-01T00:00:00Z", "toTime=null",
		"timeout=30s", "timeout=1", "timeout=0s0s", "timeout.seconds=1", "id=x", "page_token[x]=1", "requestId=%ff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, r := range routes {
			fault := checkQuery(query, r)
			values, err := url.ParseQuery(query)
			readable := err == nil && onlyFieldsOf(r, values) &&
				runtime.PopulateQueryParameters(dynamicpb.NewMessage(r.input), values, &utilities.DoubleArray{}) == nil
			if accepted := fault == nil; accepted != readable {
				t.Fatalf("%q accepted by %s: %v", query, r.rpc, accepted)
			}
			if fault != nil {
				checkFault(t, fault, r.input)
			}
		}
	})
}

func onlyFieldsOf(r *route, values url.Values) bool {
	for name, given := range values {
		field := fieldNamed(r.input, name)
		if field == nil || len(given) > 1 || slices.Contains(r.inPath, string(field.Name())) {
			return false
		}
		if !utf8.ValidString(given[0]) || !isPlain(field, given[0]) { // another test has the cases of isPlain
			return false
		}
	}
	return true
}
