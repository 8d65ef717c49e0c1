package server_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

// One request id buys once. A repeated call gets the same answer over both transports, marked as replayed.
func TestSameRequestIDIsSoldOnce(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	customer := g.sold(t).GetCustomer().GetUid()
	for _, d := range g.transports() {
		for path, message := range paidRequests(customer) {
			t.Run(d.name+path, func(t *testing.T) {
				first := d.call(t, t.Context(), ask(message))
				first.ok(t)
				if first.replayed != "" {
					t.Error("the first answer says that it is replayed")
				}
				for _, again := range g.transports() {
					g.checkReplay(t, again, message, first)
				}
				if sales := g.salesOf(first.purchaseID(t)); len(sales) != 1 || sales[0].Requests != 1 {
					t.Errorf("sales %+v", sales)
				}
			})
		}
	}
}

// All callers in a race get the same sale.
func TestRacingCallersShareASale(t *testing.T) {
	t.Parallel()
	held := newGate(t, pathRegister)
	g := open(t, setup{wrap: held.wrap})
	message := register()
	answers := make(chan answer, 40)
	var group sync.WaitGroup
	for i := range cap(answers) {
		group.Go(func() { answers <- g.transports()[i%2].call(t, t.Context(), ask(message)) })
	}
	<-held.entered
	close(held.open)
	group.Wait()
	close(answers)
	first, fresh := (<-answers), 0
	for a := range answers {
		a.ok(t)
		if !proto.Equal(a.reply, first.reply) {
			t.Errorf("got %v want %v", a.reply, first.reply)
		}
		if a.replayed == "" {
			fresh++
		}
	}
	if first.replayed == "" {
		fresh++
	}
	if sent := g.sends.of(message.GetRequestId()); sent != 1 || fresh != 1 || len(g.box.Ledger().Sales) != 1 {
		t.Errorf("sent %d times, %d answers that are not replayed, %d sales", sent, fresh, len(g.box.Ledger().Sales))
	}
}

// A caller gets the answer as soon as the purchase is settled, not at the next poll a second later.
func TestCallersAreWoken(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	began := time.Now()
	for range 10 {
		g.sold(t)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("ten sales took %v", took)
	}
}

// Another order under a known id is refused, whatever the outcome of the first. The answer names the fields that differ.
// Nothing is sent.
func TestReusedRequestIDs(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	customer := g.sold(t).GetCustomer().GetUid()
	kept := register(price("USD", "9.99"), func(r *reg) {
		r.CustomerEmail, r.ActivationMode, r.MaxPurchasePrice = new("a@mail.example"), firstUse, usd("4.2")
	})
	plain := topUp(customer, func(r *top) { r.ExpectedPrice = usd("9.99") })
	profiled := topUp(customer, withProfile(func(p *profile) { p.Dedicated = new(false) }))
	id := g.bought(t, kept)
	plainID, profiledID := g.bought(t, plain), g.bought(t, profiled)
	for _, c := range []struct {
		name     string
		message  proto.Message
		purchase string
		fields   []string
	}{
		{"item", other(kept, func(r *reg) { r.InventoryItemId = sandbox.ItemEurope5GB }), id, []string{"inventory_item_id"}},
		{"metatag", other(kept, func(r *reg) { r.Metatag = "elsewhere" }), id, []string{"metatag"}},
		{"country", other(kept, func(r *reg) { r.UserCountry = "AT" }), id, []string{"user_country"}},
		{"e-mail", other(kept, func(r *reg) { r.CustomerEmail = new("b@mail.example") }), id, []string{"customer_email"}},
		{"no e-mail", other(kept, func(r *reg) { r.CustomerEmail = nil }), id, []string{"customer_email"}},
		{"price", other(kept, func(r *reg) { r.ExpectedPrice = usd("9.98") }), id, []string{"expected_price"}},
		{"currency", other(kept, func(r *reg) { r.ExpectedPrice.CurrencyCode = "EUR" }), id, []string{"expected_price"}},
		{"no price", other(kept, func(r *reg) { r.ExpectedPrice = nil }), id, []string{"expected_price"}},
		{"limit", other(kept, func(r *reg) { r.MaxPurchasePrice = usd("4.3") }), id, []string{"max_purchase_price"}},
		{"mode", other(kept, mode(now)), id, []string{"activation_mode"}},
		{"no mode", other(kept, mode(0)), id, []string{"activation_mode"}},
		{
			"all at once", other(kept, mode(now), func(r *reg) {
				r.InventoryItemId, r.Metatag, r.UserCountry, r.CustomerEmail = "x", "x", "AT", nil
				r.ExpectedPrice, r.MaxPurchasePrice = nil, nil
			}), id,
			[]string{"inventory_item_id", "metatag", "user_country", "customer_email", "expected_price", "max_purchase_price", "activation_mode"},
		},
		{"another method", topUp("c", func(r *top) {
			r.RequestId, r.Metatag, r.ExpectedPrice, r.MaxPurchasePrice, r.ActivationMode = kept.GetRequestId(), kept.GetMetatag(), usd("9.99"), usd("4.2"), firstUse
		}), id, []string{"customer_uid", "customer_email", "method"}},
		{"customer", other(plain, func(r *top) { r.CustomerUid = "elsewhere" }), plainID, []string{"customer_uid"}},
		{"a profile", other(plain, withProfile()), plainID, []string{"new_profile"}},
		{"no profile", other(profiled, func(r *top) { r.NewProfile = nil }), profiledID, []string{"new_profile"}},
		{"country of the profile", other(profiled, func(r *top) { r.NewProfile.UserCountry = "AT" }), profiledID, []string{"new_profile.user_country"}},
		{"dedicated", other(profiled, func(r *top) { r.NewProfile.Dedicated = new(true) }), profiledID, []string{"new_profile.dedicated"}},
		{"dedicated left out", other(profiled, func(r *top) { r.NewProfile.Dedicated = nil }), profiledID, []string{"new_profile.dedicated"}},
		{"domain", other(profiled, func(r *top) { r.NewProfile.CustomerProfileDomainId = new("d") }), profiledID, []string{"new_profile.customer_profile_domain_id"}},
	} {
		for _, d := range g.transports() {
			t.Run(d.name+"/"+c.name, func(t *testing.T) {
				before := g.box.Ledger().Calls
				a := d.call(t, t.Context(), ask(c.message))
				a.check(t, reused("APPLIED", c.fields...))
				a.echoesNothingOf(t, c.message)
				if a.purchaseID(t) != c.purchase || a.replayed != "" {
					t.Errorf("purchase %s, want %s, replayed %q", a.purchaseID(t), c.purchase, a.replayed)
				}
				if after := g.box.Ledger().Calls; !sameCalls(before, after) {
					t.Errorf("the vendor was called: %v, before %v", after, before)
				}
			})
		}
	}
}

