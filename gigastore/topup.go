package gigastore

import (
	"context"
	"fmt"
	"log/slog"
)

// TopUpRequest is the order of [Client.TopUp] (docs top-up; dossier 2.3). The package must have the customer's
// country set.
type TopUpRequest struct {
	InventoryItemID string         `json:"inventoryItemId"`
	Metatag         string         `json:"metatag"` // its first word must be the permit's mark
	CustomerUID     string         `json:"customerUid"`
	ExpectedPrice   *Price         `json:"expectedPrice,omitempty"`  // as in RegisterRequest
	ActivationMode  ActivationMode `json:"activationMode,omitempty"` // "" is not sent, which means NOW
}

// LogValue returns item and mode.
func (r TopUpRequest) LogValue() slog.Value { return saleLogValue(r.InventoryItemID, r.ActivationMode) }

// Format writes what LogValue shows, for every verb.
func (r TopUpRequest) Format(f fmt.State, _ rune) { formatSafe(f, "TopUpRequest", r) }

// TopUp adds a package to a customer, without a new eSIM profile, and spends credit. Errors are those of
// [Client.Register].
//
// POST /gigastore/activations/top-up, docs top-up.
func (c *Client) TopUp(ctx context.Context, p Permit, r TopUpRequest) (*Sale, error) {
	return c.sell(ctx, p, OpTopUp, r.Metatag, r)
}

// TopUpWithProfileRequest is the order of [Client.TopUpWithProfile]. docs activation-modes names the call. Its
// members beyond those of a top-up are only observed (dossier 2.4).
type TopUpWithProfileRequest struct {
	InventoryItemID string         `json:"inventoryItemId"`
	Metatag         string         `json:"metatag"` // its first word must be the permit's mark
	CustomerUID     string         `json:"customerUid"`
	ExpectedPrice   *Price         `json:"expectedPrice,omitempty"`  // as in RegisterRequest
	ActivationMode  ActivationMode `json:"activationMode,omitempty"` // "" is not sent, which means NOW
	// What Dedicated and CustomerProfileDomainID mean is unknown. Probably Dedicated gives the profile a domain of its
	// own, and CustomerProfileDomainID attaches it to an existing one (inferred).
	Dedicated               *bool  `json:"dedicated,omitempty"`
	CustomerProfileDomainID string `json:"customerProfileDomainId,omitempty"`
	UserIP                  string `json:"userIp,omitempty"`
	UserCountry             string `json:"userCountry,omitempty"` // ISO 3166-1 alpha-2
}

// LogValue returns item and mode.
func (r TopUpWithProfileRequest) LogValue() slog.Value {
	return saleLogValue(r.InventoryItemID, r.ActivationMode)
}

// Format writes what LogValue shows, for every verb.
func (r TopUpWithProfileRequest) Format(f fmt.State, _ rune) {
	formatSafe(f, "TopUpWithProfileRequest", r)
}

// TopUpWithProfile adds a package and a new eSIM profile to a customer, and spends credit. Errors are those of
// [Client.Register].
//
// POST /gigastore/activations/top-up-with-profile, named by docs activation-modes.
func (c *Client) TopUpWithProfile(ctx context.Context, p Permit, r TopUpWithProfileRequest) (*Sale, error) {
	return c.sell(ctx, p, OpTopUpWithProfile, r.Metatag, r)
}

func saleLogValue(item string, mode ActivationMode) slog.Value {
	return slog.GroupValue(slog.String("inventory_item_id", item), slog.String("activation_mode", string(mode)))
}
