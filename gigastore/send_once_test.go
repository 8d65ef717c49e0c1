package gigastore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// TestEachRequestHasItsOwnConnection: each request has its own connection, whether the vendor keeps connections open or
// lets them die.
func TestEachRequestHasItsOwnConnection(t *testing.T) {
	for name, end := range map[string]func(*rawConn){
		"kept":  func(c *rawConn) { c.answer(200, "application/json", saleJSON(testMark)) },
		"reset": (*rawConn).reset,
		"close": func(c *rawConn) { _ = c.Conn.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) {
				if c.served > 0 {
					t.Error("a connection carried two requests")
				}
				end(c)
			})
			vendor.keeps = true
			client := newTestClient(t, Config{BaseURL: vendor.url()})
			for range 3 {
				_, err := client.Register(t.Context(), testPermit(), testRegister())
				if name == "kept" {
					if err != nil {
						t.Fatal(err)
					}
				} else if e := wantEffect(t, err, EffectUnknown); e.BytesWritten == 0 || e.Status != 0 {
					t.Errorf("got %d bytes, status %d", e.BytesWritten, e.Status)
				}
			}
			// The login also has its own connection.
			if requests, conns := vendor.seen(); requests != 3 || conns != 4 {
				t.Errorf("%d requests on %d connections, want 3 on 4", requests, conns)
			}
		})
	}
}

