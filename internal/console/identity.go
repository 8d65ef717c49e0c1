package console

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"gigagate.internal/internal/access"
	"gigagate.internal/internal/fairshare"
)

// Every request is identified by itself, with the callers file of that moment. A session only remembers what was presented.

const (
	// maxSignIns is how many attempts to sign in may be under way.
	maxSignIns = 20
	// wrongKeyPause is how long the answer to a wrong key waits. It keeps its place meanwhile, so guesses are slow.
	wrongKeyPause = time.Second
)

// identified returns the request with its operator. If there is none, it answers and returns false.
func (c *Console) identified(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	p, ok := c.identify(r)
	switch {
	case ok:
		return r.WithContext(access.With(r.Context(), p)), true
	case isStream(r):
		http.Error(w, "sign in first", http.StatusUnauthorized)
	default:
		next := Root + "sign-in"
		if r.Method == http.MethodGet && r.URL.Path != Root {
			next += "?next=" + url.QueryEscape(r.URL.RequestURI())
		}
		http.Redirect(w, r, next, http.StatusSeeOther)
	}
	return r, false
}

// identify returns the operator who makes a request.
func (c *Console) identify(r *http.Request) (*access.Principal, bool) {
	if c.config.Access == nil {
		return access.Open, true
	}
	shown, inSession := c.sessions.of(r)
	if r.TLS != nil && c.config.Trusted != nil {
		shown.Certificate = c.config.Trusted(*r.TLS)
	}
	if shown.Certificate == nil && !inSession {
		return nil, false // it has not tried, so it does not count as a wrong credential
	}
	p, err := c.config.Access.Identify(r.Context(), shown)
	if err != nil || !p.Rights.All {
		c.sessions.end(r) // the operator was taken out of the callers file
		return nil, false
	}
	return p, true
}

// signInPage is what the form for the key shows.
type signInPage struct {
	Next    string
	Wrong   bool
	Problem string // why the issuer did not sign somebody in
	// Issuer is where an operator can also sign in, and Link leads there. They are empty if there is none.
	Issuer, Link string
}

// askToSignIn shows the form for the key and the link to the issuer.
func (c *Console) askToSignIn(w http.ResponseWriter, r *http.Request, status int, shown signInPage) {
	if c.config.SignIn != nil {
		shown.Issuer, shown.Link = c.config.SignIn.Host(), c.config.URL+issuerPath+"?next="+url.QueryEscape(shown.Next)
	}
	c.show(w, r, "sign-in", page{Title: "Sign in", Status: status, Data: shown})
}

func (c *Console) showSignIn(w http.ResponseWriter, r *http.Request) {
	if _, ok := c.identify(r); ok {
		http.Redirect(w, r, Root, http.StatusSeeOther)
		return
	}
	c.askToSignIn(w, r, http.StatusOK, signInPage{Next: ownPath(r.FormValue("next"))})
}

// signIn makes a session for an operator's key. A wrong key, and the key of a caller who is no operator, get the same answer.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	if c.config.Access == nil {
		http.Redirect(w, r, Root, http.StatusSeeOther)
		return
	}
	client := fairshare.ClientOf(r.RemoteAddr)
	if !c.signIns.Take(client) {
		c.showProblem(w, r, errTooManySignIns)
		return
	}
	defer c.signIns.Release(client)
	key := strings.TrimSpace(r.PostFormValue("key"))
	presented := access.Credentials{Authorization: []string{"Bearer " + key}}
	p, err := c.config.Access.Identify(r.Context(), presented)
	if err != nil || !p.Rights.All || !access.IsKey(key) {
		c.refuseSignIn(w, r, http.StatusForbidden, signInPage{Next: ownPath(r.PostFormValue("next")), Wrong: true})
		return
	}
	c.sessions.begin(w, r, presented, sessionLength)
	http.Redirect(w, r, ownPath(r.PostFormValue("next")), http.StatusSeeOther) //nolint:gosec // ownPath leads to the console only
}

// errTooManySignIns is shown while too many attempts to sign in are under way.
var errTooManySignIns = &problem{http.StatusTooManyRequests, "Too many attempts to sign in", "Try again in a few seconds."}

// refuseSignIn asks somebody again who could not sign in, after a while.
func (c *Console) refuseSignIn(w http.ResponseWriter, r *http.Request, status int, shown signInPage) {
	select {
	case <-time.After(wrongKeyPause):
	case <-r.Context().Done():
	case <-c.ending.Done():
	}
	c.askToSignIn(w, r, status, shown)
}

func (c *Console) signOut(w http.ResponseWriter, r *http.Request) {
	c.sessions.end(r)
	http.Redirect(w, r, Root+"sign-in", http.StatusSeeOther)
}

// ownPath is a path of the console, or Root if the text is none. Otherwise a link could send an operator to another site.
func ownPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || !strings.HasPrefix(u.Path, Root) {
		return Root
	}
	return u.RequestURI() // without the host
}
