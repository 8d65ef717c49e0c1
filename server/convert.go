package server

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

// markLength is the length in bytes of the gateway's mark, which comes before every metatag sent upstream.
const markLength = len(purchase.MarkPrefix) + ulid.EncodedSize

// modes pairs the contract's activation modes with the vendor's words. The unspecified mode has no word, so it is left
// out of the request to the vendor. Every other word of the vendor reads as unspecified.
var modes = map[gigagatev1.ActivationMode]gigastore.ActivationMode{
	gigagatev1.ActivationMode_ACTIVATION_MODE_NOW:       gigastore.ModeNow,
	gigagatev1.ActivationMode_ACTIVATION_MODE_FIRST_USE: gigastore.ModeFirstUse,
	gigagatev1.ActivationMode_ACTIVATION_MODE_ON_DEMAND: gigastore.ModeOnDemand,
}

func modeToVendor(mode gigagatev1.ActivationMode) gigastore.ActivationMode { return modes[mode] }

func modeFromVendor(word gigastore.ActivationMode) gigagatev1.ActivationMode {
	for mode, known := range modes {
		if known == word {
			return mode
		}
	}
	return gigagatev1.ActivationMode_ACTIVATION_MODE_UNSPECIFIED
}

func moneyFromVendor(price *gigastore.Price) *gigagatev1.Money {
	if price == nil {
		return nil
	}
	return &gigagatev1.Money{CurrencyCode: price.Currency, Amount: price.Value.String()}
}

// moneysFromVendor sorts the prices by the vendor's sortIndex.
func moneysFromVendor(prices []gigastore.Price) []*gigagatev1.Money {
	ordered := slices.Clone(prices)
	slices.SortStableFunc(ordered, func(a, b gigastore.Price) int { return cmp.Compare(a.SortIndex, b.SortIndex) })
	moneys := make([]*gigagatev1.Money, 0, len(ordered))
	for _, price := range ordered {
		moneys = append(moneys, moneyFromVendor(&price))
	}
	return moneys
}

func registerFromVendor(purchaseID string, sale *gigastore.Sale, now time.Time) *gigagatev1.RegisterResponse {
	return &gigagatev1.RegisterResponse{
		PurchaseId:    purchaseID,
		ActivatedItem: activatedItemFromVendor(sale.ActivatedItem, now),
		Customer:      customerFromVendor(sale.Customer),
		EsimProfile:   esimFromVendor(sale.ESIMProfile),
	}
}

func topUpFromVendor(purchaseID string, sale *gigastore.Sale, now time.Time) *gigagatev1.TopUpResponse {
	return &gigagatev1.TopUpResponse{
		PurchaseId:    purchaseID,
		ActivatedItem: activatedItemFromVendor(sale.ActivatedItem, now),
		Customer:      customerFromVendor(sale.Customer),
		EsimProfile:   esimFromVendor(sale.ESIMProfile),
	}
}

func customerRecordFromVendor(record *gigastore.CustomerRecord, now time.Time) *gigagatev1.GetCustomerResponse {
	resp := &gigagatev1.GetCustomerResponse{
		Customer:              customerFromVendor(record.Customer),
		TotalAvailableBalance: sizeFromVendor(record.TotalAvailableBalance),
	}
	for _, item := range record.ActivatedItems {
		resp.ActivatedItems = append(resp.ActivatedItems, activatedItemFromVendor(item, now))
	}
	for _, profile := range record.RelatedESIMs {
		resp.EsimProfiles = append(resp.EsimProfiles, esimFromVendor(&profile))
	}
	return resp
}

func activatedItemFromVendor(item gigastore.ActivatedItem, now time.Time) *gigagatev1.ActivatedItem {
	purchaseID, metatag := purchase.SplitMetatag(item.Metatag)
	return &gigagatev1.ActivatedItem{
		Uid:                  item.UID,
		Metatag:              metatag,
		PurchaseId:           purchaseID,
		Balance:              balanceFromVendor(item.Balance, now),
		SalesChannel:         item.SalesChannel,
		SalesChannelTypeCode: item.SalesChannelTypeCode,
		ActivationType:       item.ActivationType,
		SaleTime:             timestampFromVendor(item.SalesDate),
		PurchasePrice:        moneyFromVendor(item.PurchasePrice),
		RetailPrice:          moneyFromVendor(item.RetailPrice),
	}
}

