package gigastore

import (
	"context"
	"fmt"
	"log/slog"
)

// RegisterRequest is the order of [Client.Register] (docs first-package; dossier 2.2).
type RegisterRequest struct {
	InventoryItemID string `json:"inventoryItemId"`
	// Metatag is stored with the sale and can be read back. Its first word must be the permit's mark.
	Metatag       string `json:"metatag"`
	CustomerEmail string `json:"customerEmail,omitempty"`
	UserIP        string `json:"userIp"`      // the traveller's address, not the caller's
	UserCountry   string `json:"userCountry"` // of residence, ISO 3166-1 alpha-2
	// ExpectedPrice must equal the item's retail price, or the vendor refuses. It does not limit what is spent.
	ExpectedPrice  *Price         `json:"expectedPrice,omitempty"`
	ActivationMode ActivationMode `json:"activationMode,omitempty"` // "" is not sent, which means NOW
}

// LogValue returns item and mode.
func (r RegisterRequest) LogValue() slog.Value {
	return saleLogValue(r.InventoryItemID, r.ActivationMode)
}

// Format writes what LogValue shows, for every verb.
func (r RegisterRequest) Format(f fmt.State, _ rune) { formatSafe(f, "RegisterRequest", r) }

// Register sells a first package. It creates a customer, an activated item and an eSIM profile, and spends credit.
// The error is an [*Error]. Its Effect says whether the package may have been sold.
//
// POST /gigastore/activations/register, docs first-package.
func (c *Client) Register(ctx context.Context, p Permit, r RegisterRequest) (*Sale, error) {
	return c.sell(ctx, p, OpRegister, r.Metatag, r)
}
