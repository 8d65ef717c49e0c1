package sandbox

import (
	"maps"
	"slices"
	"time"
)

// Kind says which of the three paid calls made a sale.
type Kind string

// The paid calls.
const (
	KindRegister         Kind = "register"
	KindTopUp            Kind = "top-up"
	KindTopUpWithProfile Kind = "top-up-with-profile"
)

// Ledger is what truly happened in the sandbox's world, whatever its answers
// said. Tests judge a client by it. It is the body of GET /_sandbox/ledger.
type Ledger struct {
	// CreditLeft is the prepaid credit left, in US dollars.
	CreditLeft Amount `json:"creditLeft"`
	// Sales are in the order in which they were committed.
	Sales []Sale `json:"sales"`
	// Activations are the starts of packages, in order.
	Activations []Activation `json:"activations"`
	// Requests counts the paid POSTs that arrived, by path. It includes those
	// without a valid token and those whose connection a fault reset.
	Requests map[string]int `json:"requests"`
	// Calls counts all calls of the vendor's API that arrived, by method and
	// pattern, such as "GET /gigastore/activations/customers/{uid}".
	Calls map[string]int `json:"calls"`
}

// Sale is one package that was sold. Its price was taken from the credit.
type Sale struct {
	Kind            Kind   `json:"kind"`
	ItemUID         string `json:"itemUid"`
	CustomerUID     string `json:"customerUid"`
	ICCID           string `json:"iccid,omitempty"` // of the new eSIM, if the sale created one
	InventoryItemID string `json:"inventoryItemId"`
	// Metatag is the one that was sent. StoredMetatag is set only if a setting
	// or a fault made the sandbox store another one.
	Metatag        string `json:"metatag"`
	StoredMetatag  string `json:"storedMetatag,omitempty"`
	IdempotencyKey string `json:"idempotencyKey,omitempty"`
	// Mode is the mode in force. RequestedMode is what the request said.
	Mode          Mode      `json:"mode"`
	RequestedMode string    `json:"requestedMode,omitempty"`
	PurchasePrice Amount    `json:"purchasePrice"` // taken from the credit, in US dollars
	RetailPrice   Amount    `json:"retailPrice"`
	Time          time.Time `json:"time"` // on the sandbox's clock
	// Requests counts the paid POSTs that arrived whole with this metatag.
	Requests int  `json:"requests"`
	Refunded bool `json:"refunded"` // the purchase price was returned to the credit
}

// Activation is the start of a package's validity.
type Activation struct {
	ItemUID string    `json:"itemUid"`
	Time    time.Time `json:"time"` // on the sandbox's clock
	Cause   Cause     `json:"cause"`
}

// truth is the ledger while it grows.
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

// ledger returns a copy that does not change later.
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

// nonNil makes an empty list an empty JSON array instead of null.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// arrived counts a call once its head is read, before its body.
func (w *world) arrived(r *route) {
	w.truth.calls[r.method+" "+r.pattern]++
	if r.paid {
		w.truth.requests[r.pattern]++
	}
}
