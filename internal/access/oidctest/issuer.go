// Package oidctest is an OIDC issuer for tests: discovery, keys, the page on which a person signs in, and the token endpoint. It
// keeps what it promised: a code works once, for its client, its address and the verifier of its challenge.
package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Issuer is an issuer with one client.
type Issuer struct {
	// Name is the issuer's URL.
	Name string
	// Callback is the client's address, to which browsers are sent back.
	Callback string

	client, secret string
	own, foreign   *ecdsa.PrivateKey

	mu       sync.Mutex
	behavior Behavior
	asked    int
	codes    map[string]grant
}

// grant is what a code stands for.
type grant struct{ subject, nonce, challenge string }

// Behavior is what an issuer does wrong. The zero value is a good issuer.
type Behavior struct {
	Down          bool                        // it answers 503
	Slow          time.Duration               // it answers so much later
	Pad           int                         // its answers are so many bytes longer
	Configuration map[string]any              // other values in its configuration
	Secret        string                      // another client secret
	Claims        func(claims map[string]any) // changes the claims of ID tokens
	Unsigned      bool                        // ID tokens have alg none
	ForeignKey    bool                        // ID tokens are signed with a key that is not published
	CodesStay     bool                        // a code works again
}

// New starts an issuer. Without a secret, the client is a public one.
func New(t testing.TB, client, secret string) *Issuer {
	t.Helper()
	i := Unserved(t, client, secret)
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.Name = server.URL
	return i
}

// Unserved makes an issuer without a port. It is the transport of a client, so it also works in a bubble of testing/synctest.
func Unserved(t testing.TB, client, secret string) *Issuer {
	t.Helper()
	i, err := Make(client, secret)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// Make makes an issuer for a program.
func Make(client, secret string) (*Issuer, error) {
	i := &Issuer{Name: "https://login.example", client: client, secret: secret, codes: map[string]grant{}}
	var err1, err2 error
	i.own, err1 = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	i.foreign, err2 = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return i, errors.Join(err1, err2)
}

// Behave changes what the issuer does from now on.
func (i *Issuer) Behave(b Behavior) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.behavior = b
}

// Asked returns how often somebody has asked for the issuer's configuration.
func (i *Issuer) Asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// SignIn does what the issuer does for a browser that comes with an address, and whose person proves to be the subject. It returns
// the address to which the browser is sent back.
func (i *Issuer) SignIn(address, subject string) (back string, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	query := u.Query()
	for name, want := range map[string]string{
		"response_type": "code", "client_id": i.client, "redirect_uri": i.Callback, "code_challenge_method": "S256",
	} {
		if query.Get(name) != want {
			return "", errors.New("the issuer refuses " + name + " " + query.Get(name))
		}
	}
	if !strings.HasPrefix(address, i.Name+"/authorize?") || !slices.Contains(strings.Fields(query.Get("scope")), "openid") || query.Get("code_challenge") == "" {
		return "", errors.New("the issuer refuses " + address)
	}
	code := rand.Text()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.codes[code] = grant{subject, query.Get("nonce"), query.Get("code_challenge")}
	return i.Callback + "?" + url.Values{"state": {query.Get("state")}, "code": {code}}.Encode(), nil
}

// page is where a person signs in. Its buttons stand for the passwords of a real issuer.
const page = `<!doctype html><html lang="en"><title>Issuer</title><form method="post">
<button name="subject" value="anna">I am Anna</button>
<button name="subject" value="bert">I am Bert</button>
<button name="subject" value="">I do not sign in</button></form>`

// ServeHTTP implements [http.Handler].
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	does := i.behavior
	if r.URL.Path == "/.well-known/openid-configuration" {
		i.asked++
	}
	i.mu.Unlock()
	select {
	case <-time.After(does.Slow):
	case <-r.Context().Done():
		return
	}
	if does.Down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		found := map[string]any{
			"issuer": i.Name, "jwks_uri": i.Name + "/keys", "authorization_endpoint": i.Name + "/authorize?tenant=1", "token_endpoint": i.Name + "/token",
		}
		maps.Copy(found, does.Configuration)
		does.answer(w, http.StatusOK, found)
	case "/keys":
		does.answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.own.Public(), KeyID: "1"}}})
	case "/authorize":
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(page))
			return
		}
		back, err := i.SignIn(i.Name+r.URL.RequestURI(), r.PostFormValue("subject"))
		if r.PostFormValue("subject") == "" {
			back = i.Callback + "?" + url.Values{"state": {r.URL.Query().Get("state")}, "error": {"access_denied"}}.Encode()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, back, http.StatusSeeOther)
	case "/token":
		i.exchange(w, r, does)
	default:
		http.NotFound(w, r)
	}
}

// answer sends JSON.
func (b Behavior) answer(w http.ResponseWriter, status int, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, strings.Repeat(" ", b.Pad)...))
}

// exchange is the token endpoint.
func (i *Issuer) exchange(w http.ResponseWriter, r *http.Request, does Behavior) {
	refuse := func(word string) { does.answer(w, http.StatusBadRequest, map[string]string{"error": word}) }
	client, secret, basic := r.BasicAuth()
	if !basic {
		client, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	secret, err := url.QueryUnescape(secret)
	if err != nil || client != i.client || secret != i.secret || does.Secret != "" {
		refuse("invalid_client")
		return
	}
	i.mu.Lock()
	granted, ok := i.codes[r.PostFormValue("code")]
	if !does.CodesStay {
		delete(i.codes, r.PostFormValue("code"))
	}
	i.mu.Unlock()
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || r.Method != http.MethodPost || r.PostFormValue("grant_type") != "authorization_code" || r.PostFormValue("redirect_uri") != i.Callback ||
		granted.challenge != base64.RawURLEncoding.EncodeToString(challenge[:]) {
		refuse("invalid_grant")
		return
	}
	token, err := i.idToken(granted, does)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	does.answer(w, http.StatusOK, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 300, "id_token": token})
}

// idToken makes an ID token.
func (i *Issuer) idToken(granted grant, does Behavior) (string, error) {
	now := time.Now()
	claims := map[string]any{
		"iss": i.Name, "aud": i.client, "sub": granted.subject, "nonce": granted.nonce, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	if does.Claims != nil {
		does.Claims(claims)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	if does.Unsigned {
		encode := base64.RawURLEncoding.EncodeToString
		return encode([]byte(`{"alg":"none","kid":"1"}`)) + "." + encode(text) + ".", nil
	}
	key := i.own
	if does.ForeignKey {
		key = i.foreign
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(text)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// RoundTrip implements [http.RoundTripper].
func (i *Issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	answer := httptest.NewRecorder()
	i.ServeHTTP(answer, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return answer.Result(), nil
}
