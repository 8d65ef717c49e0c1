package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc/test/bufconn"
)

// files reads the files of a folder.
func (f tlsFolder) files(t *testing.T, now func() time.Time, log io.Writer) *tlsFiles {
	t.Helper()
	files, err := newTLSFiles(t.Context(), tlsSettings{
		TLSCert: f.file("certificate.pem"), TLSKey: f.file("key.pem"), TLSClientCA: f.file("callers.pem"),
	}, now, slog.New(slog.NewJSONHandler(log, nil)), noop.NewMeterProvider())
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// stateOf makes a connection and returns what the server knows of it.
func stateOf(ofServer, client *tls.Config) (tls.ConnectionState, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // a net.Pipe would block a server that sends tickets
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer func() { _ = listener.Close() }()
	there, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return tls.ConnectionState{}, err
	}
	here, err := listener.Accept()
	if err != nil {
		return tls.ConnectionState{}, err
	}
	server := tls.Server(here, ofServer)
	shaken := make(chan error, 1)
	go func() {
		err := server.Handshake()
		if err == nil {
			_, err = server.Write([]byte("!"))
		}
		_ = here.Close()
		shaken <- err
	}()
	conn := tls.Client(there, client)
	_, _ = io.ReadAll(conn) // with tickets that the server may have sent
	_ = there.Close()
	err = <-shaken
	return server.ConnectionState(), err
}

// A connection is open while its authority is removed, while its certificate ends, and while its authority gets a new
// certificate.
func TestVerifiedCertificateOfAnOpenConnection(t *testing.T) {
	t.Parallel()
	callers := newAuthority(t, "callers")
	folder, now := newTLSFolder(t, newAuthority(t, "servers"), callers), time.Now()
	servers := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	files := folder.files(t, func() time.Time { return now }, io.Discard)
	if state, err := stateOf(files.config(http11), servers); err != nil || files.Verified(state) != nil {
		t.Errorf("a client without a certificate is %v: %v", files.Verified(state), err)
	}
	caller := callers.issue(t, func(c *x509.Certificate) { c.NotAfter = now.Add(time.Hour) })
	servers.Certificates = []tls.Certificate{caller.Certificate}
	state, err := stateOf(files.config(http11), servers)
	if err != nil || files.Verified(state) == nil || !bytes.Equal(files.Verified(state).Raw, caller.Leaf.Raw) {
		t.Fatalf("the right client is %v: %v", files.Verified(state), err)
	}

	original := callers.pem()
	callers.renew(t, "callers")
	folder.write(t, "callers.pem", callers.pem())
	files.reload(t.Context())
	if files.Verified(state) == nil {
		t.Error("the authority has a new certificate for its key, and its caller is not known any more")
	}

	folder.write(t, "callers.pem", newAuthority(t, "callers").pem())
	files.reload(t.Context())
	if got := files.Verified(state); got != nil {
		t.Errorf("the authority is removed, and the client still is %s", got.Subject)
	}

	folder.write(t, "callers.pem", original)
	files.reload(t.Context())
	if files.Verified(state) == nil {
		t.Error("the authority is back, and its caller is not known")
	}
	now = caller.Leaf.NotAfter.Add(time.Second)
	if got := files.Verified(state); got != nil {
		t.Errorf("the certificate has ended, and the client still is %s", got.Subject)
	}
}

// A client cannot resume a session. Its certificate would not be checked again.
func TestTLSSessionsAreNotResumed(t *testing.T) {
	t.Parallel()
	callers := newAuthority(t, "callers")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		folder := newTLSFolder(t, newAuthority(t, "servers"), callers)
		files := folder.files(t, time.Now, io.Discard)
		files.settings.TLSMinVersion = "1.2"
		client := &tls.Config{
			InsecureSkipVerify: true, MinVersion: tls.VersionTLS12, MaxVersion: version,
			ClientSessionCache: tls.NewLRUClientSessionCache(1), ServerName: "localhost", Certificates: []tls.Certificate{callers.issue(t, nil).Certificate},
		}
		port := files.config(http11)
		for range 2 {
			if state, err := stateOf(port, client); err != nil || state.DidResume || state.Version != version {
				t.Errorf("resumed: %v, version %x: %v", state.DidResume, state.Version, err)
			}
		}
	}
}

