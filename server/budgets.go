package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// usualBudgets and mostBudgets are the default and the largest ListBudgetsRequest.page_size of the contract.
const (
	usualBudgets = 50
	mostBudgets  = 100
)

// budgetService tells what callers may spend, and what they have spent.
type budgetService struct {
	gigagatev1.UnimplementedBudgetServiceServer
	*Server
}

// GetBudget reads the budget of one caller.
func (s budgetService) GetBudget(ctx context.Context, req *gigagatev1.GetBudgetRequest) (*gigagatev1.GetBudgetResponse, error) {
	ctx, cancel := withMargin(ctx)
	defer cancel()
	seen := s.budgetsSeen(ctx)
	at := slices.IndexFunc(seen, func(p *access.Principal) bool { return p.Name == req.GetCaller() })
	if at < 0 {
		return nil, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_BUDGET_NOT_FOUND}
	}
	totals, err := s.engine.BudgetTotals(ctx, seen[at].Key())
	if err != nil {
		return nil, journalFailure("", err)
	}
	return &gigagatev1.GetBudgetResponse{Budget: budgetToProto(seen[at], totals)}, nil
}

// ListBudgets pages through budgets by the name of the caller.
func (s budgetService) ListBudgets(ctx context.Context, req *gigagatev1.ListBudgetsRequest) (*gigagatev1.ListBudgetsResponse, error) {
	ctx, cancel := withMargin(ctx)
	defer cancel()
	after, err := pageCursor(req)
	if err != nil {
		return nil, err
	}
	resp := &gigagatev1.ListBudgetsResponse{}
	size := pageSize(req, usualBudgets, mostBudgets)
	seen := s.budgetsSeen(ctx)
	totalsOf, err := s.budgetTotals(ctx, seen)
	if err != nil {
		return nil, err
	}
	for _, p := range seen {
		if p.Name <= after {
			continue
		}
		if n := len(resp.GetBudgets()); n == size {
			resp.NextPageToken = pageToken(req, resp.GetBudgets()[n-1].GetCaller())
			break
		}
		totals, err := totalsOf(p)
		if err != nil {
			return nil, err
		}
		resp.Budgets = append(resp.Budgets, budgetToProto(p, totals))
	}
	return resp, nil
}

// budgetsSeen are the principals whose budgets the caller of ctx sees, sorted by name.
func (s *Server) budgetsSeen(ctx context.Context) []*access.Principal {
	switch p := access.Of(ctx); {
	case s.access == nil: // without a callers file there are no budgets
		return nil
	case p.Rights.All:
		return s.access.Budgeted()
	case p.Budget != nil:
		return []*access.Principal{p}
	default:
		return nil
	}
}

// budgetTotals returns a function for the totals of each of some principals. It reads the journal once for all of them, if
// the journal can return all totals at once.
func (s *Server) budgetTotals(ctx context.Context, of []*access.Principal) (func(*access.Principal) ([]purchase.BudgetTotal, error), error) {
	oneByOne := func(p *access.Principal) ([]purchase.BudgetTotal, error) {
		totals, err := s.engine.BudgetTotals(ctx, p.Key())
		if err != nil {
			return nil, journalFailure("", err)
		}
		return totals, nil
	}
	if len(of) < 2 {
		return oneByOne, nil
	}
	all, err := s.engine.BudgetTotals(ctx, "")
	if err != nil {
		return nil, journalFailure("", err)
	}
	if len(all) >= purchase.MaxBudgetTotals {
		return oneByOne, nil // some totals may be missing
	}
	by := map[string][]purchase.BudgetTotal{}
	for _, t := range all {
		by[t.Caller] = append(by[t.Caller], t)
	}
	return func(p *access.Principal) ([]purchase.BudgetTotal, error) { return by[p.Key()], nil }, nil
}

