package gigastore

import "errors"

// Price is an amount of money in major units of its currency (dossier 1.3). Which of an object's prices is what the
// reseller pays and which what the reseller asks is said by the member that holds it.
type Price struct {
	// SortIndex is 0 in inventory and requests and 1 in the register sample; its meaning is unknown.
	SortIndex int     `json:"sortIndex"`
	Value     Decimal `json:"priceValue"`
	// Currency is an ISO 4217 code. Only USD has been observed.
	Currency string `json:"currencyCode"`
}

// UnmarshalJSON fails where the amount is missing or unreadable: a price of zero must never stand for one nobody knows.
func (p *Price) UnmarshalJSON(data []byte) error {
	o, err := splitObject(data)
	if err != nil {
		return err
	}
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

// Size is an amount of data (dossier 1.4). Unit is MB, GB or TB as far as seen. Whether they count in 1000 or 1024 is
// contradictory, and values look rounded, so nothing here converts them.
type Size struct {
	Value Decimal `json:"sizeValue"`
	Unit  string  `json:"sizeUnit"`
}

// UnmarshalJSON fails where the amount is missing or unreadable, for the reason [Price.UnmarshalJSON] gives.
func (s *Size) UnmarshalJSON(data []byte) error {
	o, err := splitObject(data)
	if err != nil {
		return err
	}
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
