package server_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
)

// While the vendor is dead, nothing waits for it: purchases and reads fail at once, also those that would first read the
// inventory. Purchases that are known are replayed, and the journal is read.
func TestOutageCostsNoTime(t *testing.T) {
	t.Parallel()
	var dead atomic.Bool
	ended := make(chan struct{})
	defer close(ended)
	g := openFor(t, newCallers(caller("shop"), caller("narrow", func(r *access.Rights) { r.CountrySets = access.SetOf("WWW") })), func(s *setup) {
		s.wrap = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case !dead.Load():
					next.ServeHTTP(w, r)
				case r.Method == http.MethodPost:
					w.WriteHeader(http.StatusServiceUnavailable)
				default: // a read takes as long as it may
					<-ended
				}
			})
		}
	})
	sold := ask(register()).as("shop")
	reply := g.overGRPC(t, t.Context(), sold)
	reply.ok(t)
	bought, _ := reply.reply.(*gigagatev1.RegisterResponse)
	customer, item := bought.GetCustomer().GetUid(), bought.GetActivatedItem().GetUid()

	dead.Store(true)
	for n := range 5 {
		order := register()
		order.RequestId = fmt.Sprintf("unlucky-%d", n)
		ctx, leave := context.WithTimeout(t.Context(), time.Second) // the reconciler cannot settle it
		g.overGRPC(t, ctx, ask(order).as("shop"))
		leave()
	}
	if !g.vendor.IsDown() {
		t.Fatal("the vendor does not count as dead")
	}
	down := want{codes.Unavailable, http.StatusServiceUnavailable, "VENDOR_UNAVAILABLE", "NOT_STARTED", nil}
	limited, narrow := register(), register()
	limited.RequestId, narrow.RequestId = "limited", "narrow"
	limited.MaxPurchasePrice = &gigagatev1.Money{Amount: "100", CurrencyCode: "USD"}
	fresh := register()
	fresh.RequestId = "fresh"
	for _, tc := range []struct {
		name    string
		message proto.Message
	}{
		{"shop", fresh},
		{"shop", limited},
		{"narrow", narrow},
		{"shop", &gigagatev1.TopUpRequest{RequestId: "more", InventoryItemId: fresh.GetInventoryItemId(), Metatag: "more", CustomerUid: customer}},
		{"shop", &gigagatev1.ActivateRequest{Uid: item}},
		{"shop", &gigagatev1.GetCustomerRequest{Uid: customer}},
		{"shop", findCustomer(bought.GetEsimProfile().GetIccid())},
		{"shop", &gigagatev1.ListInventoryItemsRequest{}},
	} {
		for _, transport := range g.transports() {
			began := time.Now()
			transport.call(t, t.Context(), ask(tc.message).as(tc.name)).check(t, down)
			if took := time.Since(began); took > time.Second {
				t.Errorf("%s: %T took %s", transport.name, tc.message, took)
			}
		}
	}
	for _, transport := range g.transports() {
		transport.call(t, t.Context(), sold).ok(t)
		transport.call(t, t.Context(), ask(&gigagatev1.ListPurchasesRequest{}).as("shop")).ok(t)
	}
}
