package server_test

import (
	"net/http"
	"testing"

	"google.golang.org/grpc/codes"
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
		return want{codes.InvalidArgument, http.StatusBadRequest, "INVALID_FIELD", effect, []string{field}}
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