// balanceFromVendor reads the vendor's expiresAt as the activation deadline before the package has started, and as its
// end afterwards.
func balanceFromVendor(balance gigastore.Balance, now time.Time) *gigagatev1.Balance {
	out := &gigagatev1.Balance{
		ActivatedAt:      timestampFromVendor(balance.ActivatedAt),
		ActivationMode:   modeFromVendor(balance.ActivationMode),
		Name:             balance.Name,
		Size:             sizeFromVendor(balance.Size),
		AvailableBalance: sizeFromVendor(balance.AvailableBalance),
		Validity:         &gigagatev1.Validity{Value: float(balance.ValiditySize), Unit: balance.ValidityUnit},
		State:            balanceState(balance, now),
	}
	switch out.GetState() {
	case gigagatev1.BalanceState_BALANCE_STATE_UNSPECIFIED:
	case gigagatev1.BalanceState_BALANCE_STATE_PENDING:
		out.ActivationDeadline = timestampFromVendor(balance.ExpiresAt)
	default:
		out.ExpiresAt = timestampFromVendor(balance.ExpiresAt)
	}
	return out
}

// balanceState derives the state of a package, for which the vendor has no field. A pending package stays pending after
// its deadline until the vendor has started it. An expired package is expired even if some data is left.
func balanceState(balance gigastore.Balance, now time.Time) gigagatev1.BalanceState {
	switch {
	case unreadable(balance.ActivatedAt):
		return gigagatev1.BalanceState_BALANCE_STATE_UNSPECIFIED
	case balance.ActivatedAt.IsZero():
		return gigagatev1.BalanceState_BALANCE_STATE_PENDING
	case unreadable(balance.ExpiresAt):
		return gigagatev1.BalanceState_BALANCE_STATE_UNSPECIFIED
	case !balance.ExpiresAt.IsZero() && now.After(balance.ExpiresAt.Time):
		return gigagatev1.BalanceState_BALANCE_STATE_EXPIRED
	case balance.AvailableBalance != nil && balance.AvailableBalance.Value.IsZero():
		return gigagatev1.BalanceState_BALANCE_STATE_USED_UP
	}
	return gigagatev1.BalanceState_BALANCE_STATE_ACTIVE
}

// hasStarted reports whether the vendor gives a start time for the package. The time need not be readable.
func hasStarted(balance gigastore.Balance) bool {
	return !balance.ActivatedAt.IsZero() || unreadable(balance.ActivatedAt)
}

func unreadable(t gigastore.Time) bool { return t.IsZero() && t.Text() != "" }

func customerFromVendor(customer gigastore.Customer) *gigagatev1.Customer {
	return &gigagatev1.Customer{Uid: customer.UID, Email: customer.Email, ProfileUrl: customer.ProfileURL}
}

func esimFromVendor(profile *gigastore.ESIMProfile) *gigagatev1.EsimProfile {
	if profile == nil {
		return nil
	}
	return &gigagatev1.EsimProfile{
		Iccid:              profile.ICCID,
		Uid:                profile.UID,
		Imsi:               profile.IMSI,
		ActivationCode:     profile.ActivationCode,
		AppleUniversalLink: profile.AppleUniversalLink,
		InstallationUrl:    profile.InstallationURL,
		LastSeen:           timestampFromVendor(profile.LastSeen),
		ActivatedAt:        timestampFromVendor(profile.ActivatedAt),
		State:              profile.State,
		Active:             profile.Active,
	}
}

func inventoryItemFromVendor(item gigastore.InventoryItem) *gigagatev1.InventoryItem {
	return &gigagatev1.InventoryItem{
		Id:                item.ID,
		ProductId:         item.ProductID,
		Name:              item.Name,
		Size:              &gigagatev1.Size{Value: float(item.SizeValue), Unit: item.SizeUnit},
		Validity:          &gigagatev1.Validity{Value: float(item.ValiditySize), Unit: item.ValidityUnit},
		ValidityUnlimited: item.ValidityUnlimited,
		CountrySet:        item.CountrySet,
		Prices:            moneysFromVendor(item.Prices),
		RetailPrices:      moneysFromVendor(item.RetailPrices),
	}
}

func sizeFromVendor(size *gigastore.Size) *gigagatev1.Size {
	if size == nil {
		return nil
	}
	return &gigagatev1.Size{Value: float(size.Value), Unit: size.Unit}
}

// float is for amounts of data and time, which the vendor rounds anyway. Money must never be converted to a float. A
// number out of range is 0.
func float(decimal gigastore.Decimal) float64 {
	value, err := strconv.ParseFloat(decimal.String(), 64)
	if err != nil {
		return 0
	}
	return value
}

// timestampFromVendor is nil for an empty or unreadable time.
func timestampFromVendor(t gigastore.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t.Time)
}
