package main

import (
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
)

// vendor is a sandbox outside the gateway, with its own listener. It remembers the credentials that clients
// sent.
type vendor struct {
	url  string
	paid chan struct{} // one value for each paid request that arrived

	mu          sync.Mutex
	credentials []string
}

func startVendor(t *testing.T) *vendor {
	t.Helper()
	box, err := sandbox.New(sandbox.Config{Seed: 1, Settings: sandbox.DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	v := &vendor{paid: make(chan struct{}, 100)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, secret, ok := r.BasicAuth(); ok {
			v.mu.Lock()
			v.credentials = append(v.credentials, id+":"+secret)
			v.mu.Unlock()
		}
		if r.Header.Get("Idempotency-Key") != "" {
			v.paid <- struct{}{}
		}
		box.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		_ = box.Close()
		server.Close()
	})
	v.url = server.URL
	return v
}

// flags returns the flags with which a gateway uses the vendor.
func (v *vendor) flags(t *testing.T) []string {
	t.Helper()
	return []string{"--gigastore-url=" + v.url, "--gigastore-client-id=shop", "--gigastore-client-secret-file=" + writeFile(t, "s3cret-canary\n")}
}

// startGateway runs serve against the vendor.
func (v *vendor) startGateway(t *testing.T, args ...string) *gateway {
	t.Helper()
	g := startServe(t, append(v.flags(t), args...)...)
	g.sandbox = strings.TrimPrefix(v.url, "http://")
	return g
}

// checkSells buys through the gateway and checks what the vendor got.
func (v *vendor) checkSells(t *testing.T, g *gateway) {
	t.Helper()
	got := post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", ""))
	if got.status != http.StatusOK || len(g.ledger(t).Sales) != 1 {
		t.Errorf("%+v", got)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.credentials) != 1 || v.credentials[0] != "shop:s3cret-canary" {
		t.Errorf("the vendor got the credentials %q", v.credentials)
	}
	if !strings.Contains(g.out.String(), "spends REAL credit at "+v.url) || strings.Contains(g.out.String(), "andbox") {
		t.Errorf("the greeting is %s", g.out)
	}
	if strings.Contains(g.out.String()+g.log.String(), "s3cret-canary") {
		t.Error("the secret is in the output")
	}
}

func TestServeAgainstAVendor(t *testing.T) {
	t.Parallel()
	v := startVendor(t)
	v.checkSells(t, v.startGateway(t, "--log-level=debug"))
}

func TestServeTakesTheSecretFromTheEnvironment(t *testing.T) {
	t.Setenv("GIGAGATE_GIGASTORE_CLIENT_SECRET", "s3cret-canary")
	t.Setenv("GIGAGATE_GIGASTORE_CLIENT_ID", "shop")
	v := startVendor(t)
	t.Setenv("GIGAGATE_GIGASTORE_URL", v.url)
	g := startServe(t, "--log-level=debug")
	g.sandbox = strings.TrimPrefix(v.url, "http://")
	v.checkSells(t, g)
	// Every user of the machine could read the secret in an argument.
	if got := gigagate(t, "serve", "--gigastore-client-secret=s3cret"); got.status != exitUsage || !strings.Contains(got.err, "unknown flag --gigastore-client-secret") {
		t.Errorf("%+v", got)
	}
	both := gigagate(t, serveLine(t, v.flags(t)...)...)
	if both.status == 0 || !strings.Contains(both.err, "--gigastore-client-secret-file and GIGAGATE_GIGASTORE_CLIENT_SECRET are both set") {
		t.Errorf("%+v", both)
	}
}

// A new sandbox does not have the sales of an earlier one. So it is another account: its records cannot
// prove that an uncertain purchase of the earlier sandbox is absent.
func TestEverySandboxIsAnAccountOfItsOwn(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	accounts := map[string]bool{}
	for range 3 {
		telemetry := &telemetry{logger: slog.New(slog.DiscardHandler)}
		c := &serveCommand{}
		world, err := c.newSandbox(&gatewayProcess{sandboxOn: listener}, telemetry)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = world.Close() })
		vendor, err := gigastore.New(gigastore.Config{BaseURL: c.GigastoreURL, ClientID: c.GigastoreClientID, ClientSecret: c.secret})
		if err != nil {
			t.Fatal(err)
		}
		accounts[vendor.Account()] = true
	}
	if len(accounts) != 3 {
		t.Errorf("%d accounts for three sandboxes", len(accounts))
	}
}

