package gigastore

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// BenchmarkRegister is one paid call over loopback, vendor included.
func BenchmarkRegister(b *testing.B) {
	answer := fixture(b, "register-response-now.json")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !authenticates(w, r) {
			_, _ = io.Copy(io.Discard, r.Body)
			writeJSON(w, 200, string(answer))
		}
	}))
	defer server.Close()
	client, err := New(Config{BaseURL: server.URL, ClientID: "id", ClientSecret: "secret"})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	permit, request := Permit{Token: "gw-op-000001", NotAfter: time.Now().Add(time.Hour)}, testRegister()
	request.Metatag = permit.Token
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Register(b.Context(), permit, request); err != nil {
			b.Fatal(err)
		}
	}
}
