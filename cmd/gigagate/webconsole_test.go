package main

import (
	"bufio"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/internal/access"
)

// consoleOf is the address of the gateway's console.
func (g *gateway) consoleOf(t *testing.T) string {
	t.Helper()
	return g.out.waitFor(t, g.ended, `console +(https?://\S+)/console/`)[1]
}

// A browser that follows no redirect, and keeps its cookies in a header.
var browser = &http.Client{Transport: httpClient.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// look asks for a page as a browser would.
func look(t *testing.T, method, address string, form url.Values, header http.Header) answer {
	t.Helper()
	sent := http.Header{"Sec-Fetch-Site": {"same-origin"}}
	maps.Copy(sent, header)
	body := ""
	if form != nil {
		sent.Set("Content-Type", "application/x-www-form-urlencoded")
		body = form.Encode()
	}
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = sent
	got, err := browser.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{got.StatusCode, got.Header, string(text)}
}

// cut is the text between two others.
func cut(t *testing.T, text, before, after string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, before)
	if !ok {
		t.Fatalf("no %s in %s", before, text)
	}
	inside, _, _ := strings.Cut(rest, after)
	return inside
}

// TestConsoleShowsAPurchase: what a caller bought is on the pages, with its secrets masked.
func TestConsoleShowsAPurchase(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	console := g.consoleOf(t)
	sold := post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", ""))
	code := cut(t, sold.body, `"activationCode":"`, `"`)
	id := cut(t, sold.body, `"purchaseId":"`, `"`)

	for path, says := range map[string]string{
		"/console/":                            id,
		"/console/purchases":                   id,
		"/console/purchases?q=order-1":         id,
		"/console/purchases?q=order-2":         "No purchase fits",
		"/console/purchases?state=FAILED":      "No purchase fits",
		"/console/purchases/" + id:             "The vendor answered: sold",
		"/console/purchases/" + id + "?record": "Show the codes",
	} {
		got := look(t, http.MethodGet, console+path, nil, nil)
		if got.status != http.StatusOK || !strings.Contains(got.body, says) || strings.Contains(got.body, code) {
			t.Errorf("%s: %d, want %q and no code in\n%s", path, got.status, says, got.body)
		}
		for name, value := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
			if got.header.Get(name) != value {
				t.Errorf("%s: %s is %q", path, name, got.header.Get(name))
			}
		}
		if policy := got.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: the policy is %q", path, policy)
		}
	}
	if got := look(t, http.MethodGet, console+"/console/purchases?q="+id, nil, nil); got.header.Get("Location") != "/console/purchases/"+id {
		t.Errorf("a search for an id: %+v", got)
	}
	if got := look(t, http.MethodGet, console+"/console/nowhere", nil, nil); got.status != http.StatusNotFound {
		t.Errorf("a page that does not exist: %d", got.status)
	}
	if got := look(t, http.MethodGet, console+"/console/purchases/01ARZ3NDEKTSV4RRFFQ69G5FAV", nil, nil); got.status != http.StatusNotFound {
		t.Errorf("a purchase that does not exist: %d", got.status)
	}
}

// TestConsoleFindsAPurchase: each search that the form offers finds the purchase, and only with its own value.
func TestConsoleFindsAPurchase(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	console := g.consoleOf(t)
	sold := post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", ""))
	id := cut(t, sold.body, `"purchaseId":"`, `"`)
	value := map[string]string{
		"request_id": "order-1", "inventory_item_id": sandbox.ItemWorldwide1GB, "metatag": "text", "trace_id": sold.header.Get("X-Trace-Id"),
		"activated_item_uid": cut(t, sold.body, `"activatedItem":{"uid":"`, `"`), "customer_uid": cut(t, sold.body, `"customer":{"uid":"`, `"`),
		"iccid": cut(t, sold.body, `"iccid":"`, `"`),
	}
	form := look(t, http.MethodGet, console+"/console/purchases", nil, nil).body
	offered := regexp.MustCompile(`<option value="([a-z_]+)"`).FindAllStringSubmatch(form, -1)
	if len(offered) < 3 {
		t.Fatalf("the form offers %q", offered)
	}
	for _, option := range offered {
		by := option[1]
		if by == "any" {
			by = "request_id"
		}
		search := func(query string) answer {
			got := look(t, http.MethodPost, console+"/console/purchases", url.Values{"by": {option[1]}, "q": {query}}, nil)
			if got.status != http.StatusSeeOther {
				return got
			}
			return look(t, http.MethodGet, console+got.header.Get("Location"), nil, nil)
		}
		if got := search(value[by]); value[by] == "" || !strings.Contains(got.body, "/console/purchases/"+id) {
			t.Errorf("%s %q: %d %s", option[1], value[by], got.status, got.body)
		}
		other := strings.Repeat("a", 32)
		if by == "iccid" {
			if got := search(strings.Repeat("8", 20)); got.status != http.StatusNotFound {
				t.Errorf("an ICCID of nobody: %d", got.status)
			}
			continue
		}
		if got := search(other); got.status != http.StatusOK || strings.Contains(got.body, "/console/purchases/"+id) {
			t.Errorf("%s with another value: %d %s", option[1], got.status, got.body)
		}
	}
	if got := look(t, http.MethodGet, console+"/console/purchases?by=caller&q=shop", nil, nil); got.status != http.StatusBadRequest {
		t.Errorf("a search that does not exist: %d", got.status)
	}
}

