package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

func TestServeSellsOverGRPCAndREST(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	got := post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", `,"activationMode":"ACTIVATION_MODE_FIRST_USE"`))
	if got.status != http.StatusOK || !strings.Contains(got.body, `"activationDeadline"`) || strings.Contains(got.body, `"expiresAt"`) {
		t.Fatalf("REST: %+v", got)
	}
	sold, err := g.activations(t).Register(t.Context(), &gigagatev1.RegisterRequest{
		RequestId: "order-2", InventoryItemId: sandbox.ItemWorldwide1GB, Metatag: "text", UserIp: "203.0.113.24", UserCountry: "GR",
	})
	if err != nil {
		t.Fatal(err)
	}
	if sales := g.ledger(t).Sales; len(sales) != 2 || sales[1].ItemUID != sold.GetActivatedItem().GetUid() {
		t.Errorf("the ledger has %+v", sales)
	}
}

// The gateway uses the sandbox's clock. When the clock is advanced, the expired token is renewed without a
// failed call, and packages expire.
func TestServeGoesByTheSandboxsClock(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	sold := post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", ""))
	var ids struct{ Customer struct{ UID string } }
	if err := json.Unmarshal([]byte(sold.body), &ids); err != nil || ids.Customer.UID == "" {
		t.Fatalf("%v in %s", err, sold.body)
	}
	post(t, "http://"+g.sandbox+"/_sandbox/clock", `{"advance":"91d"}`)
	if got := post(t, "http://"+g.rest+"/v1/activations/register", registration("order-2", "")); got.status != http.StatusOK {
		t.Errorf("a sale after 91 days: %+v", got)
	}
	if got := get(t, "http://"+g.rest+"/v1/customers/"+ids.Customer.UID); !strings.Contains(got.body, "BALANCE_STATE_EXPIRED") {
		t.Errorf("a package of 30 days after 91: %s", got.body)
	}
}

// Every flag of serve can be set in the environment.
func TestServeReadsTheEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"SANDBOX": "true", "GRPC_LISTEN": "127.0.0.1:0", "HTTP_LISTEN": "127.0.0.1:0", "ADMIN_LISTEN": "127.0.0.1:0",
		"SANDBOX_LISTEN": "127.0.0.1:0", "METATAG_MAX": "30", "LOG_FORMAT": "text",
		"JOURNAL": "sqlite:" + filepath.Join(t.TempDir(), "gigagate.db"),
	} {
		t.Setenv("GIGAGATE_"+name, value)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out, log, ended := newWatched(), newWatched(), make(chan struct{})
	go func() {
		defer close(ended)
		run(ctx, []string{"serve", "--log-level=debug"}, console{out: out, err: log})
	}()
	defer func() {
		cancel()
		<-ended
	}()
	rest := out.waitFor(t, ended, `REST +http://(\S+)`)[1]
	got := post(t, "http://"+rest+"/v1/activations/register", registration("order-1", ""))
	if got.status != http.StatusBadRequest || !strings.Contains(got.body, "must be at most 1 bytes") {
		t.Errorf("GIGAGATE_METATAG_MAX was not honoured: %+v", got)
	}
	log.waitFor(t, ended, `level=INFO msg=call`)
}

