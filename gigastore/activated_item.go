package gigastore

// ActivationMode says when a package starts (docs activation-modes). The set is open: an answer may hold a value that
// has no constant here.
type ActivationMode string

// The modes of docs activation-modes. A request without a mode gets ModeNow.
const (
	ModeNow      ActivationMode = "NOW"       // at the sale
	ModeFirstUse ActivationMode = "FIRST_USE" // at the first connection in the coverage area, by Activate, or after 90 days
	ModeOnDemand ActivationMode = "ON_DEMAND" // by Activate, or after 90 days; worldwide and regional packages only
)

// ActivatedItem is a sold package (docs first-package, activation-modes; dossier 3.1). The vendor has no field for its
// state; dossier 4.3 says how to derive one.
type ActivatedItem struct {
	UID     string  `json:"uid"`
	Metatag string  `json:"metatag"` // as sent at the sale
	Balance Balance `json:"balance"`
	// SalesChannel is a label. In all samples SalesChannelTypeCode is "API" and ActivationType is "DATA_PLAN".
	SalesChannel         string         `json:"salesChannel"`
	SalesChannelTypeCode string         `json:"salesChannelTypeCode"`
	ActivationType       string         `json:"activationType"`
	SalesDate            Time           `json:"salesDate"`     // named by docs activation-modes, in no printed sample
	PurchasePrice        *Price         `json:"purchasePrice"` // what the reseller paid; nil if absent or unreadable
	RetailPrice          *Price         `json:"retailPrice"`   // what the reseller asks; nil if absent or unreadable
	Unknown              UnknownMembers `json:"-"`
}

// UnmarshalJSON decodes what it can and puts the rest into Unknown. It fails only if data is not a JSON object.
func (a *ActivatedItem) UnmarshalJSON(data []byte) error { return unmarshal(data, a) }

func (a *ActivatedItem) fill(o object) error {
	*a = activatedItemFrom(o)
	a.Unknown = o.rest()
	return nil
}

func activatedItemFrom(o object) ActivatedItem {
	var a ActivatedItem
	take(o, "uid", (*uid)(&a.UID))
	take(o, "metatag", &a.Metatag)
	take(o, "balance", &a.Balance)
	take(o, "salesChannel", &a.SalesChannel)
	take(o, "salesChannelTypeCode", &a.SalesChannelTypeCode)
	take(o, "activationType", &a.ActivationType)
	take(o, "salesDate", &a.SalesDate)
	take(o, "purchasePrice", &a.PurchasePrice)
	take(o, "retailPrice", &a.RetailPrice)
	return a
}

// Balance is how much of a package is left, and for how long (docs first-package, activation-modes; dossier 3.2).
type Balance struct {
	// ActivatedAt is zero until the package has started.
	ActivatedAt Time `json:"activatedAt"`
	// ExpiresAt has two meanings. Before the start it is when the package starts by itself, so a past time does not
	// mean expired. After the start it is the end of validity.
	ExpiresAt        Time           `json:"expiresAt"`
	ActivationMode   ActivationMode `json:"activationMode"` // missing in older revisions of the API
	Name             string         `json:"name"`           // the package's name
	Size             *Size          `json:"size"`           // the size that was sold
	AvailableBalance *Size          `json:"availableBalance"`
	// ValiditySize is a number of ValidityUnit. The units seen so far are "days" and "years".
	ValiditySize Decimal        `json:"validitySize"`
	ValidityUnit string         `json:"validityUnit"`
	Unknown      UnknownMembers `json:"-"`
}

// UnmarshalJSON decodes what it can and puts the rest into Unknown. It fails only if data is not a JSON object.
func (b *Balance) UnmarshalJSON(data []byte) error { return unmarshal(data, b) }

func (b *Balance) fill(o object) error {
	*b = Balance{}
	take(o, "activatedAt", &b.ActivatedAt)
	take(o, "expiresAt", &b.ExpiresAt)
	take(o, "activationMode", &b.ActivationMode)
	take(o, "name", &b.Name)
	take(o, "size", &b.Size)
	take(o, "availableBalance", &b.AvailableBalance)
	take(o, "validitySize", &b.ValiditySize)
	take(o, "validityUnit", &b.ValidityUnit)
	b.Unknown = o.rest()
	return nil
}
