package server_test

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

const (
	pathRegister     = "/gigastore/activations/register"
	pathTopUp        = "/gigastore/activations/top-up"
	pathTopUpProfile = "/gigastore/activations/top-up-with-profile"
	pathItems        = "/gigastore/activations/activated-items/"
	pathCustomers    = "/gigastore/activations/customers/"
	pathSearch       = "/gigastore/activations/search-customers"
	pathInventory    = "/gigastore/products/inventory"
)

// sold registers a package and returns the answer.
func (g *gateway) sold(t *testing.T, edits ...func(*reg)) *gigagatev1.RegisterResponse {
	t.Helper()
	a := g.overGRPC(t, t.Context(), ask(register(edits...)))
	a.ok(t)
	return a.reply.(*gigagatev1.RegisterResponse)
}

func mode(m gigagatev1.ActivationMode) func(*reg) {
	return func(r *reg) { r.ActivationMode = m }
}

const (
	now      = gigagatev1.ActivationMode_ACTIVATION_MODE_NOW
	firstUse = gigagatev1.ActivationMode_ACTIVATION_MODE_FIRST_USE
	onDemand = gigagatev1.ActivationMode_ACTIVATION_MODE_ON_DEMAND
)

// shapesWithText are the error shapes whose text tells the reason of a refusal.
var shapesWithText = []sandbox.ErrorShape{
	sandbox.ShapeProblem, sandbox.ShapeProblemWithMessage, sandbox.ShapeMessage, sandbox.ShapeError,
}

func TestVendorRefusalsOnBothTransports(t *testing.T) {
	t.Parallel()
	for _, shape := range shapesWithText {
		t.Run(string(shape), func(t *testing.T) {
			t.Parallel()
			// The credit is enough for the one package that the cases need, but not for a second.
			g := open(t, setup{settings: func(s *sandbox.Settings) { s.ErrorShape, s.InitialCredit = shape, 5_00 }})
			customer := g.sold(t).GetCustomer().GetUid()
			// The test wants the vendor's refusal. Without an inventory, the gateway's guards cannot refuse first.
			g.injectMany(t, pathInventory, "5xx", 1000, nil)
			unknown := func(r *reg) { r.InventoryItemId = "11111111-2222-4333-8444-555555555555" }
			const otherUID = "99999999-2222-4333-8444-555555555555"
			for _, c := range []struct {
				name    string
				message proto.Message
				code    codes.Code
				reason  string
			}{
				{"price", register(price("USD", "9.98")), codes.FailedPrecondition, "PRICE_MISMATCH"},
				{"currency", register(price("EUR", "9.99")), codes.FailedPrecondition, "PRICE_MISMATCH"},
				{"country set", topUp(customer, func(r *top) { r.InventoryItemId = sandbox.ItemGreece2GB }), codes.FailedPrecondition, "COUNTRY_SET_MISMATCH"},
				{"country set with profile", topUp(customer, withProfile(), func(r *top) { r.InventoryItemId = sandbox.ItemGreece2GB }), codes.FailedPrecondition, "COUNTRY_SET_MISMATCH"},
				{"credit", register(), codes.FailedPrecondition, "INSUFFICIENT_CREDIT"},
				{"credit of a top-up", topUp(customer, withProfile()), codes.FailedPrecondition, "INSUFFICIENT_CREDIT"},
				{"mode", register(mode(onDemand), func(r *reg) { r.InventoryItemId = sandbox.ItemAustria3GB }), codes.FailedPrecondition, "ACTIVATION_MODE_NOT_OFFERED"},
				{"item", register(unknown), codes.NotFound, "INVENTORY_ITEM_NOT_FOUND"},
				{"customer", topUp(otherUID), codes.NotFound, "CUSTOMER_NOT_FOUND"},
				{"customer of a read", getCustomer(otherUID), codes.NotFound, "CUSTOMER_NOT_FOUND"},
				{"activated item", activate(otherUID), codes.NotFound, "ACTIVATED_ITEM_NOT_FOUND"},
			} {
				for i, d := range g.transports() {
					t.Run(d.name+"/"+c.name, func(t *testing.T) {
						message := proto.Clone(c.message)
						_, sale := message.(interface{ GetMetatag() string })
						if sale {
							set(message, "request_id", requestID())
						}
						a := d.call(t, t.Context(), ask(message))
						a.check(t, want{c.code, httpOf(t, c.code), c.reason, "NOT_APPLIED", nil})
						a.echoesNothingOf(t, message)
						if sale {
							g.checkReplay(t, g.transports()[1-i], message, a)
						} else if a.outcome.GetPurchaseId() != "" {
							t.Errorf("purchase id %q", a.outcome.GetPurchaseId())
						}
					})
				}
			}
			if n := len(g.box.Ledger().Sales); n != 1 {
				t.Errorf("%d sales", n)
			}
		})
	}
}