// An empty variable is an error. Taken as a value, it could open a random port on every interface, or
// remove the price limit.
func TestVariablesSetToNothing(t *testing.T) {
	for name, line := range map[string][]string{
		"ADMIN_LISTEN":       {"serve", "--sandbox", "--journal=sqlite:" + filepath.Join(t.TempDir(), "gigagate.db"), "--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--sandbox-listen=127.0.0.1:0"},
		"SANDBOX_LISTEN":     {"sandbox"},
		"MAX_PURCHASE_PRICE": {"serve", "--sandbox"},
		"ADDRESS":            {"inventory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GIGAGATE_"+name, "")
			flag := "--" + strings.ToLower(strings.ReplaceAll(name, "_", "-"))
			if got := gigagate(t, line...); got.status != exitUsage || !strings.Contains(got.err, flag+" is given, and empty") {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestServeHasAPriceLimit: no request buys for more than the operator allows. The answer about an earlier
// purchase does not change.
func TestServeHasAPriceLimit(t *testing.T) {
	t.Parallel()
	const cost = "4.2" // what the item costs the reseller
	for _, test := range []struct {
		name   string
		flags  []string
		more   []string // more flags of the request
		sold   bool
		reason string
	}{
		{"at the limit", []string{"--max-purchase-price=" + cost}, nil, true, ""},
		{"above the limit", []string{"--max-purchase-price=4.19"}, nil, false, "MAX_PURCHASE_PRICE_EXCEEDED"},
		{"above the limit, below the request's", []string{"--max-purchase-price=4.19"}, []string{"--max-purchase-price=5"}, false, "MAX_PURCHASE_PRICE_EXCEEDED"},
		{"below the limit, above the request's", []string{"--max-purchase-price=5"}, []string{"--max-purchase-price=4.19"}, false, "MAX_PURCHASE_PRICE_EXCEEDED"},
		{"the request's in another currency", []string{"--max-purchase-price=5"}, []string{"--max-purchase-price=5", "--max-purchase-currency=EUR"}, false, "PURCHASE_PRICE_UNREADABLE"},
		{"in another currency", []string{"--max-purchase-price=5", "--max-purchase-currency=EUR"}, nil, false, "PURCHASE_PRICE_UNREADABLE"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, test.flags...)
			got := g.sell(t, "order-1", test.more...)
			ledger := g.ledger(t)
			if !test.sold {
				if got.status != exitFailed || !strings.Contains(got.err, "reason "+test.reason+", effect NOT_STARTED") || len(ledger.Sales) != 0 ||
					ledger.Requests["/gigastore/activations/register"] != 0 {
					t.Errorf("%+v, %d sales", got, len(ledger.Sales))
				}
				return
			}
			// An existing purchase is still answered if no price can be read any more.
			g.inject(t, `{"path":"/gigastore/products/inventory","fault":"5xx","count":100}`)
			again, other := g.sell(t, "order-1", test.more...), g.sell(t, "order-2", test.more...)
			if sales := g.ledger(t).Sales; got.status != 0 || again.out != got.out || other.status != exitFailed ||
				!strings.Contains(other.err, "PURCHASE_PRICE_UNREADABLE") || len(sales) != 1 {
				t.Errorf("%+v, again %+v, another %+v, %d sales", got, again, other, len(sales))
			}
		})
	}
}

// Errors about settings name their flag.
func TestServeRefusesBadSettings(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	missing := filepath.Join(t.TempDir(), "missing.json")
	broken := writeFile(t, `[{"reason":"PRICE_MISMATCH","text":["price"]}]`)
	for _, test := range []struct {
		name string
		args []string
		says string
	}{
		{"refusals file missing", serveLine(t, "--sandbox", "--gigastore-refusals-file="+missing), "--gigastore-refusals-file: "},
		{"refusals file with a typo", serveLine(t, "--sandbox", "--gigastore-refusals-file="+broken), "--gigastore-refusals-file: "},
		{"port in use", serveLine(t, "--sandbox", "--http-listen="+g.rest), "--http-listen: "},
		{"settings file missing", []string{"sandbox", "--sandbox-listen=127.0.0.1:0", "--sandbox-settings-file=" + missing}, "--sandbox-settings-file: "},
		{"settings file with a typo", []string{"sandbox", "--sandbox-listen=127.0.0.1:0", "--sandbox-settings-file=" + writeFile(t, `{"initialCredits":1}`)}, `"initialCredits"`},
		{"settings file with two objects", []string{"sandbox", "--sandbox-listen=127.0.0.1:0", "--sandbox-settings-file=" + writeFile(t, `{}{}`)}, "after the JSON object"},
		{"setting without a meaning", []string{"sandbox", "--sandbox-listen=127.0.0.1:0", "--sandbox-settings-file=" + writeFile(t, `{"errorShape":"haiku"}`)}, `gigagate: --sandbox-settings-file: setting errorShape is "haiku"`},
		{"setting of another type", []string{"sandbox", "--sandbox-listen=127.0.0.1:0", "--sandbox-settings-file=" + writeFile(t, `{"listCap":"many"}`)}, "gigagate: --sandbox-settings-file: listCap cannot be: string"},
		{"settings that are no object", []string{"sandbox", "--sandbox-listen=127.0.0.1:0", "--sandbox-settings-file=" + writeFile(t, `[]`)}, "gigagate: --sandbox-settings-file: the whole cannot be: array"},
		{"refusals of another type", serveLine(t, "--sandbox", "--gigastore-refusals-file="+writeFile(t, `[{"statuses":"400"}]`)), "gigagate: --gigastore-refusals-file: statuses cannot be: string"},
		{"sandbox port in use", []string{"sandbox", "--sandbox-listen=" + g.sandbox}, "--sandbox-listen: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := gigagate(t, test.args...)
			if got.status != exitFailed || !strings.Contains(got.err, test.says) || got.out != "" {
				t.Errorf("%+v, want %q", got, test.says)
			}
		})
	}
}

