package server_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// The purchase, package or customer of another caller looks as if it did not exist: the same answer, and the same line in
// the log.
func TestAnothersPurchase(t *testing.T) {
	t.Parallel()
	g := openFor(t, newCallers(caller("shop"), caller("billing"), operator("anna")))
	order := register(mode(firstUse))
	a := g.overGRPC(t, t.Context(), ask(order).as("shop"))
	a.ok(t)
	sold := a.reply.(*gigagatev1.RegisterResponse)
	const noID = "01JDXYZ0000000000000000000"
	before := g.box.Ledger()
	for _, d := range g.transports() {
		for _, c := range []struct {
			theirs, nobodys proto.Message
			reason          string
			effect          string
		}{
			{&gigagatev1.GetPurchaseRequest{Id: sold.GetPurchaseId()}, &gigagatev1.GetPurchaseRequest{Id: noID}, "PURCHASE_NOT_FOUND", "NOT_APPLIED"},
			{&gigagatev1.WaitPurchaseRequest{Id: sold.GetPurchaseId()}, &gigagatev1.WaitPurchaseRequest{Id: noID}, "PURCHASE_NOT_FOUND", "NOT_APPLIED"},
			{getCustomer(sold.GetCustomer().GetUid()), getCustomer("no-customer"), "CUSTOMER_NOT_FOUND", "NOT_APPLIED"},
			{findCustomer(sold.GetEsimProfile().GetIccid()), findCustomer(noESIM), "CUSTOMER_NOT_FOUND", "NOT_APPLIED"},
			{activate(sold.GetActivatedItem().GetUid()), activate("no-item"), "ACTIVATED_ITEM_NOT_FOUND", "NOT_APPLIED"},
			{topUp(sold.GetCustomer().GetUid()), topUp("no-customer"), "CUSTOMER_NOT_FOUND", "NOT_STARTED"},
		} {
			lines := [2]string{}
			texts := [2]string{}
			for i, message := range []proto.Message{c.theirs, c.nobodys} {
				earlier := len(g.logs.String())
				a := d.call(t, t.Context(), ask(message).as("billing"))
				a.check(t, want{codes.NotFound, http.StatusNotFound, c.reason, c.effect, nil})
				g.logs.until(t, "the line of the call", func() bool { return strings.Contains(g.logs.String()[earlier:], `"msg":"call"`) })
				lines[i] = withoutNumbers(g.logs.String()[earlier:])
				texts[i] = withoutNumbers(a.outcome.String() + a.info.String())
			}
			if lines[0] != lines[1] || texts[0] != texts[1] {
				t.Errorf("%s: another's %s can be told from nobody's:\n%s\n%s\n%s\n%s", d.name, shortName(c.theirs), lines[0], lines[1], texts[0], texts[1])
			}
		}
		for _, filter := range []*gigagatev1.ListPurchasesRequest{
			{},
			{RequestId: order.GetRequestId()},
			{CustomerUid: sold.GetCustomer().GetUid()},
			{State: gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED},
			{ActivatedItemUid: sold.GetActivatedItem().GetUid()},
			{Kind: gigagatev1.PurchaseKind_PURCHASE_KIND_REGISTER},
			{InventoryItemId: order.GetInventoryItemId()},
			{Metatag: order.GetMetatag()},
			{TraceId: a.traceID},
		} {
			a := d.call(t, t.Context(), ask(filter).as("billing"))
			a.ok(t)
			if found := a.reply.(*gigagatev1.ListPurchasesResponse).GetPurchases(); len(found) > 0 {
				t.Errorf("%s: billing sees %v", d.name, found)
			}
			if a = d.call(t, t.Context(), ask(filter).as("anna")); len(a.reply.(*gigagatev1.ListPurchasesResponse).GetPurchases()) != 1 {
				t.Errorf("%s: the operator does not see the purchase with %v", d.name, filter)
			}
		}
		// A refused order tells nothing of another caller's request id.
		wrong := proto.CloneOf(order)
		wrong.UserCountry = "XX"
		d.call(t, t.Context(), ask(wrong).as("billing")).check(t, want{codes.InvalidArgument, http.StatusBadRequest, "INVALID_FIELD", "NOT_STARTED", []string{"user_country"}})
	}
	after := g.box.Ledger()
	delete(after.Calls, "POST "+pathSearch) // only the vendor can find the customer of an eSIM
	if !sameCalls(before.Calls, after.Calls) {
		t.Errorf("another's purchase was used: %v", after.Calls)
	}
	// Another order under another caller's id is no mistake, and it is no replay.
	other := proto.CloneOf(order)
	other.Metatag = "billing's own"
	a = g.overREST(t, t.Context(), ask(other).as("billing"))
	a.ok(t)
	if a.replayed != "" || g.paid() != 2 {
		t.Errorf("replayed %q, %d sales", a.replayed, g.paid())
	}
	// The owner, the operator and a caller with the right can use it.
	for _, d := range g.transports() {
		for _, name := range []string{"shop", "anna"} {
			for _, message := range []proto.Message{
				&gigagatev1.GetPurchaseRequest{Id: sold.GetPurchaseId()}, getCustomer(sold.GetCustomer().GetUid()),
				activate(sold.GetActivatedItem().GetUid()), topUp(sold.GetCustomer().GetUid()),
			} {
				d.call(t, t.Context(), ask(message).as(name)).ok(t)
			}
		}
	}
}

