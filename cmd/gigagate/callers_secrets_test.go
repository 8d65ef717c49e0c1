package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
)

// toldPart is how many signs of a credential in a row may not be told. Fewer could be there by chance.
const toldPart = 10

// checkNoPart checks that a text has no part of a credential.
func checkNoPart(t *testing.T, where, text string, credentials []string) {
	t.Helper()
	for _, credential := range credentials {
		for at := 0; at+toldPart <= len(credential); at++ {
			part := credential[at : at+toldPart]
			if found := strings.Index(text, part); found >= 0 {
				t.Errorf("%s has %q of a credential: …%s", where, part, text[max(0, found-200):min(len(text), found+100)])
				break
			}
		}
	}
}

// collector keeps all that is exported to it.
type collector struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// ServeHTTP implements [http.Handler].
func (c *collector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = io.Copy(&c.text, r.Body)
}

func (c *collector) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// TestCredentialsOfCallersAreNotTold: callers send their credentials whole, in part, changed, and in wrong places. Nothing of
// them is in the log at level debug, in what is exported, in metrics or in answers.
func TestCredentialsOfCallersAreNotTold(t *testing.T) {
	t.Parallel()
	exported := &collector{}
	otlp := httptest.NewServer(exported)
	defer otlp.Close()
	security := newSiegeSecurity(t)
	p := startProcess(t, []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + otlp.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_COMPRESSION=none",
		"GRPC_GO_LOG_SEVERITY_LEVEL=info",
	}, serveLine(t, append(security.flags, "--sandbox", "--log-level=debug")...)...)
	rest := p.out.waitFor(t, p.ended, `REST +(https://\S+)`)[1]
	address := p.out.waitFor(t, p.ended, `gRPC +(\S+)`)[1]
	admin := "http://" + p.out.waitFor(t, p.ended, `admin +http://([^/\s]+)`)[1]

	key, stranger := security.keys[customer], security.callers.issue(t, func(c *x509.Certificate) {
		c.Subject.CommonName = "canary-common-name"
		c.EmailAddresses = []string{"canary-mail@mail.example"}
		c.DNSNames = []string{"canary-dns-name.example"}
	})
	invented, _, _ := access.NewKey()
	whole := []string{key, security.keys[attacker], security.token, invented, stranger.Leaf.Subject.CommonName, stranger.Leaf.EmailAddresses[0], stranger.Leaf.DNSNames[0]}
	var told strings.Builder
	called := 0
	call := func(header http.Header, certificates ...issued) {
		called++
		config := security.servers.client(certificates...)
		web := &http.Client{Transport: &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: called%2 == 0}}
		defer web.CloseIdleConnections()
		for _, path := range []string{"/v1/inventory", "/v1/inventory?access_token=" + key, "/v1/" + key, "/v1/purchases/" + key} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, rest+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			request.Header = header
			answer, err := web.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(&told, answer.Body)
			_ = answer.Body.Close()
			fmt.Fprint(&told, answer.Header)
		}
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		values := metadata.MD{}
		for name, list := range header {
			values.Append(name, list...)
		}
		_, err = gigagatev1.NewInventoryServiceClient(conn).ListInventoryItems(metadata.NewOutgoingContext(t.Context(), values), &gigagatev1.ListInventoryItemsRequest{})
		fmt.Fprint(&told, err)
		err = conn.Invoke(metadata.NewOutgoingContext(context.WithoutCancel(t.Context()), values), "/gigagate.v1."+key+"/"+key, &gigagatev1.ListInventoryItemsRequest{}, &gigagatev1.ListInventoryItemsResponse{})
		fmt.Fprint(&told, err)
	}
	for _, credential := range append([]string{key, key[:len(key)-1], key[:len(key)/2], key + "x", invented, security.token, security.token[:len(security.token)-5]}, badTokens()...) {
		call(http.Header{"Authorization": {"Bearer " + credential}})
	}
	for _, value := range []string{key, "Basic " + key, "Bearer  " + key, "Bearer " + key + ", Bearer " + invented} {
		call(http.Header{"Authorization": {value}})
	}
	call(http.Header{"Authorization": {"Bearer " + key, "Bearer " + security.token}})
	for _, name := range []string{"X-Api-Key", "Cookie", "Proxy-Authorization", "Grpc-Metadata-Authorization", "User-Agent", "Traceparent", "Baggage", "Tracestate"} {
		call(http.Header{name: {key}})
	}
	call(http.Header{"Authorization": {"Bearer " + key}}, stranger)

	// A key that somebody pasted into the callers file in a wrong place, and two TLS files with it.
	for _, name := range []string{"callers.yaml", "callers.pem"} {
		if err := os.WriteFile(security.folder.file(name), []byte("callers:\n- name: shop\n  may: {methods: ["+key+"]}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_ = p.Process.Signal(syscall.SIGHUP)
	p.log.waitFor(t, p.ended, `the callers file cannot be used`)
	p.log.waitFor(t, p.ended, `the TLS files cannot be used`)
	checked := gigagate(t, "config", "check", "--callers-file="+security.folder.file("callers.yaml"))
	checkNoPart(t, "the check of the file", checked.out+checked.err, whole)
	checkNoPart(t, "/metrics", get(t, admin+"/metrics").body+get(t, admin+"/readyz").body, whole)

	_ = p.Process.Signal(syscall.SIGTERM)
	<-p.ended
	if text := exported.String(); !strings.Contains(text, "InventoryService") || !strings.Contains(p.log.String(), `"level":"DEBUG"`) || checked.status == 0 {
		t.Fatalf("too little was exported, logged or checked: %d bytes, %s", len(text), p.log)
	}
	checkNoPart(t, "an answer", told.String(), whole)
	checkNoPart(t, "what was exported", exported.String(), whole)
	checkNoPart(t, "the log", p.out.String()+p.log.String(), whole)
}

// TestCommandsTellNoKey: no error of a command has a part of its key.
func TestCommandsTellNoKey(t *testing.T) {
	security := newSiegeSecurity(t)
	g := startGateway(t, security.flags...)
	key := security.keys[customer]
	ca := "--tls-ca=" + security.folder.write(t, "servers.pem", security.servers.pem())
	check := func(line ...string) {
		t.Helper()
		got := gigagate(t, line...)
		checkNoPart(t, strings.Join(line, " "), got.out+got.err, []string{key})
	}
	for _, text := range []string{key, key + "\n" + key, " " + key, "key: " + key, "\xff" + key, key[:len(key)-1]} {
		file := "--api-key-file=" + writeFile(t, text)
		check("inventory", "--address="+g.grpc, ca, file)
		check("inventory", "--address="+g.grpc, file)
		check("inventory", "--address=192.0.2.1:1", file)
		t.Setenv(apiKeyVariable, text)
		check("inventory", "--address="+g.grpc, ca)
		check("inventory", "--address="+g.grpc, ca, file)
		t.Setenv(apiKeyVariable, "")
	}
	for _, line := range [][]string{
		{"inventory", "--api-key-file=" + key},
		{"inventory", "--api-key=" + key},
		{"inventory", key},
		{"keys", "new", "--caller=" + key},
		{"inventory", "--tls-key=" + key, ca},
	} {
		check(append(line, "--address="+g.grpc)...)
		check(line...)
	}
}