// A refused start closes all ports.
func TestServeClosesWhatItOpened(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	again, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
	if got := gigagate(t, serveLine(t, "--sandbox", "--grpc-listen="+again.Addr().String(), "--http-listen="+taken.Addr().String())...); got.status != exitFailed {
		t.Fatalf("%+v", got)
	}
	if again, err = net.Listen("tcp", again.Addr().String()); err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

func writeFile(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file.json")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRefusalsFileReplacesTheAssumedMeanings(t *testing.T) {
	t.Parallel()
	wrongPrice := registration("order-1", `,"expectedPrice":{"currencyCode":"USD","amount":"1"}`)
	for file, reason := range map[string]string{
		"":   `"PRICE_MISMATCH"`,
		`[]`: `"VENDOR_REFUSED"`,
		`[{"operations":["register"],"contains":["price"],"reason":"INSUFFICIENT_CREDIT"}]`: `"INSUFFICIENT_CREDIT"`,
	} {
		var args []string
		if file != "" {
			args = []string{"--gigastore-refusals-file=" + writeFile(t, file)}
		}
		g := startGateway(t, args...)
		if got := post(t, "http://"+g.rest+"/v1/activations/register", wrongPrice); !strings.Contains(got.body, reason) {
			t.Errorf("with %q: %s, want %s", file, got.body, reason)
		}
	}
}

// A throttled purchase is sent again if the operator has configured that a 429 comes before any charge. The tests of
// gigastore cover the default, which is not to send again.
func TestThrottledIsSentAgainWhereThatIsSafe(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "--gigastore-retry-throttled")
	g.inject(t, `{"path":"/gigastore/activations/register","fault":"throttle","count":1}`)
	if got := post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", "")); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestSandboxAloneServesTheVendorsAPI(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, log, ended := newWatched(), newWatched(), make(chan struct{})
	status := -1
	go func() {
		defer close(ended)
		status = run(ctx, []string{"sandbox", "--sandbox-listen=127.0.0.1:0", "--sandbox-settings-file=" + writeFile(t, `{"initialCredit":7.00}`)},
			console{out: out, err: log})
	}()
	address := out.waitFor(t, ended, `vendor API +http://(\S+)`)[1]
	if !strings.Contains(out.String(), "SANDBOX") {
		t.Errorf("it does not say that it is a sandbox: %s", out)
	}
	if got := get(t, "http://"+address+"/_sandbox/ledger"); !strings.Contains(got.body, `"creditLeft":7.00`) {
		t.Errorf("the settings were not read: %s", got.body)
	}
	if got := get(t, "http://"+address+"/gigastore/products/inventory"); got.status != http.StatusUnauthorized {
		t.Errorf("without a token: %+v", got)
	}
	cancel()
	<-ended
	if status != 0 {
		t.Errorf("exit status %d: %s", status, log)
	}
}

