package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// A token carries what it needs in itself, so it outlives a reset and a new
// start of the sandbox, as a token of the real service outlives both.
// It has the three parts of a JWT and is none.
const tokenPrefix = "sandbox."

// The key guards nothing; it makes a mistyped token a wrong one.
var tokenKey = []byte("gigastore sandbox token")

type tokenClaims struct {
	Serial  uint64 `json:"serial"`
	Expires int64  `json:"exp"` // Unix seconds of the sandbox's clock
}

func signature(payload string) string {
	mac := hmac.New(sha256.New, tokenKey)
	mac.Write([]byte(payload))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// authenticate is POST /reseller/authenticate (dossier 2.1). Any client id and
// secret will do, as long as both are there.
func authenticate(w *world, c *call) answer {
	if !c.basicAuth {
		return w.refuse(c, w.settings.Statuses.Unauthorized, SentenceWrongCredentials)
	}
	lifetime := time.Duration(w.settings.TokenLifetime)
	w.tokenSerial++
	claims := encode(tokenClaims{w.tokenSerial, w.now.Add(lifetime).Unix()})
	payload := base64.RawURLEncoding.EncodeToString(claims)
	wire := map[string]any{
		"accessToken":      tokenPrefix + payload + "." + signature(payload),
		"refreshToken":     nil,
		"refreshExpiresIn": 0,
		"tokenType":        "Bearer",
		"idToken":          nil,
	}
	if w.settings.ExpiresInShown {
		wire["expiresIn"] = int64(lifetime / time.Second)
	}
	return jsonAnswer(wire)
}

// authorized says whether a request bears a live token.
func (w *world) authorized(r *http.Request) bool {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	token, ours := strings.CutPrefix(token, tokenPrefix)
	payload, sum, signed := strings.Cut(token, ".")
	if !bearer || !ours || !signed || !hmac.Equal([]byte(sum), []byte(signature(payload))) {
		return false
	}
	text, err := base64.RawURLEncoding.DecodeString(payload)
	var claims tokenClaims
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return false
	}
	revoked := w.settings.NewTokenRevokesOlder && claims.Serial < w.tokenSerial
	return !revoked && w.now.Unix() < claims.Expires
}

// hasCredentials says whether HTTP Basic carries an id and a secret.
func hasCredentials(r *http.Request) bool {
	id, secret, ok := r.BasicAuth()
	return ok && id != "" && secret != ""
}
