package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
)

const callItem = "GET /gigastore/activations/activated-items/{uid}"

// hidden makes a purchase whose package has no mark, neither in the vendor's answer nor in its records. No evidence can
// settle such a purchase.
func (g *gateway) hidden(t *testing.T, message proto.Message, path string) (id, item string) {
	t.Helper()
	sold := len(g.box.Ledger().Sales)
	if path == pathTopUp {
		g.inject(t, path, "metatag_truncated", nil)
	} else {
		g.inject(t, path, "metatag_rewritten", params{"metatag": "rewritten by the vendor"})
	}
	answers := make(chan answer, 1)
	// The answer comes when the purchase is resolved, which may be near the end of the test.
	go func() { answers <- g.overREST(t, context.WithoutCancel(t.Context()), ask(message)) }()
	g.logs.line(t, "purchase needs an operator", "SUCCESS_SEEN_BUT_NOT_FOUND", g.openID(t, requestIDOf(message)))
	id = g.openID(t, requestIDOf(message))
	sales := g.box.Ledger().Sales[sold:]
	if len(sales) != 1 {
		t.Fatalf("%d sales", len(sales))
	}
	t.Cleanup(func() {
		if a := <-answers; a.purchaseID(t) != id {
			t.Errorf("the caller's answer names %s", a.text)
		}
	})
	return id, sales[0].ItemUID
}

// openID waits for the purchase with a request id to be claimed.
func (g *gateway) openID(t *testing.T, requestID string) string {
	t.Helper()
	g.sends.until(t, "the paid request", func() bool { return g.sends.of(requestID) == 1 })
	return g.list(t, g.transports()[0], &gigagatev1.ListPurchasesRequest{RequestId: requestID}).GetPurchases()[0].GetId()
}

// An operator can settle a purchase that evidence cannot settle. The gateway checks the named package with the vendor.
// Callers who wait or repeat get the outcome.
func TestResolveWithAnItem(t *testing.T) {
	t.Parallel()
	g := open(t, setup{timeout: 2 * time.Second})
	foreign := g.sold(t)
	customer := foreign.GetCustomer().GetUid()
	foreigners := []string{
		foreign.GetActivatedItem().GetUid(),
		g.soldElsewhere(t, "gg"+noPurchase, gigastore.ModeNow), // sold by a gateway with another journal
		g.soldElsewhere(t, "portal", gigastore.ModeFirstUse),   // sold without any gateway, and in another mode than ordered
	}
	for i, d := range g.transports() {
		for path, message := range paidRequests(customer) {
			t.Run(d.name+path, func(t *testing.T) {
				id, item := g.hidden(t, message, path)
				refused := func(uid string, w want) {
					t.Helper()
					a := d.call(t, t.Context(), ask(itemSold(id, uid)))
					a.check(t, w)
					if a.purchaseID(t) != id {
						t.Errorf("purchase %s", a.purchaseID(t))
					}
				}
				for _, uid := range foreigners {
					refused(uid, want{codes.FailedPrecondition, 400, "FOREIGN_ACTIVATED_ITEM", "INDETERMINATE", nil})
				}
				refused("no-such-item", want{codes.NotFound, 404, "ACTIVATED_ITEM_NOT_FOUND", "INDETERMINATE", nil})
				g.injectMany(t, pathItems+item, "5xx", 3, nil)
				refused(item, want{codes.Unavailable, 503, "VENDOR_UNAVAILABLE", "INDETERMINATE", nil})

				reads := g.box.Ledger().Calls[callItem]
				a := d.call(t, t.Context(), ask(itemSold(id, item)))
				a.ok(t)
				p := a.reply.(*gigagatev1.ResolvePurchaseResponse).GetPurchase()
				if p.GetState() != gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED || p.GetActivatedItemUid() != item || p.GetCustomerUid() == "" ||
					p.GetEffect() != gigagatev1.Effect_EFFECT_APPLIED || g.box.Ledger().Calls[callItem] == reads {
					t.Errorf("%v", p)
				}
				history := g.read(t, d, id).GetHistory()
				if last := history[len(history)-1]; last.GetEvent() != gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_RESOLVED_APPLIED ||
					!proto.Equal(last.GetActor(), &gigagatev1.Actor{Type: gigagatev1.ActorType_ACTOR_TYPE_OPERATOR, Operator: "maria"}) || last.GetNote() != "ticket 17" || last.GetActivatedItemUid() != item {
					t.Errorf("%v", last)
				}
				for _, again := range []proto.Message{itemSold(id, item), nothingSold(id)} {
					d.call(t, t.Context(), ask(again)).check(t, notResolvable("APPLIED"))
				}
				repeated := g.transports()[1-i].call(t, t.Context(), ask(message))
				repeated.ok(t)
				if repeated.replayed != "true" || repeated.purchaseID(t) != id || !strings.Contains(fmt.Sprint(repeated.reply), item) {
					t.Errorf("%v", repeated.reply)
				}
			})
		}
	}
}

