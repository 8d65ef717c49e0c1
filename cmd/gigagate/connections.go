package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"gigagate.internal/internal/fairshare"
)

const (
	// maxConnections is the most connections that one port may have.
	maxConnections = 2000
	// spoken is the fewest bytes that a gRPC client sends: the preface of HTTP/2 and the header of its first frame (RFC
	// 9113 section 3.4).
	spoken = 24 + 9
	// logAtMost is the shortest time between two log lines about refused connections.
	logAtMost = 10 * time.Second
)

// attrPort is the attribute of the metric of refused connections.
const attrPort = attribute.Key("gigagate.port")

// connectionLimit is how many connections a port may have. If the process may open only a few files, it is a quarter of
// them: gRPC and REST together then leave half for the vendor, the journal and the admin port.
func connectionLimit() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return maxConnections
	}
	return int(min(maxConnections, files.Cur/4))
}

// boundedListener limits the connections of a port. It also knows which connections have not spoken yet, because a drain
// must not wait for them.
type boundedListener struct {
	net.Listener
	name   string
	places *fairshare.Limit
	logger *slog.Logger
	metric metric.Int64Counter
	// encrypted: the connections speak TLS, and only the layer above knows what their clients say.
	encrypted bool

	mu      sync.Mutex
	open    map[*clientConn]struct{}
	ending  bool
	refused int
	logged  time.Time
}

func bounded(listener net.Listener, name string, most int, logger *slog.Logger, refused metric.Int64Counter) *boundedListener {
	refused.Add(context.Background(), 0, metric.WithAttributes(attrPort.String(name))) // the series exists from the start
	return &boundedListener{
		Listener: listener, name: name, places: fairshare.New(most), logger: logger, metric: refused, open: map[*clientConn]struct{}{},
	}
}

// Accept closes connections above the limit at once. In the system's queue, the client would wait without knowing why.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		if err != nil {
			if n, due := l.toTell(); due {
				l.logger.WarnContext(context.Background(), "connections cannot be accepted", "port", l.name, "times", n, "error", err.Error())
			}
			return nil, err
		}
		c := &clientConn{Conn: conn, listener: l, client: fairshare.ClientOf(conn.RemoteAddr().String())}
		if l.add(c) {
			return c, nil
		}
		_ = conn.Close()
	}
}

// add counts a connection. It returns false if the port is full or draining. One client gets at most half of the port, so that other
// clients can still connect.
func (l *boundedListener) add(c *clientConn) bool {
	if !l.places.Take(c.client) {
		if n, due := l.toTell(); due {
			l.logger.WarnContext(context.Background(), "connection refused: the port or this client is at its limit", "port", l.name, "times", n, "limit", l.places.Most())
		}
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ending {
		l.places.Release(c.client)
		return false
	}
	l.open[c] = struct{}{}
	return true
}

// toTell counts a connection that was not accepted. It reports whether a log line is due, and how many connections it
// covers. Without this pause, a client that fills the port would also fill the log.
func (l *boundedListener) toTell() (times int, due bool) {
	l.metric.Add(context.Background(), 1, metric.WithAttributes(attrPort.String(l.name)))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused++
	if l.ending || time.Since(l.logged) < logAtMost {
		return 0, false
	}
	times, l.refused, l.logged = l.refused, 0, time.Now()
	return times, true
}

// endSilent closes the connections that have not spoken, and accepts no new ones. Otherwise grpc-go would wait for them
// before it tells its clients that it goes away.
func (l *boundedListener) endSilent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ending = true
	for c := range l.open {
		if c.heard < spoken {
			_ = c.Conn.Close()
		}
	}
}

// clientConn is a connection that its listener counts.
type clientConn struct {
	net.Conn
	listener *boundedListener
	client   string
	heard    int // bytes, up to spoken; under the listener's mu
	told     bool
	once     sync.Once
}

// Read counts the bytes until the client has spoken. Only one goroutine reads a connection.
func (c *clientConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.listener.encrypted {
		c.hear(n)
	}
	return n, err
}

// hear counts n bytes that the client has said.
func (c *clientConn) hear(n int) {
	if c.told {
		return
	}
	c.listener.mu.Lock()
	c.heard += n
	c.told = c.heard >= spoken
	c.listener.mu.Unlock()
}

// Close also frees the connection's place.
func (c *clientConn) Close() error {
	c.once.Do(func() {
		c.listener.mu.Lock()
		_, counted := c.listener.open[c]
		delete(c.listener.open, c)
		c.listener.mu.Unlock()
		if counted {
			c.listener.places.Release(c.client)
		}
	})
	return c.Conn.Close()
}
