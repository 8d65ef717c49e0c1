package main

import (
	"strings"
	"testing"
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
