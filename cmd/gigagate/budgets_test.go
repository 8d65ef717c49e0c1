package main

import (
	"regexp"
	"strings"
	"testing"

	"gigagate.internal/gigastore/sandbox"
)

// TestBudgetInACurrencyThatNothingIsSoldIn: the log says so once. Of a budget in a currency that is sold, it says nothing.
func TestBudgetInACurrencyThatNothingIsSoldIn(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "--callers-file="+writeFile(t, `callers:
- name: shop
  budget: {currency: USD, total: 5}
- name: kiosk
  budget: {currency: EUR, total: 5}
`))
	g.log.waitFor(t, g.ended, `"level":"WARN","msg":"nothing is sold in the currency of a budget","caller":"kiosk","currency":"EUR"`)
	g.stop()
	<-g.ended
	if n := strings.Count(g.log.String(), "in the currency of a budget"); n != 1 {
		t.Errorf("%d warnings: %s", n, g.log)
	}
}

// TestBudgetsCommand: flags that would be ignored are refused, and a caller without a budget is an error.
func TestBudgetsCommand(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	for _, c := range []struct {
		args []string
		want command
	}{
		{[]string{"--output=table"}, command{0, "CALLER  PERIOD  LIMIT  RESERVED  SPENT  LEFT  ENDS\n", ""}},
		{[]string{"shop"}, command{exitFailed, "", "gigagate: NotFound, reason BUDGET_NOT_FOUND: no budget of this caller was found\n"}},
		{[]string{"Shop"}, command{exitFailed, "", "gigagate: InvalidArgument, reason INVALID_FIELD: a field of the request is not valid: <caller>: must be the name of a caller: 1 to 63 small letters, digits and -, and no - at the start\n"}},
		{[]string{"shop", "--page-size=5"}, command{exitUsage, "", "gigagate: budgets: --page-size and --page-token are for the list of all budgets, without a caller\n"}},
	} {
		if got := gigagate(t, append([]string{"budgets", "--address=" + g.grpc}, c.args...)...); got != c.want {
			t.Errorf("%v: %+v", c.args, got)
		}
	}
}

// TestBudgetOverTheCommandLine: a refused purchase ends at once, although the budget of the next day would cover it. The
// limits of the callers file and what was spent are in the table.
func TestBudgetOverTheCommandLine(t *testing.T) {
	t.Parallel()
	g, key := startWithBudget(t)
	as := []string{"--address=" + g.grpc, "--api-key-file=" + writeFile(t, key)}
	refused := gigagate(t, append([]string{
		"register", "--request-id=order-2001", "--item=" + sandbox.ItemWorldwide1GB, "--metatag=text", "--ip=203.0.113.24", "--country=GR",
	}, as...)...)
	if want := "request id: order-2001\ngigagate: ResourceExhausted, reason BUDGET_EXCEEDED, effect NOT_STARTED: " +
		"the budget of this caller does not cover the purchase: it costs 4.2 USD, and 3.8 USD of the 8 USD for this day are left\n"; refused != (command{exitFailed, "", want}) {
		t.Errorf("%+v", refused)
	}
	for _, args := range [][]string{{"budgets", "shop", "--output=table"}, {"budgets", "--output=table"}} {
		shown := gigagate(t, append(args, as...)...)
		if !regexp.MustCompile(`^CALLER  PERIOD        LIMIT     RESERVED  SPENT    LEFT      ENDS
shop    one purchase  9.99 USD
shop    20[0-9-]{8}    8 USD     0 USD     4.2 USD  3.8 USD   20[0-9-]{8}T00:00:00Z
shop    20[0-9-]{5}       100 USD   0 USD     4.2 USD  95.8 USD  20[0-9-]{5}-01T00:00:00Z
shop    total                   0 USD     4.2 USD
$`).MatchString(shown.out) {
			t.Errorf("%v: %+v", args, shown)
		}
	}
}
