package postgres_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"regexp"
	"sync"
	"testing"
	"time"
)

// loss says what part of a writing statement or its answer gets lost.
type loss int

const (
	nothingLost   loss = iota
	statementLost      // the connection breaks before the server receives the statement
	answerLost         // the server commits, but no byte of the answer arrives
	readyLost          // the results arrive, but ReadyForQuery does not
	answerHeld         // the server commits, and the connection stays open without an answer
)

// pooler is a proxy between a journal and its server. It behaves as badly as a pooler in transaction mode may:
// unless it is steady, every transaction of a connection runs in a different session than the one before.
type pooler struct {
	steady   bool
	t        testing.TB
	url      string
	backend  string
	listener net.Listener
	served   sync.WaitGroup

	mu    sync.Mutex
	next  loss
	conns map[net.Conn]bool
}

// frame is one protocol message (PostgreSQL, "Message Formats"). The startup message has kind 0.
type frame struct {
	kind byte
	text []byte // starts with the four bytes of the length
}

func newPooler(t testing.TB, serverURL string) *pooler {
	t.Helper()
	parsed, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	p := &pooler{t: t, backend: parsed.Host, conns: map[net.Conn]bool{}}
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	parsed.Host = p.listener.Addr().String()
	p.url = parsed.String()
	p.served.Go(func() {
		for {
			client, err := p.listener.Accept()
			if err != nil {
				return
			}
			p.served.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.cut()
		p.served.Wait()
	})
	return p
}

// lose makes the next writing statement, or its answer, get lost.
func (p *pooler) lose(l loss) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = l
}

// cut breaks all connections, as if the gateway's process had died.
func (p *pooler) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

func (p *pooler) track(conn net.Conn) (untrack func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, conn)
		_ = conn.Close()
	}
}

// serve connects one client to two sessions of the server.
func (p *pooler) serve(client net.Conn) {
	defer p.track(client)()
	greeting, err := readFrame(client, true)
	if err != nil {
		return
	}
	if binary.BigEndian.Uint32(greeting.text[4:]) == 80877102 { // a cancel request
		return
	}
	var sessions [2]net.Conn
	for i := range sessions {
		session, welcome, err := p.session(greeting)
		if session != nil {
			sessions[i] = session
			defer p.track(session)() //nolint:gocritic // only two, and both live as long as the connection
		}
		if i == 0 {
			_, _ = client.Write(welcome)
		}
		if err != nil {
			return
		}
	}
	p.relay(client, sessions)
}

// session opens a session on the server, and returns the server's first answer.
func (p *pooler) session(greeting frame) (session net.Conn, welcome []byte, err error) {
	var dialer net.Dialer
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if session, err = dialer.DialContext(ctx, "tcp", p.backend); err != nil {
		return nil, nil, err
	}
	if _, err := session.Write(greeting.text); err != nil {
		return session, nil, err
	}
	welcome, _, err = readAnswer(session)
	return session, welcome, err
}

func (p *pooler) relay(client net.Conn, sessions [2]net.Conn) {
	writing := map[string]bool{}
	for i, inTransaction := 0, false; ; {
		batch, writes, err := readBatch(client, writing)
		if err != nil {
			return
		}
		if !inTransaction && !p.steady {
			i = 1 - i
		}
		lost := nothingLost
		if writes {
			p.mu.Lock()
			lost, p.next = p.next, nothingLost
			p.mu.Unlock()
		}
		if lost == statementLost {
			return
		}
		if _, err := sessions[i].Write(batch); err != nil {
			return
		}
		answer, ready, err := readAnswer(sessions[i])
		switch lost {
		case answerLost:
			return
		case answerHeld:
			_, _, _ = readBatch(client, writing) // until the client closes the connection
			return
		case readyLost:
			_, _ = client.Write(answer[:len(answer)-len(ready.bytes())])
			return
		default:
		}
		if _, wrong := client.Write(answer); wrong != nil || err != nil {
			return
		}
		inTransaction = ready.text[4] != 'I'
	}
}

var functionsThatWrite = regexp.MustCompile(`\.(claim|write|freeze|thaw|audit)\(`)

// readBatch reads the client's messages up to the point where it waits for an answer. It reports whether they
// execute a writing statement. writing remembers which named statements write.
func readBatch(from io.Reader, writing map[string]bool) (batch []byte, writes bool, err error) {
	bound := false
	for {
		f, err := readFrame(from, false)
		if err != nil {
			return nil, false, err
		}
		batch = append(batch, f.bytes()...)
		switch f.kind {
		case 'P': // parse: name, text
			name, text, _ := bytes.Cut(f.text[4:], []byte{0})
			writing[string(name)] = functionsThatWrite.Match(text)
		case 'B': // bind: portal, statement's name, values
			_, rest, _ := bytes.Cut(f.text[4:], []byte{0})
			name, _, _ := bytes.Cut(rest, []byte{0})
			bound = bound || writing[string(name)]
		case 'E': // execute
			writes = bound
		case 'S', 'Q', 'X': // sync, query, terminate
			return batch, writes, nil
		}
	}
}

// readAnswer reads up to ReadyForQuery, which it also returns on its own.
func readAnswer(from io.Reader) (answer []byte, ready frame, err error) {
	for {
		f, err := readFrame(from, false)
		if err != nil {
			return answer, frame{}, err
		}
		answer = append(answer, f.bytes()...)
		if f.kind == 'Z' {
			return answer, f, nil
		}
	}
}

func readFrame(from io.Reader, startup bool) (frame, error) {
	var f frame
	if !startup {
		var kind [1]byte
		if _, err := io.ReadFull(from, kind[:]); err != nil {
			return frame{}, err
		}
		f.kind = kind[0]
	}
	f.text = make([]byte, 4)
	if _, err := io.ReadFull(from, f.text); err != nil {
		return frame{}, err
	}
	rest := make([]byte, binary.BigEndian.Uint32(f.text)-4)
	_, err := io.ReadFull(from, rest)
	f.text = append(f.text, rest...)
	return f, err
}

func (f frame) bytes() []byte {
	if f.kind == 0 {
		return f.text
	}
	return append([]byte{f.kind}, f.text...)
}
