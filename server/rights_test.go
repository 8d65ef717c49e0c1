package server_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// A caller makes the calls that it may make, and no others. Nobody but an operator settles a purchase, freezes, or
// reads audit records.
func TestEveryMethodIsARight(t *testing.T) {
	t.Parallel()
	known := newCallers(caller("everything"), caller("nothing", func(r *access.Rights) { r.Methods = access.Set{} }), operator("anna"))
	for _, message := range everyCall() {
		known.set(caller(strings.ToLower(shortName(message)), func(r *access.Rights) { r.Methods = access.SetOf(shortName(message)) }))
	}
	g := openFor(t, known)
	for _, message := range everyCall() {
		for _, d := range g.transports() {
			for name := range known.known {
				a := d.call(t, t.Context(), ask(message).as(name))
				may := name == "anna" || name == "everything" || name == strings.ToLower(shortName(message))
				if access.IsForOperators(shortName(message)) {
					may = name == "anna"
				}
				if may == (a.outcome.GetReason() == gigagatev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED) {
					t.Errorf("%s: %s by %s: %s", d.name, shortName(message), name, a.text)
				}
				if !may {
					a.check(t, denied)
					a.echoesNothingOf(t, message)
				}
			}
		}
	}
}

// What a caller may buy is limited by item, mode, country and country set. The effect is that of the request id.
func TestWhatACallerMayBuy(t *testing.T) {
	t.Parallel()
	limited := func(edit func(*access.Rights)) *access.Principal { return caller("shop", edit) }
	austria := func(r *reg) { r.InventoryItemId = sandbox.ItemAustria3GB }
	for _, c := range []struct {
		name    string
		rights  func(*access.Rights)
		allowed []func(*reg)
		refused map[string][]func(*reg) // by the field at fault
	}{
		{
			"items", func(r *access.Rights) { r.Items = access.SetOf(sandbox.ItemAustria3GB) },
			[]func(*reg){austria},
			map[string][]func(*reg){"inventory_item_id": {func(*reg) {}, func(r *reg) { r.InventoryItemId = "no-such-item" }}},
		},
		{
			"modes", func(r *access.Rights) { r.Modes = access.SetOf("FIRST_USE") },
			[]func(*reg){mode(firstUse)},
			map[string][]func(*reg){"activation_mode": {mode(now), mode(onDemand), func(*reg) {}}}, // the vendor's default is NOW
		},
		{
			"the default mode", func(r *access.Rights) { r.Modes = access.SetOf("NOW") },
			[]func(*reg){mode(now), func(*reg) {}},
			map[string][]func(*reg){"activation_mode": {mode(firstUse), mode(onDemand)}},
		},
		{
			"countries", func(r *access.Rights) { r.Countries = access.SetOf("GR") },
			[]func(*reg){func(*reg) {}},
			map[string][]func(*reg){"user_country": {func(r *reg) { r.UserCountry = "AT" }}},
		},
		{
			"country sets", func(r *access.Rights) { r.CountrySets = access.SetOf("AT") },
			[]func(*reg){austria},
			map[string][]func(*reg){"inventory_item_id": {func(*reg) {}, func(r *reg) { r.InventoryItemId = "no-such-item" }}},
		},
		{
			"nothing", func(r *access.Rights) { r.Items, r.CountrySets = access.Set{}, access.Set{} },
			nil,
			map[string][]func(*reg){"inventory_item_id": {func(*reg) {}, austria}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			known := newCallers()
			g := openFor(t, known)
			for _, d := range g.transports() {
				for _, edit := range c.allowed {
					known.set(limited(c.rights))
					d.call(t, t.Context(), ask(register(edit)).as("shop")).ok(t)
				}
				for field, edits := range c.refused {
					for _, edit := range edits {
						known.set(limited(c.rights))
						message, sold := register(edit), g.paid()
						w := denied
						w.fields = []string{field}
						a := d.call(t, t.Context(), ask(message).as("shop"))
						a.check(t, w)
						a.echoesNothingOf(t, message)
						if g.paid() != sold {
							t.Fatalf("%s: %s was bought without the right", d.name, message)
						}
						// Once the caller may, the same id buys. Once it may no longer, it is told what the id did.
						if message.GetInventoryItemId() == "no-such-item" {
							continue
						}
						known.set(caller("shop"))
						d.call(t, t.Context(), ask(message).as("shop")).ok(t)
						known.set(limited(c.rights))
						w.effect = "APPLIED"
						a = d.call(t, t.Context(), ask(message).as("shop"))
						a.check(t, w)
						if a.outcome.GetPurchaseId() == "" {
							t.Error("the purchase of the id is not named")
						}
					}
				}
			}
		})
	}
}

