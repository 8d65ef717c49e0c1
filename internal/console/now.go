package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

const (
	// newest is how many of the newest purchases the first page shows.
	newest = 8
	// mostWaiting is how many open purchases the first page counts.
	mostWaiting = 500
)

// nowData is what the first page shows.
type nowData struct {
	Tiles              []tile
	Purchases, Latency chart
	Spending           []spendingRow
	SpendingProblem    string
	Oldest             *gigagatev1.GetPurchaseResponse
	Newest             []*gigagatev1.Purchase
	ListProblem        string
}

// tile is one fact in large letters.
type tile struct {
	Name, Value, Detail, Tone, Link string
}

// spendingRow is what a caller spent today, or since the start of this process if the caller has no budget.
type spendingRow struct {
	Caller, Currency, Since string
	Spent, Reserved, Left   string
	Limit                   string
	NoLimit                 bool
	SpentPart, ReservedPart int // in percent of the limit
}

func (c *Console) nowPage(r *http.Request) (page, error) {
	ctx := r.Context()
	samples, has := c.series.all()
	list := minutes(samples, c.config.Now())
	data := nowData{Purchases: purchaseChart(list), Latency: latencyChart(list)}
	if !has[metricSettled] {
		data.Purchases.Empty = "No data yet."
	}
	var newestSample sample
	if len(samples) > 0 {
		newestSample = samples[len(samples)-1]
	}
	uncertain, waiting := c.open(ctx, &data)
	vendor := c.vendorTile(samples)
	if scan := newestSample.gauges[metricLastScan]; scan > 0 && data.Oldest != nil {
		vendor.Detail += ", its records were read " + c.ago(timestamppb.New(time.Unix(int64(scan), 0)))
	}
	data.Tiles = append(data.Tiles, c.gatewayTile(ctx), vendor, journalTile(samples, has), uncertain, waiting)
	c.spentToday(ctx, &data, newestSample)
	found, err := c.purchases.ListPurchases(ctx, &gigagatev1.ListPurchasesRequest{PageSize: newest})
	if err != nil {
		data.ListProblem = problemOf(err).Title
	}
	data.Newest = found.GetPurchases()
	return page{Title: "Now", Data: data, Live: true}, nil
}

func (c *Console) gatewayTile(ctx context.Context) tile {
	t := tile{Name: "Gateway", Value: "accepts calls", Detail: "version " + c.config.Version, Tone: "good"}
	if err := c.config.Ready(ctx); err != nil {
		t.Value, t.Detail, t.Tone = "not ready", visible(err.Error()), "bad"
	}
	return t
}

// vendorTile shows the vendor's problems and the latency of its answers in the last minute.
func (c *Console) vendorTile(samples []sample) tile {
	t := tile{Name: "Vendor", Value: "no problem", Tone: "good"}
	if problems := c.config.VendorProblems(); len(problems) > 0 {
		t.Value, t.Detail, t.Tone = "has a problem", visible(strings.Join(problems, ". ")), "bad"
		return t
	}
	if v, ok := lastMinute(samples, func(s sample) histogram { return s.vendor }).quantile(0.95); ok {
		t.Detail = "p95 of the last minute: " + milliseconds(v)
	} else {
		t.Detail = "no call in the last minute"
	}
	return t
}

func journalTile(samples []sample, has map[string]bool) tile {
	t := tile{Name: "Journal", Value: "no data yet"}
	if !has[metricCommits] {
		return t
	}
	t.Value, t.Detail = "writes", "no write in the last minute"
	if v, ok := lastMinute(samples, func(s sample) histogram { return s.commits }).quantile(0.95); ok {
		t.Detail, t.Tone = "p95 of a commit: "+milliseconds(v), "good"
	}
	if len(samples) > 0 {
		now := samples[len(samples)-1].gauges
		if now[metricProblem] > 0 {
			t.Value, t.Tone = "cannot write", "bad"
		}
		if queue := now[metricQueue]; queue > 0 {
			t.Detail += fmt.Sprintf(", %g wait", queue)
		}
	}
	return t
}

// lastMinute is what a histogram got in the last minute.
func lastMinute(samples []sample, of func(sample) histogram) histogram {
	if len(samples) == 0 {
		return histogram{}
	}
	end := len(samples) - 1
	begin := max(0, end-int(time.Minute/samplePause))
	return of(samples[end]).less(of(samples[begin]))
}

