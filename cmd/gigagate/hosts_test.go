package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestKnownHosts(t *testing.T) {
	t.Parallel()
	h := knownHosts([]string{"Gigagate.Shop.svc", "other."}, "gateway.internal:8080")
	for host, want := range map[string]bool{
		"127.0.0.1:8080": true, "127.0.0.1": true, "[::1]:8080": true, "::1": true, "10.1.2.3:9464": true,
		"localhost": true, "LOCALHOST:8080": true, "localhost.": true, "app.localhost:1": true,
		"gigagate.shop.svc:80": true, "GIGAGATE.shop.svc.": true, "other": true, "gateway.internal:8080": true,
		"": false, "evil.example": false, "localhost.evil.example": false, "127.0.0.1.evil.example:8080": false,
		"notlocalhost": false, "gigagate.shop.svc.evil.example": false,
	} {
		if got := h.knows(host); got != want {
			t.Errorf("%q is known: %t, want %t", host, got, want)
		}
	}
}

// A web page whose name resolves to this machine cannot buy, move the clock or read metrics.
func TestReboundHost(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "--allowed-hosts=gigagate.shop.svc")
	for _, port := range []struct{ name, method, url, body string }{
		{"REST", "POST", "http://" + g.rest + "/v1/activations/register", `{"requestId":"rebound-1"}`},
		{"REST", "GET", "http://" + g.rest + "/docs/", ""},
		{"admin", "GET", "http://" + g.admin + "/metrics", ""},
		{"admin", "GET", "http://" + g.admin + "/debug/pprof/", ""},
		{"sandbox", "POST", "http://" + g.sandbox + "/_sandbox/clock", `{"advance":"1h"}`},
		{"sandbox", "GET", "http://" + g.sandbox + "/_sandbox/ledger", ""},
		{"console", "GET", g.consoleOf(t) + "/console/", ""},
	} {
		status := func(host string) (int, string) {
			req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), port.method, port.url, strings.NewReader(port.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			req.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			text, _ := io.ReadAll(resp.Body)
			return resp.StatusCode, string(text)
		}
		code, text := status("evil.example:8080")
		if code != http.StatusMisdirectedRequest || !strings.Contains(text, "allowed-hosts") {
			t.Errorf("%s %s for an unknown host: %d %s", port.method, port.url, code, text)
		}
		if port.name == "REST" && port.method == "POST" && !strings.Contains(text, `"EFFECT_INDETERMINATE"`) {
			t.Errorf("the error of a refused purchase does not follow the contract: %s", text)
		}
		for _, host := range []string{"", "localhost:1", "gigagate.shop.svc"} {
			if code, _ := status(host); code == http.StatusMisdirectedRequest {
				t.Errorf("%s %s for the host %q: %d", port.method, port.url, host, code)
			}
		}
	}
}
