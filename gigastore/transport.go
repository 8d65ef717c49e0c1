package gigastore

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	// firstLook is how long a new connection is watched for bytes that come before the request. Shorter timers of the
	// Go runtime are not reliable.
	firstLook = time.Millisecond
	// endTimeout is how long the vendor may take to close the connection after a refusal. A server must close it at
	// once after "Connection: close" (RFC 9112 section 9.6).
	endTimeout     = 5 * time.Second
	maxHeaderBytes = 64 << 10 // the heads of all interim answers and of the final one
	maxInterim     = 5        // 1xx answers before the final one, as in net/http
	readBuffer     = 1 << 10  // enough for a usual head; the rest of a body is read past it
	tlsSessions    = 64
)

// dialFunc opens a connection, as net.Dialer.DialContext does.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// transport sends each request on a new connection, and closes it after the answer. So an answer can only
// belong to the request that was sent. A reused connection does not guarantee that. If a vendor or a proxy sends one
// answer too many, the next request receives it, and nothing in a refusal or a 401 shows whose it is.
//
// It never sends a request twice, and ignores proxies from the environment. It resumes TLS sessions if the vendor
// allows it, which saves most of the cost of a handshake.
type transport struct {
	dial    dialFunc
	host    string      // for the Host header
	address string      // host and port to dial
	tls     *tls.Config // nil: plain HTTP
}

func newTransport(base *url.URL, dial dialFunc, roots *x509.CertPool) *transport {
	port := base.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[base.Scheme]
	}
	t := &transport{dial: dial, host: base.Host, address: net.JoinHostPort(base.Hostname(), port)}
	if base.Scheme == "https" {
		t.tls = &tls.Config{
			MinVersion:         tls.VersionTLS12,
			NextProtos:         []string{"http/1.1"},
			ServerName:         base.Hostname(),
			RootCAs:            roots,
			ClientSessionCache: tls.NewLRUClientSessionCache(tlsSessions),
		}
	}
	return t
}

// send performs one exchange. Reading the body ends with an error if the answer cannot be believed; see answerBody.
func (t *transport) send(ctx context.Context, text []byte, sending *attempt) (*http.Response, error) {
	conn, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, conn.abort)
	resp, err := conn.exchange(ctx, text, sending)
	if err != nil {
		stop()
		conn.abort()
		return nil, err
	}
	resp.Body = &answerBody{
		ReadCloser: resp.Body, conn: conn, stop: stop, ctx: ctx,
		mustEnd: sending.decides && (resp.StatusCode < 200 || resp.StatusCode > 299),
	}
	return resp, nil
}

// connect opens a connection that no request has used. Closing it discards what the kernel has not sent yet. So no
// byte of a paid call leaves after the call was given up.
func (t *transport) connect(ctx context.Context) (*connection, error) {
	raw, err := t.dial(ctx, "tcp", t.address)
	if err != nil {
		return nil, connectFailure(err)
	}
	if c, ok := raw.(interface{ SetLinger(sec int) error }); ok {
		_ = c.SetLinger(0)
	}
	c := &connection{raw: raw, Conn: raw}
	if t.tls != nil {
		ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
		defer cancel()
		encrypted := tls.Client(raw, t.tls)
		if err := handshake(ctx, encrypted); err != nil {
			_ = raw.Close()
			return nil, connectFailure(err)
		}
		c.Conn = encrypted
	}
	return c, nil
}

// handshake makes a TLS handshake in a goroutine of its own. A handshake needs a stack of 32 KB. The calling goroutine would
// keep that stack while it waits for the answer.
func handshake(ctx context.Context, conn *tls.Conn) error {
	done := make(chan error, 1)
	go func() {
		_, err := recoverAsError(func() (struct{}, error) { return struct{}{}, conn.HandshakeContext(ctx) })
		done <- err
	}()
	return <-done
}

// connection carries one request and its answer.
type connection struct {
	net.Conn               // above TLS
	raw      net.Conn      // below it
	reader   *bufio.Reader // of the answer; nil until the request has left
	first    [1]byte       // for a byte that comes before the request
}

// abort closes the connection without a goodbye to the vendor. It ends a Read or Write that is under way.
func (c *connection) abort() { _ = c.raw.Close() }

// exchange writes the request and reads the head of its answer.
func (c *connection) exchange(ctx context.Context, text []byte, sending *attempt) (*http.Response, error) {
	if err := sending.write(ctx, c, text); err != nil {
		return nil, err
	}
	received := &io.LimitedReader{R: c.Conn, N: maxHeaderBytes}
	c.reader = bufio.NewReaderSize(received, readBuffer)
	for range maxInterim + 1 {
		resp, err := http.ReadResponse(c.reader, nil)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < 100 {
			return nil, errNoStatus
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			received.N = math.MaxInt64 // whoever reads the body limits it
			return resp, nil
		}
	}
	return nil, errManyInterim
}

// unasked fails if the vendor has sent bytes before the request. Such bytes cannot be the answer to it.
func (c *connection) unasked() error {
	_ = c.SetReadDeadline(time.Now().Add(firstLook))
	n, err := c.Read(c.first[:])
	switch {
	case n > 0 || err == nil:
		return errUnasked
	case !isTimeout(err):
		return err
	}
	return c.SetReadDeadline(time.Time{})
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// ended waits for the vendor to close the connection. If more bytes follow the answer, or if the connection stays
// open, this may not be our answer, and the true one may still come.
func (c *connection) ended(ctx context.Context) error {
	_ = c.SetReadDeadline(time.Now().Add(endTimeout))
	_, err := c.reader.Peek(1)
	switch {
	case err == nil:
		return errSurplus
	case ctx.Err() != nil:
		return ctx.Err()
	case isTimeout(err):
		return errNotEnded
	}
	return nil
}

// answerBody is the body of an answer. Closing it closes the connection.
type answerBody struct {
	io.ReadCloser
	conn    *connection
	stop    func() bool
	ctx     context.Context //nolint:containedctx // the request's; it limits the wait for the end of the connection
	mustEnd bool            // the body is whole only if the connection ends with it; the mark of a sale shows which purchase it belongs to
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF && b.mustEnd { //nolint:errorlint // io.Reader returns io.EOF itself
		if doubt := b.conn.ended(b.ctx); doubt != nil {
			err = doubt
		}
		b.mustEnd = err != io.EOF //nolint:errorlint // as above
	}
	return n, err
}

func (b *answerBody) Close() error {
	b.stop()
	b.conn.abort()
	return nil
}
