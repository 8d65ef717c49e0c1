package server_test

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// A caller may ping every few seconds and keeps its connection. By default grpc-go allows one ping in five minutes, then
// it closes the connection with all calls on it.
func TestCallersMayPing(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.conn.Target())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// This is HTTP/2 (RFC 9113): the preface with empty settings, and pings of eight bytes.
	const settings, ping, goAway, ack = 4, 6, 7, 1
	send := func(kind byte, payload string) {
		header := append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind)), 0, 0, 0, 0, 0)
		if _, err := conn.Write(append(header, payload...)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	send(settings, "")
	again := time.NewTicker(3300 * time.Millisecond)
	defer again.Stop()
	for range 4 {
		<-again.C
		send(ping, "12345678")
		for answered := false; !answered; {
			var header [9]byte
			if _, err := io.ReadFull(conn, header[:]); err != nil {
				t.Fatal(err)
			}
			length := binary.BigEndian.Uint32(header[:4]) >> 8
			text := make([]byte, length)
			if _, err := io.ReadFull(conn, text); err != nil {
				t.Fatal(err)
			}
			if header[3] == goAway {
				t.Fatalf("the gateway closed the connection: %q", text)
			}
			answered = header[3] == ping && header[4] == ack
		}
	}
}
