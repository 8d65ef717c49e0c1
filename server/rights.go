package server

import (
	"context"
	"errors"
	"slices"
	"time"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// countrySetTime is how long a purchase may wait for the country set of its item.
const countrySetTime = 5 * time.Second

// mayBuy refuses an order that its caller may not make.
func (s *Server) mayBuy(ctx context.Context, order purchase.Order) error {
	rights := access.Of(ctx).Rights
	f := &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED}
	allow := func(set access.Set, name, field string) {
		if !set.Has(name) {
			f.fields = append(f.fields, &gigagatev1.FieldViolation{Field: field, Description: "this caller may not use this value"})
		}
	}
	allow(rights.Items, order.InventoryItemID, "inventory_item_id")
	allow(rights.Modes, string(order.EffectiveMode()), "activation_mode")
	switch order.Kind {
	case purchase.Register:
		allow(rights.Countries, order.UserCountry, "user_country")
	case purchase.TopUpWithProfile:
		allow(rights.Countries, order.UserCountry, "new_profile.user_country")
	case purchase.TopUp: // it names no country
	}
	if len(f.fields) == 0 && !rights.CountrySets.IsEverything() {
		set, err := s.countrySetOf(ctx, order.InventoryItemID)
		if err != nil {
			return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, cause: err}
		}
		allow(rights.CountrySets, set, "inventory_item_id")
	}
	if len(f.fields) > 0 {
		return f
	}
	if order.Kind == purchase.Register {
		return nil
	}
	return s.mayUseCustomer(ctx, order.CustomerUID)
}

// countrySetOf reads the country set of an item. It is empty if the inventory does not have the item, and no caller has a
// right to that.
func (s *Server) countrySetOf(ctx context.Context, item string) (string, error) {
	ctx, cancel := withMargin(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, countrySetTime)
	defer cancel()
	inventory, err := s.vendor.InventoryWithin(ctx, gigastore.InventoryAge)
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(inventory.Items, func(i gigastore.InventoryItem) bool { return i.ID == item })
	if at < 0 {
		return "", nil
	}
	return inventory.Items[at].CountrySet, nil
}

// mayUseItem refuses a package that the caller did not buy, as if there were no such package.
func (s *Server) mayUseItem(ctx context.Context, uid string) error {
	if access.Of(ctx).Rights.SoldElsewhere {
		return nil
	}
	ctx, cancel := withMargin(ctx)
	defer cancel()
	switch _, err := s.engine.OfItem(ctx, scopeOf(ctx), uid); {
	case errors.Is(err, purchase.ErrNotFound):
		return &failure{
			reason: gigagatev1.ErrorReason_ERROR_REASON_ACTIVATED_ITEM_NOT_FOUND, sentence: "this caller bought no package with this uid",
		}
	case err != nil:
		return journalFailure("", err)
	}
	return nil
}

// mayUseCustomer refuses a customer that the caller bought nothing for, as if there were no such customer.
func (s *Server) mayUseCustomer(ctx context.Context, uid string) error {
	if access.Of(ctx).Rights.SoldElsewhere {
		return nil
	}
	ctx, cancel := withMargin(ctx)
	defer cancel()
	bought, err := s.salesTo(ctx, scopeOf(ctx), uid, 1)
	switch {
	case err != nil:
		return journalFailure("", err)
	case len(bought) == 0:
		return &failure{
			reason: gigagatev1.ErrorReason_ERROR_REASON_CUSTOMER_NOT_FOUND, startedNothing: true,
			sentence: "this caller bought nothing for a customer with this uid",
		}
	}
	return nil
}

// salesTo returns up to most of the sales to a customer that the scope sees. It examines a limited number of sales.
func (s *Server) salesTo(ctx context.Context, scope purchase.Scope, customer string, most int) (sales []purchase.Purchase, err error) {
	filter := purchase.Filter{CustomerUID: customer, States: []purchase.State{purchase.Succeeded}}
	after := ""
	for range mostReads {
		found, next, err := s.engine.List(ctx, scope, filter, purchase.Page{Size: most - len(sales), After: after})
		if err != nil {
			return nil, err
		}
		sales = append(sales, found...)
		if after = next; after == "" || len(sales) == most {
			break
		}
	}
	return sales, nil
}

// onlyBought is what a caller may see of a customer: the packages that it bought. If there are others, the vendor does not
// say whose the eSIM profiles are, and its total counts all packages. Then both are left out.
func (s *Server) onlyBought(ctx context.Context, record *gigastore.CustomerRecord) (*gigastore.CustomerRecord, error) {
	if access.Of(ctx).Rights.SoldElsewhere {
		return record, nil
	}
	sales, err := s.salesTo(ctx, purchase.Everyone, record.Customer.UID, mostPurchases)
	if err != nil {
		return nil, journalFailure("", err)
	}
	scope, own, others := scopeOf(ctx), map[string]bool{}, len(sales) == mostPurchases
	for _, p := range sales {
		own[p.ItemUID] = scope.Sees(p)
		others = others || !own[p.ItemUID]
	}
	shown := *record
	shown.ActivatedItems = slices.DeleteFunc(slices.Clone(record.ActivatedItems), func(item gigastore.ActivatedItem) bool {
		return !own[item.UID]
	})
	if others || len(shown.ActivatedItems) < len(record.ActivatedItems) {
		shown.TotalAvailableBalance, shown.RelatedESIMs = nil, nil
	}
	return &shown, nil
}
