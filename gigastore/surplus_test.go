package gigastore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

const (
	surplus401 = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
	surplus400 = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"message\":\"x\"}"
)

// TestAnswerNeedsTheEndOfItsConnection: a refusal is believed only if its connection ends with it.
func TestAnswerNeedsTheEndOfItsConnection(t *testing.T) {
	truth := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		len(saleJSON(testMark)), saleJSON(testMark))
	for name, tc := range map[string]struct {
		packets []string
		keeps   bool
		effect  Effect
		cause   error
	}{
		"401, then the end":                  {[]string{surplus401}, false, EffectNone, nil},
		"400, then the end":                  {[]string{surplus400}, false, EffectRefused, nil},
		"401, then a sale in one packet":     {[]string{surplus401 + truth}, false, EffectUnknown, errSurplus},
		"401, then a sale":                   {[]string{surplus401, truth}, false, EffectUnknown, errSurplus},
		"400, then one byte":                 {[]string{surplus400, "H"}, false, EffectUnknown, errSurplus},
		"400, and the connection stays open": {[]string{surplus400}, true, EffectUnknown, errNotEnded},
		"401, and the connection stays open": {[]string{surplus401}, true, EffectUnknown, errNotEnded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) {
				for _, packet := range tc.packets {
					c.raw("%s", packet)
				}
			})
			vendor.keeps = tc.keeps
			client := newTestClient(t, Config{BaseURL: vendor.url(), Timeout: 20 * time.Second})
			_, err := client.Register(t.Context(), testPermit(), testRegister())
			wantEffect(t, err, tc.effect)
			if tc.cause != nil && !errors.Is(err, tc.cause) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestVendorThatSpeaksFirst: if a vendor sends bytes before the request, the client sends nothing. Such bytes cannot
// be the answer.
func TestVendorThatSpeaksFirst(t *testing.T) {
	for range 100 { // a slow machine can miss the bytes within firstLook, so try again
		conn := &spokenConn{unread: []byte(surplus400)}
		client := newTestClient(t, Config{BaseURL: "http://127.0.0.1:1", Dial: conn.dial})
		client.tokens.current, client.tokens.renewAt = "token", time.Now().Add(time.Hour)
		_, err := client.Register(t.Context(), testPermit(), testRegister())
		if errors.Is(err, errUnasked) {
			if e := wantEffect(t, err, EffectNone); e.BytesWritten != 0 || conn.written {
				t.Errorf("%d bytes counted, written: %t", e.BytesWritten, conn.written)
			}
			return
		}
	}
	t.Error("the client did not notice a vendor that sends before the request")
}

// TestVendorThatSpeaksDuringTheConfirmation: the confirmation of a permit can take seconds. Bytes that come meanwhile
// cannot be the answer either.
func TestVendorThatSpeaksDuringTheConfirmation(t *testing.T) {
	t.Parallel()
	conn := &spokenConn{}
	client := newTestClient(t, Config{BaseURL: "http://127.0.0.1:1", Dial: conn.dial})
	client.tokens.current, client.tokens.renewAt = "token", time.Now().Add(time.Hour)
	permit := testPermit()
	permit.Confirm = func(context.Context) error {
		conn.unread = []byte(surplus400)
		return nil
	}
	_, err := client.Register(t.Context(), permit, testRegister())
	if e := wantEffect(t, err, EffectNone); !errors.Is(err, errUnasked) || e.BytesWritten != 0 || conn.written {
		t.Errorf("%v, %d bytes counted, written: %t", err, e.BytesWritten, conn.written)
	}
}

// spokenConn is a connection on which the vendor has already sent bytes.
type spokenConn struct {
	net.Conn
	unread  []byte
	written bool
}

func (c *spokenConn) dial(context.Context, string, string) (net.Conn, error) { return c, nil }

func (c *spokenConn) Read(p []byte) (int, error) {
	n := copy(p, c.unread)
	if c.unread = c.unread[n:]; n == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return n, nil
}

func (c *spokenConn) Write(p []byte) (int, error) {
	c.written = true
	return len(p), nil
}

func (c *spokenConn) SetReadDeadline(time.Time) error { return nil }

func (c *spokenConn) Close() error { return nil }
