package server_test

import (
	"maps"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

// A guard refuses before anything is recorded or sent. So the request id stays free, and the corrected order succeeds
// under it.
func TestGuardsOnBothTransports(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	customer := g.sold(t).GetCustomer().GetUid()
	limit := func(money *gigagatev1.Money) func(*reg) {
		return func(r *reg) { r.MaxPurchasePrice = money }
	}
	item := func(id string) func(*reg) { return func(r *reg) { r.InventoryItemId = id } }
	greek := func(r *top) { r.InventoryItemId = sandbox.ItemGreece2GB }
	for _, c := range []struct {
		name    string
		message func() proto.Message
		code    codes.Code
		reason  string
	}{
		{"price limit", func() proto.Message { return register(limit(usd("4.199999999"))) }, codes.FailedPrecondition, "MAX_PURCHASE_PRICE_EXCEEDED"},
		{"price limit of a top-up", func() proto.Message { return topUp(customer, func(r *top) { r.MaxPurchasePrice = usd("0") }) }, codes.FailedPrecondition, "MAX_PURCHASE_PRICE_EXCEEDED"},
		{"limit in another currency", func() proto.Message { return register(limit(&gigagatev1.Money{CurrencyCode: "EUR", Amount: "100"})) }, codes.FailedPrecondition, "PURCHASE_PRICE_UNREADABLE"},
		{"limit for an item that is not listed", func() proto.Message { return register(limit(usd("9")), item("no-such-item")) }, codes.NotFound, "INVENTORY_ITEM_NOT_FOUND"},
		{"ON_DEMAND for one country", func() proto.Message { return register(mode(onDemand), item(sandbox.ItemAustria3GB)) }, codes.FailedPrecondition, "ACTIVATION_MODE_NOT_OFFERED"},
		{"another country set", func() proto.Message { return topUp(customer, greek) }, codes.FailedPrecondition, "COUNTRY_SET_MISMATCH"},
		{"another country set, with profile", func() proto.Message { return topUp(customer, greek, withProfile()) }, codes.FailedPrecondition, "COUNTRY_SET_MISMATCH"},
	} {
		for _, d := range g.transports() {
			t.Run(d.name+"/"+c.name, func(t *testing.T) {
				message, before := c.message(), g.box.Ledger()
				a := d.call(t, t.Context(), ask(message))
				a.check(t, want{c.code, httpOf(t, c.code), c.reason, "NOT_STARTED", nil})
				a.echoesNothingOf(t, message)
				if a.outcome.GetPurchaseId() != "" || a.replayed != "" {
					t.Errorf("purchase %q, replayed %q", a.outcome.GetPurchaseId(), a.replayed)
				}
				if after := g.box.Ledger(); !maps.Equal(after.Requests, before.Requests) {
					t.Errorf("paid requests: %v, before %v", after.Requests, before.Requests)
				}
				g.neverKept(t, requestIDOf(message))
				g.bought(t, corrected(message))
			})
		}
	}
}

// Lists and guards share one cache. A guard with a price limit does not use it.
func TestGuardsShareTheInventoryOfLists(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	g.overGRPC(t, t.Context(), ask(&gigagatev1.ListInventoryItemsRequest{})).ok(t)
	for _, c := range []struct {
		order proto.Message
		calls int
	}{
		{register(mode(onDemand)), 1},
		{register(func(r *reg) { r.MaxPurchasePrice = usd("9") }), 2},
		{register(mode(onDemand)), 2},
	} {
		g.bought(t, c.order)
		if n := g.box.Ledger().Calls[callInventory]; n != c.calls {
			t.Errorf("%d calls, want %d", n, c.calls)
		}
	}
}

// corrected is an order that every guard accepts, under the same request id.
func corrected(message proto.Message) proto.Message {
	switch r := message.(type) {
	case *reg:
		return other(r, mode(now), func(r *reg) { r.InventoryItemId, r.MaxPurchasePrice = sandbox.ItemWorldwide1GB, usd("4.2") })
	case *top:
		return other(r, func(r *top) { r.InventoryItemId, r.MaxPurchasePrice = sandbox.ItemWorldwide50MB, usd("1.490") })
	}
	panic("no such order")
}

// neverKept fails the test if the journal has a purchase under the request id.
func (g *gateway) neverKept(t *testing.T, requestID string) {
	t.Helper()
	a := g.overGRPC(t, t.Context(), ask(&gigagatev1.ListPurchasesRequest{RequestId: requestID}))
	a.ok(t)
	if found := a.reply.(*gigagatev1.ListPurchasesResponse).GetPurchases(); len(found) > 0 {
		t.Errorf("the journal has %v", found)
	}
}

// The price limit is the caller's own condition, so it refuses the order if no price can be read. The other guards let it
// pass, because they only save a refusal by the vendor.
func TestGuardsWithoutAnInventory(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	g.injectMany(t, pathInventory, "5xx", 1000, nil)
	for _, d := range g.transports() {
		limited := register(func(r *reg) { r.MaxPurchasePrice = usd("100") })
		d.call(t, t.Context(), ask(limited)).check(t, want{codes.FailedPrecondition, 400, "PURCHASE_PRICE_UNREADABLE", "NOT_STARTED", nil})
		if sent := g.sends.of(limited.GetRequestId()); sent != 0 {
			t.Errorf("sent %d times", sent)
		}
		d.call(t, t.Context(), ask(register(mode(onDemand)))).ok(t)
		d.call(t, t.Context(), ask(register(mode(onDemand), func(r *reg) { r.InventoryItemId = sandbox.ItemAustria3GB }))).
			check(t, want{codes.FailedPrecondition, 400, "ACTIVATION_MODE_NOT_OFFERED", "NOT_APPLIED", nil})
	}
}

// A known request id is answered. The guards are not asked again.
func TestGuardsAreOnlyForNewIDs(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	message := register(func(r *reg) { r.MaxPurchasePrice = usd("4.2") })
	first := g.overREST(t, t.Context(), ask(message))
	first.ok(t)
	g.injectMany(t, pathInventory, "5xx", 1000, nil)
	for _, d := range g.transports() {
		g.checkReplay(t, d, message, first)
	}
	if strings.Contains(g.logs.String(), "PURCHASE_PRICE_UNREADABLE") {
		t.Error("a guard was asked for a known id")
	}
}
