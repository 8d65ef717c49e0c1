package gigastore

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// BenchmarkRegister measures one paid call over loopback, including the vendor. Each call has a connection of its
// own.
func BenchmarkRegister(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchmarkRegister(b, (*httptest.Server).Start) })
	b.Run("TLS", func(b *testing.B) { benchmarkRegister(b, (*httptest.Server).StartTLS) })
}

func benchmarkRegister(b *testing.B, start func(*httptest.Server)) {
	answer := fixture(b, "register-response-now.json")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !authenticates(w, r) {
			_, _ = io.Copy(io.Discard, r.Body)
			writeJSON(w, 200, string(answer))
		}
	}))
	start(server)
	defer server.Close()
	var roots *x509.CertPool
	if server.Certificate() != nil {
		roots = x509.NewCertPool()
		roots.AddCert(server.Certificate())
	}
	client, err := newClient(Config{BaseURL: server.URL, ClientID: "id", ClientSecret: "secret"}, roots)
	if err != nil {
		b.Fatal(err)
	}
	permit, request := Permit{Token: "gw-op-000001", NotAfter: time.Now().Add(time.Hour)}, testRegister()
	request.Metatag = permit.Token
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := client.Register(b.Context(), permit, request); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
