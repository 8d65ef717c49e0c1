package sandbox

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// The types below are the vendor's bodies, as far as section 3 of the dossier
// describes them. They are not shared with the client, so that a mistake in one
// is not repeated in the other.

type wirePrice struct {
	SortIndex    int    `json:"sortIndex"`
	PriceValue   Amount `json:"priceValue"`
	CurrencyCode string `json:"currencyCode"`
}

type wireSize struct {
	SizeValue json.Number `json:"sizeValue"`
	SizeUnit  string      `json:"sizeUnit"`
}

type wireBalance struct {
	ActivatedAt      json.RawMessage `json:"activatedAt,omitempty"`
	ExpiresAt        string          `json:"expiresAt"`
	ActivationMode   Mode            `json:"activationMode"`
	Name             string          `json:"name"`
	Size             wireSize        `json:"size"`
	AvailableBalance wireSize        `json:"availableBalance"`
	ValiditySize     int             `json:"validitySize"`
	ValidityUnit     string          `json:"validityUnit"`
}

type wireItem struct {
	Balance              wireBalance `json:"balance"`
	UID                  string      `json:"uid"`
	Metatag              *string     `json:"metatag,omitempty"`
	SalesChannel         string      `json:"salesChannel"`
	SalesChannelTypeCode string      `json:"salesChannelTypeCode"`
	ActivationType       string      `json:"activationType"`
	SalesDate            string      `json:"salesDate,omitempty"`
	PurchasePrice        wirePrice   `json:"purchasePrice"`
	RetailPrice          wirePrice   `json:"retailPrice"`
}

type wireCustomer struct {
	Email      *string `json:"email"`
	UID        string  `json:"uid"`
	ProfileURL string  `json:"profileUrl"`
}

type wireESIM struct {
	ICCID              string  `json:"iccid"`
	UID                string  `json:"uid"`
	IMSI               string  `json:"imsi"`
	ActivationCode     string  `json:"activationCode"`
	AppleUniversalLink string  `json:"appleUniversalLink"`
	InstallationURL    string  `json:"installationUrl"`
	LastSeen           *string `json:"lastSeen"`
	ActivatedAt        *string `json:"activatedAt"`
	State              string  `json:"state"`
	Active             *bool   `json:"active,omitempty"` // set in lists, absent from a sale
}

// wireSale is the answer to the three sales. That activate answers with it as
// well is assumed.
type wireSale struct {
	Status        string       `json:"status"`
	ActivatedItem wireItem     `json:"activatedItem"`
	Customer      wireCustomer `json:"customer"`
	ESIMProfile   *wireESIM    `json:"esimProfile"`
}

type wireNothingSold struct {
	Status        string    `json:"status"`
	ActivatedItem *struct{} `json:"activatedItem"`
	Customer      *struct{} `json:"customer"`
	ESIMProfile   *struct{} `json:"esimProfile"`
}

type wireCustomerRecord struct {
	Customer              wireCustomer `json:"customer"`
	TotalAvailableBalance wireSize     `json:"totalAvailableBalance"`
	ActivatedItems        []wireItem   `json:"activatedItems"`
	RelatedESIMs          []wireESIM   `json:"relatedEsims"`
}

// wireItemRecord is the answer to a read of one item. Only the top-level
// customer is known (dossier 2.6); the rest is assumed.
type wireItemRecord struct {
	ActivatedItem wireItem     `json:"activatedItem"`
	Customer      wireCustomer `json:"customer"`
	RelatedESIMs  []wireESIM   `json:"relatedEsims"`
}

type wireInventoryItem struct {
	ID                string      `json:"id"`
	ProductID         string      `json:"productId"`
	Name              string      `json:"name"`
	SizeValue         int64       `json:"sizeValue"`
	SizeUnit          string      `json:"sizeUnit"`
	ValiditySize      int         `json:"validitySize"`
	ValidityUnit      string      `json:"validityUnit"`
	ValidityUnlimited bool        `json:"validityUnlimited"`
	CountrySet        string      `json:"countrySet"`
	Prices            []wirePrice `json:"prices"`
	RetailPrices      []wirePrice `json:"retailPrices"`
}

// digits is how many fraction digits the times of an answer have. In the
// vendor's samples the number differs from call to call, and even within one
// call (dossier 1).
type digits struct{ started, expires, sold int }

var digitsOf = map[Kind]digits{
	KindRegister:         {started: 3, expires: 3, sold: 3},
	KindTopUp:            {started: 5, expires: 0, sold: 5},
	KindTopUpWithProfile: {},
}

func stamp(t time.Time, digits int) string {
	layout := "2006-01-02T15:04:05"
	if digits > 0 {
		layout += "." + strings.Repeat("0", digits)
	}
	return t.UTC().Format(layout) + "Z"
}

func stampOrNull(t time.Time, digits int) *string {
	if t.IsZero() {
		return nil
	}
	text := stamp(t, digits)
	return &text
}

