package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
)

// framed is a REST connection that keeps the head of the present request as it came. net/http drops a Content-Length
// beside a Transfer-Encoding without a word. A proxy that goes by the one and a server that goes by the other disagree
// about where the next request begins (RFC 9112 section 11.2).
type framed struct {
	net.Conn
	mu   sync.Mutex
	head []byte // what was read since the end of the request before, as far as a head may go
}

// mostHead is more than net/http takes of a head whose size is bounded by 16 KiB.
const mostHead = 24 << 10

// Framed makes the connections that REST is served on. The [http.Server] needs [WithConnection] as its ConnContext.
func Framed(listener net.Listener) net.Listener { return framedListener{listener} }

type framedListener struct{ net.Listener }

// Accept implements [net.Listener].
func (l framedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &framed{Conn: conn}, nil
}

// Read implements [net.Conn].
func (c *framed) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.head = append(c.head, p[:min(n, mostHead-len(c.head))]...)
	return n, err
}

// forget is for the end of a request. A client that waits for its answer has sent nothing of the next one yet.
func (c *framed) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.head = c.head[:0]
}

// isAmbiguous reports whether the head of a request with a Transfer-Encoding also has a Content-Length, or cannot be told
// from what else was read.
func (c *framed) isAmbiguous() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	head := bytes.ToLower(c.head)
	return !bytes.Contains(head, []byte("\ntransfer-encoding:")) || bytes.Contains(head, []byte("\ncontent-length"))
}

type connectionKey struct{}

// WithConnection gives the calls of a connection what REST has to know of it.
func WithConnection(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, conn)
}

// checkFraming refuses a request whose end is ambiguous, and ends its connection. It also makes a chunked body of no bytes
// no body at all.
func checkFraming(w http.ResponseWriter, r *http.Request) *failure {
	if r.ContentLength >= 0 {
		return nil
	}
	if conn, ok := r.Context().Value(connectionKey{}).(*framed); ok && conn.isAmbiguous() {
		w.Header().Set("Connection", "close")
		return malformed("", "a request has a Content-Length or a Transfer-Encoding, not both, and a chunked one is not pipelined")
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

// endOfRequest is for what comes next on the connection.
func endOfRequest(r *http.Request) {
	if conn, ok := r.Context().Value(connectionKey{}).(*framed); ok {
		conn.forget()
	}
}
