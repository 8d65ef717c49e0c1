package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"google.golang.org/grpc/credentials"
)

// tlsHandshakeTime is how long a connection may take for its TLS handshake.
const tlsHandshakeTime = 10 * time.Second

// tlsListener makes the TLS handshakes of a port. Accept returns a connection only after its handshake, as a *tls.Conn. So
// the servers behind it need not know how to bound, count and refuse handshakes.
type tlsListener struct {
	net.Listener
	files     *tlsFiles
	port      string
	protocols []string
	config    *tls.Config
	begin     sync.Once
	ready     chan accepted
	open      context.Context // ends with Close
	end       context.CancelFunc
}

// accepted is a result of Accept.
type accepted struct {
	conn *tls.Conn
	err  error
}

// listen makes a port speak TLS and, inside of it, one of the protocols. The handshake names the protocol, by ALPN. Without
// a name it is http/1.1.
func (t *tlsFiles) listen(inner *boundedListener, protocols ...string) *tlsListener {
	inner.encrypted = true
	open, end := context.WithCancel(context.Background())
	l := &tlsListener{
		Listener: inner, files: t, port: inner.name, protocols: protocols, config: t.config(protocols...),
		ready: make(chan accepted), open: open, end: end,
	}
	for _, cause := range []string{notTLS, tooSlow, wrongCertificate, refusedByClient, otherFault} {
		l.count(0, cause) // the series exist from the start
	}
	return l
}

// Accept implements [net.Listener].
func (l *tlsListener) Accept() (net.Conn, error) {
	l.begin.Do(func() { go l.acceptAll() })
	select {
	case next := <-l.ready:
		if next.err != nil {
			return nil, next.err
		}
		return next.conn, nil
	case <-l.open.Done():
		return nil, net.ErrClosed
	}
}

// Close also ends the handshakes under way.
func (l *tlsListener) Close() error {
	l.end()
	return l.Listener.Close()
}

// acceptAll starts the handshakes. How many run at once is bounded by the connections that the port may have.
func (l *tlsListener) acceptAll() {
	for {
		raw, err := l.Listener.Accept()
		if err == nil {
			go l.handshake(raw)
			continue
		}
		// The server behind this listener waits after a passing error. This loop waits for the server.
		select {
		case l.ready <- accepted{err: err}:
		case <-l.open.Done():
			return
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

func (l *tlsListener) handshake(raw net.Conn) {
	ctx, cancel := context.WithTimeout(l.open, tlsHandshakeTime)
	defer cancel()
	defer func() {
		if recover() != nil { // one client must not end the process
			l.count(1, otherFault)
			_ = raw.Close()
		}
	}()
	conn := tls.Server(raw, l.config)
	if err := l.shake(ctx, conn); err != nil {
		if !errors.Is(err, io.EOF) && l.open.Err() == nil { // a client that only tests whether the port is open is no failure
			l.count(1, causeOf(err))
		}
		if causeOf(err) == notTLS && slices.Contains(l.protocols, http11) {
			sayTLS(raw)
		}
		_ = raw.Close()
		return
	}
	select {
	case l.ready <- accepted{conn: conn}:
	case <-l.open.Done():
		_ = conn.Close()
	}
}

// shake makes the handshake and checks the protocol.
func (l *tlsListener) shake(ctx context.Context, conn *tls.Conn) error {
	if err := conn.HandshakeContext(ctx); err != nil {
		return errors.Join(err, ctx.Err())
	}
	// crypto/tls lets a client of HTTP/1.1 pass without a protocol, even if the port does not speak HTTP/1.1.
	if conn.ConnectionState().NegotiatedProtocol == "" && !slices.Contains(l.protocols, http11) {
		return errors.New("the client did not choose a protocol")
	}
	return nil
}

const (
	http2Protocol = "h2"
	http11        = "http/1.1"
)

// The causes of failed handshakes.
const (
	notTLS           = "not_tls"
	tooSlow          = "timeout"
	wrongCertificate = "client_certificate"
	refusedByClient  = "refused_by_client"
	otherFault       = "other"
)

// count counts failed handshakes. They are not logged, because strangers can cause any number of them.
func (l *tlsListener) count(n int64, cause string) {
	l.files.failures.Add(context.Background(), n, metric.WithAttributes(attrPort.String(l.port), semconv.ErrorTypeKey.String(cause)))
}

// causeOf is the cause of a failed handshake.
func causeOf(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return tooSlow
	}
	if plain, ok := errors.AsType[tls.RecordHeaderError](err); ok && plain.Conn != nil { // in a later record, the client has made a mistake
		return notTLS
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return wrongCertificate
	}
	if remote, ok := errors.AsType[*net.OpError](err); ok && remote.Op == "remote error" {
		return refusedByClient
	}
	return otherFault
}

// sayTLS answers a client of HTTP/1.1 that does not speak TLS. Clients of gRPC would not show an answer.
func sayTLS(raw net.Conn) {
	_ = raw.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(raw, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nthis port speaks TLS\n")
}

// afterTLS are gRPC's credentials for connections of a tlsListener. The handshake is over, so they only tell gRPC about it.
type afterTLS struct{}

// ServerHandshake implements [credentials.TransportCredentials].
func (afterTLS) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return nil, nil, errors.New("the connection does not speak TLS")
	}
	info := credentials.TLSInfo{
		State:          secured.ConnectionState(),
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}
	if raw, ok := secured.NetConn().(*clientConn); ok {
		return &decryptedConn{secured, raw}, info, nil
	}
	return secured, info, nil
}

// ClientHandshake implements [credentials.TransportCredentials].
func (afterTLS) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are for servers only")
}

// Info implements [credentials.TransportCredentials].
func (afterTLS) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements [credentials.TransportCredentials].
func (a afterTLS) Clone() credentials.TransportCredentials { return a }

// OverrideServerName implements [credentials.TransportCredentials].
func (afterTLS) OverrideServerName(string) error { return nil }

// decryptedConn counts what a client says inside of TLS. A client that has made its handshake has not spoken yet.
type decryptedConn struct {
	*tls.Conn
	raw *clientConn
}

// Read implements [net.Conn].
func (c *decryptedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.raw.hear(n)
	return n, err
}