// sizeInGigabytes rounds to two decimals, as the vendor's samples seem to do. A
// package with less than 5 MB left shows 0 (dossier 1.4, 7.1).
func sizeInGigabytes(bytes int64) wireSize {
	hundredths := (bytes + 5*megabyte) / (10 * megabyte)
	text := fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)
	return wireSize{json.Number(strings.TrimRight(strings.TrimRight(text, "0"), ".")), "GB"}
}

func (w *world) wireItem(it *item, form digits) wireItem {
	wire := wireItem{
		Balance: wireBalance{
			ActivatedAt:      w.wireActivatedAt(it, form),
			ExpiresAt:        stamp(it.expiresAt, form.expires),
			ActivationMode:   it.mode,
			Name:             it.product.name,
			Size:             wireSize{json.Number(fmt.Sprint(it.product.sizeValue)), it.product.sizeUnit},
			AvailableBalance: sizeInGigabytes(it.left),
			ValiditySize:     it.product.validityDays,
			ValidityUnit:     "days",
		},
		UID:                  it.uid,
		Metatag:              &it.metatag,
		SalesChannel:         "Application Programming Interface",
		SalesChannelTypeCode: "API",
		ActivationType:       "DATA_PLAN",
		PurchasePrice:        wirePrice{1, it.product.purchase, "USD"},
		RetailPrice:          wirePrice{1, it.product.retail, "USD"},
	}
	if w.settings.SalesDateShown {
		wire.SalesDate = stamp(it.sold, form.sold)
	}
	return wire
}

func (w *world) wireActivatedAt(it *item, form digits) json.RawMessage {
	switch {
	case it.started():
		return encode(stamp(it.activatedAt, form.started))
	case w.settings.EmptyActivatedAt == EmptyText:
		return json.RawMessage(`""`)
	case w.settings.EmptyActivatedAt == EmptyAbsent:
		return nil
	}
	return json.RawMessage("null")
}

func (w *world) wireCustomer(cu *customer, topUp bool) wireCustomer {
	wire := wireCustomer{UID: cu.uid, ProfileURL: "https://sandbox.invalid/customer/" + cu.uid}
	hidden := w.settings.CustomerEmail == EmailNull || topUp && w.settings.CustomerEmail == EmailNullOnTopUp
	if cu.email != "" && !hidden {
		wire.Email = &cu.email
	}
	return wire
}

func (p *profile) wire() *wireESIM {
	code := "LPA:1$sandbox.invalid$" + p.code
	return &wireESIM{
		ICCID:              p.iccid,
		UID:                p.uid,
		IMSI:               p.imsi,
		ActivationCode:     code,
		AppleUniversalLink: "https://sandbox.invalid/esim_qrcode_provisioning?carddata=" + code,
		InstallationURL:    "https://sandbox.invalid/esim/profile?token=" + p.token,
		LastSeen:           stampOrNull(p.lastSeen, 0),
		ActivatedAt:        stampOrNull(p.activatedAt, 0),
		State:              p.state(),
	}
}

// wireESIMs lists profiles as reads of customers and items do. Each profile has
// "active". With onlyActive, inactive profiles are left out.
func (w *world) wireESIMs(profiles []*profile, onlyActive bool) []wireESIM {
	wires := make([]wireESIM, 0, len(profiles))
	for _, p := range profiles {
		active := w.settings.ActiveProfile == EveryProfileActive || p.installed()
		if onlyActive && !active {
			continue
		}
		wire := p.wire()
		wire.Active = &active
		wires = append(wires, *wire)
	}
	return wires
}

func (w *world) wireRecord(cu *customer, onlyActive bool, tamper tamper) wireCustomerRecord {
	items, total := []wireItem{}, int64(0)
	for _, it := range cu.items {
		if !w.shown(it, w.settings.ReadLag, tamper) {
			continue
		}
		wire := w.wireItem(it, digits{}) // reads of customers show no fraction digits
		if tamper.noMetatags {
			wire.Metatag = nil
		}
		items = append(items, wire)
		// It is unknown whether the total counts pending and ended packages
		// (dossier 3.7). Like the fixtures, count what can still be used.
		if !it.ended(w.now) {
			total += it.left
		}
	}
	return wireCustomerRecord{
		Customer:              w.wireCustomer(cu, false),
		TotalAvailableBalance: sizeInGigabytes(total),
		ActivatedItems:        items,
		RelatedESIMs:          w.wireESIMs(cu.profiles, onlyActive),
	}
}

func (p *product) wire() wireInventoryItem {
	return wireInventoryItem{
		ID: p.id, ProductID: p.productID, Name: p.name,
		SizeValue: p.sizeValue, SizeUnit: p.sizeUnit,
		ValiditySize: p.validityDays, ValidityUnit: "days",
		CountrySet:   p.countrySet,
		Prices:       []wirePrice{{0, p.purchase, "USD"}},
		RetailPrices: []wirePrice{{0, p.retail, "USD"}},
	}
}
