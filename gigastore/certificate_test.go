package gigastore

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestCertificateIsNotAccepted: a certificate that is not accepted fails the call at once. Nothing is sent, and the
// error says why.
func TestCertificateIsNotAccepted(t *testing.T) {
	valid := x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour)}
	for name, tc := range map[string]struct {
		certificate x509.Certificate
		known       bool
		want        error
	}{
		"unknown authority": {valid, false, errUnknownAuthority},
		"other host":        {x509.Certificate{DNSNames: []string{"canary.invalid"}, NotAfter: valid.NotAfter}, true, errOtherHost},
		"expired":           {x509.Certificate{IPAddresses: valid.IPAddresses, NotAfter: time.Now().Add(-time.Hour)}, true, errExpired},
		"not for servers": {x509.Certificate{
			IPAddresses: valid.IPAddresses, NotAfter: valid.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, true, errCertificate},
		"accepted": {valid, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			certificate := certify(t, tc.certificate)
			var requests atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				if !authenticates(w, r) {
					writeJSON(w, 200, saleJSON(testMark))
				}
			}))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
			server.StartTLS()
			defer server.Close()
			roots := x509.NewCertPool()
			if tc.known {
				roots.AddCert(certificate.Leaf)
			}
			var dials atomic.Int64
			cfg := Config{
				BaseURL: server.URL, ClientID: "id", ClientSecret: "secret",
				Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
					dials.Add(1)
					return (&net.Dialer{}).DialContext(ctx, network, addr)
				},
			}
			to := tellTo(&cfg)
			client, err := newClient(cfg, roots)
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Register(t.Context(), testPermit(), testRegister())
			to.wantStanding(t, client, problemCertificate, tc.want != nil)
			if tc.want == nil {
				if err != nil || IsLasting(err) {
					t.Error(err)
				}
				return
			}
			e := wantEffect(t, err, EffectNone)
			if !errors.Is(err, tc.want) || !IsLasting(err) || e.BytesWritten != 0 || requests.Load() != 0 || dials.Load() != 1 {
				t.Errorf("%v: %d bytes, %d requests, %d dials", err, e.BytesWritten, requests.Load(), dials.Load())
			}
			text := to.log.String()
			if to.lines("WARN", `"vendor problem"`) != 1 || !strings.Contains(text, tc.want.Error()) || containsAny(text, canaries...) != "" {
				t.Errorf("%s", text)
			}
			// The client refuses the paid request even if it has a token.
			client.tokens.current, client.tokens.renewAt = "token", time.Now().Add(time.Hour)
			_, err = client.Register(t.Context(), testPermit(), testRegister())
			if e := wantEffect(t, err, EffectNone); !IsLasting(err) || e.BytesWritten != 0 || requests.Load() != 0 {
				t.Errorf("%v: %d bytes, %d requests", err, e.BytesWritten, requests.Load())
			}
		})
	}
}

// certify makes a self-signed certificate.
func certify(t *testing.T, template x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.IsCA, template.BasicConstraintsValid = big.NewInt(1), true, true
	template.NotBefore = time.Now().Add(-24 * time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
