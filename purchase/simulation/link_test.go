package simulation

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// links are the connections between processes and a PostgreSQL server. They are made outside bubbles and
// can be used inside them, because the bytes of a real connection travel in real time.
type links struct {
	url      *url.URL // of the server
	listener net.Listener
	served   sync.WaitGroup

	mu     sync.Mutex
	byName map[string]*link
}

// link is the connections of one process. They are recognized by their application_name.
type link struct {
	of   *links
	name string

	mu    sync.Mutex
	next  loss
	conns map[net.Conn]struct{}
	dead  bool
}

// loss says whether a statement or its answer gets lost.
type loss uint8

const (
	nothingLost   loss = iota
	statementLost      // the connection breaks before the server has the statement
	answerLost         // the server has committed, and no byte of its answer arrives
)

func newLinks(t *testing.T, serverURL string) *links {
	t.Helper()
	parsed, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	ls := &links{url: parsed, byName: map[string]*link{}}
	if ls.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ls.served.Go(func() {
		for {
			client, err := ls.listener.Accept()
			if err != nil {
				return
			}
			ls.served.Go(func() { ls.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = ls.listener.Close()
		ls.served.Wait()
	})
	return ls
}

// open makes a link. It returns the link and a URL that connects over it.
func (ls *links) open(name string) (*link, string) {
	l := &link{of: ls, name: name, conns: map[net.Conn]struct{}{}}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.byName[name] = l
	through := *ls.url
	through.Host = ls.listener.Addr().String()
	query := through.Query()
	query.Set("application_name", name)
	through.RawQuery = query.Encode()
	return l, through.String()
}

// lose makes the next statement, or its answer, get lost.
func (l *link) lose(what loss) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = what
}

// taken returns the loss planned for the current statement, and clears it.
func (l *link) taken() loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	what := l.next
	l.next = nothingLost
	return what
}

// cut breaks every connection for good, as the death of a process does. The server still finishes the
// statements that it has received.
func (l *link) cut() {
	l.of.mu.Lock()
	delete(l.of.byName, l.name)
	l.of.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	for conn := range l.conns {
		reset(conn)
	}
}

// reset closes a connection with a TCP reset.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// hold registers a connection, so that cut breaks it. It reports whether the link is still whole.
func (l *link) hold(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.dead {
		l.conns[conn] = struct{}{}
	}
	return !l.dead
}

func (l *link) release(conn net.Conn) {
	l.mu.Lock()
	delete(l.conns, conn)
	l.mu.Unlock()
	reset(conn)
}

const cancelRequest = 80877102 // PostgreSQL, "Message Formats"

func (ls *links) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	greeting, err := readMessage(client, true)
	if err != nil || binary.BigEndian.Uint32(greeting[4:]) == cancelRequest {
		return
	}
	l := ls.named(greeting)
	if l == nil || !l.hold(client) {
		reset(client)
		return
	}
	defer l.release(client)
	dialer := net.Dialer{Timeout: 5 * time.Second}
	server, err := dialer.DialContext(context.Background(), "tcp", ls.url.Host)
	if err != nil {
		return
	}
	if !l.hold(server) {
		reset(server)
		return
	}
	defer l.release(server)
	l.relay(client, server, greeting)
}

// named returns the link that the application_name of a startup message names.
func (ls *links) named(greeting []byte) *link {
	words := bytes.Split(greeting[8:], []byte{0})
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for i := 0; i+1 < len(words); i += 2 {
		if string(words[i]) == "application_name" {
			return ls.byName[string(words[i+1])]
		}
	}
	return nil
}

// relay passes on a client's messages, in one batch up to the point where the client waits for an answer.
// Then it passes on the answer.
func (l *link) relay(client, server net.Conn, batch []byte) {
	for executes := false; ; {
		lost := nothingLost
		if executes {
			lost = l.taken()
		}
		if lost == statementLost {
			return
		}
		if _, err := server.Write(batch); err != nil {
			return
		}
		answer, err := readAnswer(server)
		if lost == answerLost {
			return
		}
		if _, wrong := client.Write(answer); wrong != nil || err != nil {
			return
		}
		if batch, executes, err = readBatch(client); err != nil {
			return
		}
	}
}

// readBatch reads up to the point where a client waits for an answer. It reports whether the batch
// executes a statement. A pool's pings do not.
func readBatch(from io.Reader) (batch []byte, executes bool, err error) {
	for {
		message, err := readMessage(from, false)
		if err != nil {
			return nil, false, err
		}
		batch = append(batch, message...)
		switch message[0] {
		case 'E': // execute
			executes = true
		case 'S', 'Q', 'X': // sync, query, terminate
			return batch, executes, nil
		}
	}
}

// readAnswer reads up to the message that the server is ready for the next query.
func readAnswer(from io.Reader) (answer []byte, err error) {
	for {
		message, err := readMessage(from, false)
		if err != nil {
			return answer, err
		}
		answer = append(answer, message...)
		if message[0] == 'Z' {
			return answer, nil
		}
	}
}

// readMessage reads one message. A startup message has no type byte before its length.
func readMessage(from io.Reader, startup bool) ([]byte, error) {
	head := make([]byte, 5)
	if startup {
		head = head[:4]
	}
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	length := len(head) - 4 + int(binary.BigEndian.Uint32(head[len(head)-4:]))
	message := append(make([]byte, 0, length), head...)[:length]
	_, err := io.ReadFull(from, message[len(head):])
	return message, err
}
