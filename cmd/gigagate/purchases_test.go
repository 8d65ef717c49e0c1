package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase/sqlite"
)

// sell runs `gigagate register`.
func (g *gateway) sell(t *testing.T, requestID string, more ...string) command {
	t.Helper()
	return gigagate(t, append([]string{
		"register", "--address=" + g.grpc, "--item=" + sandbox.ItemWorldwide1GB, "--request-id=" + requestID,
		"--metatag=text", "--ip=203.0.113.24", "--country=GR",
	}, more...)...)
}

// purchases runs `gigagate purchases`.
func (g *gateway) purchases(t *testing.T, args ...string) command {
	t.Helper()
	return gigagate(t, append(append([]string{"purchases"}, args...), "--address="+g.grpc)...)
}

func TestPurchasesCommands(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	sold := decode(t, g.sell(t, "order-1"), &gigagatev1.RegisterResponse{})
	if got := g.sell(t, "order-2", "--expected-price=1"); got.status != exitFailed {
		t.Fatalf("%+v", got)
	}
	again := decode(t, g.sell(t, "order-1"), &gigagatev1.RegisterResponse{})
	if again.GetPurchaseId() != sold.GetPurchaseId() || len(g.ledger(t).Sales) != 1 {
		t.Errorf("a repeated command bought %v after %v", again, sold)
	}
	id := sold.GetPurchaseId()

	got := decode(t, g.purchases(t, "get", id), &gigagatev1.GetPurchaseResponse{})
	if got.GetPurchase().GetRequestId() != "order-1" || len(got.GetHistory()) != 2 || got.GetHistory()[1].GetEvent() != gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_APPLIED {
		t.Errorf("get: %v", got)
	}
	waited := decode(t, g.purchases(t, "wait", id, "--for=1s"), &gigagatev1.WaitPurchaseResponse{})
	if waited.GetPurchase().GetState() != gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED {
		t.Errorf("wait: %v", waited)
	}
	for _, list := range []struct {
		args []string
		want string
	}{
		{nil, "order-2 order-1"},
		{[]string{"--state=failed"}, "order-2"},
		{[]string{"--state=succeeded"}, "order-1"},
		{[]string{"--state=needs-operator"}, ""},
		{[]string{"--request-id=order-1"}, "order-1"},
		{[]string{"--customer=" + sold.GetCustomer().GetUid()}, "order-1"},
		{[]string{"--activated-item=" + sold.GetActivatedItem().GetUid()}, "order-1"},
		{[]string{"--kind=register", "--item=" + sandbox.ItemWorldwide1GB, "--metatag=text"}, "order-2 order-1"},
		{[]string{"--kind=top-up-with-profile"}, ""},
		{[]string{"--item=" + sandbox.ItemWorldwide50MB}, ""},
		{[]string{"--metatag=tex"}, ""},
		{[]string{"--trace=" + got.GetPurchase().GetTraceId()}, "order-1"},
		{[]string{"--anomalies"}, ""},
	} {
		listed := decode(t, g.purchases(t, append([]string{"list"}, list.args...)...), &gigagatev1.ListPurchasesResponse{})
		if got := requestIDs(listed); got != list.want {
			t.Errorf("list %v: %q, want %q", list.args, got, list.want)
		}
	}
	page := decode(t, g.purchases(t, "list", "--page-size=1"), &gigagatev1.ListPurchasesResponse{})
	next := decode(t, g.purchases(t, "list", "--page-size=1", "--page-token="+page.GetNextPageToken()), &gigagatev1.ListPurchasesResponse{})
	if requestIDs(page) != "order-2" || requestIDs(next) != "order-1" || next.GetNextPageToken() != "" {
		t.Errorf("pages: %v, %v", page, next)
	}

	for _, test := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"unknown", []string{"get", "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, exitFailed, "NotFound, reason PURCHASE_NOT_FOUND"},
		{"no id", []string{"wait", "order-1"}, exitIndeterminate, "InvalidArgument, reason INVALID_FIELD"},
		{"too long a wait", []string{"wait", id, "--for=2m"}, exitIndeterminate, "--for: must be"},
		{"a negative page size", []string{"list", "--page-size=-1"}, exitFailed, "--page-size: must be"},
		{"settled", []string{"resolve", id, "--nothing-sold", "--operator=maria", "--note=x"}, exitIndeterminate, "reason NOT_RESOLVABLE, effect APPLIED"},
		{"no decision", []string{"resolve", id, "--operator=maria", "--note=x"}, exitUsage, "give either --item or --nothing-sold"},
		{"a forced package", []string{"resolve", id, "--operator=maria", "--note=x", "--item=u", "--force"}, exitUsage, "--force goes with --nothing-sold"},
		{"two decisions", []string{"resolve", id, "--operator=maria", "--note=x", "--item=u", "--nothing-sold"}, exitUsage, "give either --item or --nothing-sold"},
	} {
		if got := g.purchases(t, test.args...); got.status != test.status || !strings.Contains(got.err, test.says) || got.out != "" {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}

func requestIDs(listed *gigagatev1.ListPurchasesResponse) string {
	var ids []string
	for _, p := range listed.GetPurchases() {
		ids = append(ids, p.GetRequestId())
	}
	return strings.Join(ids, " ")
}

// The vendor cut off the mark, so an operator has to name what was sold.
func TestPurchasesResolve(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	foreign := decode(t, g.sell(t, "order-1"), &gigagatev1.RegisterResponse{}).GetActivatedItem().GetUid()
	for _, nothing := range []bool{false, true} {
		requestID := map[bool]string{false: "order-2", true: "order-3"}[nothing]
		g.inject(t, `{"path":"/gigastore/activations/register","fault":"metatag_rewritten"}`)
		if got := g.sell(t, requestID, "--timeout=2s"); got.status != exitIndeterminate {
			t.Fatalf("%+v", got)
		}
		sales := g.ledger(t).Sales
		listed := decode(t, g.purchases(t, "list", "--state=uncertain"), &gigagatev1.ListPurchasesResponse{}).GetPurchases()
		if len(listed) != 1 || listed[0].GetRequestId() != requestID {
			t.Fatalf("uncertain: %v", listed)
		}
		id := listed[0].GetId()
		wait := func(want int, state string) {
			t.Helper()
			if got := g.purchases(t, "wait", id, "--for=100ms"); got.status != want || !strings.Contains(got.out, `"PURCHASE_STATE_`+state+`"`) {
				t.Errorf("wait: %+v, want %d and %s", got, want, state)
			}
		}
		wait(exitIndeterminate, "UNCERTAIN")
		if got := g.purchases(t, "resolve", id, "--item="+foreign, "--operator=maria", "--note=portal"); got.status != exitIndeterminate || !strings.Contains(got.err, "FOREIGN_ACTIVATED_ITEM") {
			t.Errorf("another purchase's item: %+v", got)
		}
		word, state, status := "--item="+sales[len(sales)-1].ItemUID, gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED, 0
		if nothing {
			word, state, status = "--nothing-sold", gigagatev1.PurchaseState_PURCHASE_STATE_FAILED, exitFailed
		}
		resolve := []string{"resolve", id, word, "--operator=maria", "--note=portal, ticket 17"}
		if nothing {
			if got := g.purchases(t, resolve...); got.status != exitIndeterminate || !strings.Contains(got.err, "ABSENCE_NOT_SHOWN") {
				t.Errorf("nothing sold, too early: %+v", got)
			}
			resolve = append(resolve, "--force")
		}
		resolved := decode(t, g.purchases(t, resolve...), &gigagatev1.ResolvePurchaseResponse{})
		if resolved.GetPurchase().GetState() != state {
			t.Errorf("resolve: %v", resolved)
		}
		wait(status, map[bool]string{false: "SUCCEEDED", true: "FAILED"}[nothing])
		if got := g.sell(t, requestID); got.status != status {
			t.Errorf("the same request id: %+v", got)
		}
	}
	if n := len(g.ledger(t).Sales); n != 3 {
		t.Errorf("%d sales", n)
	}
}

func TestBenchCountsOutcomes(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "--log-level=error")
	g.inject(t, `{"path":"/gigastore/activations/register","fault":"refuse","count":3,"params":{"message":"no"}}`)
	bench := func(more ...string) command {
		return gigagate(t, append([]string{"bench", "--address=" + g.grpc, "--item=" + sandbox.ItemWorldwide50MB, "--count=50"}, more...)...)
	}
	got := bench("--concurrency=8", "--connections=2")
	if got.status != exitIndeterminate || !strings.Contains(got.err, "47 of 50 calls are known to have bought") || !strings.Contains(got.out, "50 calls in ") || !strings.Contains(got.out, "latency p50 ") ||
		!strings.Contains(got.out, "      47  OK\n") || !strings.Contains(got.out, "       3  FailedPrecondition VENDOR_REFUSED\n") {
		t.Errorf("%+v", got)
	}
	if says := `buys 50 × "eSIM Worldwide 50 MB" for 1.49 USD each, 74.50 USD in all, from the gateway at ` + g.grpc + "\n"; !strings.HasPrefix(got.err, says) || strings.Contains(got.err, "\r") {
		t.Errorf("it said %q", got.err)
	}
	if sales := g.ledger(t).Sales; len(sales) != 47 || sales[0].Requests != 1 {
		t.Errorf("%d sales", len(sales))
	}
	for _, flag := range []string{"--count=0", "--concurrency=0", "--connections=-1"} {
		if got := bench(flag); got.status != exitUsage || !strings.Contains(got.err, "must be at least 1") {
			t.Errorf("%s: %+v", flag, got)
		}
	}
	if got := bench("--count=5"); got.status != 0 {
		t.Errorf("all bought: %+v", got)
	}
	if got := bench("--count=2", "--item=unknown"); got.status != exitFailed || !strings.Contains(got.err, "0 of 2 calls are known to have bought") {
		t.Errorf("an unknown item: %+v", got)
	}
	// A call without an Outcome may have bought a package.
	if got := bench("--count=2", "--address=127.0.0.1:1"); got.status != exitIndeterminate || !strings.Contains(got.out, "       2  Unavailable\n") {
		t.Errorf("no gateway: %+v", got)
	}
}

// TestBenchLeavesTheSandboxItsCredit: bench refuses to spend more than half of a sandbox's credit, unless a flag allows it.
func TestBenchLeavesTheSandboxItsCredit(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "--log-level=error")
	post(t, "http://"+g.sandbox+"/_sandbox/reset", `{"seed":7,"settings":{"initialCredit":10.00}}`)
	bench := func(more ...string) command {
		return gigagate(t, append([]string{"bench", "--address=" + g.grpc, "--sandbox-address=" + g.sandbox, "--item=" + sandbox.ItemWorldwide50MB}, more...)...)
	}
	if got := bench("--count=4"); got.status != exitFailed || !strings.Contains(got.err, "more than half of the 10.00 USD that the sandbox at "+g.sandbox) || len(g.ledger(t).Sales) != 0 {
		t.Errorf("5.96 of 10: %+v", got)
	}
	if got := bench("--count=3"); got.status != 0 || len(g.ledger(t).Sales) != 3 {
		t.Errorf("4.47 of 10: %+v", got)
	}
	if got := bench("--count=3", "--empty-sandbox"); got.status != 0 || len(g.ledger(t).Sales) != 6 {
		t.Errorf("4.47 of 5.53: %+v", got)
	}
}

