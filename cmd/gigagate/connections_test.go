package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"

	"gigagate.internal/gigastore/sandbox"
)

// A silent connection does not delay a drain. By itself, grpc-go would wait two minutes for it before it tells its clients.
func TestSilentConnectionDelaysNoDrain(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]string{"nothing": "", "half of a preface": "PRI * HTTP/2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t)
			silent, err := net.Dial("tcp", g.grpc)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = silent.Close() }()
			if _, err := io.WriteString(silent, say); err != nil {
				t.Fatal(err)
			}
			// The server sends its greeting at once. After that it has accepted the connection.
			if _, err := silent.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			client := g.connected(t)
			began := time.Now()
			g.stop()
			// After GOAWAY, the client's library connects to another gateway.
			hear, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			if !client.WaitForStateChange(hear, connectivity.Ready) {
				t.Error("a connected client was not told to go elsewhere")
			}
			if status := g.exit(); status != 0 {
				t.Errorf("exit status %d: %s", status, g.log)
			}
			if took := time.Since(began); took > handshakeTimeInTests {
				t.Errorf("the drain took %s", took)
			}
		})
	}
}

// connected returns a client with an open connection to the gateway.
func (g *gateway) connected(t *testing.T) *grpc.ClientConn {
	t.Helper()
	client, err := grpc.NewClient(g.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	client.Connect()
	for state := client.GetState(); state != connectivity.Ready; state = client.GetState() {
		if !client.WaitForStateChange(t.Context(), state) {
			t.Fatal("not connected")
		}
	}
	return client
}

// handshakeTimeInTests is far below the ten seconds that a connection has to speak. It is longer than a drain on a busy
// machine.
const handshakeTimeInTests = 7 * time.Second

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	l := bounded(inner, "test", 4, slog.New(slog.NewJSONHandler(&log, nil)), noop.Int64Counter{})
	accepted := make(chan net.Conn, 8)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // a connection that is not refused would wait for ever
		return conn
	}
	dial()
	dial()
	first := <-accepted
	<-accepted
	third := dial()
	if _, err := third.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the third connection of one client: %v", err)
	}
	// Another client still gets in.
	other, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Skip("this system has one loopback address: ", err)
	}
	defer func() { _ = other.Close() }()
	<-accepted
	_ = first.Close()
	_ = first.Close() // frees its place only once
	dial()
	<-accepted
	if _, err := dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the fourth at once: %v", err)
	}
	_ = l.Close()
	<-done
	if n := strings.Count(log.String(), "connection refused"); n != 1 {
		t.Errorf("the log has %d lines about it: %s", n, &log)
	}
}

// One client opens 500 silent connections to a process that may open 300 files. REST still sells, because its port has its
// own share of the files.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	p := launch(t, []string{"sh", "-c", "unset " + secretVariable + `; ulimit -n 300 && exec "$0" "$@"`}, serveLine(t, "--sandbox")...)
	grpcOn := p.out.waitFor(t, p.ended, `gRPC +(\S+)`)[1]
	rest := p.out.waitFor(t, p.ended, `REST +(http://\S+)`)[1]
	for range 500 {
		conn, err := net.Dial("tcp", grpcOn)
		if err != nil {
			break // a refused connection is as good as a closed one
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	began := time.Now()
	resp, err := http.Post(rest+"/v1/activations/register", "application/json", strings.NewReader(
		`{"requestId":"few-1","inventoryItemId":"`+sandbox.ItemWorldwide1GB+`","metatag":"few 1","userIp":"203.0.113.24","userCountry":"GR"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if took := time.Since(began); resp.StatusCode != http.StatusOK || took > 5*time.Second {
		t.Errorf("status %d after %s", resp.StatusCode, took)
	}
}
