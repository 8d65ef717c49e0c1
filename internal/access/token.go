package access

import (
	"context"
	"errors"
	"slices"
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
	static         signingKeys // of the JWKS file
	remote         *remoteKeys // found by OIDC discovery. It is nil with a JWKS file
}

// find returns the keys with a key id.
func (i *issuer) find(ctx context.Context, keyID string) signingKeys {
	if i.remote != nil {
		return i.remote.find(ctx, keyID)
	}
	return i.static.withID(keyID)
}

// clockSkew is how far the clocks of an issuer and of the gateway may differ.
const clockSkew = 30 * time.Second

// byJWT finds the principal of a JWT.
func (d *Directory) byJWT(ctx context.Context, text string, now time.Time) (*Principal, refusal) {
	token, err := jwt.ParseSigned(text, algorithms)
	if _, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return nil, wrongAlgorithm
	}
	var unverified jwt.Claims
	if err != nil || token.UnsafeClaimsWithoutVerification(&unverified) != nil {
		return nil, malformed
	}
	i, ok := d.issuers[unverified.Issuer]
	if !ok {
		return nil, unknownIssuer
	}
	header := token.Headers[0]
	if !slices.Contains(i.algorithms, jose.SignatureAlgorithm(header.Algorithm)) {
		return nil, wrongAlgorithm
	}
	keys := i.find(ctx, header.KeyID)
	if len(keys) == 0 {
		return nil, unknownSigner
	}
	claims, ok := verified(token, keys)
	if !ok {
		return nil, wrongSignature
	}
	if why := i.check(claims, now); why != "" {
		return nil, why
	}
	p, ok := d.subjects[subject{i.name, claims.Subject}]
	if !ok {
		return nil, unknownSubject
	}
	return p, ""
}

// verified returns the claims of a token that one of the keys has signed.
func verified(token *jwt.JSONWebToken, keys signingKeys) (claims jwt.Claims, ok bool) {
	for _, key := range keys {
		if key.Algorithm != "" && key.Algorithm != token.Headers[0].Algorithm {
			continue
		}
		claims = jwt.Claims{}
		if token.Claims(key.Key, &claims) == nil {
			return claims, true
		}
	}
	return claims, false
}

// check checks the claims of a token whose signature is right.
func (i *issuer) check(claims jwt.Claims, now time.Time) refusal {
	if claims.Expiry == nil {
		return expired
	}
	err := claims.ValidateWithLeeway(jwt.Expected{Issuer: i.name, AnyAudience: jwt.Audience{i.audience}, Time: now}, clockSkew)
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
