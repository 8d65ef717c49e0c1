package main

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gigagate.internal/gigastore/sandbox"
)

// strictVendor is a sandbox that accepts only one secret.
func strictVendor(t *testing.T, secret string) (*sandbox.Sandbox, http.Handler) {
	t.Helper()
	box, err := sandbox.New(sandbox.Config{Seed: 1, Settings: sandbox.DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	return box, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, shown, login := r.BasicAuth(); login && shown != secret {
			http.Error(w, `{"message":"`+shown+` is wrong"}`, http.StatusUnauthorized)
			return
		}
		box.ServeHTTP(w, r)
	})
}

// wantNothingSold checks that a purchase failed soon, with nothing sent.
func wantNothingSold(t *testing.T, box *sandbox.Sandbox, rest, requestID string) {
	t.Helper()
	began := time.Now()
	got := post(t, "http://"+rest+"/v1/activations/register", registration(requestID, ""))
	if took := time.Since(began); got.status != http.StatusConflict || !strings.Contains(got.body, "NEVER_SENT") ||
		!strings.Contains(got.body, "NOT_APPLIED") || took > 10*time.Second { // --send-window is 30 s
		t.Errorf("after %s: %+v", took, got)
	}
	if ledger := box.Ledger(); len(ledger.Sales) != 0 || ledger.Requests["/gigastore/activations/register"] != 0 {
		t.Errorf("the vendor got %v, sold %v", ledger.Requests, ledger.Sales)
	}
}

// TestCredentialsAreCheckedAtTheStart: wrong credentials are reported wherever an operator looks. The gateway serves in any
// case, and recovers by itself when the file has the right secret.
func TestCredentialsAreCheckedAtTheStart(t *testing.T) {
	t.Parallel()
	box, handler := strictVendor(t, "s3cret-canary-new")
	server := httptest.NewServer(handler)
	defer server.Close()
	file := writeFile(t, "s3cret-canary-old\n")
	g := startServe(t, "--gigastore-url="+server.URL, "--gigastore-client-id=shop", "--gigastore-client-secret-file="+file, "--log-level=debug")
	g.log.waitFor(t, g.ended, `"level":"WARN","msg":"vendor problem","problem":"credentials","cause":"[^"]*the vendor refuses the client id or its secret"`)
	ready := get(t, "http://"+g.admin+"/readyz")
	if ready.status != http.StatusOK || !strings.HasPrefix(ready.body, "ready\nvendor problem: credentials: ") {
		t.Errorf("readyz: %+v", ready)
	}
	wantMetric(t, g, "credentials", "1")
	wantNothingSold(t, box, g.rest, "order-1")
	if warnings := strings.Count(g.log.String(), `"msg":"vendor problem"`); warnings != 1 {
		t.Errorf("%d warnings within a minute", warnings)
	}

	next := writeFile(t, "s3cret-canary-new\n")
	if err := os.Rename(next, file); err != nil {
		t.Fatal(err)
	}
	if got := post(t, "http://"+g.rest+"/v1/activations/register", registration("order-2", "")); got.status != http.StatusOK || len(box.Ledger().Sales) != 1 {
		t.Errorf("with the new secret: %+v", got)
	}
	if ready := get(t, "http://"+g.admin+"/readyz"); ready.status != http.StatusOK || ready.body != "ready\n" {
		t.Errorf("readyz: %+v", ready)
	}
	wantMetric(t, g, "credentials", "0")
	if text := g.log.String() + ready.body; strings.Contains(text, "s3cret-canary") {
		t.Errorf("the secret is in the output: %s", text)
	}
}

func wantMetric(t *testing.T, g *gateway, problem, value string) {
	t.Helper()
	for line := range strings.Lines(get(t, "http://"+g.admin+"/metrics").body) {
		if strings.HasPrefix(line, "gigagate_vendor_problem{") && strings.Contains(line, `gigagate_problem="`+problem+`"`) {
			if !strings.HasSuffix(line, "} "+value+"\n") {
				t.Errorf("%s, want %s", line, value)
			}
			return
		}
	}
	t.Errorf("no metric of %s", problem)
}

