package main

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

// decode reads what a command printed.
func decode[T proto.Message](t *testing.T, from command, into T) T {
	t.Helper()
	if from.status != 0 {
		t.Fatalf("exit status %d: %s", from.status, from.err)
	}
	if err := protojson.Unmarshal([]byte(from.out), into); err != nil {
		t.Fatalf("%v in %s", err, from.out)
	}
	return into
}

func TestCommandsBuyTopUpAndActivate(t *testing.T) {
	t.Parallel()
	g := startGateway(t)

	first := gigagate(t, "register", "--address="+g.grpc, "--item="+sandbox.ItemWorldwide1GB, "--metatag=first",
		"--ip=203.0.113.24", "--country=GR", "--mode=on-demand", "--expected-price=9.990",
		"--email=traveller@example.com", "--request-id=order-1")
	sold := decode(t, first, &gigagatev1.RegisterResponse{})
	if first.err != "request id: order-1\n" {
		t.Errorf("before sending it wrote %q", first.err)
	}
	balance := sold.GetActivatedItem().GetBalance()
	if balance.GetActivationDeadline() == nil || balance.GetExpiresAt() != nil || balance.GetActivatedAt() != nil {
		t.Errorf("a pending package must have an activation deadline and no expiry, got %v", balance)
	}

	for _, already := range []bool{false, true} {
		started := decode(t, gigagate(t, "activate", sold.GetActivatedItem().GetUid(), "--address="+g.grpc), &gigagatev1.ActivateResponse{})
		balance = started.GetActivatedItem().GetBalance()
		if started.GetAlreadyActive() != already || balance.GetExpiresAt() == nil || balance.GetActivationDeadline() != nil {
			t.Errorf("activate, already active %v: %v", already, started)
		}
	}

	customer := "--customer=" + sold.GetCustomer().GetUid()
	plain := decode(t, gigagate(t, "top-up", "--item="+sandbox.ItemWorldwide50MB, "--metatag=second", customer,
		"--address="+g.grpc), &gigagatev1.TopUpResponse{})
	if plain.GetEsimProfile() != nil || plain.GetActivatedItem().GetBalance().GetExpiresAt() == nil {
		t.Errorf("a plain top-up in the vendor's default mode: %v", plain)
	}
	withProfile := decode(t, gigagate(t, "top-up", "--item="+sandbox.ItemWorldwide50MB, "--metatag=third", customer,
		"--address="+g.grpc, "--mode=first-use", "--new-profile", "--ip=203.0.113.24", "--country=GR"), &gigagatev1.TopUpResponse{})
	if !strings.HasPrefix(withProfile.GetEsimProfile().GetActivationCode(), "LPA:1$sandbox.invalid$") {
		t.Errorf("a top-up with a new profile: %v", withProfile)
	}

	for _, args := range [][]string{{sold.GetCustomer().GetUid()}, {"--iccid=" + sold.GetEsimProfile().GetIccid()}} {
		shown := decode(t, gigagate(t, append([]string{"customer", "--address=" + g.grpc}, args...)...), &gigagatev1.GetCustomerResponse{})
		if shown.GetCustomer().GetUid() != sold.GetCustomer().GetUid() || len(shown.GetEsimProfiles()) != 2 {
			t.Errorf("customer %v: %v", args, shown)
		}
	}
	for _, args := range [][]string{{}, {"uid", "--iccid=89972000000000000012"}} {
		refused := gigagate(t, append([]string{"customer", "--address=" + g.grpc}, args...)...)
		if refused.status == 0 || !strings.Contains(refused.err, "give either the customer's uid or --iccid") {
			t.Errorf("customer %v: %+v", args, refused)
		}
	}

	var kinds []sandbox.Kind
	for _, sale := range g.ledger(t).Sales {
		kinds = append(kinds, sale.Kind)
	}
	if len(kinds) != 3 || kinds[0] != sandbox.KindRegister || kinds[1] != sandbox.KindTopUp || kinds[2] != sandbox.KindTopUpWithProfile {
		t.Errorf("the ledger has %v", kinds)
	}
}

func TestInventoryListsWhatCanBeSold(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	listed := gigagate(t, "inventory", "--address="+g.grpc)
	items := decode(t, listed, &gigagatev1.ListInventoryItemsResponse{}).GetItems()
	if len(items) != 5 || items[1].GetId() != sandbox.ItemWorldwide1GB {
		t.Errorf("inventory: %v", items)
	}
	first := decode(t, gigagate(t, "inventory", "--page-size=4", "--address="+g.grpc), &gigagatev1.ListInventoryItemsResponse{})
	second := decode(t, gigagate(t, "inventory", "--page-token="+first.GetNextPageToken(), "--address="+g.grpc), &gigagatev1.ListInventoryItemsResponse{})
	if len(first.GetItems()) != 4 || len(second.GetItems()) != 1 || second.GetItems()[0].GetId() != items[4].GetId() {
		t.Errorf("pages: %v, %v", first, second)
	}
	if again := gigagate(t, "inventory", "--address="+g.grpc); !strings.Contains(again.out, `"readTime": "`) {
		t.Errorf("the layout is not encoding/json's: %s", again.out)
	}
}

