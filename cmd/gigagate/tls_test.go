package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/internal/access"
)

// tlsGateway is a gateway that speaks TLS.
type tlsGateway struct {
	*gateway
	servers, callers *authority
	folder           tlsFolder
}

func startTLS(t *testing.T, args ...string) *tlsGateway {
	t.Helper()
	g := &tlsGateway{servers: newAuthority(t, "servers"), callers: newAuthority(t, "callers")}
	g.folder = newTLSFolder(t, g.servers, g.callers)
	g.gateway = startGateway(t, append(g.folder.flags(), args...)...)
	return g
}

// over connects over gRPC.
func (g *tlsGateway) over(t *testing.T, config *tls.Config) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(g.grpc, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// web is a client of REST.
func (g *tlsGateway) web(t *testing.T, config *tls.Config, http2 bool) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: http2}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// metric is the value of a series that has all the labels. It is empty if there is none.
func (g *gateway) metric(t *testing.T, name string, labels ...string) string {
	t.Helper()
	for line := range strings.Lines(get(t, "http://"+g.admin+"/metrics").body) {
		fits := strings.HasPrefix(line, name+"{")
		for _, label := range labels {
			fits = fits && strings.Contains(line, label)
		}
		if fits {
			return line[strings.LastIndex(line, " ")+1 : len(line)-1]
		}
	}
	return ""
}

// order is a valid order over gRPC.
func order(id string) *gigagatev1.RegisterRequest {
	return &gigagatev1.RegisterRequest{
		RequestId: id, InventoryItemId: sandbox.ItemWorldwide1GB, Metatag: "text", UserIp: "203.0.113.24", UserCountry: "GR",
	}
}

// A client chooses HTTP/1.1 or HTTP/2 over REST, as it always does with TLS. A body of unknown length works in both.
func TestTLSOnBothPorts(t *testing.T) {
	t.Parallel()
	g := startTLS(t)
	conn := g.over(t, g.servers.client())
	if _, err := gigagatev1.NewActivationServiceClient(conn).Register(t.Context(), order("order-1")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		http2    bool
		protocol string
	}{{false, "HTTP/1.1"}, {true, "HTTP/2.0"}} {
		client := g.web(t, g.servers.client(), test.http2)
		for _, body := range []io.Reader{
			strings.NewReader(registration("order-"+test.protocol, "")),
			io.MultiReader(strings.NewReader(registration("order-chunked-"+test.protocol, ""))),
		} {
			answer, err := client.Post("https://"+g.rest+"/v1/activations/register", "application/json", body)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusOK || answer.Proto != test.protocol {
				t.Errorf("status %d over %s, want %s", answer.StatusCode, answer.Proto, test.protocol)
			}
		}
	}
	if sales := len(g.ledger(t).Sales); sales != 5 {
		t.Errorf("%d sales", sales)
	}
	if !strings.Contains(g.out.String(), "REST     https://") {
		t.Error(g.out)
	}
}

// A request whose end is ambiguous is refused inside of TLS, too.
func TestTLSFraming(t *testing.T) {
	t.Parallel()
	g := startTLS(t)
	conn, err := tls.Dial("tcp", g.rest, g.servers.client())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "POST /v1/activations/register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "must not have both") || !answer.Close {
		t.Errorf("status %d: %s", answer.StatusCode, text)
	}
}

func TestTLSClientCertificates(t *testing.T) {
	t.Parallel()
	g := startTLS(t)
	right := g.callers.issue(t, nil)
	for _, test := range []struct {
		name   string
		config *tls.Config
		ok     bool
	}{
		{"none", g.servers.client(), true},
		{"right", g.servers.client(right), true},
		{"of another authority", g.servers.client(newAuthority(t, "callers").issue(t, nil)), false},
		{"expired", g.servers.client(g.callers.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), false},
		{"not valid yet", g.servers.client(g.callers.issue(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })), false},
		{"for servers only", g.servers.client(g.callers.issue(t, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := healthpb.NewHealthClient(g.over(t, test.config)).Check(t.Context(), &healthpb.HealthCheckRequest{})
			answer, restErr := g.web(t, test.config, true).Get("https://" + g.rest + "/v1/inventory")
			if restErr == nil {
				_ = answer.Body.Close()
			}
			if (err == nil) != test.ok || (restErr == nil) != test.ok {
				t.Errorf("gRPC: %v, REST: %v", err, restErr)
			}
		})
	}
	for _, port := range []string{"grpc", "http"} {
		failures := g.metric(t, "gigagate_tls_handshake_failures_total", `gigagate_port="`+port+`"`, `error_type="client_certificate"`)
		if failures == "" || failures == "0" {
			t.Errorf("the metric of port %s counts %q failures", port, failures)
		}
	}
	if log := g.log.String(); strings.Contains(log, "handshake") {
		t.Errorf("strangers fill the log: %s", log)
	}
}

