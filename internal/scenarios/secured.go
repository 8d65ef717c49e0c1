package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"gigagate.internal/internal/access"
)

// credentials are the words that a scenario can have for its credential, and the variables that show it to the client
// program. A value is a file of the folder that writeSecrets fills.
var credentials = map[string]map[string]string{
	"key":         {"GIGAGATE_API_KEY_FILE": "shop.key"},
	"wrong key":   {"GIGAGATE_API_KEY_FILE": "wrong.key"},
	"certificate": {"GIGAGATE_CLIENT_TLS_CERT": "shop.pem", "GIGAGATE_CLIENT_TLS_KEY": "shop-key.pem"},
}

// environment is the environment of a client program with a credential.
func environment(secrets, credential string) []string {
	all := append(os.Environ(), "GIGAGATE_TLS_CA="+filepath.Join(secrets, "ca.pem"))
	for name, file := range credentials[credential] {
		all = append(all, name+"="+filepath.Join(secrets, file))
	}
	return all
}

// securedFlags are the flags of a gateway that speaks TLS and knows its callers.
func securedFlags(secrets string) []string {
	return []string{
		"--tls-cert=" + filepath.Join(secrets, "gateway.pem"), "--tls-key=" + filepath.Join(secrets, "gateway-key.pem"),
		"--tls-client-ca=" + filepath.Join(secrets, "ca.pem"), "--callers-file=" + filepath.Join(secrets, "callers.yaml"),
	}
}

// callersFile knows one caller by a key and by a certificate. It may not buy packages that start on demand.
const callersFile = `callers:
  - name: shop
    identities:
      - key: {id: %s, sha256: %s}
      - certificate: spiffe://scenarios.test/shop
    may:
      methods: [Register, TopUp, WaitPurchase, ListInventoryItems]
      activation_modes: [NOW, FIRST_USE]
      inventory_items: [all]
      country_sets: [all]
      countries: [all]
      secrets: true
`

// writeSecrets makes a private authority, certificates, keys and a callers file in a folder.
func writeSecrets(folder string) error {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	key, id, sum := access.NewKey()
	wrong, _, _ := access.NewKey()
	a, err := newAuthority()
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(folder, "shop.key"), []byte(key+"\n"), 0o600),
		os.WriteFile(filepath.Join(folder, "wrong.key"), []byte(wrong+"\n"), 0o600),
		os.WriteFile(filepath.Join(folder, "callers.yaml"), fmt.Appendf(nil, callersFile, id, sum), 0o600),
		writePEM(filepath.Join(folder, "ca.pem"), "CERTIFICATE", a.certificate.Raw),
		a.issue(folder, "gateway", &x509.Certificate{
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}),
		a.issue(folder, "shop", &x509.Certificate{
			URIs:        []*url.URL{{Scheme: "spiffe", Host: "scenarios.test", Path: "/shop"}},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}),
	)
}

// authority issues certificates for a day.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority() (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	a := authority{certificate: forADay("authority", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}), key: key}
	der, err := x509.CreateCertificate(rand.Reader, a.certificate, a.certificate, key.Public(), key)
	if err != nil {
		return authority{}, err
	}
	a.certificate, err = x509.ParseCertificate(der)
	return a, err
}

func forADay(name string, template *x509.Certificate) *x509.Certificate {
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject.CommonName = name // it must differ from that of the authority, or the certificate looks self-signed
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	return template
}

// issue writes the certificate name.pem and its key name-key.pem.
func (a authority) issue(folder, name string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, forADay(name, template), a.certificate, key.Public(), a.key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(filepath.Join(folder, name+".pem"), "CERTIFICATE", der),
		writePEM(filepath.Join(folder, name+"-key.pem"), "PRIVATE KEY", keyDER),
	)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// secured plays a scenario with a credential, against the language's second gateway and with a program of its own.
func (c *column) secured(ctx context.Context, s scenario, open *play) ([]string, error) {
	program, err := c.language.start(ctx, c.stage, open.gateway, environment(c.stage.secrets, s.Credential))
	if err != nil {
		return nil, err
	}
	p := &play{gateway: open.gateway, program: program}
	problems, err := p.scenario(ctx, s)
	open.heard = append(open.heard, p.heard...)
	return problems, errors.Join(err, program.stop())
}
