// Package network is an in-memory network for tests. Its connections have a kernel on either side: a write
// succeeds once the kernel has the bytes, even if nobody ever reads them. The host that dials chooses the
// faults of each dial and each request. Everything blocks durably in the sense of testing/synctest. No
// address is real.
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
	conns map[*conn]struct{} // all open ends, of both sides
}

// New makes a network without a server.
func New() *Network {
	return &Network{accept: make(chan net.Conn), closed: make(chan struct{}), conns: map[*conn]struct{}{}}
}

// Listener returns the server's listener. Closing it closes the network and all connections.
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

// DialFault is how a dial ends. The zero value connects.
type DialFault uint8

// dialTimeout bounds a dial, because net/http does not end a dial with its request.
const dialTimeout = 10 * time.Second

// The faults of a dial.
const (
	Connects DialFault = iota
	Refused            // at once
	NoAnswer           // no answer until the dialer gives up
)

// RequestFault says what happens to one request, head and body, and to its connection afterwards. The zero
// value fails the first write, and the server does not notice. See [Intact].
type RequestFault struct {
	// Deliver is how many bytes reach the server. Negative means all.
	Deliver int
	// Taken means that the kernel takes all bytes, even those that are not delivered. Otherwise the
	// write fails after the delivered bytes.
	Taken bool
	// After is what the connection does next.
	After After
	// Then runs once the bytes are delivered.
	Then func()
	// Later delivers the whole request after this time on another connection, as a proxy may do even
	// if the client has left. 0 means never.
	Later time.Duration
}

// Intact is a request without a fault.
func Intact() RequestFault { return RequestFault{Deliver: -1, Taken: true, After: GoesOn} }

// After is what a connection does after a request.
type After uint8

// What a connection can do after a request.
const (
	// Silent: nothing passes any more in either direction, and neither side sees an error.
	Silent After = iota
	// GoesOn: the connection works as usual.
	GoesOn
	// Resets: both sides see a reset.
	Resets
	// AnswerResets: the server notices nothing. The client sees a reset instead of the answer.
	AnswerResets
	// AnswerEnds: like AnswerResets, but with an orderly end.
	AnswerEnds
)

// Host is a machine that dials. Its functions may be nil. They are called without any lock held, and may
// block, which stops the machine.
type Host struct {
	Network *Network
	// OnDial chooses the fault of a dial.
	OnDial func() DialFault
	// OnRequest chooses the fault of the request with this head. reused says whether the connection
	// has carried a request before.
	OnRequest func(head []byte, reused bool) RequestFault
	// OnAnswer is called before the machine gets the first bytes of an answer.
	OnAnswer func()

	mu   sync.Mutex
	dead bool
}

// Dial opens a connection to the server. The address is ignored.
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

// Kill ends the machine. Its connections break, which the server sees as a reset, and no more bytes leave
// it. The server can still read what its kernel has.
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

// openConns lists the open ends of one host, or of all hosts if h is nil.
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

// deliverLater sends a request on a new connection, and waits for an answer.
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
		// The server keeps the connection open after its answer. One read shows that it got the request.
		_, _ = near.Read(make([]byte, 1))
		_ = near.Close()
	})
}