func TestTLSVersions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		flags []string
		ok    bool
	}{{nil, false}, {[]string{"--tls-min-version=1.2"}, true}} {
		g := startTLS(t, test.flags...)
		for _, address := range []string{g.grpc, g.rest} {
			old := g.servers.client()
			old.MaxVersion, old.NextProtos = tls.VersionTLS12, []string{"h2"}
			conn, err := tls.Dial("tcp", address, old)
			if err == nil {
				_ = conn.Close()
			}
			if (err == nil) != test.ok {
				t.Errorf("%v: TLS 1.2: %v", test.flags, err)
			}
		}
	}
}

// A client that does not speak TLS is told so. The command line gives advice.
func TestPlainClientOnTLSPort(t *testing.T) {
	t.Parallel()
	g := startTLS(t)
	if got := get(t, "http://"+g.rest+"/v1/inventory"); got.status != http.StatusBadRequest || !strings.Contains(got.body, "this port speaks TLS") {
		t.Errorf("%+v", got)
	}
	for _, line := range [][]string{{"health"}, {"inventory"}} {
		if got := gigagate(t, append(line, "--address="+g.grpc)...); got.status != exitFailed || !strings.Contains(got.err, "if the gateway speaks TLS, set --tls-ca") {
			t.Errorf("%+v", got)
		}
	}
	for port, want := range map[string]string{"http": "1", "grpc": "2"} {
		if got := g.metric(t, "gigagate_tls_handshake_failures_total", `gigagate_port="`+port+`"`, `error_type="not_tls"`); got != want {
			t.Errorf("the metric of port %s counts %q failures, want %s", port, got, want)
		}
	}
	// A client of HTTP/1.1 has nothing to say on the port of gRPC.
	web := g.web(t, g.servers.client(), false)
	if answer, err := web.Get("https://" + g.grpc); err == nil {
		_ = answer.Body.Close()
		t.Error("the gRPC port speaks HTTP/1.1")
	}
}

// Files are replaced while a stream is open and calls go on. Nothing is dropped, and new connections use the new files.
func TestTLSReload(t *testing.T) {
	t.Parallel()
	g := startTLS(t)
	both := x509.NewCertPool()
	other := newAuthority(t, "new servers")
	both.AddCert(g.servers.certificate)
	both.AddCert(other.certificate)
	config := g.servers.client()
	config.RootCAs = both
	conn := g.over(t, config)
	stream, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	call := func() {
		t.Helper()
		if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
			t.Error(err)
		}
	}
	reload := func(says string) {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil { // all gateways of this process get it
			t.Fatal(err)
		}
		g.log.waitFor(t, g.ended, says)
		call()
	}
	shown := func() *x509.Certificate {
		t.Helper()
		fresh := config.Clone()
		fresh.NextProtos = []string{"h2"}
		conn, err := tls.Dial("tcp", g.grpc, fresh)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return conn.ConnectionState().PeerCertificates[0]
	}

	replaced := other.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(48 * time.Hour) })
	g.folder.put(t, replaced)
	reload(`TLS files read again`)
	g.log.waitFor(t, g.ended, `"level":"WARN","msg":"the TLS certificate ends soon"`)
	if !bytes.Equal(shown().Raw, replaced.Leaf.Raw) {
		t.Error("a new connection got the old certificate")
	}
	if expiry := g.metric(t, "gigagate_tls_certificate_expiry"); !strings.HasPrefix(expiry, "1.") && !strings.Contains(expiry, "e+09") {
		t.Errorf("the certificate ends at %q", expiry)
	}

	g.folder.write(t, "key.pem", []byte("s3cret-canary"))
	reload(`"level":"WARN","msg":"the TLS files cannot be used, the previous ones stay in use"`)
	if !bytes.Equal(shown().Raw, replaced.Leaf.Raw) || g.metric(t, "gigagate_tls_problem") != "1" {
		t.Error("a broken key replaced the previous one, or no metric says so")
	}
	if strings.Contains(g.log.String(), "s3cret-canary") {
		t.Error("the key is in the log")
	}

	repaired := other.issue(t, nil)
	g.folder.put(t, repaired)
	g.log.waitFor(t, g.ended, `(?s)cannot be used.*TLS files read again`) // without a signal, the gateway looks every few seconds
	if !bytes.Equal(shown().Raw, repaired.Leaf.Raw) {
		t.Error("the repaired files are not used")
	}
	call()
	ended := make(chan error, 1)
	go func() {
		_, err := stream.Recv()
		ended <- err
	}()
	if g.metric(t, "gigagate_tls_problem") != "0" || conn.GetState() != connectivity.Ready {
		t.Error("the problem is not over, or the connection is gone")
	}
	select {
	case err := <-ended:
		t.Errorf("the stream ended: %v", err)
	default:
	}
}