// open counts what is not settled, and reads the oldest uncertain purchase.
func (c *Console) open(ctx context.Context, data *nowData) (uncertain, waiting tile) {
	uncertain = tile{Name: "Uncertain", Link: "purchases?state=UNCERTAIN"}
	waiting = tile{Name: "Needs you", Link: "purchases?state=NEEDS_OPERATOR"}
	for _, one := range []struct {
		tile  *tile
		state gigagatev1.PurchaseState
	}{{&uncertain, gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN}, {&waiting, gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR}} {
		found, err := c.purchases.ListPurchases(ctx, &gigagatev1.ListPurchasesRequest{State: one.state, PageSize: mostWaiting})
		if err != nil {
			one.tile.Value, one.tile.Detail, one.tile.Tone = "unknown", problemOf(err).Title, "bad"
			continue
		}
		list := found.GetPurchases()
		if len(list) == 0 && found.GetNextPageToken() != "" {
			one.tile.Value, one.tile.Detail, one.tile.Tone = "unknown", "too many purchases are open to examine all", "bad"
			continue
		}
		if len(list) == 0 {
			one.tile.Value, one.tile.Detail, one.tile.Tone = "0", "nothing waits", "good"
			continue
		}
		oldest := list[len(list)-1]
		one.tile.Value, one.tile.Detail, one.tile.Tone = fmt.Sprint(len(list)), "the oldest: "+c.ago(oldest.GetCreateTime()), tone(one.state)
		if found.GetNextPageToken() != "" {
			one.tile.Value = fmt.Sprintf("%d or more", len(list))
			one.tile.Detail = "older ones: " + c.ago(oldest.GetCreateTime()) + " or before"
			continue // it is not the oldest
		}
		if one.state == gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN {
			data.Oldest, _ = c.purchases.GetPurchase(ctx, &gigagatev1.GetPurchaseRequest{Id: oldest.GetId()})
		}
	}
	return uncertain, waiting
}

// spentToday reads the budgets. What the others spent comes from the metrics.
func (c *Console) spentToday(ctx context.Context, data *nowData, newest sample) {
	found, err := c.budgets.ListBudgets(ctx, &gigagatev1.ListBudgetsRequest{PageSize: 100})
	if err != nil {
		data.SpendingProblem = problemOf(err).Title
		return // the metrics would show an operator who may not see budgets what each caller spent, and no limits
	}
	for _, b := range found.GetBudgets() {
		for _, p := range b.GetPeriods() {
			if p.GetType() == gigagatev1.BudgetPeriodType_BUDGET_PERIOD_TYPE_DAY {
				data.Spending = append(data.Spending, budgetRow(b, p))
			}
		}
	}
	for _, s := range newest.spent {
		known := slices.ContainsFunc(data.Spending, func(row spendingRow) bool { return row.Caller == s.Caller && row.Currency == s.Currency })
		if !known && s.Amount > 0 {
			data.Spending = append(data.Spending, spendingRow{
				Caller: s.Caller, Currency: s.Currency, Since: "since the start of this process", Spent: fmt.Sprintf("%.2f", s.Amount),
				NoLimit: found.GetNextPageToken() == "", // otherwise its budget may be one that was not read
			})
		}
	}
}

func budgetRow(b *gigagatev1.Budget, p *gigagatev1.BudgetPeriod) spendingRow {
	row := spendingRow{
		Caller: b.GetCaller(), Currency: b.GetCurrencyCode(), Since: "today, " + b.GetTimeZone(),
		Spent: p.GetSpent().GetAmount(), Reserved: p.GetReserved().GetAmount(), Left: p.GetLeft().GetAmount(), Limit: p.GetLimit().GetAmount(),
		NoLimit: p.GetLimit() == nil,
	}
	row.SpentPart, row.ReservedPart = partOf(row.Spent, row.Limit), partOf(row.Reserved, row.Limit)
	return row
}

// partOf is an amount in percent of a limit, for a picture. It is 0 without a limit.
func partOf(amount, limit string) int {
	var a, l float64
	_, err1 := fmt.Sscan(amount, &a)
	_, err2 := fmt.Sscan(limit, &l)
	if err1 != nil || err2 != nil || l <= 0 {
		return 0
	}
	return int(min(100, a/l*100))
}
