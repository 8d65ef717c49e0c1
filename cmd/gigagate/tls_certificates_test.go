package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority is a certificate authority of a test.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	a.renew(t, name)
	return a
}

// renew makes another certificate for the authority's key.
func (a *authority) renew(t testing.TB, name string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// issued is a certificate with its key, as PEM and parsed.
type issued struct {
	tls.Certificate
	certificatePEM, keyPEM []byte
}

// issue makes a certificate for a server on loopback and for a client. change may be nil.
func (a *authority) issue(t testing.TB, change func(*x509.Certificate)) issued {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(t), DNSNames: []string{"localhost", "gigagate.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(900 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	i := issued{
		certificatePEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyPEM:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
	if i.Certificate, err = tls.X509KeyPair(i.certificatePEM, i.keyPEM); err != nil {
		t.Fatal(err)
	}
	return i
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// client is the configuration of a client that trusts the authority and may have certificates.
func (a *authority) client(certificates ...issued) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	config := &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	if len(certificates) > 0 {
		// With Certificates, crypto/tls would leave out a certificate that the server does not ask for.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificates[0].Certificate, nil }
	}
	return config
}

// tlsFolder has the files of a gateway that speaks TLS.
type tlsFolder string

// newTLSFolder makes a folder with a certificate of the server's authority, and with the callers' authority.
func newTLSFolder(t testing.TB, servers, callers *authority) tlsFolder {
	t.Helper()
	f := tlsFolder(t.TempDir())
	f.put(t, servers.issue(t, nil))
	f.write(t, "callers.pem", callers.pem())
	return f
}

func (f tlsFolder) put(t testing.TB, server issued) {
	t.Helper()
	f.write(t, "key.pem", server.keyPEM)
	f.write(t, "certificate.pem", server.certificatePEM)
}

// write replaces a file in one step.
func (f tlsFolder) write(t testing.TB, name string, text []byte) string {
	t.Helper()
	file := f.file(name)
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	return file
}

func (f tlsFolder) file(name string) string { return filepath.Join(string(f), name) }

// flags are those of a gateway that speaks TLS and asks for certificates.
func (f tlsFolder) flags() []string {
	return []string{"--tls-cert=" + f.file("certificate.pem"), "--tls-key=" + f.file("key.pem"), "--tls-client-ca=" + f.file("callers.pem")}
}
