package network

import (
	"bytes"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// conn is one end of a connection.
type conn struct {
	network *Network
	host    *Host // nil on the server's side
	in, out *pipe

	mu       sync.Mutex
	requests int
	request  *request // the newest one; only the writer looks into it
	lost     error    // if set, reads of the answer end with it
	awaiting bool     // a request was written, and no byte of its answer was read
	abort    bool     // Close resets the connection
}

var (
	crlf          = []byte("\r\n")
	endOfHead     = []byte("\r\n\r\n")
	httpVersion   = []byte(" HTTP/1.1")            // ends the first line of a request
	contentLength = []byte("\r\nContent-Length: ") // as net/http writes it
)

// request is a request on its way.
type request struct {
	fault     RequestFault
	bytes     []byte // written so far
	length    int    // of head and body
	delivered int
	struck    bool // whether the fault has played
}

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (int, error) {
	if c.host == nil {
		return c.out.write(p)
	}
	if line, _, found := bytes.Cut(p, crlf); found && bytes.HasSuffix(line, httpVersion) {
		c.begin(p)
	}
	c.mu.Lock()
	r := c.request
	c.mu.Unlock()
	switch {
	case c.host.isDead():
		return 0, net.ErrClosed
	case r == nil:
		return c.out.write(p)
	}
	n := len(p)
	if r.fault.Deliver >= 0 {
		n = max(0, min(n, r.fault.Deliver-r.delivered))
	}
	if !r.struck && n > 0 {
		if _, err := c.out.write(p[:n]); err != nil {
			return 0, err
		}
		r.delivered += n
	}
	r.bytes = append(r.bytes, p...)
	whole := len(r.bytes) >= r.length
	if !r.struck && (n < len(p) || whole) {
		r.struck = true
		c.after(r.fault.After)
		if r.fault.Then != nil {
			r.fault.Then()
		}
	}
	if whole && r.fault.Later > 0 {
		c.network.deliverLater(r.bytes, r.fault.Later)
	}
	if n < len(p) && !r.fault.Taken {
		return n, syscall.ECONNRESET
	}
	return len(p), nil
}

// begin lets the host choose the fault of the request that begins with p.
func (c *conn) begin(p []byte) {
	c.mu.Lock()
	reused := c.requests > 0
	c.requests++
	c.awaiting = true
	c.mu.Unlock()
	// Head and body may come in one write or in two.
	head := p
	if i := bytes.Index(p, endOfHead); i >= 0 {
		head = p[:i+len(endOfHead)]
	}
	r := &request{fault: Intact(), length: len(head)}
	if _, after, found := bytes.Cut(head, contentLength); found {
		length, _, _ := bytes.Cut(after, crlf)
		body, _ := strconv.Atoi(string(length))
		r.length += body
	}
	if c.host.OnRequest != nil {
		r.fault = c.host.OnRequest(head, reused)
	}
	c.mu.Lock()
	c.request = r
	c.mu.Unlock()
}

func (c *conn) after(what After) {
	switch what {
	case GoesOn:
	case Silent:
		c.out.mute()
		c.in.mute()
	case Resets:
		c.out.end(syscall.ECONNRESET)
		c.in.end(syscall.ECONNRESET)
	case AnswerResets, AnswerEnds:
		c.mu.Lock()
		c.lost = io.EOF
		if what == AnswerResets {
			c.lost = syscall.ECONNRESET
		}
		c.mu.Unlock()
	}
}

// Read implements [net.Conn].
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	if c.host == nil || n == 0 {
		return n, err
	}
	c.mu.Lock()
	first, lost := c.awaiting, c.lost
	c.awaiting = false
	c.mu.Unlock()
	if first && c.host.OnAnswer != nil {
		c.host.OnAnswer()
	}
	switch {
	case c.host.isDead():
		return 0, net.ErrClosed
	case lost != nil:
		c.in.end(lost)
		c.in.drop()
		return 0, lost
	}
	return n, err
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.mu.Lock()
	abort := c.abort
	c.mu.Unlock()
	c.cut(abort)
	return nil
}

