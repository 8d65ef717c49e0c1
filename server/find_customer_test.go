package server_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// noESIM is the number of no eSIM.
const noESIM = "89000000000000000000"

var (
	noSuchCustomer = want{codes.NotFound, http.StatusNotFound, "CUSTOMER_NOT_FOUND", "NOT_APPLIED", nil}
	vendorUnread   = want{codes.Unavailable, http.StatusServiceUnavailable, "VENDOR_UNAVAILABLE", "NOT_STARTED", nil}
)

// countedLists is a journal that counts its lists.
type countedLists struct {
	purchase.Journal
	n atomic.Int64
}

func (j *countedLists) List(ctx context.Context, filter purchase.Filter, page purchase.Page) ([]purchase.Purchase, string, error) {
	j.n.Add(1)
	return j.Journal.List(ctx, filter, page)
}

// A caller finds the customers whose eSIMs it may see. Another's eSIM looks as if it did not exist: the answer is the same, and
// it takes as many reads.
func TestFindCustomer(t *testing.T) {
	t.Parallel()
	j := &countedLists{Journal: newJournal()}
	sees := func(r *access.Rights) { r.SoldElsewhere = true }
	g := openFor(t, newCallers(caller("shop"), caller("billing"), caller("portal", sees), operator("anna")), func(s *setup) { s.journal = j })
	sell := func(name string) (customer, iccid string) {
		a := g.overGRPC(t, t.Context(), ask(register()).as(name))
		a.ok(t)
		sold := a.reply.(*gigagatev1.RegisterResponse)
		return sold.GetCustomer().GetUid(), sold.GetEsimProfile().GetIccid()
	}
	customer, iccid := sell("shop")
	shared, sharedESIM := sell("billing")
	record, err := g.vendor.ActivatedItem(t.Context(), g.soldElsewhere(t, "portal", gigastore.ModeNow))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := g.vendor.Customer(t.Context(), record.Customer.UID)
	if err != nil {
		t.Fatal(err)
	}
	elsewhereESIM := elsewhere.RelatedESIMs[0].ICCID
	for _, d := range g.transports() {
		find := func(name, iccid string) (answer, int64) {
			before := j.n.Load()
			a := d.call(t, t.Context(), ask(findCustomer(iccid)).as(name))
			return a, j.n.Load() - before
		}
		for _, c := range []struct{ caller, iccid, finds string }{
			{"shop", iccid, customer},
			{"billing", sharedESIM, shared},
			{"anna", iccid, customer},
			{"anna", sharedESIM, shared},
			{"anna", elsewhereESIM, elsewhere.Customer.UID},
			{"portal", elsewhereESIM, elsewhere.Customer.UID},
		} {
			a, _ := find(c.caller, c.iccid)
			a.ok(t)
			if got := a.reply.(*gigagatev1.FindCustomerResponse).GetCustomerUid(); got != c.finds {
				t.Errorf("%s: %s finds %q, want %q", d.name, c.caller, got, c.finds)
			}
		}
		for name, theirs := range map[string][]string{
			"shop":    {sharedESIM, elsewhereESIM},
			"billing": {iccid, elsewhereESIM},
			"portal":  {iccid, sharedESIM},
		} {
			nobodys, reads := find(name, noESIM)
			nobodys.check(t, noSuchCustomer)
			for _, iccid := range theirs {
				a, took := find(name, iccid)
				a.check(t, noSuchCustomer)
				if took != reads || a.outcome.String() != nobodys.outcome.String() {
					t.Errorf("%s: another's eSIM can be told from nobody's by %s: %d reads, not %d; %s", d.name, name, took, reads, a.text)
				}
			}
		}
		a, _ := find("anna", noESIM)
		a.check(t, noSuchCustomer)
	}
}

// If other callers sold to the customer too, GetCustomer shows no eSIMs, because nobody knows whose they are. So FindCustomer does
// not say that the customer has one.
func TestFindSharedCustomer(t *testing.T) {
	t.Parallel()
	known := newCallers(caller("shop"), operator("support"))
	j := &countedLists{Journal: newJournal()}
	g := openFor(t, known, func(s *setup) { s.journal = j })
	a := g.overGRPC(t, t.Context(), ask(register()).as("shop"))
	a.ok(t)
	sold := a.reply.(*gigagatev1.RegisterResponse)
	find := ask(findCustomer(sold.GetEsimProfile().GetIccid()))
	g.overREST(t, t.Context(), find.as("shop")).ok(t)
	g.overGRPC(t, t.Context(), ask(topUp(sold.GetCustomer().GetUid(), withProfile())).as("support")).ok(t)
	before := j.n.Load()
	g.overREST(t, t.Context(), find.as("shop")).check(t, noSuchCustomer)
	between := j.n.Load()
	g.overREST(t, t.Context(), ask(findCustomer(noESIM)).as("shop")).check(t, noSuchCustomer)
	if after := j.n.Load(); after-between != between-before {
		t.Errorf("an eSIM of a shared customer takes %d reads, and nobody's %d", between-before, after-between)
	}
	g.overREST(t, t.Context(), find.as("support")).ok(t)
}

// The vendor may not list the old packages of a customer. Without packages there is nothing to hide, and still the customer was
// sold elsewhere. An answer that contradicts itself finds nobody.
func TestFindCustomerInOddAnswers(t *testing.T) {
	t.Parallel()
	const iccid = "89972000000000000012"
	var says atomic.Value
	g := openFor(t, newCallers(caller("shop"), caller("portal", func(r *access.Rights) { r.SoldElsewhere = true })), func(s *setup) {
		s.wrap = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != pathSearch {
					next.ServeHTTP(w, r)
					return
				}
				body, _ := io.ReadAll(r.Body)
				if r.URL.RawQuery != "" || !strings.Contains(string(body), iccid) {
					t.Errorf("the vendor is asked %s with %s", r.URL, body)
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, says.Load().(string))
			})
		}
	})
	const old, other = `{"customer":{"uid":"old"},"activatedItems":[],"relatedEsims":[{"iccid":"` + iccid + `"}]}`, `{"customer":{"uid":"other"},"relatedEsims":[{"iccid":"8"}]}`
	for _, d := range g.transports() {
		says.Store(`{"customers":[` + other + `,` + old + `]}`)
		d.call(t, t.Context(), ask(findCustomer(iccid)).as("shop")).check(t, noSuchCustomer)
		a := d.call(t, t.Context(), ask(findCustomer(iccid)).as("portal"))
		a.ok(t)
		if got := a.reply.(*gigagatev1.FindCustomerResponse).GetCustomerUid(); got != "old" {
			t.Errorf("%s: found %q", d.name, got)
		}
		says.Store(`{"customers":[` + other + `]}`)
		for _, name := range []string{"shop", "portal"} {
			d.call(t, t.Context(), ask(findCustomer(iccid)).as(name)).check(t, vendorUnread)
		}
	}
}
