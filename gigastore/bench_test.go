package gigastore

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// BenchmarkRegister measures one paid call over loopback, including the vendor. Each call has its own connection.
// The runs named "kept" show what that costs: net/http posts the same body to the same vendor over kept
// connections, and decodes nothing.
func BenchmarkRegister(b *testing.B) {
	for name, start := range map[string]func(*httptest.Server){"plain": (*httptest.Server).Start, "TLS": (*httptest.Server).StartTLS} {
		b.Run(name, func(b *testing.B) { benchmarkRegister(b, start) })
		b.Run(name+" kept", func(b *testing.B) { benchmarkKept(b, start) })
	}
}

// benchmarkVendor starts a vendor that sells, and returns it with the certificates to trust.
func benchmarkVendor(b *testing.B, start func(*httptest.Server)) (*httptest.Server, *x509.CertPool) {
	b.Helper()
	answer := fixture(b, "register-response-now.json")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !authenticates(w, r) {
			_, _ = io.Copy(io.Discard, r.Body)
			writeJSON(w, 200, string(answer))
		}
	}))
	start(server)
	b.Cleanup(server.Close)
	if server.Certificate() == nil {
		return server, nil
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server, roots
}

func benchmarkRegister(b *testing.B, start func(*httptest.Server)) {
	server, roots := benchmarkVendor(b, start)
	client, err := newClient(Config{BaseURL: server.URL, ClientID: "id", ClientSecret: "secret"}, roots)
	if err != nil {
		b.Fatal(err)
	}
	permit, request := Permit{Mark: "gw-op-000001", NotAfter: time.Now().Add(time.Hour)}, testRegister()
	request.Metatag = permit.Mark
	inParallel(b, func() error {
		_, err := client.Register(b.Context(), permit, request)
		return err
	})
}

func benchmarkKept(b *testing.B, start func(*httptest.Server)) {
	server, roots := benchmarkVendor(b, start)
	body, err := json.Marshal(testRegister())
	if err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	defer client.CloseIdleConnections()
	inParallel(b, func() error {
		answer, err := client.Post(server.URL+"/gigastore/activations/register", "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		return errors.Join(err, answer.Body.Close())
	})
}

// inParallel makes calls from 64 callers on two cores.
func inParallel(b *testing.B, call func() error) {
	b.Helper()
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := call(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
