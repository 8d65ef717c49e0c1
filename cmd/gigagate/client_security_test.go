package main

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// startListener is a gateway that only keeps what a caller sent with its call.
func startListener(t *testing.T, security credentials.TransportCredentials) (address string, calls chan metadata.MD) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	calls = make(chan metadata.MD, 1)
	server := grpc.NewServer(grpc.Creds(security), grpc.UnaryInterceptor(func(ctx context.Context, _ any, _ *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		if p, ok := peer.FromContext(ctx); ok {
			if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.PeerCertificates) > 0 {
				md.Set("test-certificate", info.State.PeerCertificates[0].SerialNumber.String())
			}
		}
		calls <- md
		return nil, status.Error(codes.Unauthenticated, "no")
	}))
	healthpb.RegisterHealthServer(server, healthpb.UnimplementedHealthServer{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String(), calls
}

// The command line calls over TLS, with its certificate or its key.
func TestCommandsOverTLS(t *testing.T) {
	g := startTLS(t)
	folder := g.folder
	ca := folder.write(t, "servers.pem", g.servers.pem())
	caller := g.callers.issue(t, nil)
	certificate, key := folder.write(t, "caller.pem", caller.certificatePEM), folder.write(t, "caller-key.pem", caller.keyPEM)
	apiKey := folder.write(t, "api-key", []byte("gg_7f3kq2_s3cret-canary\n"))
	t.Setenv("GIGAGATE_ADDRESS", g.grpc)
	for _, test := range []struct {
		name  string
		flags []string
		says  string // in the error; empty if it works
	}{
		{"an authority", []string{"--tls-ca=" + ca}, ""},
		{"everything", []string{"--tls-ca=" + ca, "--tls-cert=" + certificate, "--tls-key=" + key, "--api-key-file=" + apiKey, "--tls-server-name=gigagate.test"}, ""},
		{"another name", []string{"--tls-ca=" + ca, "--tls-server-name=elsewhere.test"}, "certificate is valid for localhost, gigagate.test, not elsewhere.test"},
		{"another authority", []string{"--tls-ca=" + folder.file("callers.pem")}, "certificate signed by unknown authority"},
		{"the system's authorities", []string{"--tls-ca=system"}, "certificate signed by unknown authority"},
		{"a missing file", []string{"--tls-ca=/missing"}, "--tls-ca: open /missing"},
		{"a certificate without a key", []string{"--tls-ca=" + ca, "--tls-cert=" + certificate}, "--tls-cert and --tls-key: "},
		{"no authority", []string{"--tls-cert=" + certificate}, "need --tls-ca"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, line := range []string{"health", "inventory"} {
				got := gigagate(t, append([]string{line}, test.flags...)...)
				if (got.status == 0) != (test.says == "") || !strings.Contains(got.err, test.says) || strings.Contains(got.err, "canary") {
					t.Errorf("%s: %+v", line, got)
				}
			}
		})
	}
	t.Run("in the environment", func(t *testing.T) {
		t.Setenv("GIGAGATE_TLS_CA", ca)
		t.Setenv("GIGAGATE_TLS_CERT", folder.file("certificate.pem")) // of the gateway in the same container
		t.Setenv("GIGAGATE_TLS_KEY", folder.file("key.pem"))
		if got := gigagate(t, "health"); got.status != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// The key and the certificate arrive. A key is not sent to another machine without TLS.
func TestCredentialsOfCommands(t *testing.T) {
	servers := newAuthority(t, "servers")
	folder := newTLSFolder(t, servers, servers)
	caller := servers.issue(t, nil)
	ca, file := folder.write(t, "servers.pem", servers.pem()), folder.write(t, "api-key", []byte("gg_7f3kq2_s3cret-canary\n"))
	certificate, key := folder.write(t, "caller.pem", caller.certificatePEM), folder.write(t, "caller-key.pem", caller.keyPEM)
	config := folder.files(t, time.Now, io.Discard).config(http2Protocol)
	secured, overTLS := startListener(t, credentials.NewTLS(config))
	plain, overLoopback := startListener(t, nil)
	check := func(calls chan metadata.MD, shown string, line ...string) {
		t.Helper()
		got := gigagate(t, append([]string{"health"}, line...)...)
		if len(calls) == 0 {
			t.Fatalf("no call: %+v", got)
		}
		md := <-calls
		if keys := md.Get("authorization"); len(keys) != 1 || keys[0] != "Bearer gg_7f3kq2_s3cret-canary" || strings.Join(md.Get("test-certificate"), "") != shown {
			t.Errorf("%v arrived: %+v", md, got)
		}
	}
	check(overTLS, caller.Leaf.SerialNumber.String(), "--address="+secured, "--tls-ca="+ca, "--api-key-file="+file, "--tls-cert="+certificate, "--tls-key="+key)
	check(overLoopback, "", "--address="+plain, "--api-key-file="+file)
	check(overLoopback, "", "--address=dns:///"+plain, "--api-key-file="+file)

	t.Setenv(apiKeyVariable, "gg_7f3kq2_s3cret-canary")
	check(overLoopback, "", "--address="+plain)
	for _, test := range []struct {
		line []string
		says string
	}{
		{[]string{"--address=192.0.2.1:9090"}, "only over TLS: set --tls-ca"},
		{[]string{"--address=dns:///127.0.0.1.example.com:9090"}, "only over TLS: set --tls-ca"},
		{[]string{"--address=dns://127.0.0.1:53/gigagate:9090"}, "only over TLS: set --tls-ca"},
		{[]string{"--address=" + plain, "--api-key-file=" + file}, "--api-key-file and GIGAGATE_API_KEY are both set"},
	} {
		if got := gigagate(t, append([]string{"health"}, test.line...)...); got.status != exitFailed || !strings.Contains(got.err, test.says) {
			t.Errorf("%v: %+v", test.line, got)
		}
	}
	t.Setenv(apiKeyVariable, "two words")
	if got := gigagate(t, "health", "--address="+plain); !strings.Contains(got.err, "characters that no key has") || strings.Contains(got.err, "two words") {
		t.Errorf("%+v", got)
	}
}
