package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// TestEveryLineOfTheLogIsJSON: the log stays JSON while exporters fail, clients send garbage, and gRPC logs everything.
func TestEveryLineOfTheLogIsJSON(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			p := startProcess(t, []string{
				"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol, "OTEL_EXPORTER_OTLP_TIMEOUT=200",
				"GRPC_GO_LOG_SEVERITY_LEVEL=info", "GRPC_GO_LOG_VERBOSITY_LEVEL=99",
			}, serveLine(t, "--sandbox", "--log-level=debug")...)
			for _, port := range []string{`gRPC +(\S+)`, `REST +http://(\S+)`, `admin +http://([^/\s]+)`, `sandbox +http://([^/\s]+)`} {
				address := p.out.waitFor(t, p.ended, port)[1]
				if conn, err := (&tls.Dialer{}).DialContext(t.Context(), "tcp", address); err == nil {
					_ = conn.Close()
					t.Errorf("%s speaks TLS", address)
				}
				speak(t, address, "garbage\r\n\r\n")
				speak(t, address, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage and more of it")
			}
			_ = p.Process.Signal(syscall.SIGTERM)
			<-p.ended
			if code := p.ProcessState.ExitCode(); code != 0 || !strings.Contains(p.log.String(), `"msg":"telemetry"`) {
				t.Errorf("exit status %d", code)
			}
			checkJSON(t, p.log.String())
		})
	}
}

// speak sends text to a port, and reads until the server closes the connection.
func speak(t *testing.T, address, text string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write([]byte(text))
	_ = conn.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, conn)
}

// TestLibrariesWriteToTheLog: messages that net/http and gRPC print themselves become lines of the log.
func TestLibrariesWriteToTheLog(t *testing.T) {
	log := newWatched()
	takeOver(t.Context(), slog.New(logSettings{LogFormat: "json", LogLevel: slog.LevelWarn}.newHandler(log)))

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newHTTPServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("of a handler") }), 0)
	served := make(chan error, 1)
	go func() { served <- serveHTTP(server, listener) }()
	speak(t, listener.Addr().String(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	_ = server.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	_, _ = fmt.Fprint(grpcErrors{}, "2026/01/02 03:04:05 ERROR: [core] it failed\n")

	for _, want := range []string{`"level":"WARN","msg":"http: panic serving `, `"level":"WARN","msg":"grpc","error":"[core] it failed"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("want %s in\n%s", want, log)
		}
	}
	checkJSON(t, log.String())
}
