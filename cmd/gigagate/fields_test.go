package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
)

// requests are the commands that send a request with fields that a user fills.
var requests = map[string]proto.Message{
	"register":          &gigagatev1.RegisterRequest{},
	"top-up":            &gigagatev1.TopUpRequest{},
	"activate":          &gigagatev1.ActivateRequest{},
	"inventory":         &gigagatev1.ListInventoryItemsRequest{},
	"customer":          &gigagatev1.GetCustomerRequest{},
	"budgets":           &gigagatev1.ListBudgetsRequest{},
	"purchases get":     &gigagatev1.GetPurchaseRequest{},
	"purchases list":    &gigagatev1.ListPurchasesRequest{},
	"purchases wait":    &gigagatev1.WaitPurchaseRequest{},
	"purchases watch":   &gigagatev1.GetPurchaseRequest{},
	"purchases resolve": &gigagatev1.ResolvePurchaseRequest{},
	"freeze":            &gigagatev1.FreezeRequest{},
	"thaw":              &gigagatev1.ThawRequest{},
	"freezes":           &gigagatev1.ListFreezesRequest{},
	"audit":             &gigagatev1.ListAuditRecordsRequest{},
}

// withArgument are the requests that a command sends, too, if it gets another flag or an argument.
var withArgument = map[string]proto.Message{"budgets": &gigagatev1.GetBudgetRequest{}, "customer": &gigagatev1.FindCustomerRequest{}}

// withoutRequest are the commands whose flags do not fill a request of the contract.
var withoutRequest = map[string]bool{
	"serve": true, "sandbox serve": true, "sandbox fault": true, "sandbox clock": true, "sandbox ledger": true, "sandbox reset": true,
	"journal backup": true, "journal check": true, "journal keys new": true, "journal keys rotate": true, "erase": true, "keys new": true, "config check": true, "bench": true, "explain": true, "health": true, "completion": true, "version": true,
}

// ofNoField are the flags that fill no field. They say where to send, how long to wait and how to print.
var ofNoField = append([]string{"help", "version", "output"}, flagsOfConnections...)

// withoutFlag are the fields that their command does not fill.
var withoutFlag = map[string]bool{
	"purchases list from_time": true, "purchases list to_time": true, "top-up new_profile.customer_profile_domain_id": true,
}

// TestEveryFieldHasAFlag: an error of the gateway about any field names the flag that filled it.
func TestEveryFieldHasAFlag(t *testing.T) {
	t.Parallel()
	for _, leaf := range model(t).Leaves(true) {
		name := strings.Join(words(leaf), " ")
		request, ok := requests[name]
		if !ok {
			if !withoutRequest[name] {
				t.Errorf("%s is not tested", name)
			}
			continue
		}
		flags, typed := fieldFlags(leaf), map[string]bool{}
		filled := fields(request.ProtoReflect().Descriptor(), "")
		if other, ok := withArgument[name]; ok {
			filled = append(filled, fields(other.ProtoReflect().Descriptor(), "")...)
		}
		for _, field := range filled {
			flag, ok := flags[field]
			if ok == withoutFlag[name+" "+field] {
				t.Errorf("%s: %s is filled by %q", name, field, flag)
			}
			typed[flag] = true
			delete(flags, field)
		}
		for field, flag := range flags {
			t.Errorf("%s: %s fills %s, which the request does not have", name, flag, field)
		}
		for _, group := range leaf.AllFlags(false) {
			for _, flag := range group {
				if !typed["--"+flag.Name] && !slices.Contains(ofNoField, flag.Name) {
					t.Errorf("%s: --%s names no field", name, flag.Name)
				}
			}
		}
		for _, argument := range leaf.Positional {
			if !typed["<"+argument.Name+">"] {
				t.Errorf("%s: <%s> names no field", name, argument.Name)
			}
		}
	}
}

// fields returns the paths of a message's fields, including those of nested messages.
func fields(message protoreflect.MessageDescriptor, prefix string) (paths []string) {
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		path := prefix + string(field.Name())
		paths = append(paths, path)
		if inner := field.Message(); inner != nil && inner.ParentFile().Package() == message.ParentFile().Package() {
			paths = append(paths, fields(inner, path+".")...)
		}
	}
	return paths
}

// TestEverySettingOfTheVendorHasAFlag: otherwise an error about a setting could not name its flag.
func TestEverySettingOfTheVendorHasAFlag(t *testing.T) {
	t.Parallel()
	ours := map[string]bool{"UserAgent": true, "TracerProvider": true, "MeterProvider": true, "Propagator": true, "Dial": true, "Now": true, "Logger": true, "ReadSecret": true}
	for _, leaf := range model(t).Leaves(true) {
		if leaf.Path() != "gigagate serve" {
			continue
		}
		flags := fieldFlags(leaf)
		config := reflect.TypeFor[gigastore.Config]()
		for field := range config.Fields() {
			setting := field.Name
			if _, ok := flags[setting]; ok == ours[setting] {
				t.Errorf("%s: flag %q", setting, flags[setting])
			}
			delete(flags, setting)
		}
		if len(flags) > 0 {
			t.Errorf("no such settings: %v", flags)
		}
		for _, group := range leaf.AllFlags(false) {
			for _, flag := range group {
				if strings.HasPrefix(flag.Name, "gigastore-") && flag.Tag.Get("field") == "" {
					t.Errorf("--%s names no setting", flag.Name)
				}
			}
		}
	}
}

