package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
)

// framed is a REST connection that looks for the two headers that say where a request ends. If a request has both
// Transfer-Encoding and Content-Length, net/http silently drops Content-Length. It also ignores the Transfer-Encoding of
// an HTTP/1.0 request. A proxy may use the other header. Then the proxy and this server disagree about where the next
// request begins (RFC 9112 section 11.2).
type framed struct {
	net.Conn
	mu sync.Mutex
	// length and coding report whether the header was read since the previous request ended. The text may have been
	// part of a body.
	length, coding bool
	earlier        bool   // whether a length was read before the previous request ended
	last           []byte // the end of the last read: a header's name may arrive in two reads
	// tls is nil if the connection does not speak TLS. It takes the place of http.Request.TLS, which net/http sets only if it
	// knows the type of the connection.
	tls *tls.ConnectionState
}

const (
	lengthHeader = "\ncontent-length"
	codingHeader = "\ntransfer-encoding:"
)

// Framed wraps the listener that REST is served on. The [http.Server] needs [WithConnection] as its ConnContext. If the
// listener's connections are of the type *tls.Conn, their handshakes must be over.
func Framed(listener net.Listener) net.Listener { return framedListener{listener} }

type framedListener struct{ net.Listener }

// Accept implements [net.Listener].
func (l framedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return &framed{Conn: conn}, nil
	}
	state := secured.ConnectionState()
	if state.NegotiatedProtocol == "h2" {
		return secured, nil // the end of an HTTP/2 request is never ambiguous
	}
	return &framed{Conn: secured, tls: &state}, nil
}

// Read implements [net.Conn].
func (c *framed) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	text := slices.Concat(c.last, bytes.ToLower(p[:n]))
	c.length = c.length || bytes.Contains(text, []byte(lengthHeader))
	c.coding = c.coding || bytes.Contains(text, []byte(codingHeader))
	c.last = append(c.last[:0], text[max(0, len(text)-len(codingHeader)+1):]...)
	return n, err
}

// forget is called at the end of a request. A client that waits for the answer has not sent any of the next request yet.
func (c *framed) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.earlier = c.earlier || c.length
	c.length, c.coding = false, false
}

// isAmbiguous reports whether the end of r is ambiguous: whether r may have both headers, or may have come together with
// the request before it. mayStay reports whether the connection can be used again. It is false once a Content-Length was
// read before the previous request ended. A client that does not wait for answers may have sent it as a header of r.
// A Transfer-Encoding makes an HTTP/1.0 request ambiguous, and its connection cannot be used again.
func (c *framed) isAmbiguous(r *http.Request) (ambiguous, mayStay bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !r.ProtoAtLeast(1, 1) {
		return c.coding, false
	}
	return !c.coding || c.length, !c.earlier
}

// setTLS sets what net/http does not know about the connection of a request.
func setTLS(r *http.Request) {
	if conn, ok := r.Context().Value(connectionKey{}).(*framed); ok {
		r.TLS = conn.tls
	}
}

type connectionKey struct{}

// WithConnection puts the connection into the context of its requests, so that REST can check their framing.
func WithConnection(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, conn)
}

// checkFraming refuses a request whose end is ambiguous and closes its connection. It also turns an empty chunked body
// into no body.
func checkFraming(w http.ResponseWriter, r *http.Request) *failure {
	chunked := r.ContentLength < 0
	if !chunked && r.ProtoAtLeast(1, 1) {
		return nil
	}
	if conn, ok := r.Context().Value(connectionKey{}).(*framed); ok {
		ambiguous, mayStay := conn.isAmbiguous(r)
		if ambiguous || !mayStay {
			w.Header().Set("Connection", "close")
		}
		if ambiguous {
			return malformed("", "a request must not have both Content-Length and Transfer-Encoding; a chunked request must be HTTP/1.1 and must not be pipelined")
		}
	}
	if !chunked {
		return nil
	}
	var first [1]byte
	switch _, err := io.ReadFull(r.Body, first[:]); err {
	case nil:
		r.Body = bodyOf{io.MultiReader(bytes.NewReader(first[:]), r.Body), r.Body}
	case io.EOF:
		r.ContentLength, r.Body = 0, http.NoBody
	default:
		return unreadableBody(err)
	}
	return nil
}

// bodyOf reads from one and closes the other.
type bodyOf struct {
	io.Reader
	io.Closer
}

// endOfRequest prepares the connection for its next request.
func endOfRequest(r *http.Request) {
	if conn, ok := r.Context().Value(connectionKey{}).(*framed); ok {
		conn.forget()
	}
}
