package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/internal/access"
	"gigagate.internal/server"
)

// budgetsCommand shows what callers may spend, and what they have spent.
type budgetsCommand struct {
	Caller    string `arg:"" optional:"" name:"caller" field:"caller" help:"Show only the budget of this caller."`
	PageSize  int32  `name:"page-size" field:"page_size" placeholder:"N" help:"How many budgets to list at most (default 50)."`
	PageToken string `name:"page-token" field:"page_token" placeholder:"TOKEN" help:"The nextPageToken of the previous page."`
	callSettings
}

// Validate refuses flags that would be ignored.
func (c *budgetsCommand) Validate() error {
	if c.Caller != "" && (c.PageSize != 0 || c.PageToken != "") {
		return errors.New("--page-size and --page-token are for the list of all budgets, without a caller")
	}
	return nil
}

// Run makes the call.
func (c *budgetsCommand) Run(ctx context.Context, to console) error {
	return c.read(ctx, to, func(ctx context.Context, conn grpc.ClientConnInterface) (proto.Message, error) {
		budgets := gigagatev1.NewBudgetServiceClient(conn)
		if c.Caller != "" {
			return budgets.GetBudget(ctx, &gigagatev1.GetBudgetRequest{Caller: c.Caller})
		}
		return budgets.ListBudgets(ctx, &gigagatev1.ListBudgetsRequest{PageSize: c.PageSize, PageToken: c.PageToken})
	})
}

// pollBudgets is how often the gateway looks for budgets that are new in the callers file.
const pollBudgets = time.Minute

// watchBudgets warns once of each budget in whose currency the inventory has no price, because nothing can be bought on it.
func watchBudgets(ctx context.Context, callers server.Access, vendor *gigastore.Client, logger *slog.Logger) (stop func()) {
	if callers == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(pollBudgets)
		defer ticker.Stop()
		checked := map[budgetCurrency]bool{}
		for {
			for _, b := range newBudgets(callers.Budgeted(), checked) {
				read, err := vendor.InventoryWithin(ctx, gigastore.InventoryAge)
				if err != nil {
					break // the vendor's problem is logged elsewhere, and the next round tries again
				}
				if checked[b] = true; !hasPriceIn(read.Items, b.currency) {
					logger.WarnContext(ctx, "nothing is sold in the currency of a budget", "caller", b.caller, "currency", b.currency)
				}
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// budgetCurrency is the currency of a caller's budget.
type budgetCurrency struct{ caller, currency string }

// newBudgets returns the budgets that were not checked yet.
func newBudgets(callers []*access.Principal, checked map[budgetCurrency]bool) (unchecked []budgetCurrency) {
	for _, p := range callers {
		if b := (budgetCurrency{p.Name, p.Budget.Currency}); !checked[b] {
			unchecked = append(unchecked, b)
		}
	}
	return unchecked
}

func hasPriceIn(items []gigastore.InventoryItem, currency string) bool {
	return slices.ContainsFunc(items, func(item gigastore.InventoryItem) bool {
		return slices.ContainsFunc(item.Prices, func(price gigastore.Price) bool { return price.Currency == currency })
	})
}