func TestServeRefusesBadVendorSettings(t *testing.T) {
	t.Parallel()
	secret := "--gigastore-client-secret-file=" + writeFile(t, "s3cret-canary")
	const id, url = "--gigastore-client-id=shop", "--gigastore-url=http://127.0.0.1:1"
	const contradicts = "--sandbox has its own vendor"
	for _, test := range []struct {
		name string
		args []string
		says string
	}{
		{"sandbox and a URL", []string{"--sandbox", url}, contradicts},
		{"sandbox and an id", []string{"--sandbox", id}, contradicts},
		{"sandbox and a former id", []string{"--sandbox", "--gigastore-former-client-ids=old"}, contradicts},
		{"former id with a colon", []string{url, id, secret, "--gigastore-former-client-ids=old,a:b"}, "gigagate: --gigastore-former-client-ids must be"},
		{"empty former id", []string{url, id, secret, "--gigastore-former-client-ids="}, "--gigastore-former-client-ids is given, and empty"},
		{"sandbox and a secret", []string{"--sandbox", secret}, contradicts},
		{"no id", []string{url, secret}, "--gigastore-client-id is needed, or --sandbox"},
		{"no secret", []string{url, id}, "--gigastore-client-secret-file or GIGAGATE_GIGASTORE_CLIENT_SECRET is needed, or --sandbox"},
		{"secret file missing", []string{url, id, "--gigastore-client-secret-file=/nowhere/at/all"}, "--gigastore-client-secret-file: "},
		{"empty secret", []string{url, id, "--gigastore-client-secret-file=" + writeFile(t, "\n")}, "file.json is empty"},
		{"secret of two lines", []string{url, id, "--gigastore-client-secret-file=" + writeFile(t, "s3cret-canary\nmore")}, "gigagate: --gigastore-client-secret-file must be"},
		{"id with a colon", []string{url, "--gigastore-client-id=a:b", secret}, "gigagate: --gigastore-client-id must be"},
		{"plain HTTP to another machine", []string{"--gigastore-url=http://api.giga.store", id, secret}, "gigagate: --gigastore-url must"},
		{"URL with a path", []string{"--gigastore-url=https://api.giga.store/v2", id, secret}, "gigagate: --gigastore-url must be"},
		{"URL with a password", []string{"--gigastore-url=https://u:s3cret-canary@api.giga.store", id, secret}, "gigagate: --gigastore-url must"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := gigagate(t, serveLine(t, test.args...)...)
			if got.status == 0 || !strings.Contains(got.err, test.says) || got.out != "" || strings.Contains(got.err, "s3cret-canary") {
				t.Errorf("%+v, want %q", got, test.says)
			}
		})
	}
}

// The journal outlives the process: the same request id gets the same answer as before, and nothing is
// bought again.
func TestJournalSurvivesARestart(t *testing.T) {
	t.Parallel()
	v := startVendor(t)
	journal := "--journal=sqlite:" + filepath.Join(t.TempDir(), "shop.db")
	var first answer
	for i := range 3 {
		g := v.startGateway(t, journal)
		got := post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", ""))
		if i == 0 {
			first = got
		}
		if got.status != http.StatusOK || !sameJSON(t, got.body, first.body) || (got.header.Get("Gigagate-Replayed") == "true") != (i > 0) {
			t.Errorf("start %d: %+v, before %+v", i+1, got, first)
		}
		other := post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", `,"customerEmail":"a@example.com"`))
		if other.status != http.StatusConflict || !strings.Contains(other.body, `"customer_email"`) {
			t.Errorf("start %d, another order: %+v", i+1, other)
		}
		if ledger := g.ledger(t); len(ledger.Sales) != 1 || ledger.Requests["/gigastore/activations/register"] != 1 {
			t.Errorf("start %d: %+v", i+1, ledger)
		}
		if status := g.exit(); status != 0 {
			t.Fatalf("exit status %d: %s", status, g.log)
		}
	}
	file, err := os.Stat(strings.TrimPrefix(journal, "--journal=sqlite:"))
	if err != nil || file.Mode().Perm() != 0o600 {
		t.Errorf("the journal is not private: %v, %v", file, err)
	}
}