// The end of a certificate is reported a week before, and then once a day. A new certificate ends the reports.
func TestCertificateThatEndsSoonIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers := newAuthority(t, "servers")
		folder := newTLSFolder(t, servers, servers)
		folder.put(t, servers.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(9 * 24 * time.Hour) }))
		log := newWatched()
		files := folder.files(t, time.Now, log)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			files.watch(ctx, make(chan os.Signal))
			close(done)
		}()
		reports := func(after time.Duration) int {
			<-time.After(after)
			synctest.Wait()
			return strings.Count(log.String(), "the TLS certificate ends soon")
		}
		for _, step := range []struct {
			after time.Duration
			want  int
		}{{47 * time.Hour, 0}, {2 * time.Hour, 1}, {20 * time.Hour, 1}, {24 * time.Hour, 2}} {
			if n := reports(step.after); n != step.want {
				t.Errorf("%d reports after %s more, want %d", n, step.after, step.want)
			}
		}
		folder.put(t, servers.issue(t, nil))
		if n := reports(48 * time.Hour); n != 2 {
			t.Errorf("%d reports after a new certificate", n)
		}
		cancel()
		<-done
	})
}

// A broken file is reported once, not at every poll. The metrics say so, and when it ends.
func TestBrokenTLSFileIsReportedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers := newAuthority(t, "servers")
		folder, reader := newTLSFolder(t, servers, servers), sdkmetric.NewManualReader()
		log := newWatched()
		files, err := newTLSFiles(t.Context(), tlsSettings{TLSCert: folder.file("certificate.pem"), TLSKey: folder.file("key.pem")},
			time.Now, slog.New(slog.NewJSONHandler(log, nil)), sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
		if err != nil {
			t.Fatal(err)
		}
		expires := files.current.Load().expires
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			files.watch(ctx, make(chan os.Signal))
			close(done)
		}()
		check := func(problem int64, warnings, reads int) {
			t.Helper()
			<-time.After(time.Minute)
			synctest.Wait()
			if n := strings.Count(log.String(), "the TLS files cannot be used"); n != warnings {
				t.Errorf("%d warnings, want %d", n, warnings)
			}
			if n := strings.Count(log.String(), "TLS files read again"); n != reads {
				t.Errorf("read %d times, want %d", n, reads)
			}
			if got := gauge(t, reader, "gigagate.tls.problem"); got != problem {
				t.Errorf("gigagate.tls.problem is %d, want %d", got, problem)
			}
			if got := gauge(t, reader, "gigagate.tls.certificate.expiry"); got != expires.Unix() {
				t.Errorf("gigagate.tls.certificate.expiry is %d, want %d", got, expires.Unix())
			}
		}
		check(0, 0, 0)
		if err := os.Remove(folder.file("key.pem")); err != nil {
			t.Fatal(err)
		}
		check(1, 1, 0)
		next := servers.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(500 * time.Hour) })
		folder.write(t, "certificate.pem", next.certificatePEM) // the key is still missing
		check(1, 1, 0)
		folder.write(t, "key.pem", next.keyPEM)
		expires = next.Leaf.NotAfter
		check(0, 1, 1)
		cancel()
		<-done
	})
}

// gauge is the value of a gauge with one series.
func gauge(t *testing.T, reader sdkmetric.Reader, name string) int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if data, ok := m.Data.(metricdata.Gauge[int64]); ok && m.Name == name && len(data.DataPoints) == 1 {
				return data.DataPoints[0].Value
			}
		}
	}
	t.Fatalf("no %s in %+v", name, all)
	return 0
}

// A silent client has ten seconds for its handshake, and then frees its place. It does not keep others from connecting.
func TestTLSHandshakeIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers := newAuthority(t, "servers")
		files := newTLSFolder(t, servers, servers).files(t, time.Now, io.Discard)
		inner := bufconn.Listen(64 << 10)
		port := bounded(inner, "test", 4, slog.New(slog.DiscardHandler), noop.Int64Counter{})
		listener := files.listen(port, http2Protocol, http11)
		accepts := make(chan net.Conn)
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					close(accepts)
					return
				}
				accepts <- conn
			}
		}()
		silent, err := inner.DialContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		other, err := inner.DialContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		client := tls.Client(other, servers.client())
		go func() { _ = client.Handshake() }()
		accepted := <-accepts
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("another client waited %s", waited)
		}
		if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(began) != tlsHandshakeTime {
			t.Errorf("the silent client got %v after %s", err, time.Since(began))
		}
		synctest.Wait()
		if open := len(port.open); open != 1 {
			t.Errorf("%d connections are counted", open)
		}
		_ = accepted.Close()

		// Close ends what is under way.
		late, err := inner.DialContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_ = listener.Close()
		if _, open := <-accepts; open {
			t.Error("a closed listener accepts")
		}
		if _, err := late.Read(make([]byte, 1)); err == nil {
			t.Error("a handshake goes on")
		}
	})
}
