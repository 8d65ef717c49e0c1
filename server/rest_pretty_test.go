package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// Every route accepts ?pretty, for responses and for errors. Only the layout of the answer changes.
func TestPrettyAnswers(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	sold := g.http(t, t.Context(), "POST", restRegister, []byte(validJSON+"}"), nil, &gigagatev1.RegisterResponse{})
	sold.ok(t)
	purchase := "/v1/purchases/" + sold.purchaseID(t)
	reply := sold.reply.(*gigagatev1.RegisterResponse)
	for _, c := range []struct {
		verb, path, body string
		reply            proto.Message // nil if an error is expected
	}{
		{"POST", restRegister, validJSON + "}", &gigagatev1.RegisterResponse{}},
		{"POST", restTopUp, "{}", nil},
		{"POST", "/v1/activations/activated-items/" + reply.GetActivatedItem().GetUid() + "/activate", "", &gigagatev1.ActivateResponse{}},
		{"GET", "/v1/customers/" + reply.GetCustomer().GetUid(), "", &gigagatev1.GetCustomerResponse{}},
		{"GET", "/v1/inventory", "", &gigagatev1.ListInventoryItemsResponse{}},
		{"GET", "/v1/purchases", "", &gigagatev1.ListPurchasesResponse{}},
		{"GET", purchase, "", &gigagatev1.GetPurchaseResponse{}},
		{"GET", purchase + ":wait", "", &gigagatev1.WaitPurchaseResponse{}},
		{"POST", purchase + ":resolve", "{}", nil},
		{"GET", restPurchase, "", nil},    // an error of the handler
		{"GET", "/v1/nowhere", "", nil},   // an error of the mux
		{"PUT", "/v1/inventory", "", nil}, // a wrong method
		{"POST", restRegister, "{", nil},  // an error of the decoder
	} {
		for query, want := range map[string]bool{"": false, "?pretty": true, "?pretty=true": true, "?pretty=": true, "?%70retty": true, "?pretty=false": false} {
			a := g.http(t, t.Context(), c.verb, c.path+query, []byte(c.body), nil, c.reply)
			if (c.reply != nil) != (a.http == http.StatusOK) {
				t.Errorf("%s %s%s: %s", c.verb, c.path, query, a.text)
			}
			_, text, _ := strings.Cut(a.text, "\r\n{")
			if got := strings.HasPrefix(text, "\n  \""); got != want {
				t.Errorf("%s %s%s is indented: %v", c.verb, c.path, query, got)
			}
			if !json.Valid([]byte("{" + text)) {
				t.Errorf("not JSON: %s", a.text)
			}
		}
	}
	// Other parameters are still read.
	page := &gigagatev1.ListPurchasesResponse{}
	g.http(t, t.Context(), "GET", "/v1/purchases?requestId=r-2&pretty&pageSize=1", nil, nil, page).ok(t)
	if len(page.GetPurchases()) != 0 {
		t.Errorf("the filter is lost: %v", page)
	}
	g.http(t, t.Context(), "GET", "/v1/purchases?pretty&state=CANARY", nil, nil, nil).
		check(t, want{codes.InvalidArgument, http.StatusBadRequest, "MALFORMED_REQUEST", "NOT_STARTED", []string{"state"}})
	if sales := g.box.Ledger().Sales; len(sales) != 1 {
		t.Errorf("%d sales", len(sales))
	}
}

// Only the parameter changes the layout. An Accept header does not.
func TestAcceptDoesNotChangeTheLayout(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	a := g.http(t, t.Context(), "GET", "/v1/inventory", nil, http.Header{"Accept": {"application/json+pretty"}}, &gigagatev1.ListInventoryItemsResponse{})
	if a.ok(t); strings.Contains(a.text, "{\n") {
		t.Error(a.text)
	}
}

// No field of the contract may be called pretty, because a query could not set it.
func TestNoFieldIsCalledPretty(t *testing.T) {
	t.Parallel()
	for _, message := range []proto.Message{
		&gigagatev1.GetCustomerRequest{}, &gigagatev1.ListInventoryItemsRequest{}, &gigagatev1.GetPurchaseRequest{},
		&gigagatev1.ListPurchasesRequest{}, &gigagatev1.WaitPurchaseRequest{},
	} {
		if message.ProtoReflect().Descriptor().Fields().ByName("pretty") != nil {
			t.Errorf("%T", message)
		}
	}
}