func TestBenchShowsTheTimeLeft(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		done    int
		elapsed time.Duration
		says    string
	}{
		{0, time.Second, "0 of 1000"},
		{250, 0, "250 of 1000"},
		{250, 2 * time.Second, "250 of 1000, 125/s, 6s left"},
		{1000, 8 * time.Second, "1000 of 1000, 125/s, 0s left"},
	} {
		if got := progressText(test.done, 1000, test.elapsed); got != test.says {
			t.Errorf("%q, want %q", got, test.says)
		}
	}
}

// Readiness names the problem, and recovers when the problem is gone.
func TestReadinessNamesTheJournal(t *testing.T) {
	t.Parallel()
	journal, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "gigagate.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	process := &gatewayProcess{}
	admin := httptest.NewServer(newAdmin(process.ready(journal), func() []string { return nil }, http.NotFoundHandler(), http.NotFoundHandler()))
	defer admin.Close()
	check := func(status int, says string) {
		t.Helper()
		if got := get(t, admin.URL+"/readyz"); got.status != status || !strings.Contains(got.body, says) {
			t.Errorf("%+v, want %d %q", got, status, says)
		}
	}
	check(http.StatusServiceUnavailable, "draining or not started")
	process.serving.Store(true)
	check(http.StatusOK, "ready")
	if err := process.ready(journal)(canceled(t)); err == nil || !strings.Contains(err.Error(), "the journal cannot write: ") {
		t.Errorf("%v", err)
	}
	check(http.StatusOK, "ready")
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	check(http.StatusServiceUnavailable, "the journal cannot write: ")
}

// canceled returns an ended context, which makes the journal fail as if it did not answer in time.
func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// TestICCIDIsNoCustomer: the number of an eSIM in the place of a customer's uid is refused, and neither printed nor logged.
func TestICCIDIsNoCustomer(t *testing.T) {
	t.Parallel()
	const iccid = "89972000000000000012"
	g := startGateway(t, "--log-level=debug")
	for _, line := range [][]string{
		{"customer", iccid},
		{"purchases", "list", "--customer=" + iccid},
		{"top-up", "--customer=" + iccid, "--item=" + sandbox.ItemWorldwide1GB, "--metatag=order 1"},
	} {
		got := gigagate(t, append(line, "--address="+g.grpc)...)
		if got.status == 0 || !strings.Contains(got.err, "ICCID") || strings.Contains(got.out+got.err, iccid) {
			t.Errorf("%v: %d, %s %s", line, got.status, got.out, got.err)
		}
	}
	g.log.waitFor(t, g.ended, "invalid_fields")
	if strings.Contains(g.log.String(), iccid) {
		t.Errorf("the log has the number:\n%s", g.log)
	}
}