// TestAttemptWritesOnce: a second write of the same request is refused. This holds whatever caused the second write.
func TestAttemptWritesOnce(t *testing.T) {
	left, right := net.Pipe()
	defer func() { _, _ = left.Close(), right.Close() }()
	go func() { _, _ = io.Copy(io.Discard, right) }()
	a, c := &attempt{now: time.Now}, &connection{Conn: left, raw: left}
	if err := a.write(t.Context(), c, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := a.write(t.Context(), c, make([]byte, 10)); !errors.Is(err, errSecondSend) {
		t.Errorf("the second time: %v", err)
	}
	if got := a.evidence(0).BytesWritten; got != 10 {
		t.Errorf("%d bytes", got)
	}
}

func TestActivateIsNotSentAgain(t *testing.T) {
	vendor := newRawVendor(t, func(c *rawConn, r *http.Request) {
		if c.served == 0 && r.Method == "GET" {
			c.answer(200, "application/json", `{}`)
			return
		}
		c.reset()
	})
	client := newTestClient(t, Config{BaseURL: vendor.url()})
	// Make a first call, so that net/http could reuse its connection and have a reason to send again.
	if _, err := client.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := client.Activate(t.Context(), "item-1")
	wantEffect(t, err, EffectUnknown)
	if requests, _ := vendor.seen(); requests != 2 {
		t.Errorf("%d requests, want 2", requests)
	}
	last := vendor.requests[1]
	if last.Header.Get("Idempotency-Key") != "" || last.ContentLength > 0 || last.Header.Get("Content-Type") != "" {
		t.Errorf("activate sent %v", last.Header)
	}
}

func TestNoByteLeft(t *testing.T) {
	t.Run("connection refused", func(t *testing.T) {
		vendor := newRawVendor(t, nil)
		client := newTestClient(t, Config{BaseURL: vendor.url(), Dial: refuseAfterLogin()})
		_, err := client.Register(t.Context(), testPermit(), testRegister())
		e := wantEffect(t, err, EffectNone)
		if !errors.Is(err, syscall.ECONNREFUSED) || e.BytesWritten != 0 {
			t.Errorf("got %v, %d bytes", err, e.BytesWritten)
		}
	})
	t.Run("no token available", func(t *testing.T) {
		client := newTestClient(t, Config{BaseURL: "http://127.0.0.1:1", Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, syscall.ECONNREFUSED
		}})
		_, err := client.Register(t.Context(), testPermit(), testRegister())
		wantEffect(t, err, EffectNone)
		if !strings.Contains(err.Error(), "no access token") {
			t.Error(err)
		}
	})
	t.Run("connection broke before the first byte", func(t *testing.T) {
		vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) {
			c.answer(200, "application/json", saleJSON(testMark))
		})
		dialer := &net.Dialer{}
		var dials atomic.Int64
		client := newTestClient(t, Config{BaseURL: vendor.url(), Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if dials.Add(1) > 1 { // the first connection is for the login
				conn = brokenConn{conn}
			}
			return conn, err
		}})
		_, err := client.Register(t.Context(), testPermit(), testRegister())
		wantEffect(t, err, EffectNone)
		if requests, _ := vendor.seen(); requests != 0 {
			t.Errorf("%d requests", requests)
		}
	})
	for name, late := range map[string]func(now time.Time) time.Time{
		"permit ran out while connecting": func(now time.Time) time.Time { return now.Add(20 * time.Minute) },
		// The machine was suspended after it got the permit: its monotonic clock stopped, and its wall clock went on.
		"permit ran out while the machine slept": func(now time.Time) time.Time { return asleep(now, 20*time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) { c.answer(200, "application/json", saleJSON(testMark)) })
			var isLate atomic.Bool
			dial := &net.Dialer{}
			login := false
			client := newTestClient(t, Config{
				BaseURL: vendor.url(),
				Now: func() time.Time {
					if isLate.Load() {
						return late(time.Now())
					}
					return time.Now()
				},
				Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
					isLate.Store(login) // the second connection is for the paid call
					login = true
					return dial.DialContext(ctx, network, addr)
				},
			})
			_, err := client.Register(t.Context(), testPermit(), testRegister())
			wantEffect(t, err, EffectNone)
			if !errors.Is(err, errPermitExpired) {
				t.Errorf("got %v", err)
			}
			if requests, _ := vendor.seen(); requests != 0 {
				t.Errorf("%d requests", requests)
			}
		})
	}
	t.Run("invalid permit or request", func(t *testing.T) {
		vendor := newRawVendor(t, nil)
		client := newTestClient(t, Config{BaseURL: vendor.url()})
		for name, change := range map[string]func(*Permit, *RegisterRequest){
			"empty mark":            func(p *Permit, _ *RegisterRequest) { p.Mark = "" },
			"mark of two words":     func(p *Permit, r *RegisterRequest) { p.Mark = "a b"; r.Metatag = "a b" },
			"zero NotAfter":         func(p *Permit, _ *RegisterRequest) { p.NotAfter = time.Time{} },
			"NotAfter passed":       func(p *Permit, _ *RegisterRequest) { p.NotAfter = time.Now().Add(-time.Second) },
			"long key":              func(p *Permit, _ *RegisterRequest) { p.IdempotencyKey = strings.Repeat("k", 65) },
			"key with a line break": func(p *Permit, _ *RegisterRequest) { p.IdempotencyKey = "k\r\nX: y" },
			"metatag without mark":  func(_ *Permit, r *RegisterRequest) { r.Metatag = "order-7" },
			"mark only a prefix":    func(p *Permit, r *RegisterRequest) { r.Metatag = p.Mark + "x order-7" },
			"mark not first":        func(p *Permit, r *RegisterRequest) { r.Metatag = "order-7 " + p.Mark },
			"space before the mark": func(p *Permit, r *RegisterRequest) { r.Metatag = " " + p.Mark },
		} {
			p, r := testPermit(), testRegister()
			change(&p, &r)
			_, err := client.Register(t.Context(), p, r)
			if e := wantEffect(t, err, EffectNone); e.BytesWritten != 0 {
				t.Errorf("%s: %d bytes", name, e.BytesWritten)
			}
		}
		for _, uid := range []string{"", ".", "..", "a/b", "a%2fb", "a\\b", "ä", strings.Repeat("u", 65), "a?b", "a\n"} {
			if _, err := client.Activate(t.Context(), uid); asError(t, err).Effect != EffectNone {
				t.Errorf("uid %q: %v", uid, err)
			}
		}
		if requests, conns := vendor.seen(); requests != 0 || conns != 0 {
			t.Errorf("%d requests, %d connections", requests, conns)
		}
	})
}

// refuseAfterLogin returns a dialer that allows one connection, for the login.
func refuseAfterLogin() func(context.Context, string, string) (net.Conn, error) {
	var dials atomic.Int64
	dialer := &net.Dialer{}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) > 1 {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}
		return dialer.DialContext(ctx, network, addr)
	}
}