// TestUnreachableVendorStopsNoStart: without the vendor, the gateway can still answer from its journal.
func TestUnreachableVendorStopsNoStart(t *testing.T) {
	t.Parallel()
	g := startServe(t, "--gigastore-url=http://127.0.0.1:1", "--gigastore-client-id=shop", "--gigastore-client-secret-file="+writeFile(t, "secret"))
	g.log.waitFor(t, g.ended, `"level":"WARN","msg":"the vendor could not be asked about the credentials","error":"[^"]*could not connect`)
	if ready := get(t, "http://"+g.admin+"/readyz"); ready.status != http.StatusOK || ready.body != "ready\n" {
		t.Errorf("readyz: %+v", ready)
	}
	wantMetric(t, g, "credentials", "0")
}

// TestSecretFile: what the secret's file may contain, and what errors say about it.
func TestSecretFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	name := filepath.Join(folder, "secret")
	if err := os.WriteFile(name, []byte(" s3cret-canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := vendorSettings{GigastoreClientSecretFile: name}
	read := settings.rereadSecret()
	if got, err := read(); err != nil || string(got) != "s3cret-canary" {
		t.Fatalf("%v", err)
	}
	for what, replace := range map[string]func() error{
		"empty":  func() error { return os.WriteFile(name, []byte(" \n"), 0o600) },
		"long":   func() error { return os.WriteFile(name, []byte(strings.Repeat("s3cret-canary", 1<<10)), 0o600) },
		"gone":   func() error { return nil },
		"folder": func() error { return os.Mkdir(name, 0o700) },
		"pipe":   func() error { return syscall.Mkfifo(name, 0o600) }, // nobody writes to it
	} {
		_ = os.Remove(name)
		if err := replace(); err != nil {
			t.Fatal(err)
		}
		got, err := read()
		if err == nil || got != "" || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", what, err)
		}
	}
	_ = os.Remove(name)
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if settings.rereadSecret() != nil {
		t.Error("a secret from a pipe is read again")
	}
}

// TestPrivateCertificateAuthority: nothing is sent to a vendor whose certificate comes from an unknown authority, until
// SSL_CERT_FILE or SSL_CERT_DIR names that authority.
func TestPrivateCertificateAuthority(t *testing.T) {
	t.Parallel()
	box, handler := strictVendor(t, "secret")
	var requests atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		handler.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // otherwise it logs every client that does not trust it
	server.StartTLS()
	defer server.Close()
	folder := t.TempDir()
	authority := filepath.Join(folder, "authority.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, text, 0o600); err != nil {
		t.Fatal(err)
	}
	start := func(env ...string) (p *process, rest string) {
		p = startProcess(t, env, serveLine(t, "--gigastore-url="+server.URL, "--gigastore-client-id=shop",
			"--gigastore-client-secret-file="+writeFile(t, "secret"))...)
		return p, p.out.waitFor(t, p.ended, `REST +http://(\S+)`)[1]
	}

	p, rest := start("SSL_CERT_FILE=", "SSL_CERT_DIR=")
	wantNothingSold(t, box, rest, "order-1")
	p.log.waitFor(t, p.ended, `"level":"WARN","msg":"vendor problem","problem":"certificate","cause":"[^"]*no authority that is trusted here vouches for it"`)
	if requests.Load() != 0 {
		t.Errorf("%d requests to a vendor that is not trusted", requests.Load())
	}
	for i, env := range []string{"SSL_CERT_FILE=" + authority, "SSL_CERT_DIR=" + folder} {
		p, rest := start(env)
		got := post(t, "http://"+rest+"/v1/activations/register", registration("order-2", ""))
		if got.status != http.StatusOK || len(box.Ledger().Sales) != i+1 {
			t.Errorf("%s: %+v\n%s", env, got, p.log)
		}
		if strings.Contains(p.log.String(), "vendor problem") {
			t.Errorf("%s: %s", env, p.log)
		}
	}
}
