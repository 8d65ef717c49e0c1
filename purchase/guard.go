package purchase

import (
	"context"
	"errors"
	"regexp"
	"time"

	"gigagate.internal/gigastore"
)

// GuardError says that a guard refused the order. Nothing was claimed or sent.
type GuardError struct {
	// Reason is the vendor client's reason for the same refusal, or one of those below.
	Reason Reason
}

func (e *GuardError) Error() string { return "a guard refused the purchase: " + string(e.Reason) }

// The reasons of guards for which the vendor has no refusal.
const (
	// AbovePriceLimit: the item costs the reseller more than max_purchase_price, or more than the gateway
	// allows.
	AbovePriceLimit Reason = "MAX_PURCHASE_PRICE_EXCEEDED"
	// PriceUnreadable: there is a price limit, and the item's price could not be read.
	PriceUnreadable Reason = "PURCHASE_PRICE_UNREADABLE"
)

// singleCountry matches the country sets of one country. The vendor names them by ISO 3166-1 alpha-2 (dossier
// 2.16).
var singleCountry = regexp.MustCompile(`^[A-Z]{2}$`)

// notOneCountry is a two-letter name that stands for a region in the fixtures. It is not a country.
const notOneCountry = "EU"

// guardBudget is how long a guard that fails open may keep a caller waiting.
const guardBudget = 5 * time.Second

// isGuarded reports whether there is anything to check before an order is claimed.
func (e *Engine) isGuarded(order Order, budget *Budget) bool {
	return budget != nil || order.Kind != Register || order.ActivationMode == gigastore.ModeOnDemand || len(e.priceLimits(order, nil)) > 0
}

// guard refuses an order that the inventory shows to be a mistake. With a price limit or a budget, it bypasses the
// cache and fails closed, because the caller or the operator asked for the limit. The other guards only save a
// refusal that the vendor would give anyway, so they fail open. guard returns what the purchase reserves in the budget.
func (e *Engine) guard(ctx context.Context, order Order, limits []Price, budget *Budget) (Micros, error) {
	limited := len(limits) > 0 || budget != nil
	inventory, err := e.inventory(ctx, limited)
	if err != nil {
		if limited {
			return 0, &GuardError{Reason: PriceUnreadable}
		}
		return 0, nil
	}
	item, ok := itemIn(inventory.Items, order.InventoryItemID)
	if !ok {
		if limited {
			return 0, &GuardError{Reason: Reason(gigastore.ReasonInventoryItemNotFound)}
		}
		return 0, nil
	}
	if err := guardItem(order, limits, item); err != nil {
		return 0, err
	}
	if err := e.guardCountrySet(ctx, order, item, inventory.Items); err != nil || budget == nil {
		return 0, err
	}
	return budget.reserve(item)
}

// inventory reads the inventory, and waits at most 5 s. If it must be fresh, the vendor client bounds the wait, for all who
// wait together.
func (e *Engine) inventory(ctx context.Context, fresh bool) (gigastore.InventoryRead, error) {
	if fresh {
		return e.vendor.InventoryWithin(ctx, 0)
	}
	return bounded(ctx, guardBudget, func(ctx context.Context) (gigastore.InventoryRead, error) {
		return e.vendor.InventoryWithin(ctx, gigastore.InventoryAge)
	})
}

// guardAgain applies the price limits before the next send of a purchase. The price may have risen since the
// last send, or this process may have a lower limit. The amount that the purchase reserved is such a limit.
func (e *Engine) guardAgain(ctx context.Context, p *Purchase) *GuardError {
	limits := e.priceLimits(p.Order, p.Reservation)
	if len(limits) == 0 {
		return nil
	}
	_, err := e.guard(ctx, p.Order, limits, nil)
	refused, _ := errors.AsType[*GuardError](err)
	return refused
}

// lasts reports whether another read will most likely give the same refusal.
func (e *GuardError) lasts() bool { return e != nil && e.Reason != PriceUnreadable }

// evidence returns the refusal as evidence for a purchase's history.
func (e *GuardError) evidence() Evidence {
	if e == nil {
		return Evidence{}
	}
	return Evidence{Explanation: e.Error()}
}

// guardCountrySet refuses a top-up whose item covers another country set than the customer's last purchase. A
// customer has one country set (docs customers), and no record of the vendor names it.
func (e *Engine) guardCountrySet(ctx context.Context, order Order, item gigastore.InventoryItem, items []gigastore.InventoryItem) error {
	if order.CustomerUID == "" {
		return nil
	}
	sold, err := bounded(ctx, guardBudget, func(ctx context.Context) ([]Purchase, error) {
		sold, _, err := e.journal.List(ctx, Filter{CustomerUID: order.CustomerUID, States: []State{Succeeded}}, Page{Size: 1})
		return sold, err
	})
	if err != nil || len(sold) == 0 || !e.owns(sold[0].Account) {
		return nil //nolint:nilerr // the vendor decides what we do not know
	}
	before, ok := itemIn(items, sold[0].Order.InventoryItemID)
	if ok && before.CountrySet != "" && item.CountrySet != "" && before.CountrySet != item.CountrySet {
		return &GuardError{Reason: Reason(gigastore.ReasonCountrySetMismatch)}
	}
	return nil
}

// itemIn returns the item with the given id.
func itemIn(items []gigastore.InventoryItem, id string) (gigastore.InventoryItem, bool) {
	for _, item := range items {
		if item.ID == id {
			return item, true
		}
	}
	return gigastore.InventoryItem{}, false
}

// priceLimits returns the limits on what an order may cost the reseller: the caller's, the gateway's, and what is
// reserved in a budget. All hold, so the lowest one decides.
func (e *Engine) priceLimits(order Order, reserved *Reservation) []Price {
	var limits []Price
	for _, limit := range []*Price{order.MaxPurchasePrice, e.maxPrice} {
		if limit != nil {
			limits = append(limits, *limit)
		}
	}
	if reserved != nil {
		limits = append(limits, reserved.limit())
	}
	return limits
}

// guardItem checks the item's price and activation mode.
func guardItem(order Order, limits []Price, item gigastore.InventoryItem) error {
	for _, limit := range limits {
		price, ok := priceIn(item.Prices, limit.Currency)
		switch {
		case !ok, price.Cmp(gigastore.Decimal{}) < 0:
			return &GuardError{Reason: PriceUnreadable}
		case price.Cmp(limit.Amount) > 0:
			return &GuardError{Reason: AbovePriceLimit}
		}
	}
	if order.ActivationMode == gigastore.ModeOnDemand && singleCountry.MatchString(item.CountrySet) && item.CountrySet != notOneCountry {
		return &GuardError{Reason: Reason(gigastore.ReasonModeNotOffered)}
	}
	return nil
}

// priceIn returns the highest price in a currency. It is unknown what several prices in one currency mean.
func priceIn(prices []gigastore.Price, currency string) (gigastore.Decimal, bool) {
	var highest gigastore.Decimal
	found := false
	for _, price := range prices {
		if price.Currency == currency && (!found || price.Value.Cmp(highest) > 0) {
			highest, found = price.Value, true
		}
	}
	return highest, found
}
