package server_test

import (
	"net/http"
	"testing"

	"google.golang.org/grpc/codes"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/purchase"
)

// A refused order has the effect of its request id: that of an earlier call, or indeterminate. If it said NOT_STARTED
// while an earlier sale may still come, the caller would buy twice.
func TestRefusedOrdersSpeakOfTheirRequestID(t *testing.T) {
	t.Parallel()
	journal := newFaultyJournal()
	held := newGate(t, pathTopUp)
	g := open(t, setup{journal: journal, wrap: held.wrap})
	message := register()
	sold := g.overREST(t, t.Context(), ask(message))
	sold.ok(t)
	refused := topUp("nobody")
	answers := make(chan answer, 1)
	go func() { answers <- g.overGRPC(t, g.life, ask(refused)) }()
	<-held.entered
	broken := other(message, func(r *reg) { r.UserCountry = "nowhere" })
	open := other(refused, func(r *top) { r.InventoryItemId = "?" })
	invalidWith := func(effect, field string) want {
		return want{codes.InvalidArgument, http.StatusBadRequest, "INVALID_FIELD", effect, false, []string{field}}
	}
	for _, d := range g.transports() {
		a := d.call(t, t.Context(), ask(broken))
		a.check(t, invalidWith("APPLIED", "user_country"))
		if a.purchaseID(t) != sold.purchaseID(t) {
			t.Errorf("the answer names another purchase: %s", a.text)
		}
		d.call(t, t.Context(), ask(open)).check(t, invalidWith("INDETERMINATE", "inventory_item_id"))
		fresh := register(func(r *reg) { r.UserCountry = "nowhere" })
		d.call(t, t.Context(), ask(fresh)).check(t, invalidWith("NOT_STARTED", "user_country"))
		journal.lookup.Store(&errJournal)
		d.call(t, t.Context(), ask(fresh)).check(t, invalidWith("INDETERMINATE", "user_country"))
		// No purchase has an id that breaks the rule for ids, so the journal is not asked.
		noID := register(func(r *reg) { r.RequestId = "a b" })
		d.call(t, t.Context(), ask(noID)).check(t, invalidWith("NOT_STARTED", "request_id"))
		journal.lookup.Store(nil)
	}
	close(held.open)
	<-answers
}

// sharedJournal is a journal that other replicas use, too.
type sharedJournal struct{ purchase.Journal }

func (sharedJournal) IsExclusive() bool { return false }

// With other replicas, no refusal before the claim calls a new request id safe: an earlier send with the same id may be
// under way at another replica.
func TestNewIDIsNotSafeBesideReplicas(t *testing.T) {
	t.Parallel()
	for journal, safe := range map[purchase.Journal]bool{newJournal(): true, &sharedJournal{newJournal()}: false} {
		g := open(t, setup{journal: journal})
		tooDear := register(func(r *reg) { r.MaxPurchasePrice = usd("0.01") })
		for _, d := range g.transports() {
			a := d.call(t, t.Context(), ask(tooDear))
			if a.outcome.GetEffect() != gigagatev1.Effect_EFFECT_NOT_STARTED || a.outcome.GetNewRequestIdSafe() != safe {
				t.Errorf("%s: %v, want safe %t", d.name, a.outcome, safe)
			}
		}
	}
}
