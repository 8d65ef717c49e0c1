package access

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// signer signs JWTs.
type signer struct {
	algorithm   jose.SignatureAlgorithm
	key, public jose.JSONWebKey
}

func newSigner(t testing.TB, algorithm jose.SignatureAlgorithm, id string) signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch algorithm {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signer{algorithm, jose.JSONWebKey{Key: key, KeyID: id}, jose.JSONWebKey{Key: key.Public(), KeyID: id}}
}

// newRSASigner makes a signer with a key of any length.
func newRSASigner(t *testing.T, bits int, id string) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return signer{jose.RS256, jose.JSONWebKey{Key: key, KeyID: id}, jose.JSONWebKey{Key: key.Public(), KeyID: id}}
}

func jwks(t testing.TB, keys ...jose.JSONWebKey) string {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// claims are those of a good token, with changes. A nil removes a claim.
func claims(now time.Time, changes map[string]any) map[string]any {
	all := map[string]any{"iss": "https://login.example.com", "aud": "gigagate", "sub": "shop", "exp": now.Add(time.Hour).Unix()}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

func (s signer) sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	with, err := jose.NewSigner(jose.SigningKey{Algorithm: s.algorithm, Key: s.key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := with.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// issuerFile is a callers file with an issuer whose keys are in a file.
const issuerFile = `
issuers:
  - issuer: https://login.example.com
    audience: gigagate
    jwks_file: keys.json
  - issuer: https://narrow.example.com
    audience: gigagate
    algorithms: [EdDSA]
    jwks_file: keys.json
callers:
  - name: shop
    identities:
      - jwt: {issuer: https://login.example.com, subject: shop}
      - jwt: {issuer: https://narrow.example.com, subject: shop}
`

// withKeys reads a callers file beside a JWKS file.
func withKeys(t testing.TB, text string, keys ...jose.JSONWebKey) *Directory {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "keys.json"), []byte(jwks(t, keys...)), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := decode([]byte(text), folder)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// unsigned makes a token by hand.
func unsigned(header, payload, signature string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(payload)) + "." + signature
}

func TestTokens(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	rs, es, ed, foreign := newSigner(t, jose.RS256, "r1"), newSigner(t, jose.ES256, "e1"), newSigner(t, jose.EdDSA, "d1"), newSigner(t, jose.ES256, "e1")
	renamed, strong := foreign, rs
	renamed.key.KeyID = "e2"
	strong.algorithm = jose.RS512
	encryption := newSigner(t, jose.ES256, "enc")
	encryption.public.Use = "enc"
	withoutID := es
	withoutID.key.KeyID = ""
	d := withKeys(t, issuerFile, rs.public, es.public, ed.public, encryption.public)

	// The classic confusion: the public key as the secret of HMAC.
	der, err := x509.MarshalPKIXPublicKey(rs.public.Key)
	if err != nil {
		t.Fatal(err)
	}
	hmac := signer{algorithm: jose.HS256, key: jose.JSONWebKey{Key: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), KeyID: "r1"}}

	good := es.sign(t, claims(now, nil))
	parts := strings.Split(good, ".")
	payload, err := json.Marshal(claims(now, nil))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(changes map[string]any) string { return es.sign(t, claims(now, changes)) }
	in := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for name, test := range map[string]struct {
		token string
		why   refusal
	}{
		"RS256":                       {rs.sign(t, claims(now, nil)), ""},
		"ES256":                       {good, ""},
		"EdDSA":                       {ed.sign(t, claims(now, nil)), ""},
		"several audiences":           {sign(map[string]any{"aud": []string{"other", "gigagate"}}), ""},
		"expired a moment ago":        {sign(map[string]any{"exp": in(-20 * time.Second)}), ""},
		"expired":                     {sign(map[string]any{"exp": in(-time.Minute)}), expired},
		"no expiry":                   {sign(map[string]any{"exp": nil}), expired},
		"expiry 0":                    {sign(map[string]any{"exp": 0}), expired},
		"expiry a text":               {sign(map[string]any{"exp": "tomorrow"}), malformed},
		"not valid yet":               {sign(map[string]any{"nbf": in(time.Minute)}), notYetValid},
		"issued in the future":        {sign(map[string]any{"iat": in(time.Minute)}), notYetValid},
		"another audience":            {sign(map[string]any{"aud": "payments"}), wrongAudience},
		"a longer audience":           {sign(map[string]any{"aud": "gigagate2"}), wrongAudience},
		"no audience":                 {sign(map[string]any{"aud": nil}), wrongAudience},
		"audiences without ours":      {sign(map[string]any{"aud": []string{}}), wrongAudience},
		"another issuer":              {sign(map[string]any{"iss": "https://evil.example.com"}), unknownIssuer},
		"an issuer with a slash":      {sign(map[string]any{"iss": "https://login.example.com/"}), unknownIssuer},
		"no issuer":                   {sign(map[string]any{"iss": nil}), unknownIssuer},
		"an unknown subject":          {sign(map[string]any{"sub": "billing"}), unknownSubject},
		"no subject":                  {sign(map[string]any{"sub": nil}), unknownSubject},
		"a subject in capitals":       {sign(map[string]any{"sub": "SHOP"}), unknownSubject},
		"a foreign key with our id":   {foreign.sign(t, claims(now, nil)), wrongSignature},
		"an unknown key id":           {renamed.sign(t, claims(now, nil)), unknownSigner},
		"no key id, and several keys": {withoutID.sign(t, claims(now, nil)), unknownSigner},
		"a key for encryption":        {encryption.sign(t, claims(now, nil)), unknownSigner},
		"an algorithm we do not list": {strong.sign(t, claims(now, nil)), wrongAlgorithm},
		"an algorithm of another":     {rs.sign(t, claims(now, map[string]any{"iss": "https://narrow.example.com"})), wrongAlgorithm},
		"HMAC with the public key":    {hmac.sign(t, claims(now, nil)), wrongAlgorithm},
		"alg none":                    {unsigned(`{"alg":"none","kid":"e1"}`, string(payload), ""), wrongAlgorithm},
		"alg NONE":                    {unsigned(`{"alg":"NONE","kid":"e1"}`, string(payload), ""), wrongAlgorithm},
		"another key's algorithm":     {unsigned(`{"alg":"ES256","kid":"r1"}`, string(payload), parts[2]), wrongSignature},
		"its own key":                 {unsigned(`{"alg":"ES256","kid":"e1","jwk":`+mustJSON(t, foreign.public)+`}`, string(payload), parts[2]), wrongSignature},
		"without a signature":         {parts[0] + "." + parts[1] + ".", wrongSignature},
		"changed claims":              {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), "shop", "anna", 1))) + "." + parts[2], wrongSignature},
		"a claim twice":               {unsigned(`{"alg":"ES256","kid":"e1"}`, `{"iss":"a","iss":"https://login.example.com"}`, parts[2]), malformed},
		"an unknown critical header":  {unsigned(`{"alg":"ES256","kid":"e1","crit":["x"],"x":1}`, string(payload), parts[2]), wrongSignature},
		"two parts":                   {parts[0] + "." + parts[1], malformed},
		"no token":                    {"x", malformed},
		"no JSON":                     {unsigned(`{"alg":"ES256","kid":"e1"}`, "x", parts[2]), malformed},
		"five parts":                  {good + "." + parts[1] + "." + parts[2], malformed},
	} {
		p, why := d.byJWT(t.Context(), test.token, now)
		if why != test.why || (why == "") != (p != nil) {
			t.Errorf("%s: refused for %q, want %q", name, why, test.why)
		}
	}
}

