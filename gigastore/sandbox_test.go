package gigastore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
)

const registerPath = "/gigastore/activations/register"

// open starts a sandbox and makes a client for it.
func open(t *testing.T, settings sandbox.Settings) (*gigastore.Client, *sandbox.Sandbox) {
	t.Helper()
	world, err := sandbox.New(sandbox.Config{Seed: 1, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(world)
	client, err := gigastore.New(gigastore.Config{
		BaseURL: server.URL, ClientID: "id", ClientSecret: "secret", Timeout: 20 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		world.Close()
		server.Close()
	})
	return client, world
}

var permits int

func permit() gigastore.Permit {
	permits++
	mark := fmt.Sprintf("gg%026d", permits)
	return gigastore.Permit{Mark: mark, IdempotencyKey: mark, NotAfter: time.Now().Add(time.Minute)}
}

func register(p gigastore.Permit, item string, mode gigastore.ActivationMode) gigastore.RegisterRequest {
	return gigastore.RegisterRequest{
		InventoryItemID: item, Metatag: p.Mark + " order 7", CustomerEmail: "traveller@example.com",
		UserIP: "203.0.113.24", UserCountry: "GR", ActivationMode: mode,
	}
}

func TestMainJob(t *testing.T) {
	shapes := map[string]func(*sandbox.Settings){
		"default": func(*sandbox.Settings) {},
		"nested":  func(s *sandbox.Settings) { s.ListElement, s.CustomersWrap = sandbox.ElementNested, sandbox.WrapArray },
		"item": func(s *sandbox.Settings) {
			s.ActivateAnswer, s.EmptyActivatedAt = sandbox.ActivateItem, sandbox.EmptyAbsent
		},
		"empty": func(s *sandbox.Settings) {
			s.ActivateAnswer, s.EmptyActivatedAt, s.ExpiresInShown = sandbox.ActivateEmptyObject, sandbox.EmptyText, false
		},
	}
	for name, change := range shapes {
		t.Run(name, func(t *testing.T) {
			settings := sandbox.DefaultSettings()
			change(&settings)
			client, world := open(t, settings)
			ctx := t.Context()

			now := permit()
			sale, err := client.Register(ctx, now, register(now, sandbox.ItemWorldwide1GB, ""))
			if err != nil {
				t.Fatal(err)
			}
			if b := sale.ActivatedItem.Balance; b.ActivationMode != gigastore.ModeNow || b.ActivatedAt.IsZero() || b.ExpiresAt.IsZero() || sale.ESIMProfile == nil {
				t.Errorf("NOW: %+v", sale)
			}
			onDemand := permit()
			pending, err := client.Register(ctx, onDemand, register(onDemand, sandbox.ItemEurope5GB, gigastore.ModeOnDemand))
			if err != nil {
				t.Fatal(err)
			}
			if b := pending.ActivatedItem.Balance; !b.ActivatedAt.IsZero() || b.ExpiresAt.IsZero() {
				t.Errorf("ON_DEMAND: %+v", b)
			}
			item, err := client.Activate(ctx, pending.ActivatedItem.UID)
			if err != nil || (item == nil) != (settings.ActivateAnswer == sandbox.ActivateEmptyObject) {
				t.Errorf("activate: %v, %v", item, err)
			}
			record, err := client.ActivatedItem(ctx, pending.ActivatedItem.UID)
			if err != nil || record.ActivatedItem.Balance.ActivatedAt.IsZero() {
				t.Errorf("after activate: %+v, %v", record, err)
			}

			first := permit()
			topUp, err := client.TopUp(ctx, first, gigastore.TopUpRequest{
				InventoryItemID: sandbox.ItemWorldwide50MB, Metatag: first.Mark, CustomerUID: sale.Customer.UID,
				ActivationMode: gigastore.ModeFirstUse,
			})
			if err != nil || topUp.ESIMProfile != nil || !topUp.ActivatedItem.Balance.ActivatedAt.IsZero() {
				t.Fatalf("top-up: %+v, %v", topUp, err)
			}
			second := permit()
			withProfile, err := client.TopUpWithProfile(ctx, second, gigastore.TopUpWithProfileRequest{
				InventoryItemID: sandbox.ItemWorldwide50MB, Metatag: second.Mark, CustomerUID: sale.Customer.UID,
				UserIP: "203.0.113.24", UserCountry: "GR",
			})
			if err != nil || withProfile.ESIMProfile == nil {
				t.Fatalf("top-up with profile: %+v, %v", withProfile, err)
			}

			customer, err := client.Customer(ctx, sale.Customer.UID)
			if err != nil || len(customer.ActivatedItems) != 3 || len(customer.RelatedESIMs) != 2 {
				t.Errorf("customer: %+v, %v", customer, err)
			}
			customers, err := client.Customers(ctx, gigastore.CustomersQuery{})
			if err != nil || len(customers) != 2 {
				t.Errorf("customers: %d, %v", len(customers), err)
			}
			found, err := client.SearchCustomers(ctx, gigastore.SearchCustomersQuery{Key: gigastore.SearchICCID, Query: sale.ESIMProfile.ICCID})
			if err != nil || len(found) != 1 || found[0].Customer.UID != sale.Customer.UID {
				t.Errorf("search: %d, %v", len(found), err)
			}
			marks := map[string]bool{}
			for r, err := range client.ActivatedItems(ctx, gigastore.ActivatedItemsQuery{From: time.Now().Add(-time.Hour), SortBy: "DATE", SortDir: "ASC"}) {
				if err != nil {
					t.Fatal(err)
				}
				marks[r.ActivatedItem.Metatag] = true
			}
			if len(marks) != 4 || !marks[second.Mark] {
				t.Errorf("list: %v", marks)
			}
			items, err := client.Inventory(ctx)
			if err != nil || len(items) != 5 {
				t.Errorf("inventory: %d, %v", len(items), err)
			}
			if one, err := client.InventoryItem(ctx, sandbox.ItemGreece2GB); err != nil || one.CountrySet != "GR" {
				t.Errorf("inventory item: %+v, %v", one, err)
			}
			if countries, err := client.Countries(ctx, "GR"); err != nil || len(countries) != 1 {
				t.Errorf("countries: %v, %v", countries, err)
			}
			if version, err := client.Version(ctx); err != nil || len(version) == 0 {
				t.Errorf("version: %s, %v", version, err)
			}
			if sales := world.Ledger().Sales; len(sales) != 4 || sales[0].IdempotencyKey != now.IdempotencyKey {
				t.Errorf("%d sales", len(sales))
			}
		})
	}
}

// TestRefusals plays each refusal in each error shape. The reason is known if the body is a JSON object, and the
// effect is unknown if not.
func TestRefusals(t *testing.T) {
	wrongPrice, err := gigastore.ParseDecimal("1.00")
	if err != nil {
		t.Fatal(err)
	}
	for shape, readable := range map[sandbox.ErrorShape]bool{
		sandbox.ShapeProblem: true, sandbox.ShapeProblemWithMessage: true, sandbox.ShapeMessage: true, sandbox.ShapeError: true,
		sandbox.ShapePlainText: false, sandbox.ShapeHTML: false, sandbox.ShapeEmpty: false, sandbox.ShapeStatusWord: false,
	} {
		t.Run(string(shape), func(t *testing.T) {
			settings := sandbox.DefaultSettings()
			settings.InitialCredit = 10_00
			client, world := open(t, settings)
			p := permit()
			sale, err := client.Register(t.Context(), p, register(p, sandbox.ItemWorldwide1GB, ""))
			if err != nil {
				t.Fatal(err)
			}
			// Use a fault to change the shape, because a reset would forget the customer.
			armed := func(path, reason string) {
				if err := world.Inject(sandbox.Fault{Path: path, Fault: "refuse", Params: map[string]any{"reason": reason, "shape": string(shape)}}); err != nil {
					t.Fatal(err)
				}
			}
			buy := func(change func(*gigastore.RegisterRequest)) error {
				p := permit()
				r := register(p, sandbox.ItemWorldwide1GB, "")
				change(&r)
				_, err := client.Register(t.Context(), p, r)
				return err
			}
			for reason, tc := range map[gigastore.Reason]struct {
				path, fault string
				call        func() error
			}{
				gigastore.ReasonPriceMismatch: {registerPath, "priceMismatch", func() error {
					return buy(func(r *gigastore.RegisterRequest) {
						r.ExpectedPrice = &gigastore.Price{Value: wrongPrice, Currency: "USD"}
					})
				}},
				gigastore.ReasonInsufficientCredit: {registerPath, "insufficientCredits", func() error {
					return buy(func(r *gigastore.RegisterRequest) { r.InventoryItemID = sandbox.ItemEurope5GB })
				}},
				gigastore.ReasonModeNotOffered: {registerPath, "modeNotAvailable", func() error {
					return buy(func(r *gigastore.RegisterRequest) {
						r.InventoryItemID, r.ActivationMode = sandbox.ItemGreece2GB, gigastore.ModeOnDemand
					})
				}},
				gigastore.ReasonInventoryItemNotFound: {registerPath, "inventoryItemNotFound", func() error {
					return buy(func(r *gigastore.RegisterRequest) { r.InventoryItemID = "no-such-item" })
				}},
				gigastore.ReasonCountrySetMismatch: {"/gigastore/activations/top-up", "countrySetMismatch", func() error {
					p := permit()
					_, err := client.TopUp(t.Context(), p, gigastore.TopUpRequest{InventoryItemID: sandbox.ItemGreece2GB, Metatag: p.Mark, CustomerUID: sale.Customer.UID})
					return err
				}},
				gigastore.ReasonCustomerNotFound: {"/gigastore/activations/top-up", "customerNotFound", func() error {
					p := permit()
					_, err := client.TopUp(t.Context(), p, gigastore.TopUpRequest{InventoryItemID: sandbox.ItemWorldwide50MB, Metatag: p.Mark, CustomerUID: "nobody"})
					return err
				}},
				gigastore.ReasonActivatedItemNotFound: {"/gigastore/activations/activated-items/*", "activatedItemNotFound", func() error {
					_, err := client.Activate(t.Context(), "no-such-item")
					return err
				}},
				gigastore.ReasonAlreadyActive: {"/gigastore/activations/activated-items/*", "alreadyActive", func() error {
					_, err := client.Activate(t.Context(), sale.ActivatedItem.UID)
					return err
				}},
			} {
				if shape != sandbox.ShapeProblem { // the sandbox itself uses ShapeProblem, so that case needs no fault and plays the real rule
					armed(tc.path, tc.fault)
				}
				e, ok := errors.AsType[*gigastore.Error](tc.call())
				switch {
				case !ok:
					t.Errorf("%s: no error", reason)
				case readable && (e.Effect != gigastore.EffectRefused || e.Reason != reason || e.Message == ""):
					t.Errorf("%s: %v", reason, e)
				case !readable && e.Effect != gigastore.EffectUnknown:
					t.Errorf("%s: %v", reason, e)
				}
			}
			if n := len(world.Ledger().Sales); n != 1 {
				t.Errorf("%d sales", n)
			}
		})
	}
}

// TestFaultsOnAPaidCall: whatever goes wrong on the way, the client sends once. It never says that a committed sale
// had no effect.
func TestFaultsOnAPaidCall(t *testing.T) {
	type fault struct {
		name   string
		params map[string]any
	}
	for _, tc := range []struct {
		fault
		sold    bool
		applied bool
		effect  gigastore.Effect
		success bool
	}{
		{fault{"reset_before", nil}, false, false, gigastore.EffectUnknown, false},
		{fault{"reset_before", map[string]any{"afterBytes": "request"}}, false, false, gigastore.EffectUnknown, false},
		{fault{"commit_then_reset", nil}, true, false, gigastore.EffectUnknown, false},
		{fault{"commit_then_close", nil}, true, false, gigastore.EffectUnknown, false},
		{fault{"commit_then_5xx", nil}, true, false, gigastore.EffectUnknown, false},
		{fault{"commit_then_5xx", map[string]any{"html": true}}, true, false, gigastore.EffectUnknown, false},
		{fault{"5xx", nil}, false, false, gigastore.EffectUnknown, false},
		{fault{"hang", nil}, false, false, gigastore.EffectUnknown, false},
		{fault{"truncate", map[string]any{"bytes": 5}}, true, false, gigastore.EffectUnknown, false},
		{fault{"truncate", nil}, true, false, gigastore.EffectUnknown, true},
		{fault{"truncate_chunked", nil}, true, false, gigastore.EffectUnknown, true},
		{fault{"garble", nil}, true, false, gigastore.EffectUnknown, true},
		{fault{"wrong_status", nil}, true, false, gigastore.EffectUnknown, true},
		{fault{"wrong_status", map[string]any{"commit": false}}, false, false, gigastore.EffectUnknown, false},
		{fault{"foreign_metatag", nil}, true, false, gigastore.EffectUnknown, true},
		{fault{"metatag_truncated", nil}, true, false, gigastore.EffectUnknown, true},
		{fault{"metatag_rewritten", nil}, true, false, gigastore.EffectUnknown, true},
		{fault{"endless_body", nil}, true, false, gigastore.EffectUnknown, true},
		{fault{"unauthorized", nil}, false, false, gigastore.EffectNone, false},
		{fault{"throttle", nil}, false, false, gigastore.EffectUnknown, false},
		{fault{"throttle", map[string]any{"commit": true}}, true, false, gigastore.EffectUnknown, false},
		{fault{"redirect", nil}, false, false, gigastore.EffectUnknown, false},
		{fault{"redirect", map[string]any{"status": 302, "location": registerPath}}, false, false, gigastore.EffectUnknown, false},
		{fault{"slow_body", map[string]any{"interval": "1ms", "bytes": 100}}, true, true, 0, false},
		{fault{"early_hints", map[string]any{"n": 3}}, true, true, 0, false},
		{fault{"surplus", nil}, true, true, 0, false},
		{fault{"surplus", map[string]any{"place": "after", "code": 400, "split": true}}, true, true, 0, false},
		{fault{"surplus", map[string]any{"place": "before"}}, true, false, gigastore.EffectUnknown, false},
		{fault{"surplus", map[string]any{"place": "before", "code": 400, "split": true, "interval": "50ms"}}, true, false, gigastore.EffectUnknown, false},
		{fault{"status", map[string]any{"code": 200}}, false, false, gigastore.EffectUnknown, false},
		{fault{"status", map[string]any{"code": 408, "commit": true}}, true, false, gigastore.EffectUnknown, false},
		{fault{"status", map[string]any{"code": 409, "commit": true, "body": `{"message":"x"}`, "contentType": "application/json"}}, true, false, gigastore.EffectUnknown, false},
		{fault{"status", map[string]any{"code": 425}}, false, false, gigastore.EffectUnknown, false},
	} {
		t.Run(fmt.Sprint(tc.name, tc.params), func(t *testing.T) {
			client, world := open(t, sandbox.Settings{})
			if err := world.Inject(sandbox.Fault{Path: registerPath, Fault: tc.name, Params: tc.params}); err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			if tc.name == "hang" {
				if _, err := client.Inventory(ctx); err != nil { // get a token first
					t.Fatal(err)
				}
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Second)
				defer cancel()
			}
			p := permit()
			sale, err := client.Register(ctx, p, register(p, sandbox.ItemWorldwide1GB, ""))
			if tc.applied {
				if err != nil || sale.ActivatedItem.UID == "" {
					t.Errorf("%v, %v", sale, err)
				}
			} else {
				e, ok := errors.AsType[*gigastore.Error](err)
				if !ok || e.Effect != tc.effect || e.SuccessSeen != tc.success {
					t.Errorf("%v, success seen %v", err, ok && e.SuccessSeen)
				}
			}
			ledger := world.Ledger()
			if sold := len(ledger.Sales) == 1; sold != tc.sold || len(ledger.Sales) > 1 || ledger.Requests[registerPath] != 1 {
				t.Errorf("%d sales by %d requests", len(ledger.Sales), ledger.Requests[registerPath])
			}
		})
	}
}

func TestThrottledHasNoEffectWhereConfigured(t *testing.T) {
	world, err := sandbox.New(sandbox.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(world)
	defer server.Close()
	defer world.Close()
	client, err := gigastore.New(gigastore.Config{BaseURL: server.URL, ClientID: "id", ClientSecret: "secret", ThrottledHasNoEffect: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := world.Inject(sandbox.Fault{Path: registerPath, Fault: "throttle", Params: map[string]any{"retryAfter": 7}}); err != nil {
		t.Fatal(err)
	}
	p := permit()
	_, err = client.Register(t.Context(), p, register(p, sandbox.ItemWorldwide1GB, ""))
	if e, ok := errors.AsType[*gigastore.Error](err); !ok || e.Effect != gigastore.EffectNone || e.RetryAfter != 7*time.Second {
		t.Errorf("%v", err)
	}
}

func TestExpiredTokenIsRenewedForReadsAndReportedForSales(t *testing.T) {
	client, world := open(t, sandbox.Settings{})
	if _, err := client.Inventory(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := world.Advance(25 * time.Hour); err != nil { // the client's clock does not move
		t.Fatal(err)
	}
	p := permit()
	_, err := client.Register(t.Context(), p, register(p, sandbox.ItemWorldwide1GB, ""))
	if e, ok := errors.AsType[*gigastore.Error](err); !ok || e.Effect != gigastore.EffectNone || e.Status != 401 {
		t.Errorf("sale: %v", err)
	}
	if _, err := client.Register(t.Context(), p, register(p, sandbox.ItemWorldwide1GB, "")); err != nil {
		t.Errorf("next permit: %v", err)
	}
	if err := world.Advance(25 * time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Inventory(t.Context()); err != nil {
		t.Errorf("read: %v", err)
	}
	if got := world.Ledger().Requests[registerPath]; got != 2 {
		t.Errorf("%d paid requests", got)
	}
}