// httpOf returns the contract's HTTP status of a code.
func httpOf(t *testing.T, code codes.Code) int {
	t.Helper()
	status, ok := map[codes.Code]int{
		codes.InvalidArgument: 400, codes.NotFound: 404, codes.FailedPrecondition: 400, codes.Aborted: 409,
		codes.ResourceExhausted: 429, codes.Unavailable: 503, codes.Internal: 500,
	}[code]
	if !ok {
		t.Fatalf("the contract has no %v", code)
	}
	return status
}

var (
	outcomeUnknown = want{codes.Unavailable, http.StatusServiceUnavailable, "OUTCOME_UNKNOWN", "INDETERMINATE", nil}
	vendorRefused  = want{codes.FailedPrecondition, http.StatusBadRequest, "VENDOR_REFUSED", "NOT_APPLIED", nil}
	presumedAbsent = want{codes.Aborted, http.StatusConflict, "PRESUMED_ABSENT", "NOT_APPLIED", nil}
	neverSent      = want{codes.Aborted, http.StatusConflict, "NEVER_SENT", "NOT_APPLIED", nil}
)

// A refusal in unknown words is recorded as VENDOR_REFUSED. An answer without words is not taken as a refusal. Then the
// vendor's records must show that nothing was sold.
func TestRefusalsWithoutAName(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	customer := g.sold(t).GetCustomer().GetUid()
	for _, witness := range paidRequests(customer) {
		g.overGRPC(t, t.Context(), ask(witness)).ok(t)
	}
	for _, path := range []string{pathRegister, pathTopUp, pathTopUpProfile} {
		for i, d := range g.transports() {
			for _, shape := range shapesWithText {
				t.Run(d.name+path+"/"+string(shape), func(t *testing.T) {
					message := paidRequests(customer)[path]
					g.inject(t, path, "refuse", params{"shape": shape, "message": "CANARY words that are in no table"})
					a := d.call(t, t.Context(), ask(message))
					a.check(t, vendorRefused)
					if strings.Contains(a.text, "CANARY") {
						t.Error(a.text)
					}
					g.checkReplay(t, g.transports()[1-i], message, a)
				})
			}
			for _, shape := range []sandbox.ErrorShape{sandbox.ShapePlainText, sandbox.ShapeHTML, sandbox.ShapeEmpty, sandbox.ShapeStatusWord} {
				t.Run(d.name+path+"/"+string(shape), func(t *testing.T) {
					message := paidRequests(customer)[path]
					fault := paidFault{"refuse", params{"shape": shape, "reason": "priceMismatch"}, presumedAbsent, 0}
					answers := g.meet(t, path, fault, d, message)
					t.Parallel()
					g.checkEffect(t, <-answers, fault, message)
				})
			}
		}
	}
}

func TestSalesOnBothTransports(t *testing.T) {
	t.Parallel()
	g := open(t, setup{settings: func(s *sandbox.Settings) { s.CustomerEmail = sandbox.EmailShown }})
	for _, d := range g.transports() {
		for _, m := range []gigagatev1.ActivationMode{0, now, firstUse, onDemand} {
			t.Run(d.name+"/"+m.String(), func(t *testing.T) {
				email := "traveller@mail.example"
				a := d.call(t, t.Context(), ask(register(mode(m), price("USD", "9.99"), func(r *reg) { r.CustomerEmail = &email })))
				a.ok(t)
				r := a.reply.(*gigagatev1.RegisterResponse)
				item := r.GetActivatedItem()
				checkSale(t, g, item, r.GetPurchaseId(), "shop order 4711")
				checkSplit(t, item.GetBalance(), m == firstUse || m == onDemand)
				if got, want := item.GetBalance().GetActivationMode(), max(m, now); got != want {
					t.Errorf("mode %v, want %v", got, want)
				}
				if r.GetCustomer().GetEmail() != email || r.GetCustomer().GetProfileUrl() == "" {
					t.Errorf("customer %v", r.GetCustomer())
				}
				if e := r.GetEsimProfile(); !strings.HasPrefix(e.GetActivationCode(), "LPA:1$") || e.GetIccid() == "" ||
					e.GetImsi() == "" || e.GetUid() == "" || e.GetInstallationUrl() == "" || e.GetAppleUniversalLink() == "" || e.GetState() == "" {
					t.Errorf("esim %v", e)
				}
				checkTopUps(t, g, d, r.GetCustomer().GetUid())
			})
		}
	}
}