// The exit status tells a script whether credit may have been spent.
func TestExitStatusTellsTheEffect(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	sell := func(more ...string) command {
		return gigagate(t, append([]string{
			"register", "--address=" + g.grpc, "--item=" + sandbox.ItemWorldwide1GB,
			"--metatag=text", "--ip=203.0.113.24", "--country=GR",
		}, more...)...)
	}
	for _, test := range []struct {
		name, fault string
		more        []string
		status      int
		says        string
		requests    int
	}{
		{"refused by the vendor", "", []string{"--expected-price=1"}, exitFailed, "FailedPrecondition, reason PRICE_MISMATCH, effect NOT_APPLIED", 1},
		{"refused by the gateway", "", []string{"--country=gr"}, exitFailed, "InvalidArgument, reason INVALID_FIELD, effect NOT_STARTED: ", 0},
		{"sold without an answer", `{"path":"/gigastore/activations/register","fault":"commit_then_reset"}`, nil, 0, "request id: ", 1},
		{"throttled, not sold", `{"path":"/gigastore/activations/register","fault":"throttle"}`, []string{"--timeout=2s"}, exitIndeterminate, "effect INDETERMINATE", 1},
		{"turned away once", `{"path":"/gigastore/activations/register","fault":"unauthorized"}`, nil, 0, "request id: ", 2},
		{"turned away for good", `{"path":"/gigastore/activations/register","fault":"unauthorized","count":2}`, nil, exitFailed, "Aborted, reason NEVER_SENT, effect NOT_APPLIED", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.fault != "" {
				g.inject(t, test.fault)
			}
			const path = "/gigastore/activations/register"
			before := g.ledger(t).Requests[path]
			got := sell(test.more...)
			if got.status != test.status || !strings.Contains(got.err, test.says) {
				t.Errorf("exit status %d, want %d; it said %q, want %q in it", got.status, test.status, got.err, test.says)
			}
			if strings.Contains(got.err, "repeating") && test.status != exitIndeterminate {
				t.Errorf("it repeated a settled purchase: %s", got.err)
			}
			if sent := g.ledger(t).Requests[path] - before; sent != test.requests {
				t.Errorf("the vendor got %d requests, want %d", sent, test.requests)
			}
		})
	}

	if got := gigagate(t, "activate", "no-such-package", "--address="+g.grpc); got.status != exitFailed ||
		!strings.Contains(got.err, "ACTIVATED_ITEM_NOT_FOUND") {
		t.Errorf("activating what does not exist: %+v", got)
	}
	// Nothing listens there, so the error has no Outcome. Without an Outcome, the package may have been sold.
	if got := gigagate(t, "activate", "package", "--address=127.0.0.1:1"); got.status != exitIndeterminate {
		t.Errorf("no gateway: %+v", got)
	}
}

