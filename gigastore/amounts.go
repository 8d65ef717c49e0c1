package gigastore

import "errors"

// Price is an amount of money in major units of its currency (dossier 1.3). The field that holds a Price says whether
// the reseller pays it or asks it.
type Price struct {
	// SortIndex is 0 in the inventory and in requests, and 1 in the register sample. Its meaning is unknown.
	SortIndex int     `json:"sortIndex"`
	Value     Decimal `json:"priceValue"`
	// Currency is an ISO 4217 code. Only USD has been observed.
	Currency string `json:"currencyCode"`
}

// UnmarshalJSON fails if the amount is missing or unreadable. An unknown price must not look like a price of zero.
func (p *Price) UnmarshalJSON(data []byte) error { return unmarshal(data, p) }

func (p *Price) fill(o object) error {
	*p = Price{}
	var value *Decimal
	take(o, "sortIndex", &p.SortIndex)
	take(o, "priceValue", &value)
	take(o, "currencyCode", &p.Currency)
	if value == nil {
		return errors.New("price without a readable priceValue")
	}
	p.Value = *value
	return nil
}

// Size is an amount of data (dossier 1.4). Unit is MB, GB or TB in all samples. Sources contradict each other on
// whether a GB has 1000 or 1024 MB, and values look rounded. So nothing here converts them.
type Size struct {
	Value Decimal `json:"sizeValue"`
	Unit  string  `json:"sizeUnit"`
}

// UnmarshalJSON fails if the amount is missing or unreadable. An unknown size must not look like a size of zero.
func (s *Size) UnmarshalJSON(data []byte) error { return unmarshal(data, s) }

func (s *Size) fill(o object) error {
	*s = Size{}
	var value *Decimal
	take(o, "sizeValue", &value)
	take(o, "sizeUnit", &s.Unit)
	if value == nil {
		return errors.New("size without a readable sizeValue")
	}
	s.Value = *value
	return nil
}
