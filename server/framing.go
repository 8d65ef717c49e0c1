package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
)

// framed is a REST connection that looks for the two headers which say where a request ends. net/http drops a Content-Length
// beside a Transfer-Encoding without a word, and heeds no Transfer-Encoding of HTTP/1.0. A proxy that goes by the one and a
// server that goes by the other disagree about where the next request begins (RFC 9112 section 11.2).
type framed struct {
	net.Conn
	mu sync.Mutex
	// length and coding: the header was read since the end of the request before, maybe as part of a body.
	length, coding bool
	earlier        bool   // a length was read before that
	last           []byte // the end of what was read: a name may come in two parts
}

const (
	lengthHeader = "\ncontent-length"
	codingHeader = "\ntransfer-encoding:"
)

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
	text := slices.Concat(c.last, bytes.ToLower(p[:n]))
	c.length = c.length || bytes.Contains(text, []byte(lengthHeader))
	c.coding = c.coding || bytes.Contains(text, []byte(codingHeader))
	c.last = append(c.last[:0], text[max(0, len(text)-len(codingHeader)+1):]...)
	return n, err
}

// forget is for the end of a request. A client that waits for its answer has sent nothing of the next one yet.
func (c *framed) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.earlier = c.earlier || c.length
	c.length, c.coding = false, false
}

// isAmbiguous reports whether a request with a Transfer-Encoding also has a Content-Length, or cannot be told from the one
// before. Where it cannot have a length mayStay is true: one that was read earlier may have been this request's, behind
// another that did not wait for its answer.
func (c *framed) isAmbiguous(r *http.Request) (ambiguous, mayStay bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !r.ProtoAtLeast(1, 1) {
		return c.coding, false
	}
	return !c.coding || c.length, !c.earlier
}

type connectionKey struct{}

// WithConnection gives the calls of a connection what REST has to know of it.
func WithConnection(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, conn)
}

// checkFraming refuses a request whose end is ambiguous, and ends its connection. It also makes a chunked body of no bytes
// no body at all.
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
			return malformed("", "a request has a Content-Length or a Transfer-Encoding, not both, and a chunked one is HTTP/1.1 and not pipelined")
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

// endOfRequest is for what comes next on the connection.
func endOfRequest(r *http.Request) {
	if conn, ok := r.Context().Value(connectionKey{}).(*framed); ok {
		conn.forget()
	}
}
