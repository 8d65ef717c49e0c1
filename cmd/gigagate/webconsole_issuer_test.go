package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gigagate.internal/internal/access/oidctest"
	webconsole "gigagate.internal/internal/console"
)

// TestConsoleSignInAtIssuer: an operator signs in at an issuer, and the session ends with the entry in the callers file.
func TestConsoleSignInAtIssuer(t *testing.T) {
	t.Parallel()
	issuer := oidctest.New(t, "console", "a client secret")
	operator := func(subject string) string {
		return fmt.Sprintf("issuers:\n- {issuer: %[1]s, audience: gigagate}\noperators:\n- name: anna\n  identities: [{jwt: {issuer: %[1]s, subject: %[2]s}}]\n  may: [read]\n", issuer.Name, subject)
	}
	file, secret := writeFile(t, operator("anna")), writeFile(t, "a client secret\n")
	port := freePort(t)
	console := "http://localhost:" + port
	issuer.Callback = console + webconsole.CallbackPath
	g := startGateway(t, "--callers-file="+file, "--console-listen=127.0.0.1:"+port, "--console-url="+console,
		"--console-oidc-issuer="+issuer.Name, "--console-oidc-client-id=console", "--console-oidc-client-secret-file="+secret)

	signIn := func() (session http.Header, told []string) {
		begun := look(t, http.MethodGet, console+"/console/sign-in/issuer", nil, nil)
		back, err := issuer.SignIn(begun.header.Get("Location"), "anna")
		if err != nil {
			t.Fatalf("%v: %d %s", err, begun.status, begun.body)
		}
		attempt, _, _ := strings.Cut(begun.header.Get("Set-Cookie"), ";")
		came := look(t, http.MethodGet, back, nil, http.Header{"Cookie": {attempt}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}})
		for _, cookie := range came.header.Values("Set-Cookie") {
			if value, _, _ := strings.Cut(cookie, ";"); strings.HasPrefix(value, "gigagate-console-"+port+"=") {
				return http.Header{"Cookie": {value}}, []string{cut(t, back, "code=", "&"), cut(t, back+"&", "state=", "&"), cut(t, attempt+";", "=", ";"), cut(t, value+";", "=", ";")}
			}
		}
		t.Fatalf("no session: %d %s\n%s", came.status, came.body, g.log)
		return nil, nil
	}
	asAnna, told := signIn()
	if got := look(t, http.MethodGet, console+"/console/purchases", nil, asAnna); got.status != http.StatusOK || !strings.Contains(got.body, "anna") {
		t.Errorf("the operator's page: %d", got.status)
	}
	if err := os.WriteFile(file, []byte(operator("somebody else")), 0o600); err != nil {
		t.Fatal(err)
	}
	g.log.waitFor(t, g.ended, "callers file loaded")
	if got := look(t, http.MethodGet, console+"/console/purchases", nil, asAnna); got.status != http.StatusSeeOther {
		t.Errorf("without the entry: %d", got.status)
	}
	metrics := get(t, "http://"+g.admin+"/metrics").body
	for _, text := range append(told, "a client secret") {
		if strings.Contains(g.log.String(), text) || strings.Contains(metrics, text) {
			t.Errorf("%q is told", text)
		}
	}
}

// freePort is a port on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestConsoleWithoutIssuer: an issuer that is down does not stop the gateway, and the page says what is wrong.
func TestConsoleWithoutIssuer(t *testing.T) {
	t.Parallel()
	issuer := "http://127.0.0.1:" + freePort(t)
	file := writeFile(t, "issuers:\n- {issuer: "+issuer+", audience: gigagate}\noperators:\n- {name: anna}\n")
	g := startGateway(t, "--callers-file="+file, "--console-url=https://gigagate.example", "--console-oidc-issuer="+issuer, "--console-oidc-client-id=console")
	console := g.consoleOf(t)
	if got := look(t, http.MethodGet, console+"/console/sign-in/issuer", nil, nil); got.status != http.StatusBadGateway || !strings.Contains(got.body, "cannot be reached") {
		t.Errorf("%d %s", got.status, got.body)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, console+"/console/sign-in", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "gigagate.example" // the name in --console-url needs no other flag
	got, err := browser.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if _ = got.Body.Close(); got.StatusCode != http.StatusOK {
		t.Errorf("the address that browsers use: %d", got.StatusCode)
	}
}

// TestConsoleSignInSettings: half an issuer is one clear error at the start.
func TestConsoleSignInSettings(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "issuers:\n- {issuer: https://login.example, audience: gigagate}\noperators:\n- {name: anna}\n")
	all := map[string]string{
		"--console-oidc-issuer": "https://login.example", "--console-oidc-client-id": "console", "--console-url": "https://gigagate.example",
		"--callers-file": file, "--sandbox": "true",
	}
	for name, test := range map[string]struct{ flag, value, want string }{
		"no issuer":             {"--console-oidc-issuer", "", "--console-oidc-issuer is missing"},
		"no client":             {"--console-oidc-client-id", "", "--console-oidc-client-id is missing"},
		"no address":            {"--console-url", "", "--console-url is missing"},
		"no callers file":       {"--callers-file", "", "--callers-file is missing"},
		"no console":            {"--sandbox", "", "--console-listen is missing"},
		"an address in plain":   {"--console-url", "http://gigagate.example", "--console-url must be an https URL without a path"},
		"an address with path":  {"--console-url", "https://gigagate.example/x", "--console-url must be an https URL without a path"},
		"an issuer in plain":    {"--console-oidc-issuer", "http://login.example", "--console-oidc-issuer: it must be an https URL"},
		"an issuer out of file": {"--console-oidc-issuer", "https://other.example", "--console-oidc-issuer: it is not under issuers"},
		"no secret":             {"--console-oidc-client-secret-file", filepath.Join(t.TempDir(), "none"), "--console-oidc-client-secret-file: the file cannot be read"},
		"a folder":              {"--console-oidc-client-secret-file", t.TempDir(), "--console-oidc-client-secret-file must be a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := []string{}
			for flag, value := range all {
				if flag == test.flag {
					continue
				}
				line = append(line, flag+"="+value)
			}
			if test.value != "" {
				line = append(line, test.flag+"="+test.value)
			}
			if test.flag == "--sandbox" {
				line = append(line, "--gigastore-client-id=id")
			}
			if got := gigagate(t, serveLine(t, line...)...); got.status == 0 || !strings.Contains(got.err, test.want) {
				t.Errorf("%d: %s", got.status, got.err)
			}
		})
	}
}