// TestConsoleShowsSecretsForAReason: codes are shown once, for a reason, and the audit record has the reason.
func TestConsoleShowsSecretsForAReason(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	console := g.consoleOf(t)
	sold := post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", ""))
	code, id := cut(t, sold.body, `"activationCode":"`, `"`), cut(t, sold.body, `"purchaseId":"`, `"`)
	secrets := console + "/console/purchases/" + id + "/secrets"

	for _, reason := range []string{"", "  ", strings.Repeat("a", 301), "two\nlines", "a\u202Eb"} {
		if got := look(t, http.MethodPost, secrets, url.Values{"reason": {reason}}, nil); got.status != http.StatusBadRequest || strings.Contains(got.body, code) {
			t.Errorf("with the reason %q: %d", reason, got.status)
		}
	}
	if got := look(t, http.MethodPost, secrets, url.Values{"reason": {"a page of another origin"}}, http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}}); got.status != http.StatusForbidden {
		t.Errorf("from another origin: %d", got.status)
	}
	if records := get(t, "http://"+g.rest+"/v1/auditRecords").body; strings.Contains(records, "READ_SECRETS") {
		t.Fatalf("secrets were read: %s", records)
	}
	got := look(t, http.MethodPost, secrets, url.Values{"reason": {"ticket 17"}}, nil)
	if got.status != http.StatusOK || !strings.Contains(got.body, code) {
		t.Errorf("with a reason: %d, want %s in\n%s", got.status, code, got.body)
	}
	if records := get(t, "http://"+g.rest+"/v1/auditRecords").body; !strings.Contains(records, "READ_SECRETS") || !strings.Contains(records, "ticket 17") {
		t.Errorf("the audit has %s", records)
	}
	if log := g.log.String(); strings.Contains(log, code) || strings.Contains(log, "ticket 17") {
		t.Errorf("the log has %s", log)
	}
}

// TestConsoleShowsHostileTextAsText: a metatag is the caller's text.
func TestConsoleShowsHostileTextAsText(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "--metatag-max=4096")
	console := g.consoleOf(t)
	hostile := `<script>alert(1)</script>` + "\u200f\u2066" + strings.Repeat("x", 3900)
	sold := post(t, "http://"+g.rest+"/v1/activations/register", strings.Replace(registration("order-1", ""), `"metatag":"text"`, fmt.Sprintf(`"metatag":%q`, hostile), 1))
	id := cut(t, sold.body, `"purchaseId":"`, `"`)
	for _, path := range []string{"/console/", "/console/purchases", "/console/purchases/" + id} {
		body := look(t, http.MethodGet, console+path, nil, nil).body
		if strings.Contains(body, "<script>alert") || strings.ContainsAny(body, "\u200f\u2066") || !strings.Contains(body, "&lt;script&gt;alert(1)") {
			t.Errorf("%s: %s", path, body)
		}
		if path != "/console/purchases/"+id && strings.Contains(body, strings.Repeat("x", 100)) {
			t.Errorf("%s shows the whole text", path)
		}
	}
}

