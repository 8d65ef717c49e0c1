package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

// A connection that never speaks delays no drain: grpc-go would wait two minutes for it, and tell nobody meanwhile.
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
			// The server greets at once: then it has accepted the connection.
			if _, err := silent.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			g.stop()
			if status := g.exit(); status != 0 {
				t.Errorf("exit status %d: %s", status, g.log)
			}
			if took := time.Since(began); took > handshakeTimeInTests {
				t.Errorf("the drain took %s", took)
			}
		})
	}
}

// handshakeTimeInTests is far below the ten seconds that a connection has to speak, and above a drain's on a busy machine.
const handshakeTimeInTests = 7 * time.Second

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	l := bounded(inner, "test", 2, slog.New(slog.NewJSONHandler(&log, nil)))
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
		return conn
	}
	dial()
	dial()
	first := <-accepted
	<-accepted
	third := dial()
	if _, err := third.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the third connection: %v", err)
	}
	_ = first.Close()
	_ = first.Close() // gives its place back once
	dial()
	<-accepted
	if _, err := dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the fourth at once: %v", err)
	}
	_ = l.Close()
	<-done
	if n := strings.Count(log.String(), "connection refused"); n != 1 {
		t.Errorf("the log tells of it %d times: %s", n, &log)
	}
}
