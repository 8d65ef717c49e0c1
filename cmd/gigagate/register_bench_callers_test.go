package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"gigagate.internal/internal/access"
	"gigagate.internal/server"
)

// How the callers of a run identify themselves. Those with a certificate speak TLS, and so do those of benchTLS, which
// everybody may call.
const (
	benchKey         = "key"
	benchBudget      = "budget" // an API key, and a budget that is never used up
	benchJWT         = "jwt"
	benchCertificate = "certificate"
	benchTLS         = "tls"
)

// benchSecurity is TLS and a callers file, as far as a run has them.
type benchSecurity struct {
	CallersFile string
	TLS         tlsSettings
	client      []grpc.DialOption
}

// newBenchSecurity makes the files of a run.
func newBenchSecurity(b *testing.B, identity string) (s benchSecurity) {
	b.Helper()
	servers, callers := newAuthority(b, "servers"), newAuthority(b, "callers")
	folder := newTLSFolder(b, servers, callers)
	const name, issuer = "spiffe://corp.example/bench", "https://login.example.com"
	key, id, sum := access.NewKey()
	signing, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: signing.Public(), KeyID: "1"}}})
	if err != nil {
		b.Fatal(err)
	}
	budget := ""
	if identity == benchBudget {
		budget = "  budget: {currency: USD, per_purchase: 100, per_day: 900000000, per_month: 900000000, total: 900000000, time_zone: Europe/Berlin}\n"
	}
	if identity != benchTLS {
		s.CallersFile = folder.write(b, "callers.yaml", fmt.Appendf(nil, `
issuers:
- {issuer: %q, audience: gigagate, jwks_file: %s}
callers:
- name: bench
  identities: [{key: {id: %s, sha256: %s}}, {jwt: {issuer: %[1]q, subject: bench}}, {certificate: %[5]q}]
  may: {methods: [all], activation_modes: [all], inventory_items: [all], country_sets: [all], countries: [all], secrets: true}
%[6]s`, issuer, folder.write(b, "keys.json", set), id, sum, name, budget))
	}
	switch identity {
	case benchKey, benchBudget:
		s.client = sendKey(key)
	case benchJWT:
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: signing, KeyID: "1"}}, nil)
		if err != nil {
			b.Fatal(err)
		}
		token, err := jwt.Signed(signer).Claims(jwt.Claims{
			Issuer: issuer, Subject: "bench", Audience: jwt.Audience{"gigagate"}, Expiry: jwt.NewNumericDate(time.Now().Add(24 * time.Hour)),
		}).Serialize()
		if err != nil {
			b.Fatal(err)
		}
		s.client = sendKey(token)
	case benchCertificate, benchTLS:
		s.TLS = tlsSettings{TLSCert: folder.file("certificate.pem"), TLSKey: folder.file("key.pem"), TLSClientCA: folder.file("callers.pem"), TLSMinVersion: "1.3"}
		uri, err := url.Parse(name)
		if err != nil {
			b.Fatal(err)
		}
		config := servers.client(callers.issue(b, func(c *x509.Certificate) { c.URIs = []*url.URL{uri} }))
		s.client = []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(config))}
	}
	return s
}

// secure makes the gateway of a run speak TLS and identify its callers.
func (s benchSecurity) secure(ctx context.Context, telemetry *telemetry, config *server.Config, listener net.Listener) (net.Listener, error) {
	if s.CallersFile != "" {
		live, err := access.Watch(access.Config{File: s.CallersFile, Logger: telemetry.logger, MeterProvider: telemetry.meterProvider})
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, live.Close)
		config.Access = live
	}
	files, err := newTLSFiles(ctx, s.TLS, time.Now, telemetry.logger, telemetry.meterProvider)
	if err != nil || files == nil {
		return listener, err
	}
	config.Credentials, config.Trusted = afterTLS{}, files.Verified
	return files.listen(bounded(listener, "grpc", connectionLimit(), telemetry.logger, noop.Int64Counter{}), http2Protocol), nil
}