// Orders with equal values are the same order, even if the spelling or the end user's address differs.
func TestEqualOrdersUnderOneRequestID(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	customer := g.sold(t).GetCustomer().GetUid()
	kept := register(price("USD", "9.99"), func(r *reg) { r.MaxPurchasePrice = usd("4.2") })
	profiled := topUp(customer, withProfile())
	first, second := g.overGRPC(t, t.Context(), ask(kept)), g.overREST(t, t.Context(), ask(profiled))
	first.ok(t)
	second.ok(t)
	for _, d := range g.transports() {
		g.checkReplay(t, d, other(kept, func(r *reg) { r.UserIp = "2001:db8::7" }), first)
		g.checkReplay(t, d, other(kept, price("USD", "009.990"), func(r *reg) { r.MaxPurchasePrice = usd("4.20") }), first)
		g.checkReplay(t, d, other(profiled, func(r *top) { r.NewProfile.UserIp = "198.51.100.9" }), second)
	}
}

// The effect of a reused id is that of the first purchase under it.
func TestReusedRequestIDTellsTheEffectOfTheOther(t *testing.T) {
	t.Parallel()
	held := newGate(t, pathRegister)
	g := open(t, setup{wrap: held.wrap})
	refused := topUp("nobody")
	g.overGRPC(t, t.Context(), ask(refused)).check(t, want{codes.NotFound, 404, "CUSTOMER_NOT_FOUND", "NOT_APPLIED", nil})
	sending := register()
	answered := make(chan answer, 1)
	go func() { answered <- g.overGRPC(t, t.Context(), ask(sending)) }()
	<-held.entered
	for _, d := range g.transports() {
		d.call(t, t.Context(), ask(other(refused, func(r *top) { r.Metatag = "elsewhere" }))).check(t, reused("NOT_APPLIED", "metatag"))
		d.call(t, t.Context(), ask(other(sending, func(r *reg) { r.Metatag = "elsewhere" }))).check(t, reused("INDETERMINATE", "metatag"))
	}
	close(held.open)
	(<-answered).ok(t)
}

// If the caller's time ends first, the answer has the purchase's id. The caller gets the outcome by repeating the request
// id.
func TestOutcomeIsFoundByRepeating(t *testing.T) {
	t.Parallel()
	held := newGate(t, pathRegister)
	g := open(t, setup{wrap: held.wrap})
	message := register()
	var id string
	for range 2 { // the second call attaches to the purchase of the first
		a := g.within(t, 1500*time.Millisecond, message)
		a.check(t, outcomeUnknown)
		if id != "" && a.purchaseID(t) != id {
			t.Errorf("purchase %s became %s", id, a.purchaseID(t))
		}
		id = a.purchaseID(t)
	}
	close(held.open)
	for _, d := range g.transports() {
		a := d.call(t, t.Context(), ask(message))
		a.ok(t)
		if a.purchaseID(t) != id || a.replayed != "true" {
			t.Errorf("purchase %s, replayed %q", a.purchaseID(t), a.replayed)
		}
	}
	if sent := g.sends.of(message.GetRequestId()); sent != 1 || len(g.salesOf(id)) != 1 {
		t.Errorf("sent %d times, %d sales", sent, len(g.salesOf(id)))
	}
}

func reused(effect string, fields ...string) want {
	return want{codes.AlreadyExists, http.StatusConflict, "REQUEST_ID_REUSED", effect, fields}
}

func usd(amount string) *gigagatev1.Money {
	return &gigagatev1.Money{CurrencyCode: "USD", Amount: amount}
}

// other returns a copy of an order with the edits applied.
func other[T proto.Message](order T, edits ...func(T)) T {
	changed := proto.CloneOf(order)
	for _, edit := range edits {
		edit(changed)
	}
	return changed
}

// bought makes a purchase and returns its id.
func (g *gateway) bought(t *testing.T, message proto.Message) string {
	t.Helper()
	a := g.overGRPC(t, t.Context(), ask(message))
	a.ok(t)
	return a.purchaseID(t)
}
