package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// quick are flags with which a purchase settles within seconds. A lease still takes 45 s, because the engine
// adds a fixed time to the send window and the vendor timeout.
var quick = []string{
	"--gigastore-timeout=2s", "--send-window=3s", "--reconcile-settle-delay=1s", "--reconcile-witness-timeout=1s", "--reconcile-give-up=20s",
}

// replica is one gateway of a test. It has the same flags over several processes, one after the other.
type replica struct {
	wrapper, flags []string

	mu      sync.Mutex
	current *program
	conn    *grpc.ClientConn // nil while there is no process
	admin   string
	changed chan struct{} // closed and replaced by every start
}

func newReplica(t *testing.T, s *shop, journal string, flags ...string) *replica {
	t.Helper()
	r := &replica{changed: make(chan struct{})}
	r.flags = append([]string{
		"serve", "--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
		"--journal=" + journal, "--gigastore-url=" + s.url, "--gigastore-client-id=reseller",
	}, append(quick, flags...)...)
	t.Cleanup(r.hangUp)
	return r
}

// start starts a process and returns once it serves.
func (r *replica) start(t *testing.T) *replica {
	t.Helper()
	p := launch(t, r.wrapper, r.flags...)
	admin := p.out.waitForOrLog(t, p, `admin +http://([^/\s]+)`)
	conn, err := grpc.NewClient(p.out.waitForOrLog(t, p, `gRPC +(\S+)`), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current, r.conn, r.admin = p, conn, admin
	close(r.changed)
	r.changed = make(chan struct{})
	return r
}

// waitForOrLog is like waitFor, but prints the log if the process ends before it writes the pattern.
func (w *watched) waitForOrLog(t testing.TB, p *program, pattern string) string {
	t.Helper()
	written := false
	defer func() {
		if !written {
			t.Log(p.log)
		}
	}()
	match := w.waitFor(t, p.ended, pattern)
	written = true
	return match[1]
}

// kill kills the process (SIGKILL) and closes the connection.
func (r *replica) kill() {
	r.process().kill()
	r.hangUp()
}

func (r *replica) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		_ = r.conn.Close()
		r.conn = nil
	}
}

func (r *replica) process() *program {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// connection returns the connection to the running process. If there is none, it waits for the next process.
func (r *replica) connection(ctx context.Context) (*grpc.ClientConn, error) {
	for {
		r.mu.Lock()
		conn, changed := r.conn, r.changed
		r.mu.Unlock()
		if conn != nil {
			return conn, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (r *replica) purchases(t *testing.T) gigagatev1.PurchaseServiceClient {
	t.Helper()
	conn, err := r.connection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return gigagatev1.NewPurchaseServiceClient(conn)
}

// readyz returns the status and the text of the readiness check.
func (r *replica) readyz(t *testing.T) answer {
	t.Helper()
	r.mu.Lock()
	admin := r.admin
	r.mu.Unlock()
	return get(t, "http://"+admin+"/readyz")
}

// isReady has the form that eventually wants.
func (r *replica) isReady(t *testing.T) func() error {
	return func() error {
		if got := r.readyz(t); got.status != http.StatusOK {
			return errors.New(got.body)
		}
		return nil
	}
}
