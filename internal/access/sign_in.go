package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// SignInConfig says how people sign in at an issuer of the callers file. Secret may be nil.
type SignInConfig struct {
	Issuer   string
	ClientID string
	// Secret reads the client's secret. It is nil if the issuer gave none.
	Secret func() (string, error)
	// Callback is the address to which the issuer sends the browser back.
	Callback string
}

// SignIn signs people in at an issuer of the callers file, by OIDC's authorization code flow with PKCE. Nothing is asked of the
// issuer before somebody signs in.
type SignIn struct {
	config SignInConfig
	live   *Live
	client *http.Client

	mu     sync.Mutex
	found  *discovered // nil after a failure
	err    error       // of the last look
	looked time.Time
	warned time.Time // when the log last had a problem
}

// Attempt has the secrets of one attempt to sign in. Each is random, and belongs to one browser.
type Attempt struct {
	// State comes back with the browser. It shows that this browser began the attempt.
	State string
	// Nonce comes back in the ID token. It shows that the token was made for this attempt.
	Nonce string
	// Verifier goes to the issuer with the code. It shows that the code was given for this attempt.
	Verifier string
}

// The errors of a sign-in. They have no cause, because strangers see them. The log has the cause.
var (
	ErrIssuerUnusable = errors.New("the issuer cannot be reached, or its answer cannot be used")
	ErrSignInRefused  = errors.New("the issuer's proof of who signed in was not accepted")
)

// NewSignIn makes a SignIn.
func (l *Live) NewSignIn(config SignInConfig) (*SignIn, error) {
	if !IsSecureURL(config.Issuer) {
		return nil, errors.New("it must be an https URL, or an http URL of this machine")
	}
	if _, ok := l.current.Load().issuers[config.Issuer]; !ok {
		return nil, errors.New("it is not under issuers in the callers file, so nobody could sign in")
	}
	return &SignIn{config: config, live: l, client: newIssuerClient(l.config.Transport)}, nil
}

// Host is the name of the issuer for a person.
func (s *SignIn) Host() string {
	u, _ := url.Parse(s.config.Issuer) // it has been checked
	return u.Host
}

