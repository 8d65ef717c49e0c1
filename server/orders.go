package server

import (
	"errors"
	"strings"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

// registerToOrder converts everything except the end user's data. It returns a *failure if a price is not a
// decimal number.
func registerToOrder(req *gigagatev1.RegisterRequest) (purchase.Order, error) {
	expected, limit, err := pricesToOrder(req.GetExpectedPrice(), req.GetMaxPurchasePrice())
	return purchase.Order{
		Kind:             purchase.Register,
		InventoryItemID:  req.GetInventoryItemId(),
		Metatag:          req.GetMetatag(),
		UserCountry:      req.GetUserCountry(),
		ExpectedPrice:    expected,
		MaxPurchasePrice: limit,
		ActivationMode:   modeToVendor(req.GetActivationMode()),
	}, err
}

// topUpToOrder converts everything except the end user's data. A top-up with a new profile has a kind of its
// own. It returns a *failure if a price is not a decimal number.
func topUpToOrder(req *gigagatev1.TopUpRequest) (purchase.Order, error) {
	expected, limit, err := pricesToOrder(req.GetExpectedPrice(), req.GetMaxPurchasePrice())
	order := purchase.Order{
		Kind:             purchase.TopUp,
		InventoryItemID:  req.GetInventoryItemId(),
		Metatag:          req.GetMetatag(),
		CustomerUID:      req.GetCustomerUid(),
		ExpectedPrice:    expected,
		MaxPurchasePrice: limit,
		ActivationMode:   modeToVendor(req.GetActivationMode()),
	}
	if profile := req.GetNewProfile(); profile != nil {
		order.Kind = purchase.TopUpWithProfile
		order.UserCountry = profile.GetUserCountry()
		order.Dedicated = profile.Dedicated
		order.CustomerProfileDomainID = profile.GetCustomerProfileDomainId()
	}
	return order, err
}

func pricesToOrder(expected, limit *gigagatev1.Money) (*purchase.Price, *purchase.Price, error) {
	wanted, err1 := priceToOrder("expected_price", expected)
	most, err2 := priceToOrder("max_purchase_price", limit)
	return wanted, most, errors.Join(err1, err2)
}

// priceToOrder converts a price; nil stays nil.
func priceToOrder(field string, money *gigagatev1.Money) (*purchase.Price, error) {
	if money == nil {
		return nil, nil
	}
	// The contract allows leading zeros. A JSON number does not.
	text := strings.TrimLeft(money.GetAmount(), "0")
	if text == "" || text[0] == '.' {
		text = "0" + text
	}
	amount, err := gigastore.ParseDecimal(text)
	if err != nil {
		return nil, invalidField(field+".amount", "is not a decimal number")
	}
	return &purchase.Price{Amount: amount, Currency: money.GetCurrencyCode()}, nil
}

// purchaseFailure turns an error of the purchase engine into the caller's failure. It also reports whether
// that failure was recorded by an earlier call. The engine looked the request id up first, so the effect is set.
func purchaseFailure(caller string, err error) (f *failure, replayed bool) {
	const notStarted = gigagatev1.Effect_EFFECT_NOT_STARTED
	if failed, ok := errors.AsType[*purchase.FailedError](err); ok {
		return &failure{
			reason: reasonOf(failed.Purchase.Reason), effect: effectOfPurchase(failed.Purchase.State), purchaseID: failed.Purchase.ID,
		}, failed.Replayed
	}
	if mismatch, ok := errors.AsType[*purchase.MismatchError](err); ok {
		return mismatchFailure(mismatch), false
	}
	if unsettled, ok := errors.AsType[*purchase.UnsettledError](err); ok {
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN, purchaseID: unsettled.ID}, false
	}
	if guard, ok := errors.AsType[*purchase.GuardError](err); ok {
		return &failure{reason: reasonOf(guard.Reason), effect: notStarted}, false
	}
	if _, ok := errors.AsType[*purchase.FrozenError](err); ok {
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_FROZEN, effect: notStarted}, false
	}
	if over, ok := errors.AsType[*purchase.BudgetError](err); ok {
		return budgetFailure(caller, over), false
	}
	if journal, ok := errors.AsType[*purchase.JournalError](err); ok {
		f := &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE, effect: notStarted, cause: err}
		if !journal.LookedUp {
			// The effect is that of the request id. An earlier call may have bought under it.
			f.effect = gigagatev1.Effect_EFFECT_INDETERMINATE
			f.sentence = "the journal cannot be used: this call sent nothing, and it is not known what an earlier call did"
		}
		if errors.Is(err, purchase.ErrQueueFull) {
			f.reason = gigagatev1.ErrorReason_ERROR_REASON_OVERLOADED
		}
		return f, false
	}
	switch {
	case errors.Is(err, purchase.ErrDraining):
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_DRAINING, effect: notStarted}, false
	case errors.Is(err, purchase.ErrVendorDown):
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, effect: notStarted, cause: err}, false
	case errors.Is(err, purchase.ErrTooManyAtOnce):
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_RATE_LIMITED, effect: notStarted, sentence: tooManyPurchases}, false
	case errors.Is(err, purchase.ErrOverloaded):
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_OVERLOADED, effect: notStarted}, false
	case errors.Is(err, purchase.ErrDeadlineTooShort):
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_DEADLINE_TOO_SHORT, effect: notStarted}, false
	}
	return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_INTERNAL, cause: err}, false
}

// mismatchFailure names the fields that differ from the first order under the request id. Its effect is the
// effect of that first order.
func mismatchFailure(mismatch *purchase.MismatchError) *failure {
	f := &failure{
		reason:     gigagatev1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED,
		effect:     effectOfPurchase(mismatch.Purchase.State),
		purchaseID: mismatch.Purchase.ID,
	}
	for _, field := range mismatch.Fields {
		f.fields = append(f.fields, &gigagatev1.FieldViolation{
			Field: field, Description: "differs from the purchase that this request id stands for",
		})
	}
	return f
}

// effectOfPurchase is what a state means for the caller. An accepted purchase is indeterminate: it has had no
// effect yet, but it may have one at any moment.
func effectOfPurchase(state purchase.State) gigagatev1.Effect {
	switch state {
	case purchase.Succeeded:
		return gigagatev1.Effect_EFFECT_APPLIED
	case purchase.Failed:
		return gigagatev1.Effect_EFFECT_NOT_APPLIED
	default:
		return gigagatev1.Effect_EFFECT_INDETERMINATE
	}
}
