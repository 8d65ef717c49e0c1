package server_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/purchase"
)

// endlessLists is a journal that returns as many purchases as it is asked for.
type endlessLists struct{ purchase.Journal }

func (endlessLists) List(_ context.Context, _ purchase.Filter, page purchase.Page) ([]purchase.Purchase, string, error) {
	found := make([]purchase.Purchase, 0, 501)
	for range page.Size {
		found = append(found, purchase.Purchase{ID: ulid.Make().String()})
		if len(found) == cap(found) {
			break // more would be a fault, and would not fit into memory
		}
	}
	return found, found[len(found)-1].ID, nil
}

// A page size above the limit is not refused. The page has the limit's number of entries.
func TestPageSizes(t *testing.T) {
	t.Parallel()
	g := open(t, setup{journal: endlessLists{newJournal()}, wrap: inventoryOf(1001)})
	for _, d := range g.transports() {
		for asked, got := range map[int32][2]int{
			0: {50, 1000}, 1: {1, 1}, 49: {49, 49}, 500: {500, 500}, 501: {500, 501}, 1000: {500, 1000}, 1001: {500, 1000}, 99_999: {500, 1000},
		} {
			purchases := g.list(t, d, &gigagatev1.ListPurchasesRequest{PageSize: asked})
			if n := len(purchases.GetPurchases()); n != got[0] || purchases.GetNextPageToken() == "" {
				t.Errorf("%s: a page of %d has %d purchases, want %d", d.name, asked, n, got[0])
			}
			items := g.items(t, d, &gigagatev1.ListInventoryItemsRequest{PageSize: asked})
			if n := len(items.GetItems()); n != got[1] || items.GetNextPageToken() == "" {
				t.Errorf("%s: a page of %d has %d items, want %d", d.name, asked, n, got[1])
			}
		}
	}
}

// inventoryOf answers in place of the vendor, with an inventory of size items that are not sorted by id.
func inventoryOf(size int) func(http.Handler) http.Handler {
	var items []string
	for i := range size {
		items = append(items, fmt.Sprintf(`{"id":"item-%04d","countrySet":"WWW"}`, (i*7)%size))
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != pathInventory {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"items":[%s]}`, strings.Join(items, ","))
		})
	}
}

// items gets a page of the inventory over a transport.
func (g *gateway) items(t *testing.T, d transport, request *gigagatev1.ListInventoryItemsRequest) *gigagatev1.ListInventoryItemsResponse {
	t.Helper()
	a := d.call(t, t.Context(), ask(request))
	a.ok(t)
	return a.reply.(*gigagatev1.ListInventoryItemsResponse)
}

// Pages of the inventory are in the order of ids, whatever the vendor's order and the transport.
func TestInventoryPages(t *testing.T) {
	t.Parallel()
	g := open(t, setup{wrap: inventoryOf(10)})
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprintf("item-%04d", i))
	}
	for _, size := range []int32{0, 3, 5, 9, 10} {
		var got []string
		request := &gigagatev1.ListInventoryItemsRequest{PageSize: size}
		for page := 0; page == 0 || request.GetPageToken() != ""; page++ {
			answer := g.items(t, g.transports()[page%2], request)
			for _, item := range answer.GetItems() {
				got = append(got, item.GetId())
			}
			request.PageToken = answer.GetNextPageToken()
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v", size, got)
		}
	}
}

// A page token belongs to one list and its filters. A token that is broken, or is just the id of a purchase or an item, is
// refused.
func TestPageTokensOfOtherLists(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	first := g.sold(t)
	g.bought(t, topUp(first.GetCustomer().GetUid()))
	filter := &gigagatev1.ListPurchasesRequest{PageSize: 1, CustomerUid: first.GetCustomer().GetUid()}
	ofPurchases := g.list(t, g.transports()[0], filter).GetNextPageToken()
	ofItems := g.items(t, g.transports()[0], &gigagatev1.ListInventoryItemsRequest{PageSize: 1}).GetNextPageToken()
	if ofPurchases == "" || ofItems == "" {
		t.Fatalf("tokens %q and %q", ofPurchases, ofItems)
	}
	purchases := func(token string) *gigagatev1.ListPurchasesRequest {
		return other(filter, func(r *gigagatev1.ListPurchasesRequest) { r.PageToken = token })
	}
	items := func(token string) *gigagatev1.ListInventoryItemsRequest {
		return &gigagatev1.ListInventoryItemsRequest{PageToken: token}
	}
	for _, d := range g.transports() {
		// The size is not a filter.
		if got := g.list(t, d, other(purchases(ofPurchases), func(r *gigagatev1.ListPurchasesRequest) { r.PageSize = 7 })).GetPurchases(); len(got) != 1 || got[0].GetId() != first.GetPurchaseId() {
			t.Errorf("%s: the second page has %v", d.name, got)
		}
		for name, message := range map[string]proto.Message{
			"items for purchases": purchases(ofItems), "purchases for items": items(ofPurchases),
			"without the filter":   &gigagatev1.ListPurchasesRequest{PageToken: ofPurchases},
			"with another":         other(purchases(ofPurchases), func(r *gigagatev1.ListPurchasesRequest) { r.RequestId = "r" }),
			"with a metatag":       other(purchases(ofPurchases), func(r *gigagatev1.ListPurchasesRequest) { r.Metatag = "m" }),
			"with a trace":         other(purchases(ofPurchases), func(r *gigagatev1.ListPurchasesRequest) { r.TraceId = callerTrace }),
			"with anomalies":       other(purchases(ofPurchases), func(r *gigagatev1.ListPurchasesRequest) { r.WithAnomalies = true }),
			"a purchase's id":      purchases(first.GetPurchaseId()),
			"cut":                  purchases(ofPurchases[:len(ofPurchases)-1]),
			"longer":               purchases(ofPurchases + "A"),
			"one letter changed":   items(strings.ToLower(ofItems)),
			"not base64url":        purchases("a+b/"),
			"padded":               purchases(ofPurchases + "="),
			"of an empty position": items("AAAAAAAAAAA"),
		} {
			t.Run(d.name+"/"+name, func(t *testing.T) {
				d.call(t, t.Context(), ask(message)).check(t,
					want{codes.InvalidArgument, http.StatusBadRequest, "INVALID_FIELD", "NOT_STARTED", []string{"page_token"}})
			})
		}
	}
}
