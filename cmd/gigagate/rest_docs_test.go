package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"gigagate.internal/gen/openapi"
)

// The documentation is served with a sandbox, and otherwise only if a flag asks for it.
func TestDocsAreServedWithASandboxOrOnRequest(t *testing.T) {
	t.Parallel()
	spending := startVendor(t).flags(t)
	for _, test := range []struct {
		name  string
		args  []string
		there bool
	}{
		{"sandbox", []string{"--sandbox"}, true},
		{"sandbox, switched off", []string{"--sandbox", "--no-docs"}, false},
		{"vendor", spending, false},
		{"vendor, switched on", append([]string{"--docs"}, spending...), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := startServe(t, test.args...)
			got := get(t, "http://"+g.rest+"/docs/")
			if there := got.status == http.StatusOK && strings.Contains(got.body, "swagger-ui"); there != test.there {
				t.Errorf("%d: %s", got.status, got.body)
			}
			if !test.there && (got.status != http.StatusNotFound || !strings.Contains(got.body, "ROUTE_NOT_FOUND")) {
				t.Errorf("%d: %s", got.status, got.body)
			}
			root := get(t, "http://"+g.rest+"/") // the client follows the redirect
			if led := strings.Contains(root.body, "swagger-ui"); root.status != http.StatusOK || led != test.there {
				t.Errorf("the root: %d %s", root.status, root.body)
			}
			if said := strings.Contains(g.out.String(), "http://"+g.rest+"/docs/"); said != test.there {
				t.Errorf("it printed %s", g.out)
			}
		})
	}
}

func TestDocsCanBeSwitchedOffByTheEnvironment(t *testing.T) {
	t.Setenv("GIGAGATE_DOCS", "false")
	if got := get(t, "http://"+startGateway(t).rest+"/docs/"); got.status != http.StatusNotFound {
		t.Errorf("%d: %s", got.status, got.body)
	}
}

var loaded = regexp.MustCompile(`(?:src|href)="([^"]*)"`)

// The page loads its parts from the gateway, and its policy allows nothing else.
func TestDocsLoadNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	docs := "http://" + startGateway(t).rest + "/docs/"
	page := get(t, docs)
	parts := loaded.FindAllStringSubmatch(page.body, -1)
	if len(parts) != 5 {
		t.Errorf("the page loads %q", parts)
	}
	for _, part := range parts {
		if strings.ContainsAny(part[1], ":/") {
			t.Errorf("the page loads %s", part[1])
		}
		if got := get(t, docs+part[1]); got.status != http.StatusOK || got.body == "" {
			t.Errorf("%s: %d", part[1], got.status)
		}
	}
	policy := page.header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'self';") || strings.Contains(policy, "http") || strings.Contains(policy, "script-src") {
		t.Errorf("its policy is %q", policy)
	}
	for _, name := range []string{"", "start.js", "narrow.css"} {
		if body := get(t, docs+name).body; strings.Contains(body, "//cdn") || strings.Contains(body, "http") {
			t.Errorf("%q names another host: %s", name, body)
		}
	}
	document := get(t, docs+"openapi.json")
	if document.body != string(openapi.Document) || document.header.Get("Content-Type") != "application/json" {
		t.Errorf("openapi.json is not the document: %v", document.header)
	}
}

// The files of Swagger UI are stored compressed, and can also be read uncompressed.
func TestDocsAreReadWithAndWithoutCompression(t *testing.T) {
	t.Parallel()
	style := "http://" + startGateway(t).rest + "/docs/swagger-ui.css"
	plain := do(t, http.MethodGet, style, "", http.Header{"Accept-Encoding": {"identity"}})
	packed := do(t, http.MethodGet, style, "", http.Header{"Accept-Encoding": {"gzip, br"}})
	if !strings.HasPrefix(plain.body, ".swagger-ui") || plain.header.Get("Content-Encoding") != "" {
		t.Errorf("plain: %v", plain.header)
	}
	if packed.header.Get("Content-Encoding") != "gzip" || !strings.HasPrefix(packed.body, "\x1f\x8b") || len(packed.body) > len(plain.body)/4 {
		t.Errorf("packed: %v", packed.header)
	}
}

// Under the documentation's path only its files are served. Everything else is refused as strictly as on the rest of REST.
func TestDocsServeNothingElse(t *testing.T) {
	t.Parallel()
	docs := "http://" + startGateway(t).rest + "/docs"
	for path, want := range map[string]string{
		"/swagger-ui.js": "ROUTE_NOT_FOUND", "/index.html": "ROUTE_NOT_FOUND", "/../v1/inventory": "ROUTE_NOT_FOUND",
		"/openapi.json/": "ROUTE_NOT_FOUND", "s": "ROUTE_NOT_FOUND",
	} {
		if got := get(t, docs+path); got.status != http.StatusNotFound || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := post(t, docs+"/", "{}"); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %s", got.status, got.body)
	}
	if got := get(t, docs); got.status != http.StatusOK || !strings.Contains(got.body, "swagger-ui") {
		t.Errorf("without the slash: %d", got.status)
	}
}