func TestAdminTellsHealthAndMetrics(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", ""))
	for path, says := range map[string]string{
		"/healthz": "ok " + version(),
		"/readyz":  "ready",
		"/metrics": `rpc_method="gigagate.v1.ActivationService/Register"`,
	} {
		if got := get(t, "http://"+g.admin+path); got.status != http.StatusOK || !strings.Contains(got.body, says) {
			t.Errorf("%s: %d, want %q in\n%s", path, got.status, says, got.body)
		}
	}
	pages := regexp.MustCompile(`(?m)^/\S+`).FindAllString(get(t, "http://"+g.admin+"/").body, -1)
	if !slices.Equal(pages, []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/"}) {
		t.Errorf("the root lists %q", pages)
	}
	for _, page := range append(pages, "/nowhere") {
		if got := get(t, "http://"+g.admin+page); got.status == http.StatusOK == (page == "/nowhere") {
			t.Errorf("%s: %d", page, got.status)
		}
	}
	// The operators' pages are not served on the port for buyers.
	for _, path := range []string{"/metrics", "/debug/pprof/", "/healthz", "/_sandbox/ledger"} {
		if got := get(t, "http://"+g.rest+path); got.status != http.StatusNotFound {
			t.Errorf("REST answers %s with %d", path, got.status)
		}
	}
}

func TestTraceIDIsOnAnswersAndLogLines(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	const restTrace, grpcTrace = "0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736"

	got := do(t, http.MethodPost, "http://"+g.rest+"/v1/activations/register", registration("order-1", ""), http.Header{
		"Content-Type": {"application/json"}, "Traceparent": {"00-" + restTrace + "-b7ad6b7169203331-01"},
	})
	if id := got.header.Get("X-Trace-Id"); id != restTrace {
		t.Errorf("REST: x-trace-id is %q", id)
	}
	if refused := get(t, "http://"+g.rest+"/v1/nothing"); len(refused.header.Get("X-Trace-Id")) != 32 {
		t.Errorf("REST, refused: x-trace-id is %q", refused.header.Get("X-Trace-Id"))
	}

	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+grpcTrace+"-00f067aa0ba902b7-01")
	var trailer metadata.MD
	if _, err := g.activations(t).Activate(ctx, &gigagatev1.ActivateRequest{Uid: "no-such-package"}, grpc.Trailer(&trailer)); err == nil {
		t.Error("activating what does not exist succeeded")
	}
	if id := trailer.Get("x-trace-id"); len(id) != 1 || id[0] != grpcTrace {
		t.Errorf("gRPC: x-trace-id is %q", id)
	}

	g.exit()
	lines := map[string]int{}
	for line := range strings.Lines(g.log.String()) {
		var call struct{ Msg, TraceID string }
		if err := json.Unmarshal([]byte(strings.ReplaceAll(line, "trace_id", "TraceID")), &call); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if call.Msg == "call" {
			lines[call.TraceID]++
		}
	}
	if lines[restTrace] != 1 || lines[grpcTrace] != 1 || lines[""] != 0 || len(lines) != 3 {
		t.Errorf("lines by trace: %v in\n%s", lines, g.log)
	}
}

// TestSandboxOnEveryInterface: in a container, the sandbox must listen on all interfaces, because a port on
// loopback cannot be published. The gateway still reaches its sandbox over loopback.
func TestSandboxOnEveryInterface(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "--sandbox-listen=0.0.0.0:0", "--insecure")
	if sold := post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", "")); sold.status != http.StatusOK {
		t.Errorf("%+v", sold)
	}
}

// TestHealthChecksAreNotLogged: health checks would fill the log, because they come every few seconds.
func TestHealthChecksAreNotLogged(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	if asked := gigagate(t, "health", "--address="+g.grpc); asked.status != 0 {
		t.Fatal(asked.err)
	}
	g.sell(t, "order-1")
	if log := g.log.String(); strings.Contains(log, "grpc.health") || !strings.Contains(log, "ActivationService") {
		t.Errorf("the log has %s", log)
	}
}
