package server

import (
	"encoding/json"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
)

// fromJSON reads a value in the vendor's JSON.
func fromJSON[T any](t *testing.T, text string) T {
	t.Helper()
	var value T
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestBalanceStates(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const (
		before = `"2026-02-01T00:00:00Z"`
		after  = `"2026-04-01T00:00:00.14304Z"`
		left   = `,"availableBalance":{"sizeValue":0.05,"sizeUnit":"GB"}`
		empty  = `,"availableBalance":{"sizeValue":0.00,"sizeUnit":"GB"}`
	)
	for _, c := range []struct {
		name, balance                  string
		state                          gigagatev1.BalanceState
		activated, deadline, expiresAt bool
	}{
		{"pending, null", `"activatedAt":null,"expiresAt":` + after + left, gigagatev1.BalanceState_BALANCE_STATE_PENDING, false, true, false},
		{"pending, empty", `"activatedAt":"","expiresAt":` + after, gigagatev1.BalanceState_BALANCE_STATE_PENDING, false, true, false},
		{"pending, absent", `"expiresAt":` + after, gigagatev1.BalanceState_BALANCE_STATE_PENDING, false, true, false},
		{"pending past its deadline", `"expiresAt":` + before + left, gigagatev1.BalanceState_BALANCE_STATE_PENDING, false, true, false},
		{"pending without a deadline", `"activatedAt":null`, gigagatev1.BalanceState_BALANCE_STATE_PENDING, false, false, false},
		{"pending, deadline unreadable", `"expiresAt":"soon"`, gigagatev1.BalanceState_BALANCE_STATE_PENDING, false, false, false},
		{"pending without data", `"expiresAt":` + after + empty, gigagatev1.BalanceState_BALANCE_STATE_PENDING, false, true, false},
		{"active", `"activatedAt":` + before + `,"expiresAt":` + after + left, gigagatev1.BalanceState_BALANCE_STATE_ACTIVE, true, false, true},
		{"active, data unknown", `"activatedAt":` + before + `,"expiresAt":` + after, gigagatev1.BalanceState_BALANCE_STATE_ACTIVE, true, false, true},
		{"active without end", `"activatedAt":` + before + left, gigagatev1.BalanceState_BALANCE_STATE_ACTIVE, true, false, false},
		{"active at its last moment", `"activatedAt":` + before + `,"expiresAt":"2026-03-01T12:00:00Z"` + left, gigagatev1.BalanceState_BALANCE_STATE_ACTIVE, true, false, true},
		{"used up", `"activatedAt":` + before + `,"expiresAt":` + after + empty, gigagatev1.BalanceState_BALANCE_STATE_USED_UP, true, false, true},
		{"expired", `"activatedAt":` + before + `,"expiresAt":` + before + left, gigagatev1.BalanceState_BALANCE_STATE_EXPIRED, true, false, true},
		{"expired and used up", `"activatedAt":` + before + `,"expiresAt":` + before + empty, gigagatev1.BalanceState_BALANCE_STATE_EXPIRED, true, false, true},
		{"start unreadable", `"activatedAt":"yesterday","expiresAt":` + after + left, gigagatev1.BalanceState_BALANCE_STATE_UNSPECIFIED, false, false, false},
		{"end unreadable", `"activatedAt":` + before + `,"expiresAt":"soon"` + left, gigagatev1.BalanceState_BALANCE_STATE_UNSPECIFIED, true, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := balanceFromVendor(fromJSON[gigastore.Balance](t, "{"+c.balance+"}"), now)
			if got.GetState() != c.state || (got.ActivatedAt != nil) != c.activated ||
				(got.ActivationDeadline != nil) != c.deadline || (got.ExpiresAt != nil) != c.expiresAt {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestPricesStandInTheOrderOfSortIndex(t *testing.T) {
	t.Parallel()
	prices := fromJSON[[]gigastore.Price](t, `[
		{"sortIndex":2,"priceValue":3,"currencyCode":"CHF"}, {"sortIndex":0,"priceValue":1.10,"currencyCode":"USD"},
		{"sortIndex":1,"priceValue":2e0,"currencyCode":"EUR"}, {"sortIndex":0,"priceValue":-0.5,"currencyCode":"GBP"}]`)
	given := prices[0]
	got := ""
	for _, money := range moneysFromVendor(prices) {
		got += money.GetAmount() + " " + money.GetCurrencyCode() + ", "
	}
	if want := "1.1 USD, -0.5 GBP, 2 EUR, 3 CHF, "; got != want {
		t.Errorf("got %s want %s", got, want)
	}
	if prices[0] != given {
		t.Error("the vendor's own list was sorted")
	}
	if got := moneyFromVendor(nil); got != nil {
		t.Errorf("a missing price became %v", got)
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	for mode, word := range map[gigagatev1.ActivationMode]gigastore.ActivationMode{
		gigagatev1.ActivationMode_ACTIVATION_MODE_UNSPECIFIED: "",
		gigagatev1.ActivationMode_ACTIVATION_MODE_NOW:         "NOW",
		gigagatev1.ActivationMode_ACTIVATION_MODE_FIRST_USE:   "FIRST_USE",
		gigagatev1.ActivationMode_ACTIVATION_MODE_ON_DEMAND:   "ON_DEMAND",
	} {
		if got := modeToVendor(mode); got != word {
			t.Errorf("%v became %q", mode, got)
		}
		if got := modeFromVendor(word); got != mode {
			t.Errorf("%q became %v", word, got)
		}
	}
	if n := len(gigagatev1.ActivationMode_name); n != 4 {
		t.Errorf("the contract has %d modes", n)
	}
	for _, word := range []gigastore.ActivationMode{"LATER", "now", "ACTIVATION_MODE_NOW"} {
		if got := modeFromVendor(word); got != gigagatev1.ActivationMode_ACTIVATION_MODE_UNSPECIFIED {
			t.Errorf("%q became %v", word, got)
		}
	}
}

func TestActivatedItemKeepsEveryField(t *testing.T) {
	t.Parallel()
	item := fromJSON[gigastore.ActivatedItem](t, `{"uid":"u","metatag":"gg01ARZ3NDEKTSV4RRFFQ69G5FAV order 1",
		"salesChannel":"Application Programming Interface","salesChannelTypeCode":"API","activationType":"DATA_PLAN",
		"salesDate":"2026-02-01T10:00:00.430Z","purchasePrice":{"priceValue":4.20,"currencyCode":"USD"},
		"retailPrice":{"priceValue":9.99,"currencyCode":"USD"},"balance":{"activatedAt":"2026-02-01T10:00:00.43Z",
		"expiresAt":"2026-03-03T10:00:00Z","activationMode":"NOW","name":"eSIM Worldwide 1 GB","size":{"sizeValue":1,"sizeUnit":"GB"},
		"availableBalance":{"sizeValue":0.5,"sizeUnit":"GB"},"validitySize":30,"validityUnit":"days"}}`)
	got := activatedItemFromVendor(item, time.Date(2026, 2, 2, 0, 0, 0, 0, time.UTC))
	sold := time.Date(2026, 2, 1, 10, 0, 0, 430e6, time.UTC)
	if !got.GetSaleTime().AsTime().Equal(sold) || !got.GetBalance().GetActivatedAt().AsTime().Equal(sold) ||
		!got.GetBalance().GetExpiresAt().AsTime().Equal(time.Date(2026, 3, 3, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("times of %v", got)
	}
	got.SaleTime, got.Balance.ActivatedAt, got.Balance.ExpiresAt = nil, nil, nil
	want := &gigagatev1.ActivatedItem{
		Uid: "u", Metatag: "order 1", PurchaseId: "01ARZ3NDEKTSV4RRFFQ69G5FAV",
		SalesChannel: "Application Programming Interface", SalesChannelTypeCode: "API", ActivationType: "DATA_PLAN",
		PurchasePrice: &gigagatev1.Money{CurrencyCode: "USD", Amount: "4.2"},
		RetailPrice:   &gigagatev1.Money{CurrencyCode: "USD", Amount: "9.99"},
		Balance: &gigagatev1.Balance{
			ActivationMode: gigagatev1.ActivationMode_ACTIVATION_MODE_NOW, Name: "eSIM Worldwide 1 GB",
			Size: &gigagatev1.Size{Value: 1, Unit: "GB"}, AvailableBalance: &gigagatev1.Size{Value: 0.5, Unit: "GB"},
			Validity: &gigagatev1.Validity{Value: 30, Unit: "days"}, State: gigagatev1.BalanceState_BALANCE_STATE_ACTIVE,
		},
	}
	if !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