// A top-up is limited, too, also in the country of its new profile. Without a profile it has no country.
func TestWhatACallerMayTopUp(t *testing.T) {
	t.Parallel()
	known := newCallers(caller("shop"))
	g := openFor(t, known)
	a := g.overGRPC(t, t.Context(), ask(register()).as("shop"))
	a.ok(t)
	customer := a.reply.(*gigagatev1.RegisterResponse).GetCustomer().GetUid()
	known.set(caller("shop", func(r *access.Rights) {
		r.Items, r.Modes, r.Countries = access.SetOf(sandbox.ItemWorldwide1GB), access.SetOf("NOW"), access.SetOf("AT")
	}))
	for _, d := range g.transports() {
		d.call(t, t.Context(), ask(topUp(customer)).as("shop")).ok(t)
		d.call(t, t.Context(), ask(topUp(customer, withProfile(func(p *gigagatev1.NewProfile) { p.UserCountry = "AT" }))).as("shop")).ok(t)
		for field, edit := range map[string]func(*top){
			"new_profile.user_country": withProfile(),
			"activation_mode":          func(r *top) { r.ActivationMode = firstUse },
			"inventory_item_id":        func(r *top) { r.InventoryItemId = sandbox.ItemGreece2GB },
		} {
			w := denied
			w.fields = []string{field}
			d.call(t, t.Context(), ask(topUp(customer, edit)).as("shop")).check(t, w)
		}
	}
}

// Without the inventory, a caller that is limited to country sets buys nothing. The others do not need it.
func TestCountrySetFailsClosed(t *testing.T) {
	t.Parallel()
	g := openFor(t, newCallers(
		caller("limited", func(r *access.Rights) { r.CountrySets = access.SetOf("WWW") }), caller("shop"),
	))
	g.injectMany(t, pathInventory, "5xx", 1000, nil)
	for _, d := range g.transports() {
		d.call(t, t.Context(), ask(register()).as("limited")).check(t,
			want{codes.Unavailable, http.StatusServiceUnavailable, "VENDOR_UNAVAILABLE", "NOT_STARTED", nil})
		d.call(t, t.Context(), ask(register()).as("shop")).ok(t)
	}
	if n := g.paid(); n != 2 {
		t.Errorf("%d sales", n)
	}
}

// A caller without the right to secrets sees that there are some: at the sale, at a repeated request, and in a customer's
// record.
func TestSecretsAreWithheld(t *testing.T) {
	t.Parallel()
	known := newCallers(caller("shop"), caller("blind", func(r *access.Rights) { r.Secrets = false }))
	g := openFor(t, known)
	for _, d := range g.transports() {
		for _, name := range []string{"shop", "blind"} {
			sold := d.call(t, t.Context(), ask(register()).as(name))
			sold.ok(t)
			customer := sold.reply.(*gigagatev1.RegisterResponse).GetCustomer().GetUid()
			again := topUp(customer, withProfile())
			answers := []answer{sold}
			for _, message := range []proto.Message{again, again, getCustomer(customer)} {
				a := d.call(t, t.Context(), ask(message).as(name))
				a.ok(t)
				answers = append(answers, a)
			}
			if answers[2].replayed != "true" {
				t.Error("the repeated request is not a replay")
			}
			for _, a := range answers {
				shown := strings.Contains(a.text, "LPA:1$") && strings.Contains(a.text, "http")
				hidden := !strings.Contains(a.text, "LPA:1$") && !strings.Contains(a.text, "http")
				if name == "shop" && !shown || name == "blind" && !hidden {
					t.Errorf("%s: %s gets %s", d.name, name, a.text)
				}
				for _, p := range profilesIn(a.reply) {
					if p.GetSecretsWithheld() != (name == "blind") || p.GetUid() == "" {
						t.Errorf("%s: %s gets %v", d.name, name, p)
					}
				}
			}
			record := answers[3].reply.(*gigagatev1.GetCustomerResponse)
			if len(record.GetEsimProfiles()) != 2 || record.GetCustomer().GetSecretsWithheld() != (name == "blind") {
				t.Errorf("%s: %s gets %v", d.name, name, record)
			}
		}
	}
}

func profilesIn(reply proto.Message) []*gigagatev1.EsimProfile {
	switch r := reply.(type) {
	case *gigagatev1.RegisterResponse:
		return []*gigagatev1.EsimProfile{r.GetEsimProfile()}
	case *gigagatev1.TopUpResponse:
		return []*gigagatev1.EsimProfile{r.GetEsimProfile()}
	case *gigagatev1.GetCustomerResponse:
		return r.GetEsimProfiles()
	}
	return nil
}