// A purchase that is open when the client id changes is settled with the new id. Either its mark is found,
// or the operator configures both ids as ids of one account.
func TestClientIDChanges(t *testing.T) {
	t.Parallel()
	v := startVendor(t)
	journal := "--journal=sqlite:" + filepath.Join(t.TempDir(), "shop.db")
	g := v.startGateway(t, journal)
	g.inject(t, `{"path":"/gigastore/activations/register","fault":"metatag_rewritten"}`)
	if got := g.sell(t, "order-1", "--timeout=2s"); got.status != exitIndeterminate {
		t.Fatalf("%+v", got)
	}
	item := g.ledger(t).Sales[0].ItemUID
	id := decode(t, g.purchases(t, "list", "--state=uncertain"), &gigagatev1.ListPurchasesResponse{}).GetPurchases()[0].GetId()
	g.exit()

	g = v.startGateway(t, journal, "--gigastore-client-id=shop-2")
	for word, reason := range map[string]string{
		"--item=" + item: "FOREIGN_ACTIVATED_ITEM", "--item=no-such-item": "ACTIVATED_ITEM_NOT_FOUND", "--nothing-sold": "ABSENCE_NOT_SHOWN",
	} {
		got := g.purchases(t, "resolve", id, word, "--operator=maria", "--note=portal")
		if got.status != exitIndeterminate || !strings.Contains(got.err, reason) || !strings.Contains(got.err, "--gigastore-former-client-ids") {
			t.Errorf("%s: %+v", word, got)
		}
	}
	g.exit()

	g = v.startGateway(t, journal, "--gigastore-client-id=shop-2", "--gigastore-former-client-ids=shop-0,shop")
	resolved := decode(t, g.purchases(t, "resolve", id, "--item="+item, "--operator=maria", "--note=portal"), &gigagatev1.ResolvePurchaseResponse{})
	if p := resolved.GetPurchase(); p.GetState() != gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED || p.GetActivatedItemUid() != item {
		t.Errorf("%v", p)
	}
	if got := g.sell(t, "order-1"); got.status != 0 || !strings.Contains(got.out, item) || len(g.ledger(t).Sales) != 1 {
		t.Errorf("the same request id: %+v, %d sales", got, len(g.ledger(t).Sales))
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var left, right any
	if json.Unmarshal([]byte(a), &left) != nil || json.Unmarshal([]byte(b), &right) != nil {
		t.Fatalf("%s\n%s", a, b)
	}
	x, _ := json.Marshal(left)
	y, _ := json.Marshal(right)
	return string(x) == string(y)
}

// The journal can also be given as a URL. It names the same file.
func TestJournalAsAURL(t *testing.T) {
	t.Parallel()
	v := startVendor(t)
	file := filepath.Join(t.TempDir(), "shop.db")
	for i, journal := range []string{file, "//" + file, "///" + file} {
		g := v.startGateway(t, "--journal=sqlite:"+journal)
		got := post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", ""))
		if got.status != http.StatusOK || (got.header.Get("Gigagate-Replayed") == "true") != (i > 0) || len(g.ledger(t).Sales) != 1 {
			t.Errorf("%s: %+v", journal, got)
		}
		g.exit()
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

// Two gateways on one file could sell twice.
func TestSecondGatewayOnAJournalRefusesToStart(t *testing.T) {
	t.Parallel()
	v := startVendor(t)
	g := v.startGateway(t)
	for range 2 {
		got := gigagate(t, serveLine(t, append(v.flags(t), "--journal=sqlite:"+g.journal)...)...)
		if got.status != exitFailed || !strings.Contains(got.err, "--journal: ") || !strings.Contains(got.err, "the journal is in use by another process") || got.out != "" {
			t.Errorf("%+v", got)
		}
		// Another process is refused too, and the first goes on.
		p := startProcess(t, nil, serveLine(t, append(v.flags(t), "--journal=sqlite:"+g.journal)...)...)
		<-p.ended
		if !strings.Contains(p.log.String(), "the journal is in use by another process") {
			t.Errorf("%s", p.log)
		}
	}
	if got := post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", "")); got.status != http.StatusOK {
		t.Errorf("the first: %+v", got)
	}
}

func TestServeRefusesBadJournals(t *testing.T) {
	t.Parallel()
	const unlikely = "gigagate-test-of-a-url.db"
	t.Cleanup(func() {
		left, err := filepath.Glob("/" + unlikely + "*")
		if err != nil || len(left) > 0 {
			t.Errorf("left in the root folder: %v, %v", left, err)
		}
	})
	for _, test := range []struct{ name, journal, says string }{
		{"no scheme", "gigagate.db", "must be sqlite:FILE or postgres://…"},
		{"no file", "sqlite:", "must be sqlite:FILE or postgres://…"},
		{"a URL with a host", "sqlite://" + unlikely, "sqlite://… names a host: write sqlite:FILE, or sqlite:///FOLDER/FILE"},
		{"a URL with a host and a folder", "sqlite://" + unlikely + "/gigagate.db", "sqlite://… names a host"},
		{"an empty URL", "sqlite://", "sqlite://… names a host"},
		{"in memory", "memory:", "must be sqlite:FILE or postgres://…"},
		{"another database", "mysql://u:s3cret-canary@127.0.0.1/db", "must be sqlite:FILE or postgres://…"},
		{"no such folder", "sqlite:/nowhere/at/all.db", "no such file or directory"},
		{"a folder", "sqlite:" + t.TempDir(), "is not a regular file"},
		{"not a database", "sqlite:" + writeFile(t, strings.Repeat("no database at all. ", 100)), "not a database"},
		{"nobody answers", "postgres://u:s3cret-canary@127.0.0.1:1/db?sslmode=disable", "--journal: "},
		{"PostgreSQL URL that cannot be read", "postgres://u:s3cret-canary@127.0.0.1:port/db", "--journal: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := gigagate(t, serveLine(t, "--sandbox", "--journal="+test.journal)...)
			if got.status != exitFailed || !strings.Contains(got.err, "--journal: ") || !strings.Contains(got.err, test.says) || got.out != "" {
				t.Errorf("%+v, want %q", got, test.says)
			}
			if strings.Contains(got.err, "s3cret-canary") {
				t.Errorf("the password is in the output: %s", got.err)
			}
		})
	}
}