// TestConsoleMovesByItself: an open page gets its new parts.
func TestConsoleMovesByItself(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	console := g.consoleOf(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, console+"/console/purchases", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	stream, err := browser.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	if kind := stream.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("%d %s", stream.StatusCode, kind)
	}
	lines := bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 1<<20)
	for seen := false; lines.Scan(); {
		if strings.Contains(lines.Text(), "No purchases yet") {
			seen = true
			post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", ""))
		}
		if strings.Contains(lines.Text(), "order-1") {
			if !seen {
				t.Error("the first event has what came later")
			}
			break
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	// The open stream does not hold up the end of the gateway.
	if status := g.exit(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

// TestConsoleShowsWhatHappensNow: the charts have what was sold since the page was opened.
func TestConsoleShowsWhatHappensNow(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	console, began := g.consoleOf(t), time.Now()
	look(t, http.MethodGet, console+"/console/", nil, nil)
	post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", ""))
	g.inject(t, `{"path":"/gigastore/activations/register","fault":"commit_then_reset","count":1}`)
	g.inject(t, `{"path":"/gigastore/activations/activated-items*","fault":"5xx","count":100000}`)
	go func() {
		_, _ = try(t, http.MethodPost, "http://"+g.rest+"/v1/activations/register", registration("order-2", ""), http.Header{"Content-Type": {"application/json"}})
	}()
	page := ""
	for range time.Tick(time.Second) { // a sample is taken every few seconds
		page = look(t, http.MethodGet, console+"/console/", nil, nil).body
		missing := slices.IndexFunc([]string{
			"In the last hour: 1 sold, 0 failed, 1 unclear", "accepts calls", "p95 of a commit", "4.20", "since the start of this process",
			"The oldest uncertain purchase",
		}, func(text string) bool { return !strings.Contains(page, text) })
		if missing < 0 {
			return
		}
		if t.Context().Err() != nil || time.Since(began) > time.Minute {
			t.Fatalf("text %d is missing in %s", missing, page)
		}
	}
}

// TestConsoleOverTLS: the console speaks TLS like the ports of callers, and knows an operator by the certificate.
func TestConsoleOverTLS(t *testing.T) {
	t.Parallel()
	anna, annaID, annaSum := access.NewKey()
	file := writeFile(t, fmt.Sprintf("operators:\n- name: anna\n  identities: [{certificate: anna.test}, {key: {id: %s, sha256: %s}}]\n  may: [read]\n", annaID, annaSum))
	g := startTLS(t, "--callers-file="+file)
	console := g.consoleOf(t)
	if !strings.HasPrefix(console, "https://") {
		t.Fatalf("the console is at %s", console)
	}
	ask := func(client *http.Client, method, path string, form url.Values) (int, http.Header, string) {
		client.CheckRedirect = browser.CheckRedirect
		request, err := http.NewRequestWithContext(t.Context(), method, console+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Sec-Fetch-Site", "same-origin")
		got, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = got.Body.Close() }()
		text, _ := io.ReadAll(got.Body)
		return got.StatusCode, got.Header, string(text)
	}
	named := func(name string) issued {
		return g.callers.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{name} })
	}
	for _, http2 := range []bool{false, true} {
		if status, _, text := ask(g.web(t, g.servers.client(named("anna.test")), http2), http.MethodGet, "/console/", nil); status != http.StatusOK || !strings.Contains(text, "anna") {
			t.Errorf("HTTP/2 %t: an operator's certificate: %d", http2, status)
		}
		if status, _, _ := ask(g.web(t, g.servers.client(named("bert.test")), http2), http.MethodGet, "/console/", nil); status != http.StatusSeeOther {
			t.Errorf("HTTP/2 %t: a certificate of somebody else: %d", http2, status)
		}
	}
	_, header, _ := ask(g.web(t, g.servers.client(), true), http.MethodPost, "/console/sign-in", url.Values{"key": {anna}})
	if cookie := header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "__Host-") || !strings.Contains(cookie, "Secure") {
		t.Errorf("the cookie is %q", cookie)
	}
}

// TestConsoleEndsWithTheKey: a session ends when the operator's key is taken out of the callers file.
func TestConsoleEndsWithTheKey(t *testing.T) {
	t.Parallel()
	key, id, sum := access.NewKey()
	operator := func(may string) string {
		return fmt.Sprintf("operators:\n- name: anna\n  identities: [{key: {id: %s, sha256: %s}}]\n  may: %s\n", id, sum, may)
	}
	file := writeFile(t, operator("[read]"))
	g := startGateway(t, "--callers-file="+file)
	console := g.consoleOf(t)
	signedIn := look(t, http.MethodPost, console+"/console/sign-in", url.Values{"key": {key}}, nil)
	cookie, _, _ := strings.Cut(signedIn.header.Get("Set-Cookie"), ";")
	asAnna := http.Header{"Cookie": {cookie}}
	if got := look(t, http.MethodGet, console+"/console/purchases", nil, asAnna); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	reloaded := 0
	reload := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		reloaded++
		g.log.waitFor(t, g.ended, fmt.Sprintf(`(?s)(callers file loaded.*){%d}`, reloaded))
	}
	reload(operator("[freeze]"))
	if got := look(t, http.MethodGet, console+"/console/purchases", nil, asAnna); got.status != http.StatusForbidden {
		t.Errorf("without the right to read: %d", got.status)
	}
	reload("operators:\n- name: bert\n  may: [read]\n")
	if got := look(t, http.MethodGet, console+"/console/purchases", nil, asAnna); got.status != http.StatusSeeOther {
		t.Errorf("without the key: %d", got.status)
	}
}

