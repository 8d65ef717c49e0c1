package server_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/server"
)

const callInventory = "GET /gigastore/products/inventory"

func TestInventoryIsCachedForAWhile(t *testing.T) {
	t.Parallel()
	var moved atomic.Int64
	g := open(t, setup{vendorNow: func() time.Time { return time.Now().Add(time.Duration(moved.Load())) }})
	list := func() *gigagatev1.ListInventoryItemsResponse {
		var read *gigagatev1.ListInventoryItemsResponse
		for _, d := range g.transports() {
			a := d.call(t, t.Context(), ask(&gigagatev1.ListInventoryItemsRequest{}))
			a.ok(t)
			read = a.reply.(*gigagatev1.ListInventoryItemsResponse)
		}
		return read
	}
	first := list()
	if n := g.box.Ledger().Calls[callInventory]; n != 1 {
		t.Errorf("%d calls for two reads", n)
	}
	moved.Add(int64(time.Minute))
	second := list()
	if n := g.box.Ledger().Calls[callInventory]; n != 2 {
		t.Errorf("%d calls after a minute", n)
	}
	if age := second.GetReadTime().AsTime().Sub(first.GetReadTime().AsTime()); age < time.Minute {
		t.Errorf("the second read is %v younger", age)
	}
	for _, item := range second.GetItems() {
		if item.GetId() != sandbox.ItemWorldwide1GB {
			continue
		}
		if item.GetCountrySet() != "WWW" || item.GetPrices()[0].GetAmount() != "4.2" || item.GetRetailPrices()[0].GetAmount() != "9.99" ||
			item.GetSize().GetValue() != 1 || item.GetSize().GetUnit() != "GB" || item.GetValidity().GetValue() != 30 || item.GetName() == "" {
			t.Errorf("item %v", item)
		}
		return
	}
	t.Error("the item is not listed")
}

// A failed read is not cached. Many readers at once share one call.
func TestInventoryReadersShareACall(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	g.injectMany(t, pathInventory, "5xx", 3, nil) // the client reads three times
	g.overGRPC(t, t.Context(), ask(&gigagatev1.ListInventoryItemsRequest{})).check(t,
		want{codes.Unavailable, 503, "VENDOR_UNAVAILABLE", "NOT_STARTED", nil})
	g.inject(t, pathInventory, "slow_body", params{"interval": "20ms", "bytes": 200})
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if a := g.transports()[i%2].call(t, t.Context(), ask(&gigagatev1.ListInventoryItemsRequest{})); a.outcome != nil {
				t.Error(a.text)
			}
		})
	}
	group.Wait()
	if n := g.box.Ledger().Calls[callInventory]; n != 4 {
		t.Errorf("%d calls", n)
	}
}

// Idempotency-Key names a new purchase. A client may send it with every call. It must not filter a list.
func TestIdempotencyKeyIsNoFilter(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	first, second := register(), register()
	ids := []string{g.bought(t, second), g.bought(t, first)}
	for _, key := range []string{first.GetRequestId(), requestID(), "no request id"} {
		q := ask(&gigagatev1.ListPurchasesRequest{})
		q.header = http.Header{"Idempotency-Key": {key}}
		a := g.overREST(t, t.Context(), q)
		a.ok(t)
		if found := a.reply.(*gigagatev1.ListPurchasesResponse).GetPurchases(); len(found) != len(ids) {
			t.Errorf("%q: found %v", key, found)
		}
		q.message = &gigagatev1.ListPurchasesRequest{RequestId: second.GetRequestId()}
		if a := g.overREST(t, t.Context(), q); !strings.Contains(a.text, ids[0]) || strings.Contains(a.text, ids[1]) {
			t.Errorf("%q beside a filter: %s", key, a.text)
		}
		q.message = getPurchase(ids[0])
		g.overREST(t, t.Context(), q).ok(t)
	}
}

// The limit must leave room for the gateway's mark and at least one byte of the caller's metatag.
func TestSmallestMetatagLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{-1, 0, 29} {
		if _, err := server.New(server.Config{MetatagMax: limit}); err == nil || !strings.Contains(err.Error(), "metatag limit") {
			t.Errorf("%d: %v", limit, err)
		}
	}
}
