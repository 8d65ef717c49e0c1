package network

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const head = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"

// connected plays with both ends of a connection whose requests have the fault.
func connected(t *testing.T, fault RequestFault, play func(host *Host, client, server net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := New()
		host := &Host{Network: n, OnRequest: func([]byte, bool) RequestFault { return fault }}
		accepted := make(chan net.Conn, 1)
		go func() {
			conn, err := n.Listener().Accept()
			if err == nil {
				accepted <- conn
			}
		}()
		client, err := host.Dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		play(host, client, <-accepted)
		_ = n.Listener().Close()
	})
}

// send writes a request as net/http does, with head and body in separate writes.
func send(client net.Conn) (int, error) {
	n, err := client.Write([]byte(head))
	if err != nil {
		return n, err
	}
	more, err := client.Write([]byte("12345"))
	return n + more, err
}

func TestRequestFaults(t *testing.T) {
	t.Parallel()
	whole := len(head) + 5
	for _, c := range []struct {
		name      string
		fault     RequestFault
		written   int
		fails     bool
		delivered int
		after     error // the error that the server reads afterwards; nil: it waits for ever
	}{
		{"intact", Intact(), whole, false, whole, nil},
		{"nothing leaves", RequestFault{After: Resets}, 0, true, 0, syscall.ECONNRESET},
		{"the kernel took it all", RequestFault{Taken: true, After: Resets}, whole, false, 0, syscall.ECONNRESET},
		{"part of the head", RequestFault{Deliver: 10, After: Resets}, 10, true, 10, syscall.ECONNRESET},
		{"part of the body", RequestFault{Deliver: len(head) + 2, After: Resets}, len(head) + 2, true, len(head) + 2, syscall.ECONNRESET},
		{"part of the body, all of it taken", RequestFault{Deliver: len(head) + 2, Taken: true}, whole, false, len(head) + 2, nil},
		{"all of it, then a reset", RequestFault{Deliver: -1, Taken: true, After: Resets}, whole, false, whole, syscall.ECONNRESET},
		{"all lost in silence", RequestFault{Taken: true}, whole, false, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			connected(t, c.fault, func(_ *Host, client, server net.Conn) {
				n, err := send(client)
				if n != c.written || (err != nil) != c.fails {
					t.Errorf("written %d, %v; want %d, an error: %t", n, err, c.written, c.fails)
				}
				if c.after == nil {
					_ = server.SetReadDeadline(time.Now().Add(time.Hour))
					c.after = os.ErrDeadlineExceeded
				}
				got, err := io.ReadAll(server)
				if len(got) != c.delivered || !errors.Is(err, c.after) {
					t.Errorf("the server reads %d bytes and %v; want %d and %v", len(got), err, c.delivered, c.after)
				}
			})
		})
	}
}

func TestAnswerFaults(t *testing.T) {
	t.Parallel()
	for after, want := range map[After]error{AnswerResets: syscall.ECONNRESET, AnswerEnds: io.EOF, Silent: os.ErrDeadlineExceeded} {
		connected(t, RequestFault{Deliver: -1, Taken: true, After: after}, func(_ *Host, client, server net.Conn) {
			if _, err := send(client); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(server, make([]byte, len(head)+5)); err != nil {
				t.Errorf("the server should read the request, and reads %v", err)
			}
			if _, err := server.Write([]byte("HTTP/1.1 200 OK\r\n")); err != nil {
				t.Errorf("the server's kernel should take the answer: %v", err)
			}
			_ = client.SetReadDeadline(time.Now().Add(time.Hour))
			if n, err := client.Read(make([]byte, 100)); n != 0 || !errors.Is(err, want) {
				t.Errorf("the client reads %d bytes and %v, want %v", n, err, want)
			}
		})
	}
}

// TestAbort: a client that closes with a linger of zero resets the connection. The server still reads what its kernel has.
func TestAbort(t *testing.T) {
	t.Parallel()
	for linger, want := range map[int]error{0: syscall.ECONNRESET, -1: nil} {
		connected(t, Intact(), func(_ *Host, client, server net.Conn) {
			_, _ = send(client)
			_ = client.(interface{ SetLinger(sec int) error }).SetLinger(linger)
			_ = client.Close()
			got, err := io.ReadAll(server)
			if len(got) != len(head)+5 || !errors.Is(err, want) {
				t.Errorf("linger %d: %d bytes and %v, want %v", linger, len(got), err, want)
			}
			if _, err := server.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
				t.Errorf("a write to nobody: %v", err)
			}
		})
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	connected(t, Intact(), func(host *Host, client, server net.Conn) {
		_, _ = send(client)
		host.Kill()
		if _, err := client.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a dead machine writes: %v", err)
		}
		if _, err := host.Dial(context.Background(), "", ""); err == nil {
			t.Error("a dead machine dials")
		}
		if got, err := io.ReadAll(server); len(got) != len(head)+5 || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the server reads %d bytes and %v", len(got), err)
		}
	})
}

// TestKernelBuffer: a kernel takes no more bytes than its buffer has room for.
func TestKernelBuffer(t *testing.T) {
	t.Parallel()
	connected(t, Intact(), func(_ *Host, client, server net.Conn) {
		wrote := make(chan error, 1)
		go func() {
			_, err := server.Write(make([]byte, kernelBuffer+1))
			wrote <- err
		}()
		synctest.Wait()
		select {
		case <-wrote:
			t.Error("the kernel took more than its buffer has room for")
		default:
		}
		if _, err := io.ReadFull(client, make([]byte, kernelBuffer+1)); err != nil || <-wrote != nil {
			t.Errorf("read: %v", err)
		}
	})
}

// TestLater: a request that a proxy holds back arrives on a new connection, long after its client has left.
func TestLater(t *testing.T) {
	t.Parallel()
	connected(t, RequestFault{Taken: true, Later: time.Minute}, func(host *Host, client, _ net.Conn) {
		began := time.Now()
		_, _ = send(client)
		_ = client.Close()
		late, err := host.Network.Listener().Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadFull(late, make([]byte, len(head)+5)); got != len(head)+5 || time.Since(began) != time.Minute {
			t.Errorf("%d bytes after %s", got, time.Since(began))
		}
	})
}