// brokenConn fails every write, like a connection that the peer has reset.
type brokenConn struct{ net.Conn }

func (c brokenConn) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestBytesAreCountedAboveTLS(t *testing.T) {
	var paid atomic.Int64
	var resumed atomic.Bool // the newest connection resumed its session
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resumed.Store(r.TLS.DidResume)
		if !authenticates(w, r) {
			paid.Add(1)
			writeJSON(w, 200, saleJSON(testMark))
		}
	})
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true // the client must not use HTTP/2
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())

	newTLS := func(t *testing.T, roots *x509.CertPool, dial dialFunc) *Client {
		t.Helper()
		c, err := newClient(Config{
			BaseURL: server.URL, ClientID: "id", ClientSecret: "secret", Timeout: 5 * time.Second, Dial: dial,
		}, roots)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}

	t.Run("success", func(t *testing.T) {
		sale, err := newTLS(t, roots, nil).Register(t.Context(), testPermit(), testRegister())
		if err != nil {
			t.Fatal(err)
		}
		// This is one small request. If bytes were counted below TLS, the handshake would add more than a kilobyte.
		if n := sale.Evidence.BytesWritten; n < 300 || n > 900 {
			t.Errorf("%d bytes", n)
		}
	})
	t.Run("session resumed", func(t *testing.T) {
		client := newTLS(t, roots, nil)
		resumed.Store(false)
		for range 3 {
			if _, err := client.Register(t.Context(), testPermit(), testRegister()); err != nil {
				t.Fatal(err)
			}
		}
		if !resumed.Load() {
			t.Error("every connection had a whole handshake")
		}
	})
	t.Run("certificate not accepted", func(t *testing.T) {
		client := newTLS(t, x509.NewCertPool(), nil)
		client.tokens.current, client.tokens.renewAt = "token", time.Now().Add(time.Hour)
		before := paid.Load()
		_, err := client.Register(t.Context(), testPermit(), testRegister())
		e := wantEffect(t, err, EffectNone)
		if e.BytesWritten != 0 || !strings.Contains(err.Error(), "certificate") || paid.Load() != before {
			t.Errorf("got %v, %d bytes", err, e.BytesWritten)
		}
	})
	t.Run("permit ran out after the handshake", func(t *testing.T) {
		client := newTLS(t, roots, nil)
		client.tokens.current, client.tokens.renewAt = "token", time.Now().Add(24*time.Hour)
		calls := 0
		start := time.Now()
		client.now = func() time.Time {
			if calls++; calls > 1 { // the first check comes before the token, the second at the first byte
				return start.Add(time.Hour)
			}
			return start
		}
		_, err := client.Register(t.Context(), testPermit(), testRegister())
		if e := wantEffect(t, err, EffectNone); e.BytesWritten != 0 {
			t.Errorf("%d bytes", e.BytesWritten)
		}
	})
	t.Run("failed write counts whole", func(t *testing.T) {
		left, right := net.Pipe()
		_ = right.Close()
		conn := &connection{Conn: tls.Client(left, &tls.Config{ServerName: "x"}), raw: left}
		a := &attempt{now: time.Now}
		if err := a.write(t.Context(), conn, make([]byte, 77)); err == nil {
			t.Error("the write did not fail")
		}
		if got := a.evidence(0).BytesWritten; got != 77 {
			t.Errorf("%d bytes", got)
		}
		_ = left.Close()
	})
}