// cut closes this end. The peer first reads what its kernel has, and then sees an orderly end or a reset.
func (c *conn) cut(reset bool) {
	reason := io.EOF
	if reset {
		reason = syscall.ECONNRESET
	}
	c.out.end(reason)
	c.in.close()
	c.network.mu.Lock()
	delete(c.network.conns, c)
	c.network.mu.Unlock()
}

// SetLinger with zero seconds makes Close reset the connection, as [net.TCPConn.SetLinger] does.
func (c *conn) SetLinger(sec int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abort = sec == 0
	return nil
}

// LocalAddr implements [net.Conn].
func (c *conn) LocalAddr() net.Addr { return address{} }

// RemoteAddr implements [net.Conn].
func (c *conn) RemoteAddr() net.Addr { return address{} }

// SetDeadline implements [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	c.in.setDeadline(t)
	return nil
}

// SetReadDeadline implements [net.Conn].
func (c *conn) SetReadDeadline(t time.Time) error { return c.SetDeadline(t) }

// SetWriteDeadline implements [net.Conn]. Writes have no deadline. A write that does not fit into the
// kernel's buffer ends when the reader reads or closes.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// kernelBuffer is how many unread bytes a kernel keeps.
const kernelBuffer = 64 << 10

// pipe is one direction of a connection. Its buffer is that of the receiving kernel.
type pipe struct {
	mu       sync.Mutex
	changed  *sync.Cond
	buffer   []byte
	taken    int   // how much of buffer the reader has taken
	ended    error // set by the writer or the network; reads return it after the buffer
	closed   bool  // set by the reader: it reads no more, and writes fail
	muted    bool  // the network loses everything
	deadline time.Time
	timer    *time.Timer
}

func newPipe() *pipe {
	p := &pipe{}
	p.changed = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for written := 0; ; p.changed.Wait() {
		switch {
		case p.muted:
			return len(data), nil
		case p.closed || p.ended != nil:
			return written, syscall.EPIPE
		}
		p.buffer, p.taken = append(p.buffer[:0], p.buffer[p.taken:]...), 0
		if free := kernelBuffer - len(p.buffer); free > 0 {
			n := min(free, len(data)-written)
			p.buffer = append(p.buffer, data[written:written+n]...)
			written += n
			p.changed.Broadcast()
		}
		if written == len(data) {
			return written, nil
		}
	}
}

func (p *pipe) read(into []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for ; ; p.changed.Wait() {
		switch {
		case p.closed:
			return 0, net.ErrClosed
		case !p.deadline.IsZero() && !time.Now().Before(p.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(p.buffer) > 0:
			n := copy(into, p.buffer[p.taken:])
			if p.taken += n; p.taken == len(p.buffer) {
				p.buffer, p.taken = p.buffer[:0], 0
			}
			p.changed.Broadcast()
			return n, nil
		case p.ended != nil:
			return 0, p.ended
		}
	}
}

// end is called by the writer or the network. The end of a muted pipe is not seen.
func (p *pipe) end(reason error) {
	p.set(func() {
		if p.ended == nil && !p.muted {
			p.ended = reason
		}
	})
}

func (p *pipe) mute() { p.set(func() { p.muted = true }) }

func (p *pipe) drop() { p.set(func() { p.buffer, p.taken = nil, 0 }) }

func (p *pipe) close() {
	p.set(func() {
		p.closed, p.buffer, p.taken = true, nil, 0
		if p.timer != nil {
			p.timer.Stop()
		}
	})
}

func (p *pipe) setDeadline(t time.Time) {
	p.set(func() {
		p.deadline = t
		if p.timer != nil {
			p.timer.Stop()
		}
		if wait := time.Until(t); !t.IsZero() && wait > 0 {
			p.timer = time.AfterFunc(wait, func() { p.set(func() {}) })
		}
	})
}

// set changes the pipe and wakes everybody who waits for a change.
func (p *pipe) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}
