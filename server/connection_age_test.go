package server

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"
)

// A connection without calls is closed. A connection with calls is replaced after its time, and its calls go on.
func TestConnectionsEnd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		busy         bool
		after, until time.Duration
	}{
		"idle": {false, connectionIdle, connectionIdle + time.Minute},
		"busy": {true, connectionAge * 9 / 10, connectionAge * 11 / 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				listener := bufconn.Listen(64 << 10)
				gateway := grpc.NewServer(append(newAdmission().transportLimits(), grpc.StreamInterceptor(beginStream))...)
				healthpb.RegisterHealthServer(gateway, health.NewServer())
				go func() { _ = gateway.Serve(listener) }()
				conn, err := listener.DialContext(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				goAway := make(chan time.Duration, 1)
				go readUntilGoAway(conn, func() { goAway <- time.Since(began) })
				if err := watchHealth(conn, test.busy); err != nil {
					t.Fatal(err)
				}
				if told := <-goAway; told < test.after || told > test.until {
					t.Errorf("the GOAWAY came after %s", told)
				}
				_ = conn.Close()
				gateway.Stop()
			})
		})
	}
}

// readUntilGoAway reads everything that the gateway sends. At the first GOAWAY frame it calls told.
func readUntilGoAway(conn net.Conn, told func()) {
	frames := http2.NewFramer(io.Discard, conn)
	for first := true; ; {
		frame, err := frames.ReadFrame()
		if err != nil {
			return
		}
		if _, ok := frame.(*http2.GoAwayFrame); ok && first {
			first = false
			told()
		}
	}
}

// watchHealth opens an HTTP/2 connection. If busy is set, it also opens a stream that does not end.
func watchHealth(conn net.Conn, busy bool) error {
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return err
	}
	frames := http2.NewFramer(conn, conn)
	if err := frames.WriteSettings(); err != nil || !busy {
		return err
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: healthpb.Health_Watch_FullMethodName},
		{Name: ":authority", Value: "gigagate"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
	} {
		if err := encoder.WriteField(field); err != nil {
			return err
		}
	}
	if err := frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
		return err
	}
	return frames.WriteData(1, true, make([]byte, 5)) // an empty message
}
