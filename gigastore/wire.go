package gigastore

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// attempt is one request on its way: it counts the bytes that leave for it, and decides whether they may. They may on one
// connection only, so that nothing below this package sends a request again, not even a read.
//
// httptrace.WroteRequest is of no use for that: it reports a request as written when it is in a buffer.
type attempt struct {
	notAfter time.Time        // no first byte later; zero: no limit
	now      func() time.Time // for notAfter

	mu       sync.Mutex
	conn     *countedConn // the one that carries it
	sealed   bool
	left     int64 // bytes that left, or may have
	inFlight int64 // bytes in a Write that has not returned
}

// IsOver reports whether limit has passed by either of a machine's clocks, both of which times made on it have. One that
// was suspended finds its monotonic clock where it was; and only that one notices that a wall clock was set back.
func IsOver(limit, now time.Time) bool {
	return now.After(limit) || now.Round(0).After(limit.Round(0))
}

// begin asks whether n bytes may leave on conn.
func (a *attempt) begin(conn *countedConn, n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := a.left+a.inFlight == 0
	switch {
	case a.sealed:
		return errSealed
	case first && !a.notAfter.IsZero() && IsOver(a.notAfter, a.now()):
		return errPermitExpired
	case !first && a.conn != conn:
		return errSecondSend
	}
	a.conn = conn
	a.inFlight += int64(n)
	return nil
}

// end says that of n bytes begun, left have left.
func (a *attempt) end(n, left int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sealed { // seal has counted all n
		return
	}
	a.inFlight -= int64(n)
	a.left += int64(left)
}

// seal ends the attempt: no further byte leaves. What is in a Write at this moment counts as having left. Without it a
// call that was cancelled could report zero bytes and see them leave afterwards.
func (a *attempt) seal() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sealed = true
	if a.inFlight > 0 {
		a.left, a.inFlight = a.left+a.inFlight, 0
	}
}

// evidence is final once the attempt is sealed. Before, it counts what is in a Write as having left: an answer can
// arrive before the Write that carried its request has returned.
func (a *attempt) evidence(status int) Evidence {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Evidence{HTTPStatus: status, BytesWritten: a.left + a.inFlight}
}

// countedConn is a connection whose bytes are counted for the attempt it is bound to, above TLS: the bytes of a handshake
// are nobody's request.
type countedConn struct {
	net.Conn
	reader    *bufio.Reader // of Conn
	encrypted bool
	attempt   atomic.Pointer[attempt]
}

func newCountedConn(conn net.Conn, encrypted bool) *countedConn {
	return &countedConn{Conn: conn, reader: bufio.NewReader(conn), encrypted: encrypted}
}

// httpBuffer is the size of net/http's read buffer. A chunk's head and a trailer must fit into it.
const httpBuffer = 512

// Read fills net/http's buffer one byte at a time and larger ones, a body's, at once. So net/http never holds more than
// one byte beyond an answer. It writes what it holds to the standard log, as an "Unsolicited response": with a
// Content-Length that is too small that would be the rest of a sale, secrets included.
func (c *countedConn) Read(p []byte) (int, error) {
	if len(p) > 1 && len(p) <= httpBuffer {
		p = p[:1]
	}
	return c.reader.Read(p)
}

// Write lets bytes pass that a bound attempt allows.
func (c *countedConn) Write(p []byte) (int, error) {
	a := c.attempt.Load()
	if a == nil {
		return 0, errUnbound
	}
	if err := a.begin(c, len(p)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if err != nil && c.encrypted {
		// crypto/tls says nothing about how much of a record left. net/http sees the same number, and must not take a
		// request for unwritten either: it would send a body-less POST again.
		n = len(p)
	}
	a.end(len(p), n)
	return n, err
}
