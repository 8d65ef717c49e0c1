package sandbox

import (
	"maps"
	"slices"
	"time"
)

// Kind is which of the three paid calls made a sale.
type Kind string

// The paid calls.
const (
	KindRegister         Kind = "register"
	KindTopUp            Kind = "top-up"
	KindTopUpWithProfile Kind = "top-up-with-profile"
)

// Ledger is what truly happened in the sandbox's world, whatever its answers
// said. It is the measure of a client's tests, and the body of
// GET /_sandbox/ledger.
type Ledger struct {
	// CreditLeft is the prepaid credit left, in US dollars.
	CreditLeft Amount `json:"creditLeft"`
	// Sales in the order in which they were committed.
	Sales []Sale `json:"sales"`
	// Activations are the starts of packages, in order.
	Activations []Activation `json:"activations"`
	// Requests counts the paid POSTs that arrived, by path, also those without
	// a live token and those whose connection a fault reset.
	Requests map[string]int `json:"requests"`
	// Calls counts every call of the vendor's API that arrived, by method and
	// pattern, such as "GET /gigastore/activations/customers/{uid}".
	Calls map[string]int `json:"calls"`
}

// Sale is one package sold: credit was spent.
type Sale struct {
	Kind            Kind   `json:"kind"`
	ItemUID         string `json:"itemUid"`
	CustomerUID     string `json:"customerUid"`
	ICCID           string `json:"iccid,omitempty"` // of the new eSIM, if the sale made one
	InventoryItemID string `json:"inventoryItemId"`
	// Metatag as it was sent. StoredMetatag is there only where a setting or a
	// fault made the sandbox store another one.
	Metatag        string `json:"metatag"`
	StoredMetatag  string `json:"storedMetatag,omitempty"`
	IdempotencyKey string `json:"idempotencyKey,omitempty"`
	// Mode is the one in force, RequestedMode what the request said, if anything.
	Mode          Mode      `json:"mode"`
	RequestedMode string    `json:"requestedMode,omitempty"`
	PurchasePrice Amount    `json:"purchasePrice"` // what was taken from the credit, US dollars
	RetailPrice   Amount    `json:"retailPrice"`
	Time          time.Time `json:"time"` // by the sandbox's clock
	// Requests counts the paid POSTs that arrived whole with this metatag.
	Requests int  `json:"requests"`
	Refunded bool `json:"refunded"` // the purchase price went back to the credit
}

// Activation is the start of a package's validity.
type Activation struct {
	ItemUID string    `json:"itemUid"`
	Time    time.Time `json:"time"` // by the sandbox's clock
	Cause   Cause     `json:"cause"`
}

// truth is the ledger as it grows.
type truth struct {
	sales       []Sale
	activations []Activation
	requests    map[string]int
	calls       map[string]int
	metatags    map[string]int
	refunds     map[string]int // by calendar month, 2006-01
}

func newTruth() truth {
	return truth{
		requests: map[string]int{},
		calls:    map[string]int{},
		metatags: map[string]int{},
		refunds:  map[string]int{},
	}
}

// ledger copies, so that the reader's copy never changes under it.
func (w *world) ledger() Ledger {
	sales := slices.Clone(w.truth.sales)
	for i := range sales {
		sales[i].Requests = w.truth.metatags[sales[i].Metatag]
		sales[i].Refunded = w.itemByUID[sales[i].ItemUID].refunded
	}
	return Ledger{
		CreditLeft:  w.credit,
		Sales:       nonNil(sales),
		Activations: nonNil(slices.Clone(w.truth.activations)),
		Requests:    maps.Clone(w.truth.requests),
		Calls:       maps.Clone(w.truth.calls),
	}
}

// nonNil makes an empty list an empty JSON array and not null.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// arrived counts a call at its head, before its body is read.
func (w *world) arrived(r *route) {
	w.truth.calls[r.method+" "+r.pattern]++
	if r.paid {
		w.truth.requests[r.pattern]++
	}
}