// soldElsewhere sells a package without this gateway and returns the item. The metatag begins with the given word.
func (g *gateway) soldElsewhere(t *testing.T, mark string, mode gigastore.ActivationMode) (item string) {
	t.Helper()
	sale, err := g.vendor.Register(t.Context(), gigastore.Permit{Mark: mark, NotAfter: time.Now().Add(time.Minute)}, gigastore.RegisterRequest{
		InventoryItemID: sandbox.ItemWorldwide1GB, Metatag: mark + " sold elsewhere", UserIP: "203.0.113.24", UserCountry: "GR", ActivationMode: mode,
	})
	if err != nil {
		t.Fatal(err)
	}
	return sale.ActivatedItem.UID
}

// The item of one purchase cannot be bound to another purchase.
func TestResolveWithAnItemThatIsBound(t *testing.T) {
	t.Parallel()
	g := open(t, setup{timeout: 2 * time.Second})
	first, firstItem := g.hidden(t, register(), pathRegister)
	g.overREST(t, t.Context(), ask(itemSold(first, firstItem))).ok(t)
	second, _ := g.hidden(t, register(), pathRegister)
	for _, d := range g.transports() {
		d.call(t, t.Context(), ask(itemSold(second, firstItem))).
			check(t, want{codes.FailedPrecondition, 400, "FOREIGN_ACTIVATED_ITEM", "INDETERMINATE", nil})
	}
	g.overGRPC(t, t.Context(), ask(nothingSold(second))).ok(t)
}

func TestResolveWithNothingSold(t *testing.T) {
	t.Parallel()
	g := open(t, setup{timeout: 2 * time.Second})
	for i, d := range g.transports() {
		message := register()
		id, _ := g.hidden(t, message, pathRegister)
		calls := g.box.Ledger().Calls
		a := d.call(t, t.Context(), ask(nothingSold(id)))
		a.ok(t)
		p := a.reply.(*gigagatev1.ResolvePurchaseResponse).GetPurchase()
		if p.GetState() != gigagatev1.PurchaseState_PURCHASE_STATE_FAILED || reasonWord(p.GetReason()) != "RESOLVED_BY_OPERATOR" || p.GetEffect() != gigagatev1.Effect_EFFECT_NOT_APPLIED {
			t.Errorf("%v", p)
		}
		if after := g.box.Ledger().Calls; !sameCalls(calls, after) {
			t.Errorf("the vendor was called: %v, before %v", after, calls)
		}
		d.call(t, t.Context(), ask(nothingSold(id))).check(t, notResolvable("NOT_APPLIED"))
		repeated := g.transports()[1-i].call(t, t.Context(), ask(message))
		repeated.check(t, want{codes.Aborted, 409, "RESOLVED_BY_OPERATOR", "NOT_APPLIED", nil})
		if repeated.replayed != "true" || repeated.purchaseID(t) != id {
			t.Errorf("%s", repeated.text)
		}
	}
}

// Nobody can resolve a purchase that is under way or settled.
func TestNotResolvable(t *testing.T) {
	t.Parallel()
	held := newGate(t, pathRegister)
	g := open(t, setup{wrap: held.wrap})
	refused := g.overGRPC(t, t.Context(), ask(topUp("nobody"))).purchaseID(t)
	sending := register()
	answered := make(chan answer, 1)
	go func() { answered <- g.overGRPC(t, t.Context(), ask(sending)) }()
	<-held.entered
	id := g.openID(t, sending.GetRequestId())
	calls := g.box.Ledger().Calls
	for _, d := range g.transports() {
		for _, word := range []func(string) *gigagatev1.ResolvePurchaseRequest{nothingSold, func(id string) *gigagatev1.ResolvePurchaseRequest { return itemSold(id, "u") }} {
			d.call(t, t.Context(), ask(word(id))).check(t, notResolvable("INDETERMINATE"))
			d.call(t, t.Context(), ask(word(refused))).check(t, notResolvable("NOT_APPLIED"))
		}
	}
	if after := g.box.Ledger().Calls; !sameCalls(calls, after) {
		t.Errorf("the vendor was called: %v, before %v", after, calls)
	}
	close(held.open)
	(<-answered).ok(t)
}

func notResolvable(effect string) want {
	return want{codes.FailedPrecondition, 400, "NOT_RESOLVABLE", effect, nil}
}

// An operator can say that nothing was sold once the vendor's records show it, or by force. Until then the answer says when
// to try again.
func TestNothingSoldIsNotShownYet(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	g.injectMany(t, "/gigastore/activations/activated-items", "list_fail", 1000, nil)
	g.inject(t, pathRegister, "reset_before", params{"afterBytes": "request"})
	id := g.overGRPC(t, t.Context(), ask(register())).purchaseID(t)
	word := nothingSold(id)
	word.Force = false
	for _, d := range g.transports() {
		a := d.call(t, t.Context(), ask(word))
		a.check(t, want{codes.FailedPrecondition, 400, "ABSENCE_NOT_SHOWN", "INDETERMINATE", nil})
		if delay := a.outcome.GetRetryDelay().AsDuration(); delay <= 0 || a.outcome.GetPurchaseId() != id {
			t.Errorf("%s: %v", d.name, a.outcome)
		}
	}
	word.Force = true
	g.overREST(t, t.Context(), ask(word)).ok(t)
	history := g.read(t, g.transports()[0], id).GetHistory()
	if last := history[len(history)-1]; last.GetEvent() != gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_RESOLVED_ABSENT || !last.GetForced() ||
		last.GetActor().GetOperator() != word.GetOperator() {
		t.Errorf("the history ends with %v", last)
	}
}
