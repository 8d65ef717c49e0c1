package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// algorithms are all that the callers file can allow. They are all asymmetric: with HMAC, whoever can check a token can make
// one, and a public key could be used as the secret.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

var defaultAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}

func algorithmNames() []string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = string(a)
	}
	return names
}

// issuer is who signs JWTs.
type issuer struct {
	name, audience string
	algorithms     []jose.SignatureAlgorithm
	static         *keySet     // of the JWKS file
	remote         *remoteKeys // found by OIDC discovery. It is nil with a JWKS file
}

// find returns the issuer's keys. If none has the id, it may fetch them.
func (i *issuer) find(ctx context.Context, keyID string) *keySet {
	if i.remote != nil {
		return i.remote.find(ctx, keyID)
	}
	return i.static
}

// current returns the issuer's keys as they are.
func (i *issuer) current() *keySet {
	if i.remote != nil {
		return i.remote.current()
	}
	return i.static
}

// clockSkew is how far the clocks of an issuer and of the gateway may differ.
const clockSkew = 30 * time.Second

// byJWT finds the principal of a JWT.
func (d *Directory) byJWT(ctx context.Context, text string, now time.Time) (*Principal, refusal) {
	if len(d.issuers) == 0 {
		return nil, malformed
	}
	sum := sha256.Sum256([]byte(text))
	token, known := d.verified.get(sum)
	if !known {
		var why refusal
		if token, why = d.verify(ctx, text); why != "" {
			return nil, why
		}
	}
	if why := token.issuer.check(token.claims, token.issuer.audience, now); why != "" {
		return nil, why
	}
	p, ok := d.subjects[Subject{token.issuer.name, token.claims.Subject}]
	if !ok {
		return nil, unknownSubject
	}
	if !known {
		d.verified.add(sum, token)
	}
	return p, ""
}

// verify checks the signature of a JWT. It fills more with claims that it does not know.
func (d *Directory) verify(ctx context.Context, text string, more ...any) (verifiedToken, refusal) {
	token, err := jwt.ParseSigned(text, algorithms)
	if _, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return verifiedToken{}, wrongAlgorithm
	}
	var unverified jwt.Claims
	if err != nil || token.UnsafeClaimsWithoutVerification(&unverified) != nil {
		return verifiedToken{}, malformed
	}
	i, ok := d.issuers[unverified.Issuer]
	if !ok {
		return verifiedToken{}, unknownIssuer
	}
	header := token.Headers[0]
	if !slices.Contains(i.algorithms, jose.SignatureAlgorithm(header.Algorithm)) {
		return verifiedToken{}, wrongAlgorithm
	}
	set := i.find(ctx, header.KeyID)
	keys := set.withID(header.KeyID)
	for _, key := range keys {
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		var claims jwt.Claims
		if token.Claims(key.Key, append(more, &claims)...) == nil {
			return verifiedToken{claims, i, set}, ""
		}
	}
	if len(keys) == 0 {
		return verifiedToken{}, unknownSigner
	}
	return verifiedToken{}, wrongSignature
}

// check checks the claims of a token whose signature is right.
func (i *issuer) check(claims jwt.Claims, audience string, now time.Time) refusal {
	if claims.Expiry == nil {
		return expired
	}
	err := claims.ValidateWithLeeway(jwt.Expected{Issuer: i.name, AnyAudience: jwt.Audience{audience}, Time: now}, clockSkew)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, jwt.ErrInvalidAudience):
		return wrongAudience
	case errors.Is(err, jwt.ErrExpired):
		return expired
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return notYetValid
	}
	return malformed
}

// mostVerified is how many tokens are remembered.
const mostVerified = 1024

// verifiedToken is a token whose signature is right.
type verifiedToken struct {
	claims jwt.Claims
	issuer *issuer
	keys   *keySet // those of the issuer when the signature was checked
}

// verifiedTokens remembers tokens, because a service sends the same token with many calls, and a signature takes longer to check
// than all the rest. It only has tokens of principals, so nobody else can fill it. The claims are checked at every call.
type verifiedTokens struct {
	mu     sync.RWMutex
	tokens map[[sha256.Size]byte]verifiedToken
}

// get returns a token, unless the keys of its issuer have been fetched again: its key may have been withdrawn.
func (v *verifiedTokens) get(sum [sha256.Size]byte) (verifiedToken, bool) {
	v.mu.RLock()
	token, ok := v.tokens[sum]
	v.mu.RUnlock()
	return token, ok && token.keys == token.issuer.current()
}

func (v *verifiedTokens) add(sum [sha256.Size]byte, token verifiedToken) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.tokens) >= mostVerified {
		clear(v.tokens)
	}
	v.tokens[sum] = token
}