// The history names the operator who made the call. No other name is accepted.
func TestOperatorsUseTheirOwnNames(t *testing.T) {
	t.Parallel()
	g := openFor(t, newCallers(caller("shop"), operator("anna")))
	for _, d := range g.transports() {
		g.inject(t, pathRegister, "metatag_rewritten", params{"metatag": "rewritten by the vendor"})
		order := register()
		answered := make(chan answer, 1)
		go func() { answered <- g.overGRPC(t, context.WithoutCancel(t.Context()), ask(order).as("shop")) }()
		g.logs.line(t, "purchase needs an operator", "SUCCESS_SEEN_BUT_NOT_FOUND")
		var id string
		g.logs.until(t, "the purchase needs an operator", func() bool {
			a := d.call(t, t.Context(), ask(&gigagatev1.ListPurchasesRequest{RequestId: order.GetRequestId()}).as("anna"))
			found := a.reply.(*gigagatev1.ListPurchasesResponse).GetPurchases()
			if len(found) == 1 && found[0].GetState() == gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR {
				id = found[0].GetId()
			}
			return id != ""
		})
		resolve := &gigagatev1.ResolvePurchaseRequest{
			Id: id, Operator: "otto", Note: "portal", Force: true,
			Resolution: &gigagatev1.ResolvePurchaseRequest_NothingSold{NothingSold: true},
		}
		d.call(t, t.Context(), ask(resolve).as("shop")).check(t, denied)
		d.call(t, t.Context(), ask(resolve).as("anna")).check(t,
			want{codes.InvalidArgument, http.StatusBadRequest, "INVALID_FIELD", "NOT_STARTED", []string{"operator"}})
		resolve.Operator = "anna"
		d.call(t, t.Context(), ask(resolve).as("anna")).ok(t)
		<-answered
		a := d.call(t, t.Context(), ask(&gigagatev1.GetPurchaseRequest{Id: id}).as("shop"))
		a.ok(t)
		history := a.reply.(*gigagatev1.GetPurchaseResponse).GetHistory()
		if got := history[len(history)-1].GetActor().GetOperator(); got != "anna" {
			t.Errorf("%s: the history names %q", d.name, got)
		}
	}
}

// Scopes fail closed: without a caller, nothing can be seen.
func TestScopes(t *testing.T) {
	t.Parallel()
	g := openFor(t, newCallers(caller("shop")))
	a := g.overGRPC(t, t.Context(), ask(register()).as("shop"))
	a.ok(t)
	sold := a.reply.(*gigagatev1.RegisterResponse)
	for scope, sees := range map[purchase.Scope]bool{{}: false, {Caller: "billing"}: false, {Caller: "shop"}: true, purchase.Everyone: true} {
		list, _, err := g.engine.List(t.Context(), scope, purchase.Filter{Caller: "shop"}, purchase.Page{Size: 9})
		if (len(list) == 1) != sees || err != nil {
			t.Errorf("%+v lists %v, %v", scope, list, err)
		}
		_, history, getErr := g.engine.Get(t.Context(), scope, sold.GetPurchaseId())
		_, waitErr := g.engine.Wait(t.Context(), scope, sold.GetPurchaseId())
		_, resolveErr := g.engine.Resolve(t.Context(), scope, sold.GetPurchaseId(), purchase.Resolution{})
		for _, err := range []error{getErr, waitErr, resolveErr} {
			if errors.Is(err, purchase.ErrNotFound) == sees {
				t.Errorf("%+v: %v", scope, err)
			}
		}
		if (len(history) > 0) != sees {
			t.Errorf("%+v reads the history %v", scope, history)
		}
	}
}

// A caller that may not buy is not told more of a request id than another one. If the id cannot be read, nothing is known.
func TestUnreadableOrderOfACallerWithoutTheRight(t *testing.T) {
	t.Parallel()
	g := openFor(t, newCallers(caller("shop"), caller("reader", func(r *access.Rights) { r.Methods = access.SetOf("GetPurchase") })))
	message := register()
	for name, reason := range map[string]string{"shop": "INVALID_FIELD", "reader": "PERMISSION_DENIED"} {
		q := ask(message).as(name)
		q.replace = [2]string{message.GetRequestId(), ""} // its length stays, so the message cannot be decoded
		a := g.overGRPC(t, t.Context(), q)
		if a.info.GetReason() != reason || a.outcome.GetEffect() != gigagatev1.Effect_EFFECT_INDETERMINATE {
			t.Errorf("%s: %s", name, a.text)
		}
	}
}

// Without the journal, the gateway cannot know what a caller bought. It lets the caller use nothing.
func TestRightsWithoutTheJournal(t *testing.T) {
	t.Parallel()
	journal := newFaultyJournal()
	g := openFor(t, newCallers(caller("shop")), func(s *setup) { s.journal = journal })
	a := g.overGRPC(t, t.Context(), ask(register(mode(firstUse))).as("shop"))
	a.ok(t)
	sold := a.reply.(*gigagatev1.RegisterResponse)
	before := g.box.Ledger()
	journal.reads.Store(&errJournal)
	journal.lookup.Store(&errJournal)
	for _, d := range g.transports() {
		for message, effect := range map[proto.Message]string{
			activate(sold.GetActivatedItem().GetUid()): "NOT_STARTED", getCustomer(sold.GetCustomer().GetUid()): "NOT_STARTED",
			topUp(sold.GetCustomer().GetUid()): "INDETERMINATE",
		} {
			d.call(t, t.Context(), ask(message).as("shop")).check(t,
				want{codes.Unavailable, http.StatusServiceUnavailable, "JOURNAL_UNAVAILABLE", effect, nil})
		}
	}
	if after := g.box.Ledger(); !sameCalls(before.Calls, after.Calls) {
		t.Errorf("the vendor was called: %v", after.Calls)
	}
}