// TestErrorsOfTheGatewayNameFlags: errors name what the user typed, not the contract's names or patterns.
func TestErrorsOfTheGatewayNameFlags(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	sold := decode(t, g.sell(t, "order-1"), &gigagatev1.RegisterResponse{})
	sale := func(more ...string) []string {
		return append([]string{"register", "--item=" + sandbox.ItemWorldwide1GB, "--metatag=text", "--ip=203.0.113.24", "--country=GR"}, more...)
	}
	topUp := []string{"top-up", "--item=a b", "--metatag=text", "--customer=a b", "--new-profile", "--ip=here", "--country=Greece"}
	const invalid, item = "gigagate: InvalidArgument, reason INVALID_FIELD, effect NOT_STARTED: a field of the request is not valid: ", "must be 1 to 64 letters, digits, - and _"
	for _, test := range []struct {
		args []string
		says string
	}{
		{sale("--country=gr"), invalid + "--country: must be two capital letters of ISO 3166-1, such as GR for Greece or GB for the United Kingdom\n"},
		{sale("--ip=fe80::1%eth0"), invalid + "--ip: "},
		{sale("--email=nobody"), invalid + "--email: must be a valid email address\n"},
		{sale("--request-id=a b"), invalid + "--request-id: must be 1 to 64 visible ASCII characters, and no quotation mark\n"},
		{sale("--metatag= a"), invalid + "--metatag: must be a text without control characters, line separators and direction overrides, and without a space at either end\n"},
		{sale("--metatag=" + strings.Repeat("a", 300)), invalid + "--metatag: must be at most 226 bytes\n"},
		{sale("--expected-price=a", "--expected-currency=usd"), invalid + "--expected-currency: must be three capital letters, such as USD; --expected-price: must be an amount such as 9.99\n"},
		{sale("--max-purchase-price=a", "--max-purchase-currency=usd"), invalid + "--max-purchase-currency: must be three capital letters, such as USD; --max-purchase-price: must be an amount such as 9.99\n"},
		{sale("--expected-price=1"), "PRICE_MISMATCH, effect NOT_APPLIED: --expected-price is not the retail price of the item\n"},
		{sale("--max-purchase-price=4.19"), "MAX_PURCHASE_PRICE_EXCEEDED, effect NOT_STARTED: the item costs the reseller more than --max-purchase-price"},
		{sale("--request-id=order-1", "--email=a@example.com", "--expected-price=9.99"), "effect APPLIED: the request id stands for another order: " +
			"--email: differs from the purchase that this request id stands for; --expected-price: differs from the purchase that this request id stands for\n"},
		{topUp, invalid + "--item: " + item + "; --customer: " + item + "; --ip: must be a valid IP address; --country: must be two capital letters of ISO 3166-1, such as GR for Greece or GB for the United Kingdom\n"},
		{[]string{"activate", "a b"}, invalid + "<uid>: " + item + "\n"},
		{[]string{"purchases", "get", "order-1"}, "<id>: must be the id of a purchase: 26 digits and capital letters\n"},
		{[]string{"purchases", "wait", sold.GetPurchaseId(), "--for=2m"}, "--for: must be "},
		{[]string{"purchases", "list", "--page-size=-1", "--page-token=2+2", "--request-id=a b", "--customer=a b"}, "--request-id: must be 1 to 64 visible ASCII characters, and no quotation mark; " +
			"--customer: " + item + "; --page-size: must be greater than or equal to 0; --page-token: must be the token that the page before gave for the next one, with the same filters\n"},
		{[]string{"purchases", "resolve", sold.GetPurchaseId(), "--item=a b", "--operator=a b", "--note=\x01"}, "--item: " + item +
			"; --operator: must be 1 to 64 letters, digits, ., _ and -; --note: must be a text without control characters, line separators and direction overrides\n"},
	} {
		got := gigagate(t, append(test.args, "--address="+g.grpc)...)
		if got.status == 0 || !strings.Contains(got.err, test.says) || strings.Contains(got.err, "regex") || contractName.MatchString(got.err) {
			t.Errorf("%q: %+v, want %q", test.args, got, test.says)
		}
	}
	if sales := g.ledger(t).Sales; len(sales) != 1 {
		t.Errorf("%d sales", len(sales))
	}
}
