package gigastore

import (
	"context"
	"errors"
)

// InventoryItem is a package that can be sold (docs offering-packages; dossier 3.4). The printed sample is cut off,
// so more members exist. They are in Unknown.
type InventoryItem struct {
	ID                string         `json:"id"` // a sale names it as InventoryItemID
	ProductID         string         `json:"productId"`
	Name              string         `json:"name"`
	SizeValue         Decimal        `json:"sizeValue"`
	SizeUnit          string         `json:"sizeUnit"` // as Size.Unit
	ValiditySize      Decimal        `json:"validitySize"`
	ValidityUnit      string         `json:"validityUnit"` // as Balance.ValidityUnit
	ValidityUnlimited bool           `json:"validityUnlimited"`
	CountrySet        string         `json:"countrySet"`   // WWW, an ISO 3166-1 alpha-2 code, or a regional name
	Prices            []Price        `json:"prices"`       // what the reseller pays (inferred from the samples)
	RetailPrices      []Price        `json:"retailPrices"` // what the reseller asks
	Unknown           UnknownMembers `json:"-"`
}

// UnmarshalJSON decodes what it can and puts the rest into Unknown. A list with one unreadable price goes there as a
// whole. It fails if data is not a JSON object or has no id.
func (i *InventoryItem) UnmarshalJSON(data []byte) error { return unmarshal(data, i) }

func (i *InventoryItem) fill(o object) error {
	*i = InventoryItem{}
	take(o, "id", &i.ID)
	if i.ID == "" {
		return errors.New("inventory item without an id")
	}
	take(o, "productId", &i.ProductID)
	take(o, "name", &i.Name)
	take(o, "sizeValue", &i.SizeValue)
	take(o, "sizeUnit", &i.SizeUnit)
	take(o, "validitySize", &i.ValiditySize)
	take(o, "validityUnit", &i.ValidityUnit)
	take(o, "validityUnlimited", &i.ValidityUnlimited)
	take(o, "countrySet", &i.CountrySet)
	take(o, "prices", &i.Prices)
	take(o, "retailPrices", &i.RetailPrices)
	i.Unknown = o.rest()
	return nil
}

// Inventory reads all items that can be sold. Other callers may get the same list, so do not change it.
//
// GET /gigastore/products/inventory, docs offering-packages.
func (c *Client) Inventory(ctx context.Context) ([]InventoryItem, error) {
	body, err := c.readAuthorized(ctx, call{operation: OpInventory})
	if err != nil {
		return nil, err
	}
	return c.inventory.decode(body)
}

// InventoryItem reads one item.
//
// GET /gigastore/products/inventory/{id}, observed; that the answer is a bare item is assumed (dossier 2.15).
func (c *Client) InventoryItem(ctx context.Context, id string) (*InventoryItem, error) {
	if err := checkSegment("inventory item id", id); err != nil {
		return nil, notSent(OpInventoryItem, err)
	}
	var item InventoryItem
	err := c.readJSON(ctx, OpInventoryItem, id, nil, item.UnmarshalJSON)
	if err != nil {
		return nil, err
	}
	return &item, nil
}
