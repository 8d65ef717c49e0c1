package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"google.golang.org/grpc"
)

// listeners opens addresses and remembers the first failure.
type listeners struct {
	all   []net.Listener
	flags []string // by which the addresses were given
	err   error
}

// listen opens the address of a flag.
func (l *listeners) listen(ctx context.Context, flag string, address listenAddress) net.Listener {
	if l.err != nil {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", string(address))
	if err != nil {
		l.err = fmt.Errorf("%s: %w", flag, err)
		return nil
	}
	l.all, l.flags = append(l.all, listener), append(l.flags, flag)
	return listener
}

// onlyLoopback returns an error if other machines can reach one of the addresses.
func (l *listeners) onlyLoopback() error {
	var reachable []string
	for i, listener := range l.all {
		if address, ok := listener.Addr().(*net.TCPAddr); !ok || !address.IP.IsLoopback() {
			reachable = append(reachable, l.flags[i])
		}
	}
	if len(reachable) == 0 {
		return nil
	}
	return fmt.Errorf("%s: everybody on other machines could connect, and buy. Set --tls-cert, --tls-key and --callers-file, listen on 127.0.0.1, or allow it with --insecure",
		strings.Join(reachable, ", "))
}

// close closes all listeners. A server may have closed some of them before, which does no harm.
func (l *listeners) close() {
	for _, listener := range l.all {
		_ = listener.Close()
	}
}

// newHTTPServer returns a server for handler with all its timeouts set. answerWithin is the longest that
// the handler may take. 0 means no limit.
func newHTTPServer(handler http.Handler, answerWithin time.Duration) *http.Server {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    8 << 10,
		// HTTP/2 needs TLS here. By default, each connection may buffer 1 MiB.
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 100, MaxReceiveBufferPerConnection: 64 << 10, MaxReceiveBufferPerStream: 64 << 10},
	}
	if answerWithin > 0 {
		// WriteTimeout starts at the request's header, so it includes the time to read the body.
		server.WriteTimeout = answerWithin + server.ReadTimeout
	}
	return server
}

// serveHTTP serves until the server is shut down. A shutdown is not an error.
func serveHTTP(server *http.Server, listener net.Listener) error {
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// serveGRPC serves until the server is stopped. A stop is not an error, even if it comes before Serve.
func serveGRPC(server *grpc.Server, listener net.Listener) error {
	if err := server.Serve(listener); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// adminPages is the text at the root of the admin port.
const adminPages = `This is the admin port of Gigagate.

/healthz       whether the process is alive, and its version
/readyz        whether the gateway accepts new calls, and what is wrong with the vendor
/metrics       metrics for Prometheus
/debug/pprof/  profiles of the running process
POST ` + backupPath + ` makes a backup: gigagate journal backup FILE
POST ` + rotateKeysPath + ` seals the journal with the newest key: gigagate journal keys rotate
POST ` + erasePath + ` erases an end user's data: gigagate erase
`

// newAdmin serves the admin port, for operators and orchestrators.
func newAdmin(ready func(context.Context) error, vendorProblems func() []string, metrics, journal http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /journal/", journal)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(adminPages))
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok " + version() + "\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		var text strings.Builder
		text.WriteString("ready\n")
		// Vendor problems do not make the gateway unready. All replicas have them at the same time, and with no replica
		// ready, nobody could ask about earlier purchases.
		for _, problem := range vendorProblems() {
			text.WriteString("vendor problem: " + problem + "\n")
		}
		_, _ = w.Write([]byte(text.String()))
	})
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	return mux
}