// TestWriteThatIsCutOffCounts: a call that is given up during Write must not report zero bytes.
func TestWriteThatIsCutOffCounts(t *testing.T) {
	left, right := net.Pipe()
	defer func() { _ = right.Close() }()
	a, c := &attempt{now: time.Now}, &connection{Conn: left, raw: left}
	written := make(chan error)
	go func() { written <- a.write(t.Context(), c, make([]byte, 50)) }()
	if _, err := io.ReadFull(right, make([]byte, 1)); err != nil { // the rest of Write still blocks
		t.Fatal(err)
	}
	c.abort()
	if err := <-written; err == nil {
		t.Error("the write did not fail")
	}
	if a.evidence(0).BytesWritten == 0 {
		t.Error("no byte counted")
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) {
			c.raw("HTTP/1.1 %d Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", status)
		})
		client := newTestClient(t, Config{BaseURL: vendor.url()})
		_, err := client.Register(t.Context(), testPermit(), testRegister())
		if e := wantEffect(t, err, EffectUnknown); e.Status != status {
			t.Errorf("status %d", e.Status)
		}
		_, err = client.Inventory(t.Context())
		if e := asError(t, err); e.Status != status {
			t.Errorf("read: status %d", e.Status)
		}
		if requests, _ := vendor.seen(); requests != 2 {
			t.Errorf("%d: %d requests, want 2", status, requests)
		}
	}
}

func TestUnauthorizedPaidCallIsNotSentAgain(t *testing.T) {
	vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) {
		c.answer(401, "application/json", `{"error":"unauthorized"}`)
	})
	client := newTestClient(t, Config{BaseURL: vendor.url()})
	_, err := client.Register(t.Context(), testPermit(), testRegister())
	wantEffect(t, err, EffectNone)
	if requests, _ := vendor.seen(); requests != 1 || vendor.logins != 1 {
		t.Errorf("%d requests, %d logins", requests, vendor.logins)
	}
	_, err = client.Activate(t.Context(), "item-1")
	wantEffect(t, err, EffectNone)
	if requests, _ := vendor.seen(); requests != 2 || vendor.logins != 2 {
		t.Errorf("next call: %d requests, %d logins, want a new token", requests, vendor.logins)
	}
}

// TestProxyOfTheEnvironmentIsIgnored runs in a separate process, because net/http reads the environment only once
// per process. Loopback is exempt from proxies, so the base URL is another host. The dialer shows where the client
// wanted to connect.
func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	const proxy = "http://proxy.invalid:3128"
	if os.Getenv("HTTPS_PROXY") != proxy {
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxyOfTheEnvironmentIsIgnored$")
		again.Env = append(os.Environ(), "HTTPS_PROXY="+proxy, "HTTP_PROXY="+proxy, "NO_PROXY=", "no_proxy=", "https_proxy=")
		if out, err := again.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	var dialed atomic.Value
	client := newTestClient(t, Config{BaseURL: "https://api.giga.invalid", Dial: func(_ context.Context, _, addr string) (net.Conn, error) {
		dialed.Store(addr)
		return nil, syscall.ECONNREFUSED
	}})
	client.tokens.current, client.tokens.renewAt = "token", time.Now().Add(time.Hour)
	_, err := client.Register(t.Context(), testPermit(), testRegister())
	wantEffect(t, err, EffectNone)
	if got := dialed.Load(); got != "api.giga.invalid:443" {
		t.Errorf("paid: dialed %v", got)
	}
	dialed.Store("")
	_, _ = client.Activate(t.Context(), "item-1")
	if got := dialed.Load(); got != "api.giga.invalid:443" {
		t.Errorf("free: dialed %v", got)
	}
}

// TestCallerWhoHangsUpLeavesUnknown: the connection ends with a reset, which discards what the kernel still holds of
// the request.
func TestCallerWhoHangsUpLeavesUnknown(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	vendor := newRawVendor(t, func(c *rawConn, _ *http.Request) {
		cancel()
		_, err := c.reader.ReadByte() // until the client is gone
		ended <- err
	})
	client := newTestClient(t, Config{BaseURL: vendor.url()})
	_, err := client.Register(ctx, testPermit(), testRegister())
	if e := wantEffect(t, err, EffectUnknown); e.BytesWritten == 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %d bytes", err, e.BytesWritten)
	}
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ended with %v", err)
	}
}

// asleep returns the time on a machine that slept for the whole seconds of d. It moves the wall clock and leaves the
// monotonic clock. Package time has no function for that. In a Time with both clocks, the first word holds the wall
// clock's seconds above 30 bits of nanoseconds.
func asleep(now time.Time, d time.Duration) time.Time {
	wall := (*uint64)(unsafe.Pointer(&now))
	*wall += uint64(d/time.Second) << 30
	return now
}