// A token that was accepted before is still checked at every call, and is remembered only within a limit.
func TestAcceptedTokenExpires(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jose.ES256, "e1")
	d := withKeys(t, issuerFile, s.public)
	token := s.sign(t, claims(now, nil))
	for range 2 {
		if _, why := d.byJWT(t.Context(), token, now); why != "" {
			t.Errorf("refused for %q", why)
		}
	}
	if _, why := d.byJWT(t.Context(), token, now.Add(2*time.Hour)); why != expired {
		t.Errorf("after its expiry it is refused for %q", why)
	}
	for i := range mostVerified + 1 {
		d.verified.add([32]byte{byte(i), byte(i >> 8)}, verifiedToken{})
	}
	if n := len(d.verified.tokens); n > mostVerified {
		t.Errorf("%d tokens are remembered", n)
	}
}

// Only tokens of principals are remembered, so that nobody else can make the gateway forget them.
func TestOnlyTokensOfPrincipalsAreRemembered(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jose.ES256, "e1")
	d := withKeys(t, issuerFile, s.public)
	for _, changes := range []map[string]any{{"sub": "nobody"}, {"aud": "other"}, {"exp": 1}} {
		if _, why := d.byJWT(t.Context(), s.sign(t, claims(now, changes)), now); why == "" || len(d.verified.tokens) > 0 {
			t.Errorf("%v: refused for %q, %d tokens are remembered", changes, why, len(d.verified.tokens))
		}
	}
}

// A set with one key may be without key ids.
func TestTokenWithoutKeyID(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jose.ES256, "")
	d := withKeys(t, issuerFile, s.public)
	if _, why := d.byJWT(t.Context(), s.sign(t, claims(time.Now(), nil)), time.Now()); why != "" {
		t.Errorf("refused for %q", why)
	}
}

func mustJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