// Connections that have not spoken inside of TLS do not delay a drain.
func TestSilentTLSConnectionDelaysNoDrain(t *testing.T) {
	t.Parallel()
	g := startTLS(t)
	raw, err := net.Dial("tcp", g.grpc)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	config := g.servers.client()
	config.NextProtos = []string{"h2"}
	silent, err := tls.Dial("tcp", g.grpc, config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	// The server sends its settings at once. After that it has accepted the connection.
	if _, err := silent.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	client := g.over(t, g.servers.client())
	stream, err := healthpb.NewHealthClient(client).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	g.stop()
	hear, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if !client.WaitForStateChange(hear, connectivity.Ready) {
		t.Error("a connected client was not told to go elsewhere")
	}
	if status := g.exit(); status != 0 || time.Since(began) > handshakeTimeInTests {
		t.Errorf("exit status %d after %s", status, time.Since(began))
	}
}

// Without TLS, a gateway listens only on loopback. --insecure allows more.
func TestServeWithoutTLSStaysOnLoopback(t *testing.T) {
	t.Parallel()
	folder := newTLSFolder(t, newAuthority(t, "servers"), newAuthority(t, "callers"))
	_, id, sum := access.NewKey()
	callers := "--callers-file=" + writeFile(t, fmt.Sprintf("callers:\n- name: shop\n  identities:\n  - key: {id: %s, sha256: %s}\n", id, sum))
	for _, test := range []struct {
		flags []string
		names string // in the error; empty if it starts
	}{
		{[]string{"--grpc-listen=0.0.0.0:0"}, "--grpc-listen: "},
		{[]string{"--http-listen=:0"}, "--http-listen: "},
		{[]string{"--admin-listen=[::]:0", "--sandbox-listen=0.0.0.0:0"}, "--admin-listen, --sandbox-listen: "},
		{[]string{"--grpc-listen=localhost:0", "--http-listen=127.0.0.2:0"}, ""},
		{[]string{"--grpc-listen=0.0.0.0:0", "--insecure"}, ""},
		{append(folder.flags(), "--grpc-listen=0.0.0.0:0", "--admin-listen=0.0.0.0:0"), "--grpc-listen, --admin-listen: "},
		{[]string{"--grpc-listen=0.0.0.0:0", callers}, "--grpc-listen: "},
		{append(folder.flags(), "--grpc-listen=0.0.0.0:0", callers), ""},
	} {
		t.Run(strings.Join(test.flags, " "), func(t *testing.T) {
			t.Parallel()
			if test.names == "" {
				startGateway(t, test.flags...)
				return
			}
			got := gigagate(t, serveLine(t, append(test.flags, "--sandbox")...)...)
			if got.status != exitFailed || !strings.Contains(got.err, "gigagate: "+test.names) || !strings.Contains(got.err, "--tls-cert") || !strings.Contains(got.err, "--insecure") {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestBadTLSSettings(t *testing.T) {
	t.Parallel()
	servers, callers := newAuthority(t, "servers"), newAuthority(t, "callers")
	folder := newTLSFolder(t, servers, callers)
	flags, other := folder.flags(), newTLSFolder(t, servers, callers)
	old := newTLSFolder(t, servers, callers)
	old.put(t, servers.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }))
	for _, test := range []struct {
		name  string
		flags []string
		says  string
	}{
		{"no key", flags[:1], "--tls-cert and --tls-key go together"},
		{"only an authority", flags[2:], "--tls-client-ca needs --tls-cert"},
		{"a missing file", []string{"--tls-cert=/missing", flags[1]}, "--tls-cert: "},
		{"another key", []string{flags[0], "--tls-key=" + other.file("key.pem")}, "--tls-cert and --tls-key: tls: private key does not match"},
		{"expired", old.flags(), "--tls-cert: the certificate is valid from"},
		{"a key as authority", append(flags[:2:2], "--tls-client-ca="+folder.file("key.pem")), "--tls-client-ca: it has a PRIVATE KEY"},
		{"an empty authority", append(flags[:2:2], "--tls-client-ca=/dev/null"), "--tls-client-ca: it has no certificate"},
		{"an old version", append(flags[:2:2], "--tls-min-version=1.1"), "--tls-min-version must be one of"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := gigagate(t, serveLine(t, append(test.flags, "--sandbox")...)...)
			if got.status == 0 || !strings.Contains(got.err, test.says) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestOnlyLoopback(t *testing.T) {
	t.Parallel()
	var open listeners
	defer open.close()
	open.listen(t.Context(), "--http-listen", "127.0.0.1:0")
	if err := open.onlyLoopback(); open.err != nil || err != nil {
		t.Fatal(open.err, err)
	}
	open.listen(t.Context(), "--grpc-listen", "0.0.0.0:0")
	if err := open.onlyLoopback(); err == nil || !strings.HasPrefix(err.Error(), "--grpc-listen: ") {
		t.Error(err)
	}
}