func TestHealthAsksTheGateway(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	if got := gigagate(t, "health", "--address="+g.grpc); got != (command{0, "serving\n", ""}) {
		t.Errorf("serving: %+v", got)
	}
	if got := get(t, "http://"+g.admin+"/readyz"); got.status != http.StatusOK {
		t.Errorf("readyz: %+v", got)
	}
	g.exit()
	if got := gigagate(t, "health", "--address="+g.grpc); got.status != exitFailed || got.out != "" {
		t.Errorf("stopped: %+v", got)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"version", "--version", "serve --version", "register --version"} {
		if got := gigagate(t, strings.Fields(line)...); got != (command{0, version() + "\n", ""}) || version() == "" {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

// A call without arguments prints the help, but it is still wrong usage: a script that does this has a mistake.
func TestHelpWithoutArguments(t *testing.T) {
	t.Parallel()
	asked := gigagate(t, "--help")
	if asked.status != 0 || !strings.Contains(asked.out, "Run the gateway.") || asked.err != "" {
		t.Errorf("--help: %+v", asked)
	}
	if got := gigagate(t); got != (command{exitUsage, "", asked.out}) {
		t.Errorf("nothing: %+v", got)
	}
}

// A wrong command line is refused with an error sentence before anything is sent or opened.
func TestUsage(t *testing.T) {
	t.Parallel()
	sale := []string{"register", "--address=127.0.0.1:1", "--item=a", "--metatag=b", "--ip=c", "--country=d"}
	secret, empty := writeFile(t, "secret"), writeFile(t, " \n")
	for _, test := range []struct {
		name string
		args []string
		says string
	}{
		{"unknown command", []string{"purchase"}, `did you mean "purchases"?`},
		{"unknown flag", []string{"serve", "--sandbox", "--grpc-lisen=127.0.0.1:0"}, "unknown flag --grpc-lisen"},
		{"unknown level", []string{"serve", "--sandbox", "--log-level=loud"}, "--log-level"},
		{"a limit that is not an amount", serveLine(t, "--sandbox", "--max-purchase-price=-1"), `gigagate: --max-purchase-price: "-1" is not an amount such as 9.99`},
		{"a limit with a currency in it", serveLine(t, "--sandbox", "--max-purchase-price=9.99 USD"), `--max-purchase-price: "9.99 USD" is not an amount`},
		{"an empty limit", serveLine(t, "--sandbox", "--max-purchase-price="), "--max-purchase-price is given, and empty"},
		{"a limit without a valid currency", serveLine(t, "--sandbox", "--max-purchase-price=1", "--max-purchase-currency=usd"), `--max-purchase-currency: "usd" is not three capital letters`},
		{"no room for a metatag", serveLine(t, "--sandbox", "--metatag-max=29"), "--metatag-max must be at least 30 bytes"},
		{"no sandbox and no credentials", []string{"serve"}, "--gigastore-client-id is needed, or --sandbox"},
		{"no send window", []string{"serve", "--sandbox", "--send-window=0"}, "--send-window must be more than zero"},
		{"negative settle delay", []string{"serve", "--sandbox", "--reconcile-settle-delay=-1s"}, "--reconcile-settle-delay must be more than zero"},
		{"no witness timeout", []string{"serve", "--sandbox", "--reconcile-witness-timeout=0"}, "--reconcile-witness-timeout must be more than zero"},
		{"no time until giving up", []string{"serve", "--sandbox", "--reconcile-give-up=0"}, "--reconcile-give-up must be more than zero"},
		{"bench without a number", []string{"bench", "--item=a"}, "missing flags: --count=N"},
		{"purchases without a verb", []string{"purchases"}, "expected one of"},
		{"unknown state", []string{"purchases", "list", "--state=failing"}, "--state must be one of"},
		{"resolution without a name", []string{"purchases", "resolve", "x", "--nothing-sold"}, "missing flags: --note=TEXT, --operator=NAME"},
		{"no time", []string{"serve", "--sandbox", "--gigastore-timeout=0"}, "--gigastore-timeout must be more than zero"},
		{"missing flags", []string{"register", "--item=a"}, "missing flags: --country=CC, --ip=ADDR, --metatag=TEXT"},
		{"unknown mode", []string{"register", "--item=a", "--metatag=b", "--ip=c", "--country=d", "--mode=ondemnad"}, "--mode must be one of"},
		{"empty request id", append(sale, "--request-id="), "--request-id is given, and empty"},
		{"empty price", append(sale, "--expected-price", ""), "--expected-price is given, and empty"},
		{"empty e-mail", append(sale, "--email="), "--email is given, and empty"},
		{"empty filter", []string{"purchases", "list", "--request-id="}, "--request-id is given, and empty"},
		{"empty journal", serveLine(t, "--sandbox", "--journal="), "--journal is given, and empty"},
		{"empty vendor", serveLine(t, "--gigastore-client-id=a", "--gigastore-client-secret-file="+secret, "--gigastore-url="), "--gigastore-url is given, and empty"},
		{"empty secret", serveLine(t, "--gigastore-client-id=a", "--gigastore-client-secret-file="+empty), "--gigastore-client-secret-file: " + empty + " is empty"},
		{"gRPC nowhere", serveLine(t, "--sandbox", "--grpc-listen="), "--grpc-listen is given, and empty"},
		{"gRPC on any port", serveLine(t, "--sandbox", "--grpc-listen=:"), `--grpc-listen: ":" is not HOST:PORT`},
		{"REST without a port", serveLine(t, "--sandbox", "--http-listen=127.0.0.1:"), `--http-listen: "127.0.0.1:" is not HOST:PORT`},
		{"admin without a port", serveLine(t, "--sandbox", "--admin-listen=127.0.0.1"), `--admin-listen: "127.0.0.1" is not HOST:PORT`},
		{"its own sandbox on any port", serveLine(t, "--sandbox", "--sandbox-listen=[::1]:"), `--sandbox-listen: "[::1]:" is not HOST:PORT`},
		{"sandbox nowhere", []string{"sandbox", "--sandbox-listen="}, "--sandbox-listen is given, and empty"},
		{"sandbox without a port", []string{"sandbox", "--sandbox-listen=localhost"}, `--sandbox-listen: "localhost" is not HOST:PORT`},
		{"flags of a profile without one", []string{"top-up", "--item=a", "--metatag=b", "--customer=c", "--ip=d"}, "go with --new-profile"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := gigagate(t, test.args...)
			if got.status != exitUsage || !strings.Contains(got.err, test.says) || strings.Count(got.err, "\n") != 1 {
				t.Errorf("%+v", got)
			}
		})
	}
}