// Address returns the address to which the browser goes to sign in.
func (s *SignIn) Address(a Attempt) (string, error) {
	found, err := s.look()
	if err != nil {
		return "", err
	}
	u, _ := url.Parse(found.Authorization) // it has been checked
	query := u.Query()
	challenge := sha256.Sum256([]byte(a.Verifier))
	for name, value := range map[string]string{
		"response_type": "code", "scope": "openid", "client_id": s.config.ClientID, "redirect_uri": s.config.Callback,
		"state": a.State, "nonce": a.Nonce,
		"code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
	} {
		query.Set(name, value)
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// Subject returns who signed in. The issuer gave the code to the browser.
func (s *SignIn) Subject(ctx context.Context, code string, a Attempt) (Subject, error) {
	found, err := s.look()
	if err != nil {
		return Subject{}, err
	}
	token, err := s.exchange(ctx, found, code, a)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.warn(err)
		return Subject{}, ErrSignInRefused
	}
	subject, why := s.live.current.Load().bySignIn(ctx, token, s.config, a.Nonce, time.Now())
	if why != "" {
		s.live.instruments.refused(ctx, why)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.warn(fmt.Errorf("its ID token is refused: %s", why))
		return Subject{}, ErrSignInRefused
	}
	return subject, nil
}

// look returns what the issuer says about itself. Strangers can begin to sign in, so it asks the issuer only if it has not done
// so for a while. The others wait for it.
func (s *SignIn) look() (*discovered, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := refreshKeys
	if s.err != nil {
		age = betweenFetches
	}
	if s.looked.IsZero() || time.Since(s.looked) >= age {
		ctx, cancel := context.WithTimeout(s.live.ctx, fetchTimeout) // a browser that leaves does not spoil it for others
		defer cancel()
		s.found, s.err = s.discover(ctx)
		s.looked = time.Now()
	}
	if s.err != nil {
		s.warn(s.err)
		return nil, ErrIssuerUnusable
	}
	return s.found, nil
}

// discover asks the issuer what it says about itself, and checks the addresses of a sign-in.
func (s *SignIn) discover(ctx context.Context) (*discovered, error) {
	found, err := discover(ctx, s.client, s.config.Issuer)
	if err != nil {
		return nil, err
	}
	authorization, _, _ := strings.Cut(found.Authorization, "?")
	if !IsSecureURL(authorization) || strings.Contains(found.Authorization, "#") {
		return nil, errors.New("the issuer's configuration has an authorization_endpoint that is not an https URL")
	}
	if _, err := url.Parse(found.Authorization); err != nil || !IsSecureURL(found.Token) {
		return nil, errors.New("the issuer's configuration has an endpoint that is not an https URL")
	}
	return found, nil
}

// warn logs a problem, but seldom, because strangers can cause it. The lock is held.
func (s *SignIn) warn(err error) {
	if time.Since(s.warned) < repeatWarning {
		return
	}
	s.warned = time.Now()
	s.live.config.Logger.WarnContext(s.live.ctx, "somebody could not sign in at the issuer", "issuer", s.config.Issuer, "error", err)
}

// exchange gives the code to the issuer, and returns the ID token.
func (s *SignIn) exchange(ctx context.Context, found *discovered, code string, a Attempt) (string, error) {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {s.config.Callback}, "code_verifier": {a.Verifier},
	}
	var secret string
	if s.config.Secret != nil {
		var err error
		if secret, err = s.config.Secret(); err != nil {
			return "", err
		}
	}
	// Basic is what an issuer supports that says nothing.
	basic := secret != "" && (len(found.ClientAuth) == 0 || slices.Contains(found.ClientAuth, "client_secret_basic"))
	if !basic {
		form.Set("client_id", s.config.ClientID)
	}
	if secret != "" && !basic {
		form.Set("client_secret", secret)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, found.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		request.SetBasicAuth(url.QueryEscape(s.config.ClientID), url.QueryEscape(secret))
	}
	text, err := ask(s.client, request)
	if err != nil {
		return "", err
	}
	var tokens struct {
		ID string `json:"id_token"`
	}
	if json.Unmarshal(text, &tokens) != nil || tokens.ID == "" { // its error may quote the text
		return "", errors.New("its answer has no ID token")
	}
	if len(tokens.ID) > longestIDToken {
		return "", fmt.Errorf("its ID token is longer than %d bytes", longestIDToken)
	}
	return tokens.ID, nil
}

// longestIDToken is the longest ID token that is read. Some issuers put all groups of a person into it.
const longestIDToken = 64 << 10

// oauthErrors are the words with which a token endpoint refuses.
var oauthErrors = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
}

// oauthError returns the word in the answer of a token endpoint, for a log line. It is empty if the word is not a known one.
func oauthError(text []byte) string {
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(text, &answer) != nil || !slices.Contains(oauthErrors, answer.Error) {
		return ""
	}
	return ": " + answer.Error
}

// bySignIn returns who an ID token is about. The token must be of the issuer at which people sign in, for our client, and for
// this attempt.
func (d *Directory) bySignIn(ctx context.Context, text string, config SignInConfig, nonce string, now time.Time) (Subject, refusal) {
	var claims struct {
		Nonce string `json:"nonce"`
		Party string `json:"azp"`
	}
	token, why := d.verify(ctx, text, &claims)
	if why != "" {
		return Subject{}, why
	}
	if token.issuer.name != config.Issuer {
		return Subject{}, unknownIssuer
	}
	if why := token.issuer.check(token.claims, config.ClientID, now); why != "" {
		return Subject{}, why
	}
	// A token for several clients names the one that it was made for.
	if claims.Party != config.ClientID && (claims.Party != "" || len(token.claims.Audience) > 1) {
		return Subject{}, wrongAudience
	}
	if nonce == "" || subtle.ConstantTimeCompare([]byte(claims.Nonce), []byte(nonce)) != 1 {
		return Subject{}, wrongNonce
	}
	return Subject{token.issuer.name, token.claims.Subject}, ""
}
