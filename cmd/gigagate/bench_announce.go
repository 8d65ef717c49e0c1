package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"time"

	"google.golang.org/grpc"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// announce says what the run will buy, for how much and where. It refuses to use up the credit of a sandbox, because other
// people may work with that sandbox.
func (c *benchCommand) announce(ctx context.Context, to console, conn grpc.ClientConnInterface) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	listed, err := gigagatev1.NewInventoryServiceClient(conn).ListInventoryItems(ctx, &gigagatev1.ListInventoryItemsRequest{})
	what, cost := fmt.Sprintf("%q, which is not in its inventory", c.Item), new(big.Rat)
	if err != nil {
		what = fmt.Sprintf("%q, at a price that cannot be read", c.Item)
	}
	for _, item := range listed.GetItems() {
		if item.GetId() != c.Item {
			continue
		}
		what = fmt.Sprintf("%q", item.GetName())
		for i, price := range item.GetPrices() {
			each, ok := new(big.Rat).SetString(price.GetAmount())
			if i > 0 || !ok {
				continue // the vendor uses one currency, so the first price is enough
			}
			cost.Mul(each, big.NewRat(int64(c.Count), 1))
			what += fmt.Sprintf(" for %s each, %s %s in all", cell(price), cost.FloatString(2), price.GetCurrencyCode())
		}
	}
	fmt.Fprintf(to.err, "buys %d × %s, from the gateway at %s\n", c.Count, what, c.Address)
	if credit, ok := c.credit(ctx); ok && !c.EmptySandbox && new(big.Rat).Add(cost, cost).Cmp(credit) > 0 {
		return fmt.Errorf("this takes more than half of the %s USD that the sandbox at %s has left: "+
			"buy fewer, or give --empty-sandbox (gigagate sandbox reset restores the credit)", credit.FloatString(2), c.SandboxAddress)
	}
	return nil
}

// credit is what the sandbox has left. The result is false if no sandbox answers.
func (c *benchCommand) credit(ctx context.Context) (*big.Rat, bool) {
	answer, err := c.control(ctx, http.MethodGet, "ledger", nil)
	if err != nil {
		return nil, false
	}
	var ledger struct {
		CreditLeft json.Number `json:"creditLeft"`
	}
	if json.Unmarshal(answer, &ledger) != nil {
		return nil, false
	}
	return new(big.Rat).SetString(ledger.CreditLeft.String())
}