// TestConsoleIsForOperators: with a callers file, only operators see the pages, and each with its own rights.
func TestConsoleIsForOperators(t *testing.T) {
	t.Parallel()
	shop, shopID, shopSum := access.NewKey()
	anna, annaID, annaSum := access.NewKey()
	bert, bertID, bertSum := access.NewKey()
	entry := func(name, id, sum, may string) string {
		return fmt.Sprintf("  - name: %s\n    identities: [{key: {id: %s, sha256: %s}}]\n    may: %s\n", name, id, sum, may)
	}
	everything := "{methods: [all], activation_modes: [all], inventory_items: [all], country_sets: [all], countries: [all], secrets: true}"
	file := writeFile(t, "callers:\n"+entry("shop", shopID, shopSum, everything)+
		"operators:\n"+entry("anna", annaID, annaSum, "[read, secrets, audit]")+entry("bert", bertID, bertSum, "[read]"))
	g := startGateway(t, "--callers-file="+file)
	console := g.consoleOf(t)
	sold := do(t, http.MethodPost, "http://"+g.rest+"/v1/activations/register", registration("order-1", ""), http.Header{
		"Content-Type": {"application/json"}, "Authorization": {"Bearer " + shop},
	})
	code, id := cut(t, sold.body, `"activationCode":"`, `"`), cut(t, sold.body, `"purchaseId":"`, `"`)

	for _, path := range []string{"/console/", "/console/purchases", "/console/purchases/" + id, "/console/nowhere"} {
		if got := look(t, http.MethodGet, console+path, nil, nil); got.status != http.StatusSeeOther || !strings.HasPrefix(got.header.Get("Location"), "/console/sign-in") {
			t.Errorf("%s without a session: %d %s", path, got.status, got.body)
		}
	}
	if got := look(t, http.MethodGet, console+"/console/", nil, http.Header{"Accept": {"text/event-stream"}}); got.status != http.StatusUnauthorized {
		t.Errorf("the stream without a session: %d", got.status)
	}
	signIn := func(key string) answer {
		return look(t, http.MethodPost, console+"/console/sign-in", url.Values{"key": {key}, "next": {"/console/purchases"}}, nil)
	}
	for name, key := range map[string]string{"a caller": shop, "a wrong key": otherEnd(anna), "nothing": ""} {
		if got := signIn(key); got.status != http.StatusForbidden || got.header.Get("Set-Cookie") != "" || !strings.Contains(got.body, "not the key of an operator") {
			t.Errorf("%s signs in: %d", name, got.status)
		}
	}
	session := func(key string) http.Header {
		got := signIn(key)
		cookie := got.header.Get("Set-Cookie")
		if got.status != http.StatusSeeOther || got.header.Get("Location") != "/console/purchases" ||
			!strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") {
			t.Fatalf("%d, cookie %s", got.status, cookie)
		}
		value, _, _ := strings.Cut(cookie, ";")
		return http.Header{"Cookie": {value}}
	}
	asAnna, asBert := session(anna), session(bert)
	if got := look(t, http.MethodGet, console+"/console/purchases/"+id+"?record", nil, asAnna); got.status != http.StatusOK || strings.Contains(got.body, code) {
		t.Errorf("anna sees the purchase: %d %s", got.status, got.body)
	}
	reveal := console + "/console/purchases/" + id + "/secrets"
	if got := look(t, http.MethodPost, reveal, url.Values{"reason": {"ticket 17"}}, asBert); got.status != http.StatusForbidden || strings.Contains(got.body, code) {
		t.Errorf("bert has no right to secrets: %d", got.status)
	}
	if got := look(t, http.MethodPost, reveal, url.Values{"reason": {"ticket 17"}}, asAnna); !strings.Contains(got.body, code) {
		t.Errorf("anna has the right to secrets: %d", got.status)
	}
	records := do(t, http.MethodGet, "http://"+g.rest+"/v1/auditRecords", "", http.Header{"Authorization": {"Bearer " + anna}})
	if !strings.Contains(records.body, `"actor":"anna"`) || !strings.Contains(records.body, "ticket 17") || strings.Contains(records.body, `"actor":"bert"`) {
		t.Errorf("the audit has %s", records.body)
	}

	look(t, http.MethodPost, console+"/console/sign-out", nil, asBert)
	if got := look(t, http.MethodGet, console+"/console/", nil, asBert); got.status != http.StatusSeeOther {
		t.Errorf("after signing out: %d", got.status)
	}
}

// TestConsoleNeedsOperators: without a sandbox and a callers file nobody could sign in.
func TestConsoleNeedsOperators(t *testing.T) {
	t.Parallel()
	got := gigagate(t, "serve", "--gigastore-client-id=id", "--console-listen=127.0.0.1:0")
	if got.status == 0 || !strings.Contains(got.err, "--console-listen needs --callers-file") {
		t.Errorf("%+v", got)
	}
}

// otherEnd changes the last character of a key.
func otherEnd(key string) string {
	end := "0"
	if strings.HasSuffix(key, end) {
		end = "1"
	}
	return key[:len(key)-1] + end
}