func checkTopUps(t *testing.T, g *gateway, d transport, customer string) {
	t.Helper()
	plain := d.call(t, t.Context(), ask(topUp(customer)))
	plain.ok(t)
	r := plain.reply.(*gigagatev1.TopUpResponse)
	checkSale(t, g, r.GetActivatedItem(), r.GetPurchaseId(), "shop order 4712")
	if r.EsimProfile != nil {
		t.Error("a top-up without new_profile has a profile")
	}
	with := d.call(t, t.Context(), ask(topUp(customer, withProfile(), func(r *top) { r.ActivationMode = firstUse })))
	with.ok(t)
	r = with.reply.(*gigagatev1.TopUpResponse)
	checkSale(t, g, r.GetActivatedItem(), r.GetPurchaseId(), "shop order 4712")
	checkSplit(t, r.GetActivatedItem().GetBalance(), true)
	if r.GetEsimProfile().GetIccid() == "" {
		t.Error("a top-up with new_profile has no profile")
	}
	read := d.call(t, t.Context(), ask(getCustomer(customer)))
	read.ok(t)
	c := read.reply.(*gigagatev1.GetCustomerResponse)
	if len(c.GetActivatedItems()) != 3 || len(c.GetEsimProfiles()) != 2 || c.GetTotalAvailableBalance().GetValue() <= 0 {
		t.Errorf("customer %v", c)
	}
	for _, item := range c.GetActivatedItems() {
		if item.GetPurchaseId() == "" || !strings.HasPrefix(item.GetMetatag(), "shop order 47") {
			t.Errorf("purchase %q, metatag %q", item.GetPurchaseId(), item.GetMetatag())
		}
	}
}

// checkSale compares an answer with the ledger.
func checkSale(t *testing.T, g *gateway, item *gigagatev1.ActivatedItem, purchaseID, metatag string) {
	t.Helper()
	sales := g.salesOf(purchaseID)
	if len(sales) != 1 {
		t.Fatalf("%d sales of purchase %q", len(sales), purchaseID)
	}
	sale := sales[0]
	if item.GetUid() != sale.ItemUID || item.GetPurchaseId() != purchaseID || item.GetMetatag() != metatag || sale.Metatag != "gg"+purchaseID+" "+metatag {
		t.Errorf("item %v, sale %+v", item, sale)
	}
	if len(sale.IdempotencyKey) != 64 {
		t.Errorf("idempotency key %q", sale.IdempotencyKey)
	}
	if p := item.GetPurchasePrice(); p.GetCurrencyCode() != "USD" || p.GetAmount() != "4.2" {
		t.Errorf("purchase price %v", p)
	}
	if item.GetSaleTime() == nil || item.GetRetailPrice().GetAmount() != "9.99" || item.GetActivationType() == "" {
		t.Errorf("item %v", item)
	}
}

// checkSplit checks that the vendor's expiresAt is in the right one of the two fields.
func checkSplit(t *testing.T, b *gigagatev1.Balance, pending bool) {
	t.Helper()
	if pending {
		if b.GetState() != gigagatev1.BalanceState_BALANCE_STATE_PENDING || b.ActivatedAt != nil || b.ExpiresAt != nil || b.ActivationDeadline == nil {
			t.Errorf("balance %v", b)
		}
		return
	}
	if b.GetState() != gigagatev1.BalanceState_BALANCE_STATE_ACTIVE || b.ActivatedAt == nil || b.ExpiresAt == nil || b.ActivationDeadline != nil {
		t.Errorf("balance %v", b)
	}
}

// salesOf returns the sales in the ledger with a purchase's mark.
func (g *gateway) salesOf(purchaseID string) []sandbox.Sale {
	var sales []sandbox.Sale
	for _, sale := range g.box.Ledger().Sales {
		if strings.HasPrefix(sale.Metatag, "gg"+purchaseID) {
			sales = append(sales, sale)
		}
	}
	return sales
}
