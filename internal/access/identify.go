package access

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"
)

// Credentials are what a caller presents with a call.
type Credentials struct {
	// Certificate is the client's certificate. TLS must have verified it. It is nil without one.
	Certificate *x509.Certificate
	// Authorization has every value of the header "authorization". More than one is refused.
	Authorization []string
	// SignedIn is who signed in at an issuer. [SignIn.Subject] must have returned it. It is nil if nobody did.
	SignedIn *Subject
}

// ErrUnauthenticated is the error for every wrong credential. It has no cause, so that a caller cannot learn from it which
// part of a credential was right.
var ErrUnauthenticated = errors.New("the credentials are missing or wrong")

// refusal is why credentials are refused. It is only counted. It is empty if they are accepted.
type refusal string

// All reasons to refuse credentials. They are values of a metric's attribute.
const (
	missing            refusal = "missing"     // there are none
	malformed          refusal = "malformed"   // the header, the key or the token cannot be read
	disagree           refusal = "disagree"    // the certificate and the token, or two names in the certificate, stand for different principals
	unknownCertificate refusal = "certificate" // no name in the certificate is in the callers file
	unknownKey         refusal = "key"         // an unknown API key
	unknownIssuer      refusal = "issuer"
	unknownSubject     refusal = "subject"
	wrongAlgorithm     refusal = "algorithm"
	unknownSigner      refusal = "unknown_key" // the issuer has no key with the token's key id
	wrongSignature     refusal = "signature"
	wrongAudience      refusal = "audience"
	wrongNonce         refusal = "nonce"   // an ID token was made for another attempt to sign in
	expired            refusal = "expired" // or without an expiry
	notYetValid        refusal = "not_yet_valid"
)

var refusals = []refusal{
	missing, malformed, disagree, unknownCertificate, unknownKey, unknownIssuer, unknownSubject, wrongAlgorithm, unknownSigner,
	wrongSignature, wrongAudience, wrongNonce, expired, notYetValid,
}

// identify returns whose credentials these are. Every credential that is there must be right, and all must be of one principal.
func (d *Directory) identify(ctx context.Context, c Credentials, now time.Time) (*Principal, refusal) {
	var byCertificate, byToken, bySignIn *Principal
	var why refusal
	if c.Certificate != nil {
		if byCertificate, why = d.byCertificate(c.Certificate, now); why != "" {
			return nil, why
		}
	}
	if len(c.Authorization) > 0 {
		token, ok := bearer(c.Authorization)
		if !ok {
			return nil, malformed
		}
		if byToken, why = d.byToken(ctx, token, now); why != "" {
			return nil, why
		}
	}
	if c.SignedIn != nil {
		if bySignIn = d.subjects[*c.SignedIn]; bySignIn == nil {
			return nil, unknownSubject
		}
	}
	var found *Principal
	for _, p := range []*Principal{byCertificate, byToken, bySignIn} {
		if p != nil && found != nil && p != found {
			return nil, disagree
		}
		found = cmp.Or(found, p)
	}
	if found == nil {
		return nil, missing
	}
	return found, ""
}

// longestToken is the longest token that is read. It is the limit for all headers of a call.
const longestToken = 8 << 10

// bearer returns the token in the values of the header "authorization". There must be one value: "Bearer TOKEN".
func bearer(values []string) (token string, ok bool) {
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != "" && len(token) <= longestToken && !strings.ContainsAny(token, " \t,")
}

// byToken finds the principal of an API key or a JWT.
func (d *Directory) byToken(ctx context.Context, token string, now time.Time) (*Principal, refusal) {
	if strings.HasPrefix(token, keyPrefix) {
		return d.byKey(token)
	}
	return d.byJWT(ctx, token, now)
}

// byCertificate finds the principal of a certificate that TLS has verified. TLS verifies it once per connection, and the
// connection may outlive the certificate.
func (d *Directory) byCertificate(certificate *x509.Certificate, now time.Time) (*Principal, refusal) {
	if now.After(certificate.NotAfter) {
		return nil, expired
	}
	if now.Before(certificate.NotBefore) {
		return nil, notYetValid
	}
	names := slices.Clone(certificate.DNSNames)
	for _, uri := range certificate.URIs {
		names = append(names, uri.String())
	}
	var found *Principal
	for _, name := range names {
		p, ok := d.certificates[name]
		if ok && found != nil && p != found {
			return nil, disagree
		}
		if ok {
			found = p
		}
	}
	if found == nil {
		return nil, unknownCertificate
	}
	return found, ""
}