// budgetToProto shows a principal's budget, and what its totals have reserved and spent in the present periods.
func budgetToProto(p *access.Principal, totals []purchase.BudgetTotal) *gigagatev1.Budget {
	budget := budgetOf(p)
	now := time.Now().In(budget.Zone) // the journal names the periods by the real time, not by the vendor's
	year, month, day := now.Date()
	result := &gigagatev1.Budget{
		Caller: p.Name, CurrencyCode: budget.Currency, TimeZone: budget.Zone.String(), PurchaseLimit: limitToProto(budget.Purchase, budget.Currency),
	}
	for _, period := range []struct {
		kind  gigagatev1.BudgetPeriodType
		name  string
		limit *purchase.Micros
		end   time.Time
	}{
		{gigagatev1.BudgetPeriodType_BUDGET_PERIOD_TYPE_DAY, now.Format(time.DateOnly), budget.Day, time.Date(year, month, day+1, 0, 0, 0, 0, budget.Zone)},
		{gigagatev1.BudgetPeriodType_BUDGET_PERIOD_TYPE_MONTH, now.Format("2006-01"), budget.Month, time.Date(year, month+1, 1, 0, 0, 0, 0, budget.Zone)},
		{gigagatev1.BudgetPeriodType_BUDGET_PERIOD_TYPE_TOTAL, purchase.PeriodTotal, budget.Total, time.Time{}},
	} {
		var total purchase.BudgetTotal
		if at := slices.IndexFunc(totals, func(t purchase.BudgetTotal) bool { return t.Currency == budget.Currency && t.Period == period.name }); at >= 0 {
			total = totals[at]
		}
		shown := &gigagatev1.BudgetPeriod{
			Type: period.kind, Name: period.name, EndTime: timestampOf(period.end), Limit: limitToProto(period.limit, budget.Currency),
			Reserved: moneyOf(total.Reserved, budget.Currency), Spent: moneyOf(total.Spent, budget.Currency),
		}
		if period.limit != nil {
			shown.Left = moneyOf(max(*period.limit-total.Reserved-total.Spent, 0), budget.Currency)
		}
		result.Periods = append(result.Periods, shown)
	}
	return result
}

func moneyOf(amount purchase.Micros, currency string) *gigagatev1.Money {
	return &gigagatev1.Money{CurrencyCode: currency, Amount: amount.String()}
}

// limitToProto converts a limit; nil stays nil.
func limitToProto(limit *purchase.Micros, currency string) *gigagatev1.Money {
	if limit == nil {
		return nil
	}
	return moneyOf(*limit, currency)
}

// budgetOf is the budget that limits a principal's purchases. It is nil if the principal has none.
func budgetOf(p *access.Principal) *purchase.Budget {
	if p.Budget == nil {
		return nil
	}
	return &purchase.Budget{
		Currency: p.Budget.Currency, Zone: p.Budget.Zone,
		Purchase: limitOf(p.Budget.PerPurchase), Day: limitOf(p.Budget.PerDay), Month: limitOf(p.Budget.PerMonth), Total: limitOf(p.Budget.Total),
	}
}

func limitOf(millionths int64) *purchase.Micros {
	if millionths == 0 {
		return nil
	}
	return new(purchase.Micros(millionths))
}

// budgetFailure says which limit of the caller's budget is in the way. A new day or month is worth waiting for if it covers
// the price.
func budgetFailure(caller string, over *purchase.BudgetError) *failure {
	f := &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_BUDGET_EXCEEDED, effect: gigagatev1.Effect_EFFECT_NOT_STARTED}
	money := func(amount purchase.Micros) string { return amount.String() + " " + over.Currency }
	why := fmt.Sprintf("it costs %s, and %s of the %s ", money(over.Asked), money(over.Left), money(over.Limit))
	switch over.Period {
	case purchase.PerDay:
		why += "for this day are left"
	case purchase.PerMonth:
		why += "for this month are left"
	case purchase.InTotal:
		why += "in total are left"
	case purchase.PerPurchase:
		why = fmt.Sprintf("it costs %s, and one purchase may cost %s", money(over.Asked), money(over.Limit))
	}
	f.sentence = specs[f.reason].GetSentence() + ": " + why
	f.quota = &errdetails.QuotaFailure_Violation{Subject: "caller:" + caller, QuotaId: string(over.Period), Description: why}
	if !over.Until.IsZero() && over.Asked <= over.Limit {
		f.retryDelay = max(time.Until(over.Until), 0).Truncate(time.Second) + time.Second
	}
	return f
}
