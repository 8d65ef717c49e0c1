package access

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Authorities are the certificate authorities that issue the callers' certificates.
type Authorities struct {
	pool  *x509.CertPool
	roots map[string]struct{} // the same certificates, as DER
}

// ParseAuthorities reads certificates in PEM. It refuses everything else, for example a private key.
func ParseAuthorities(text []byte) (*Authorities, error) {
	a := &Authorities{pool: x509.NewCertPool(), roots: map[string]struct{}{}}
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it has a %s, and may have only certificates", block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		a.pool.AddCert(certificate)
		a.roots[string(certificate.Raw)] = struct{}{}
		text = rest
	}
	if len(a.roots) == 0 {
		return nil, errors.New("it has no certificate in PEM")
	}
	return a, nil
}

// Pool has the authorities for the handshakes of a server.
func (a *Authorities) Pool() *x509.CertPool { return a.pool }

// Verified returns the client's certificate of a connection. It returns nil if the client has shown none, or if the
// certificate is not trusted at the given time. A connection may be older than the authorities, so it may have been opened
// with a certificate of an authority that was removed since. Ask for every call.
func (a *Authorities) Verified(state tls.ConnectionState, now time.Time) *x509.Certificate {
	if a == nil || len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return nil
	}
	leaf := state.PeerCertificates[0]
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return nil
	}
	// The handshake has checked the signatures of these chains. They stay right.
	for _, chain := range state.VerifiedChains {
		if a.trust(chain, now) {
			return leaf
		}
	}
	// Another chain may be right, for example after an authority got a new certificate for its key.
	intermediates := x509.NewCertPool()
	for _, certificate := range state.PeerCertificates[1:] {
		intermediates.AddCert(certificate)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: a.pool, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil
	}
	return leaf
}

// trust reports whether a chain ends at one of the authorities, and all its certificates are valid at the given time.
func (a *Authorities) trust(chain []*x509.Certificate, now time.Time) bool {
	for _, certificate := range chain {
		if now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
			return false
		}
	}
	_, ok := a.roots[string(chain[len(chain)-1].Raw)]
	return ok
}
