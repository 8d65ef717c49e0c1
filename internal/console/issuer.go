package console

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"gigagate.internal/internal/access"
	"gigagate.internal/internal/fairshare"
)

// An operator can sign in at an OIDC issuer. The browser goes there and comes back with a code, which the gateway exchanges for
// the proof of who it is.

const (
	// issuerPath begins an attempt to sign in at the issuer.
	issuerPath = Root + "sign-in/issuer"
	// CallbackPath is where the issuer sends the browser back.
	CallbackPath = Root + "sign-in/callback"

	// attemptTime is how long an attempt may take. A person types a password in that time.
	attemptTime = 10 * time.Minute
	// longestNext is the longest address of a page that is remembered until the browser is back. A cookie has 4 KB.
	longestNext = 1 << 10
)

// attempts are what operators began at the issuer. The browser keeps its own attempt in a cookie, so strangers who begin one take
// no memory. The secrets of an attempt are made from the cookie with a key of this process. So nobody can invent or change one.
type attempts struct {
	key [sha256.Size]byte

	mu   sync.Mutex
	used map[[sha256.Size]byte]time.Time // attempts that made a session, until they are too old anyway
}

func newAttempts() *attempts {
	a := &attempts{used: map[[sha256.Size]byte]time.Time{}}
	_, _ = rand.Read(a.key[:]) // never fails, says its documentation
	return a
}

// begin returns the cookie of a new attempt. After it, the browser goes to the page next.
func (a *attempts) begin(next string, now time.Time) (cookie string) {
	if len(next) > longestNext {
		next = Root
	}
	return rand.Text() + "." + strconv.FormatInt(now.Unix(), 10) + "." + base64.RawURLEncoding.EncodeToString([]byte(next))
}

// secrets returns the secrets of an attempt.
func (a *attempts) secrets(cookie string) access.Attempt {
	made := func(purpose string) string {
		mac := hmac.New(sha256.New, a.key[:])
		_, _ = mac.Write([]byte(purpose + " " + cookie)) // never fails, says its documentation
		return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	return access.Attempt{State: made("state"), Nonce: made("nonce"), Verifier: made("verifier")}
}

// check returns the secrets of an attempt, and the page that it leads to. The state came back from the issuer, and must be that
// of the attempt. An old attempt is over.
func (a *attempts) check(cookie, state string, now time.Time) (secrets access.Attempt, next string, ok bool) {
	secrets = a.secrets(cookie)
	if subtle.ConstantTimeCompare([]byte(state), []byte(secrets.State)) != 1 {
		return access.Attempt{}, "", false
	}
	_, rest, _ := strings.Cut(cookie, ".")
	begun, page, _ := strings.Cut(rest, ".")
	seconds, _ := strconv.ParseInt(begun, 10, 64) // begin has written it, because the state is right
	text, _ := base64.RawURLEncoding.DecodeString(page)
	return secrets, ownPath(string(text)), now.Sub(time.Unix(seconds, 0)) < attemptTime
}

// use reports whether an attempt may make a session. It makes one at most.
func (a *attempts) use(cookie string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for one, at := range a.used {
		if now.Sub(at) >= attemptTime {
			delete(a.used, one)
		}
	}
	sum := sha256.Sum256([]byte(cookie))
	if _, again := a.used[sum]; again {
		return false
	}
	a.used[sum] = now
	return true
}

// attemptCookie is the cookie of an attempt. The browser sends it back only on the way from the issuer.
func attemptCookie(r *http.Request, value string, age time.Duration) *http.Cookie {
	name := withPort(r, "gigagate-sign-in")
	if r.TLS != nil {
		name = "__Secure-" + name
	}
	return &http.Cookie{ //nolint:gosec // it has all attributes, and a port without TLS cannot have Secure
		Name: name, Value: value, Path: Root + "sign-in/", MaxAge: int(age.Seconds()),
		HttpOnly: true, Secure: r.TLS != nil,
		SameSite: http.SameSiteLaxMode, // with Strict, a browser would not send it on the way from another site
	}
}

// beginAtIssuer sends the browser to the issuer.
func (c *Console) beginAtIssuer(w http.ResponseWriter, r *http.Request) {
	client := fairshare.ClientOf(r.RemoteAddr)
	if !c.signIns.Take(client) {
		c.showProblem(w, r, errTooManySignIns)
		return
	}
	defer c.signIns.Release(client)
	next := ownPath(r.FormValue("next"))
	cookie := c.attempts.begin(next, c.config.Now())
	address, err := c.config.SignIn.Address(c.attempts.secrets(cookie))
	if err != nil {
		c.askToSignIn(w, r, http.StatusBadGateway, signInPage{Next: next, Problem: sentence(err.Error()) + ". Try again in a moment, or use a key."})
		return
	}
	http.SetCookie(w, attemptCookie(r, cookie, attemptTime))
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// finishAtIssuer makes a session for an operator who comes back from the issuer. Somebody who is no operator gets the same answer
// as with a wrong key.
func (c *Console) finishAtIssuer(w http.ResponseWriter, r *http.Request) {
	client := fairshare.ClientOf(r.RemoteAddr)
	if !c.signIns.Take(client) {
		c.showProblem(w, r, errTooManySignIns)
		return
	}
	defer c.signIns.Release(client)
	w.Header().Set("Referrer-Policy", "no-referrer") // the address has the code
	query := r.URL.Query()
	cookie, err := r.Cookie(attemptCookie(r, "", 0).Name)
	if err != nil {
		cookie = &http.Cookie{}
	}
	secrets, next, ok := c.attempts.check(cookie.Value, query.Get("state"), c.config.Now())
	if !ok {
		c.askToSignIn(w, r, http.StatusBadRequest, signInPage{
			Next: Root, Problem: "This browser did not begin to sign in at this address, or it took too long. Sign in again.",
		})
		return
	}
	http.SetCookie(w, attemptCookie(r, "", -time.Second))
	if query.Get("code") == "" {
		c.askToSignIn(w, r, http.StatusForbidden, signInPage{Next: next, Problem: "The issuer did not sign you in."})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTime)
	defer cancel()
	who, err := c.config.SignIn.Subject(ctx, query.Get("code"), secrets)
	if err != nil {
		c.refuseSignIn(w, r, http.StatusBadGateway, signInPage{Next: next, Problem: sentence(err.Error()) + ". Try again, or use a key."})
		return
	}
	presented := access.Credentials{SignedIn: &who}
	p, err := c.config.Access.Identify(r.Context(), presented)
	if err != nil || !p.Rights.All || !c.attempts.use(cookie.Value, c.config.Now()) {
		c.refuseSignIn(w, r, http.StatusForbidden, signInPage{Next: next, Wrong: true})
		return
	}
	c.sessions.begin(w, r, presented, issuerSessionLength)
	// The cookie of the session is SameSite=Strict. A redirect would still be on the way from the issuer, so the browser would
	// not send it. A page of our own leads on.
	w.Header().Set("Refresh", "0; url="+next)
	c.show(w, r, "signed-in", page{Title: "You are signed in", Data: next})
}
