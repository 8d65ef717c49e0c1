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
	inventory, err := s.inventory(ctx)
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(inventory.Items, func(i gigastore.InventoryItem) bool { return i.ID == item })
	if at < 0 {
		return "", nil
	}
	return inventory.Items[at].CountrySet, nil
}

// mayUseItem refuses a package of another caller, as if there were no such package. It refuses a package that the gateway did
// not sell, too, unless the caller has the right to those.
func (s *Server) mayUseItem(ctx context.Context, uid string) error {
	rights := access.Of(ctx).Rights
	if rights.All && rights.SoldElsewhere {
		return nil
	}
	ctx, cancel := withMargin(ctx)
	defer cancel()
	p, err := s.engine.OfItem(ctx, uid)
	elsewhere := errors.Is(err, purchase.ErrNotFound)
	switch {
	case err == nil && scopeOf(ctx).Sees(p):
		return nil
	case elsewhere && rights.SoldElsewhere:
		return s.wasSoldElsewhere(ctx, uid)
	case err == nil, elsewhere:
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_ACTIVATED_ITEM_NOT_FOUND}
	default:
		return journalFailure("", err)
	}
}

// wasSoldElsewhere refuses a package with the mark of a purchase, although no purchase in the journal sold it. Its purchase is
// not settled yet, or was settled as one that sold nothing.
func (s *Server) wasSoldElsewhere(ctx context.Context, uid string) error {
	record, err := s.vendor.ActivatedItem(ctx, uid)
	if err != nil {
		return readFailure(err)
	}
	if isMarked(record.ActivatedItem) {
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_ACTIVATED_ITEM_NOT_FOUND}
	}
	return nil
}

// isMarked reports whether a gateway sold the package.
func isMarked(item gigastore.ActivatedItem) bool {
	id, _ := purchase.SplitMetatag(item.Metatag)
	return id != ""
}

// mayUseCustomer refuses a customer that the caller bought nothing for, as if there were no such customer. If the caller has
// the right to what was sold elsewhere, it refuses only the customers that another caller registered.
func (s *Server) mayUseCustomer(ctx context.Context, uid string) error {
	rights := access.Of(ctx).Rights
	if rights.All && rights.SoldElsewhere {
		return nil
	}
	ctx, cancel := withMargin(ctx)
	defer cancel()
	bought, err := s.salesTo(ctx, scopeOf(ctx), uid, 1)
	allowed := len(bought) > 0
	if err == nil && !allowed && rights.SoldElsewhere {
		var others []purchase.Purchase
		others, err = s.salesTo(ctx, purchase.Everyone, uid, mostPurchases)
		allowed = len(others) < mostPurchases && !slices.ContainsFunc(others, func(p purchase.Purchase) bool {
			return p.Order.Kind == purchase.Register
		})
	}
	switch {
	case err != nil:
		return journalFailure("", err)
	case !allowed:
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_CUSTOMER_NOT_FOUND, startedNothing: true}
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

// onlyAllowed is what a caller may see of a customer: the packages that it bought, and those that the gateway did not sell if
// it has the right to them. If there are others, the vendor does not say whose the eSIM profiles are, and its total counts all
// packages. Then both are left out.
func (s *Server) onlyAllowed(ctx context.Context, record *gigastore.CustomerRecord) (*gigastore.CustomerRecord, error) {
	rights, scope := access.Of(ctx).Rights, scopeOf(ctx)
	if rights.All && rights.SoldElsewhere {
		return record, nil
	}
	sales, err := s.salesTo(ctx, purchase.Everyone, record.Customer.UID, mostPurchases)
	if err != nil {
		return nil, journalFailure("", err)
	}
	allOfThem := len(sales) < mostPurchases // otherwise the gateway may have sold more
	hidden := !allOfThem
	allowed := map[string]bool{}
	for _, p := range sales {
		allowed[p.ItemUID] = scope.Sees(p)
		hidden = hidden || !scope.Sees(p)
	}
	shown := *record
	shown.ActivatedItems = slices.DeleteFunc(slices.Clone(record.ActivatedItems), func(item gigastore.ActivatedItem) bool {
		own, known := allowed[item.UID]
		return !own && (known || isMarked(item) || !rights.SoldElsewhere || !allOfThem)
	})
	if hidden || len(shown.ActivatedItems) < len(record.ActivatedItems) {
		shown.TotalAvailableBalance, shown.RelatedESIMs = nil, nil
	}
	return &shown, nil
}
