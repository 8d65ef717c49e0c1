// Package network is a network in memory, for tests. Its connections have a kernel on either side:
// a write succeeds once the kernel has the bytes, whether or not anybody ever reads them. Faults are
// decided per dial and per request, by the host that dials. Everything blocks durably in the sense
// of testing/synctest, and no address is real.
package network

import (
	"bytes"
	"context"
	"net"
	"sync"
	"syscall"
	"time"
)

// Network joins hosts to one server.
type Network struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	conns map[*conn]struct{} // every open one, of either side
}

// New makes a network without a server.
func New() *Network {
	return &Network{accept: make(chan net.Conn), closed: make(chan struct{}), conns: map[*conn]struct{}{}}
}

// Listener is the server's. Closing it closes the network, connections included.
func (n *Network) Listener() net.Listener { return (*listener)(n) }

type listener Network

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (l *listener) Close() error {
	n := (*Network)(l)
	n.once.Do(func() {
		close(n.closed)
		for _, c := range n.openConns(nil) {
			c.cut(false)
		}
	})
	return nil
}

// Addr implements [net.Listener].
func (l *listener) Addr() net.Addr { return address{} }

type address struct{}

func (address) Network() string { return "memory" }
func (address) String() string  { return "memory" }

// DialFault is what becomes of a dial. The zero value connects.
type DialFault uint8

// dialTimeout is how long a dial goes on: net/http does not end it with the request.
const dialTimeout = 10 * time.Second

// The faults of a dial.
const (
	Connects DialFault = iota
	Refused            // at once
	NoAnswer           // nothing, until the dialer gives up
)

// RequestFault is what becomes of one request, head and body, and of the connection after it. The
// zero value fails the first write, and says nothing to the server; see [Intact].
type RequestFault struct {
	// Deliver is how many of the bytes reach the server, negative for all.
	Deliver int
	// Taken: the kernel takes all bytes, whatever becomes of them. Otherwise the write fails after
	// those that are delivered.
	Taken bool
	// After is what the connection does next.
	After After
	// Then runs once the bytes are delivered.
	Then func()
	// Later delivers the whole request on another connection after this time, as a proxy on the way
	// may, whatever the client does meanwhile; 0: never.
	Later time.Duration
}

// Intact is a request without a fault.
func Intact() RequestFault { return RequestFault{Deliver: -1, Taken: true, After: GoesOn} }

// After is what a connection does after a request.
type After uint8

// The ways to go on.
const (
	// Silent: nothing passes any more, either way, and nobody is told.
	Silent After = iota
	// GoesOn: all is well.
	GoesOn
	// Resets: both sides see a reset.
	Resets
	// AnswerResets: the server works on undisturbed; where its answer would begin, the client sees a reset.
	AnswerResets
	// AnswerEnds: the same, with an orderly end.
	AnswerEnds
)

// Host is a machine that dials. Its functions may be nil, are called outside of all locks, and may
// block: the machine stands still then.
type Host struct {
	Network *Network
	// OnDial decides a dial.
	OnDial func() DialFault
	// OnRequest decides what becomes of a request with this head. reused says that the connection
	// carried one before.
	OnRequest func(head []byte, reused bool) RequestFault
	// OnAnswer sees the first bytes of the answer to each request before the machine does.
	OnAnswer func()

	mu   sync.Mutex
	dead bool
}

// Dial opens a connection to the server; the address is not looked at.
func (h *Host) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if h.isDead() {
		return nil, net.ErrClosed
	}
	fault := Connects
	if h.OnDial != nil {
		fault = h.OnDial()
	}
	switch {
	case h.isDead() || fault == Refused:
		return nil, syscall.ECONNREFUSED
	case fault == NoAnswer:
		select {
		case <-time.After(dialTimeout):
		case <-ctx.Done():
		case <-h.Network.closed:
		}
		return nil, syscall.ETIMEDOUT
	}
	near, far := h.Network.pair(h)
	select {
	case h.Network.accept <- far:
		return near, nil
	case <-ctx.Done():
		near.cut(false)
		return nil, ctx.Err()
	case <-h.Network.closed:
		near.cut(false)
		return nil, syscall.ECONNREFUSED
	}
}

// Kill ends the machine: its connections break, for the server by a reset, and no byte of it leaves
// any more. What the server's kernel has is still read.
func (h *Host) Kill() {
	h.mu.Lock()
	h.dead = true
	h.mu.Unlock()
	for _, c := range h.Network.openConns(h) {
		c.cut(true)
	}
}

func (h *Host) isDead() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dead
}

// pair makes both ends of a connection.
func (n *Network) pair(h *Host) (near, far *conn) {
	up, down := newPipe(), newPipe()
	near = &conn{network: n, host: h, in: down, out: up}
	far = &conn{network: n, in: up, out: down}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[near], n.conns[far] = struct{}{}, struct{}{}
	return near, far
}

// openConns lists the ends of one host, or all.
func (n *Network) openConns(h *Host) []*conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []*conn
	for c := range n.conns {
		if h == nil || c.host == h {
			list = append(list, c)
		}
	}
	return list
}

// deliverLater sends a request on a connection of its own, and reads whatever is answered.
func (n *Network) deliverLater(request []byte, after time.Duration) {
	request = bytes.Clone(request)
	time.AfterFunc(after, func() {
		near, far := n.pair(nil)
		select {
		case n.accept <- far:
		case <-n.closed:
			return
		}
		_, _ = near.Write(request)
		// The server answers and keeps the connection; one read is enough to know that it was heard.
		_, _ = near.Read(make([]byte, 1))
		_ = near.Close()
	})
}
