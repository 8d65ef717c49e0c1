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

// tokenPrefix starts every access token. A token holds all that is needed to
// check it, so it stays valid after a reset or a restart of the sandbox. It has
// three parts like a JWT, but it is not one.
const tokenPrefix = "sandbox."

// tokenKey guards nothing. It only makes a mistyped token invalid.
var tokenKey = []byte("gigastore sandbox token")

type tokenClaims struct {
	Serial  uint64 `json:"serial"`
	Expires int64  `json:"exp"` // Unix seconds on the sandbox's clock
}

func signature(payload string) string {
	mac := hmac.New(sha256.New, tokenKey)
	mac.Write([]byte(payload))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// authenticate is POST /reseller/authenticate (dossier 2.1). It accepts any
// client id and secret that are not empty.
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

// authorized reports whether a request carries a valid token.
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

// hasCredentials reports whether HTTP Basic carries an id and a secret.
func hasCredentials(r *http.Request) bool {
	id, secret, ok := r.BasicAuth()
	return ok && id != "" && secret != ""
}