// numbers are the values that differ between two equal calls: times, and the request in the debug log.
var numbers = regexp.MustCompile(`"(time|duration_ms)":"?[^,"]+"?|,"request":.*`)

func withoutNumbers(line string) string {
	return numbers.ReplaceAllString(line, "#")
}

// A customer of several callers shows each caller only what it bought.
func TestSharedCustomer(t *testing.T) {
	t.Parallel()
	known := newCallers(caller("shop"), operator("support"))
	g := openFor(t, known)
	a := g.overGRPC(t, t.Context(), ask(register()).as("shop"))
	a.ok(t)
	sold := a.reply.(*gigagatev1.RegisterResponse)
	customer := sold.GetCustomer().GetUid()
	see := func(name string) (items []string, profiles int, total bool) {
		a := g.overREST(t, t.Context(), ask(getCustomer(customer)).as(name))
		a.ok(t)
		record := a.reply.(*gigagatev1.GetCustomerResponse)
		for _, item := range record.GetActivatedItems() {
			items = append(items, item.GetUid())
		}
		return items, len(record.GetEsimProfiles()), record.GetTotalAvailableBalance() != nil
	}
	if items, profiles, total := see("shop"); len(items) != 1 || profiles != 1 || !total {
		t.Errorf("the only caller sees %v, %d profiles, total %t", items, profiles, total)
	}
	g.overGRPC(t, t.Context(), ask(topUp(customer, withProfile())).as("support")).ok(t)
	if items, profiles, total := see("shop"); !slices.Equal(items, []string{sold.GetActivatedItem().GetUid()}) || profiles != 0 || total {
		t.Errorf("the first caller sees %v, %d profiles, total %t", items, profiles, total)
	}
	if items, profiles, total := see("support"); len(items) != 2 || profiles != 2 || !total {
		t.Errorf("a caller that may see all sees %v, %d profiles, total %t", items, profiles, total)
	}
	known.set(caller("support")) // it keeps what it bought
	if items, profiles, total := see("support"); len(items) != 1 || items[0] == sold.GetActivatedItem().GetUid() || profiles != 0 || total {
		t.Errorf("the second caller sees %v, %d profiles, total %t", items, profiles, total)
	}
}

// With the right, a caller uses what the gateway did not sell. It still does not use what another caller bought.
func TestWhatWasSoldElsewhere(t *testing.T) {
	t.Parallel()
	g := openFor(t, newCallers(caller("shop"), caller("portal", func(r *access.Rights) { r.SoldElsewhere = true }), caller("second", func(r *access.Rights) { r.SoldElsewhere = true })))
	a := g.overGRPC(t, t.Context(), ask(register(mode(firstUse))).as("shop"))
	a.ok(t)
	theirs := a.reply.(*gigagatev1.RegisterResponse)
	for _, d := range g.transports() {
		item := g.soldElsewhere(t, "portal", gigastore.ModeFirstUse)
		record, err := g.vendor.ActivatedItem(t.Context(), item)
		if err != nil {
			t.Fatal(err)
		}
		customer := record.Customer.UID
		for _, message := range []proto.Message{activate(item), getCustomer(customer), topUp(customer)} {
			if a := d.call(t, t.Context(), ask(message).as("shop")); a.code != codes.NotFound {
				t.Errorf("%s: without the right: %s", d.name, a.text)
			}
		}
		for _, name := range []string{"portal", "second"} {
			for _, message := range []proto.Message{activate(item), getCustomer(customer), topUp(customer)} {
				d.call(t, t.Context(), ask(message).as(name)).ok(t)
			}
			a := d.call(t, t.Context(), ask(getCustomer(customer)).as(name))
			a.ok(t)
			if items := a.reply.(*gigagatev1.GetCustomerResponse).GetActivatedItems(); len(items) != 2 {
				t.Errorf("%s: %s sees %v", d.name, name, items)
			}
		}
		for _, message := range []proto.Message{
			activate(theirs.GetActivatedItem().GetUid()), getCustomer(theirs.GetCustomer().GetUid()), topUp(theirs.GetCustomer().GetUid()),
		} {
			a := d.call(t, t.Context(), ask(message).as("portal"))
			if a.code != codes.NotFound || a.outcome.GetPurchaseId() != "" {
				t.Errorf("%s: the customer of another caller: %s", d.name, a.text)
			}
		}
	}
}

// A package with the mark of a purchase was not sold elsewhere, also while the purchase is not settled.
func TestUnsettledSaleWasNotSoldElsewhere(t *testing.T) {
	t.Parallel()
	g := openFor(t, newCallers(caller("portal", func(r *access.Rights) { r.SoldElsewhere, r.Secrets = true, true })))
	item := g.soldElsewhere(t, purchase.MarkPrefix+ulid.Make().String(), gigastore.ModeFirstUse)
	record, err := g.vendor.ActivatedItem(t.Context(), item)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range g.transports() {
		if a := d.call(t, t.Context(), ask(activate(item)).as("portal")); a.code != codes.NotFound {
			t.Errorf("%s: started: %s", d.name, a.text)
		}
		a := d.call(t, t.Context(), ask(getCustomer(record.Customer.UID)).as("portal"))
		a.ok(t)
		if shown := a.reply.(*gigagatev1.GetCustomerResponse); len(shown.GetActivatedItems()) > 0 || len(shown.GetEsimProfiles()) > 0 {
			t.Errorf("%s: shown: %v", d.name, shown)
		}
	}
}
