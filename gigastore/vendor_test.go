package gigastore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testMark   = "gg01KA0TESTTOKEN0000000000AB"
	testBearer = "canary.access.token"
	testEmail  = "canary@example.com"
	testIP     = "203.0.113.77"
)

// rawVendor speaks HTTP over TCP by hand. So a test can do things to a connection that no http.Server does. It
// answers logins by itself and passes every other request to script.
type rawVendor struct {
	t        *testing.T
	listener net.Listener
	script   func(c *rawConn, r *http.Request)
	running  sync.WaitGroup
	keeps    bool // keep connections open, whatever the client asks for

	mu       sync.Mutex
	conns    []net.Conn
	requests []*http.Request // without logins
	bodies   []string
	logins   int
}

type rawConn struct {
	net.Conn
	reader *bufio.Reader
	served int // requests on this connection before this one
}

func newRawVendor(t *testing.T, script func(c *rawConn, r *http.Request)) *rawVendor {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &rawVendor{t: t, listener: l, script: script}
	v.running.Go(v.accept)
	t.Cleanup(func() {
		_ = l.Close()
		v.mu.Lock()
		for _, c := range v.conns {
			_ = c.Close()
		}
		v.mu.Unlock()
		v.running.Wait()
	})
	return v
}

func (v *rawVendor) accept() {
	for {
		conn, err := v.listener.Accept()
		if err != nil {
			return
		}
		v.mu.Lock()
		v.conns = append(v.conns, conn)
		v.mu.Unlock()
		v.running.Go(func() {
			defer func() { _ = conn.Close() }()
			v.serve(&rawConn{Conn: conn, reader: bufio.NewReader(conn)})
		})
	}
}

func (v *rawVendor) serve(c *rawConn) {
	for {
		r, err := http.ReadRequest(c.reader)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if r.URL.Path == "/reseller/authenticate" {
			v.mu.Lock()
			v.logins++
			v.mu.Unlock()
			c.answer(200, "application/json", `{"accessToken":"`+testBearer+`","expiresIn":86400}`)
			continue
		}
		v.mu.Lock()
		v.requests = append(v.requests, r)
		v.bodies = append(v.bodies, string(body))
		v.mu.Unlock()
		v.script(c, r)
		if c.served++; r.Close && !v.keeps {
			return
		}
	}
}

func (c *rawConn) answer(status int, contentType, body string) {
	c.raw("HTTP/1.1 %d Any\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", status, contentType, len(body), body)
}

func (c *rawConn) raw(format string, args ...any) { _, _ = fmt.Fprintf(c.Conn, format, args...) }

func (c *rawConn) reset() {
	_ = c.Conn.(*net.TCPConn).SetLinger(0)
	_ = c.Conn.Close()
}

func (v *rawVendor) seen() (requests, conns int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.requests), len(v.conns)
}

func (v *rawVendor) url() string { return "http://" + v.listener.Addr().String() }

func newTestClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	if cfg.ClientID == "" {
		cfg.ClientID, cfg.ClientSecret = "test-id", "canary-client-secret"
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func testPermit() Permit {
	return Permit{Mark: testMark, IdempotencyKey: testMark, NotAfter: time.Now().Add(time.Minute)}
}

func testRegister() RegisterRequest {
	return RegisterRequest{
		InventoryItemID: "6513270e-269e-4d37-b2a7-4de452e6b438", Metatag: testMark + " order-7",
		CustomerEmail: testEmail, UserIP: testIP, UserCountry: "GR", ActivationMode: ModeNow,
	}
}

func saleJSON(mark string) string {
	return `{"status":"success","activatedItem":{"uid":"item-1","metatag":"` + mark + ` order-7"},` +
		`"customer":{"uid":"customer-1"},"esimProfile":{"iccid":"8900","activationCode":"LPA:1$canary.invalid$CODE"}}`
}

func asError(t *testing.T, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %v, want an *Error", err)
	}
	return e
}

func wantEffect(t *testing.T, err error, want Effect) *Error {
	t.Helper()
	e := asError(t, err)
	if e.Effect != want {
		t.Errorf("effect = %v, want %v (%v)", e.Effect, want, e)
	}
	return e
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(data)
}

// pipeNet is a network in memory for synctest bubbles. Blocking in it counts as durable.
type pipeNet struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipeNet() *pipeNet { return &pipeNet{make(chan net.Conn), make(chan struct{})} }

func (p *pipeNet) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipeNet) Close() error   { close(p.closed); return nil }
func (p *pipeNet) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (p *pipeNet) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// servePipe serves h in memory and returns a client for it.
func servePipe(t *testing.T, h http.Handler, cfg Config) *Client {
	t.Helper()
	network := newPipeNet()
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Hour}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(network) }()
	cfg.BaseURL, cfg.Dial = "http://127.0.0.1:1", network.dial
	c := newTestClient(t, cfg)
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return c
}

func authenticates(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.Path != "/reseller/authenticate" {
		return false
	}
	writeJSON(w, 200, `{"accessToken":"`+testBearer+`","expiresIn":86400}`)
	return true
}

func writeJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func containsAny(text string, canaries ...string) string {
	for _, c := range canaries {
		if strings.Contains(text, c) {
			return c
		}
	}
	return ""
}
