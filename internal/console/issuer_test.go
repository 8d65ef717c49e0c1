package console

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gigagate.internal/internal/access"
	"gigagate.internal/internal/access/oidctest"
)

// signInTest is a console with an issuer, and a browser.
type signInTest struct {
	*Console
	issuer *oidctest.Issuer
	live   *access.Live
	file   string
	log    *lines
	now    time.Time
	jar    map[string]*http.Cookie
	tls    *tls.ConnectionState // of the browser's connection, or nil
}

// lines is a log that is read while others write it.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

const testClient, testSecret = "console", "a client secret"

// people is a callers file. Nobody in it has a key.
func people(issuer, operator string) string {
	return fmt.Sprintf(`
issuers:
  - {issuer: %[1]s, audience: gigagate}
callers:
  - name: shop
    identities: [{jwt: {issuer: %[1]s, subject: shop}}]
    may: {methods: [all]}
operators:
  - name: anna
    identities: [{jwt: {issuer: %[1]s, subject: %[2]s}}]
    may: [read]
`, issuer, operator)
}

func newSignInTest(t *testing.T, issuer *oidctest.Issuer, transport http.RoundTripper) *signInTest {
	t.Helper()
	s := &signInTest{issuer: issuer, file: filepath.Join(t.TempDir(), "callers.yaml"), log: &lines{}, now: time.Now(), jar: map[string]*http.Cookie{}}
	s.write(t, people(issuer.Name, "anna-7"))
	logger := slog.New(slog.NewTextHandler(s.log, nil))
	var err error
	if s.live, err = access.Watch(access.Config{File: s.file, Logger: logger, Transport: transport}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.live.Close)
	const address = "http://localhost:9465"
	signIn, err := s.live.NewSignIn(access.SignInConfig{
		Issuer: issuer.Name, ClientID: testClient, Callback: address + CallbackPath,
		Secret: func() (string, error) { return testSecret, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Console = newScriptedConsole(t, &scripted{}, nil)
	config := s.config
	config.Access, config.SignIn, config.URL, config.Logger = s.live, signIn, address, logger
	config.Now = func() time.Time { return s.now }
	if s.Console, err = New(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	issuer.Callback = address + CallbackPath
	return s
}

func (s *signInTest) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// get asks for a page, with the cookies of the browser.
func (s *signInTest) get(t *testing.T, address string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	r.Host, r.TLS = "localhost:9465", s.tls
	for _, cookie := range s.jar {
		if strings.HasPrefix(r.URL.Path, cookie.Path) {
			r.AddCookie(cookie)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	for _, cookie := range w.Result().Cookies() {
		if s.jar[cookie.Name] = cookie; cookie.MaxAge < 0 {
			delete(s.jar, cookie.Name)
		}
	}
	return w
}

// atIssuer goes to the issuer, and signs somebody in there. It returns the address to which the issuer sends the browser back.
func (s *signInTest) atIssuer(t *testing.T, subject string) string {
	t.Helper()
	begun := s.get(t, issuerPath+"?next="+url.QueryEscape("/console/purchases?state=FAILED"))
	if begun.Code != http.StatusSeeOther {
		t.Fatalf("the way to the issuer: %d\n%s", begun.Code, begun.Body)
	}
	back, err := s.issuer.SignIn(begun.Header().Get("Location"), subject)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// isSignedIn reports whether the browser sees pages.
func (s *signInTest) isSignedIn(t *testing.T) bool {
	t.Helper()
	return s.get(t, Root+"purchases").Code == http.StatusOK
}

// TestSignInAtIssuer: an operator goes to the issuer and comes back with a session, and nothing of it is told.
func TestSignInAtIssuer(t *testing.T) {
	t.Parallel()
	s := newSignInTest(t, oidctest.New(t, testClient, testSecret), nil)
	if form := s.get(t, Root+"sign-in").Body.String(); !strings.Contains(form, s.config.URL+issuerPath) {
		t.Errorf("the page has no link to the issuer:\n%s", form)
	}
	back := s.atIssuer(t, "anna-7")
	waiting := s.jar["gigagate-sign-in-9465"]
	if waiting == nil || !waiting.HttpOnly || waiting.SameSite != http.SameSiteLaxMode || waiting.Path != Root+"sign-in/" || waiting.MaxAge != 600 {
		t.Fatalf("the cookie of the attempt is %+v", waiting)
	}
	shown := s.get(t, back)
	if shown.Code != http.StatusOK || shown.Header().Get("Refresh") != "0; url=/console/purchases?state=FAILED" || shown.Header().Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("back from the issuer: %d %v\n%s", shown.Code, shown.Header(), shown.Body)
	}
	session := s.jar["gigagate-console-9465"]
	if session == nil || !session.HttpOnly || session.SameSite != http.SameSiteStrictMode || session.MaxAge != 3600 {
		t.Errorf("the cookie of the session is %+v", session)
	}
	if s.jar["gigagate-sign-in-9465"] != nil {
		t.Error("the browser keeps the cookie of the attempt")
	}
	if page := s.get(t, Root+"purchases"); page.Code != http.StatusOK || !strings.Contains(page.Body.String(), "anna") {
		t.Errorf("the page of the operator: %d", page.Code)
	}
	query, _ := url.Parse(back)
	told := s.log.String() + shown.Body.String()
	for _, secret := range []string{query.Query().Get("code"), query.Query().Get("state"), waiting.Value, session.Value, testSecret} {
		if strings.Contains(told, secret) {
			t.Errorf("%s is told in\n%s", secret, told)
		}
	}
}

// TestSignInOverTLS: over TLS, no cookie of a sign-in goes over a connection without TLS, and no other host can set one.
func TestSignInOverTLS(t *testing.T) {
	t.Parallel()
	s := newSignInTest(t, oidctest.New(t, testClient, testSecret), nil)
	s.tls = &tls.ConnectionState{}
	back := s.atIssuer(t, "anna-7")
	waiting := s.jar["__Secure-gigagate-sign-in-9465"]
	if len(s.jar) != 1 || waiting == nil || !waiting.Secure || !waiting.HttpOnly || waiting.SameSite != http.SameSiteLaxMode ||
		waiting.Path != Root+"sign-in/" || waiting.Domain != "" {
		t.Fatalf("the cookies of the attempt are %v", s.jar)
	}
	s.get(t, back)
	session := s.jar["__Host-gigagate-console-9465"]
	if len(s.jar) != 1 || session == nil || !session.Secure || !session.HttpOnly || session.SameSite != http.SameSiteStrictMode ||
		session.Path != "/" || session.Domain != "" {
		t.Fatalf("the cookies of the session are %v", s.jar)
	}
	if !s.isSignedIn(t) {
		t.Errorf("the operator is not signed in:\n%s", s.log)
	}
	s.tls = nil
	if s.isSignedIn(t) {
		t.Error("the session works without TLS")
	}
}

// TestSignInWithoutSecret: a public client has no secret. Its proof is that of PKCE.
func TestSignInWithoutSecret(t *testing.T) {
	t.Parallel()
	s := newSignInTest(t, oidctest.New(t, testClient, ""), nil)
	var err error
	s.config.SignIn, err = s.live.NewSignIn(access.SignInConfig{Issuer: s.issuer.Name, ClientID: testClient, Callback: s.issuer.Callback})
	if err != nil {
		t.Fatal(err)
	}
	if s.get(t, s.atIssuer(t, "anna-7")); !s.isSignedIn(t) {
		t.Errorf("the operator is not signed in:\n%s", s.log)
	}
}

// TestSessionOfIssuerEnds: the session ends with the operator's entry in the callers file, and after an hour.
func TestSessionOfIssuerEnds(t *testing.T) {
	t.Parallel()
	s := newSignInTest(t, oidctest.New(t, testClient, testSecret), nil)
	signIn := func() {
		if s.get(t, s.atIssuer(t, "anna-7")); !s.isSignedIn(t) {
			t.Fatalf("the operator is not signed in:\n%s", s.log)
		}
	}
	signIn()
	for range 3 { // not quite an hour of work
		s.now = s.now.Add(issuerSessionLength/3 - time.Second)
		if !s.isSignedIn(t) {
			t.Error("a session in use has ended")
		}
	}
	s.now = s.now.Add(3 * time.Second)
	if s.isSignedIn(t) {
		t.Error("a session lasts longer than an hour")
	}
	for name, text := range map[string]string{
		"with another subject": people(s.issuer.Name, "anna-8"),
		"as a caller":          strings.Replace(strings.Replace(people(s.issuer.Name, "x"), "subject: shop", "subject: anna-7", 1), "name: shop", "name: ann", 1),
	} {
		s.write(t, people(s.issuer.Name, "anna-7"))
		if err := s.live.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		signIn()
		s.write(t, text)
		if err := s.live.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.isSignedIn(t) {
			t.Errorf("the session goes on %s", name)
		}
	}
}

// TestOpenPageEndsWithTheAccount: a page that moves by itself ends when the operator's account is taken out of the callers file.
func TestOpenPageEndsWithTheAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := oidctest.Unserved(t, testClient, testSecret)
		s := newSignInTest(t, issuer, issuer)
		if s.get(t, s.atIssuer(t, "anna-7")); !s.isSignedIn(t) {
			t.Fatalf("the operator is not signed in:\n%s", s.log)
		}
		ctx, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, Root+"purchases", http.NoBody)
		r.Host = "localhost:9465"
		r.AddCookie(s.jar["gigagate-console-9465"])
		r.Header.Set("Accept", "text/event-stream")
		left := make(chan struct{})
		go func() {
			defer close(left)
			s.ServeHTTP(httptest.NewRecorder(), r)
		}()
		synctest.Wait()
		s.write(t, people(issuer.Name, "anna-8"))
		if err := s.live.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-left
		if ctx.Err() != nil {
			t.Error("the page goes on")
		}
	})
}

// TestIssuerThatIsDown: the page says so, after a bounded time, and strangers do not make the gateway ask again and again.
func TestIssuerThatIsDown(t *testing.T) {
	t.Parallel()
	for name, problem := range map[string]oidctest.Behavior{
		"refuses":             {Down: true},
		"is silent":           {Slow: time.Hour},
		"never ends":          {Pad: 2 << 20},
		"names another":       {Configuration: map[string]any{"issuer": "https://evil.example"}},
		"has no page":         {Configuration: map[string]any{"authorization_endpoint": "javascript:alert(1)"}},
		"has a page in plain": {Configuration: map[string]any{"authorization_endpoint": "http://login.example/a"}},
		"takes plain codes":   {Configuration: map[string]any{"token_endpoint": "http://login.example/t"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				issuer := oidctest.Unserved(t, testClient, testSecret)
				s := newSignInTest(t, issuer, issuer)
				synctest.Wait()
				<-time.After(time.Minute) // the first fetch of the keys is over
				issuer.Behave(problem)
				began, asked := time.Now(), issuer.Asked()
				for range 5 {
					if shown := s.get(t, issuerPath); shown.Code != http.StatusBadGateway || !strings.Contains(shown.Body.String(), "cannot be reached") || len(s.jar) > 0 {
						t.Fatalf("%d %s", shown.Code, shown.Body)
					}
				}
				if took := time.Since(began); took > 5*time.Second || issuer.Asked() != asked+1 {
					t.Errorf("it took %v, and the issuer was asked %d times", took, issuer.Asked()-asked)
				}
				if n := strings.Count(s.log.String(), "somebody could not sign in"); n != 1 {
					t.Errorf("%d lines in the log:\n%s", n, s.log)
				}
				issuer.Behave(oidctest.Behavior{})
				<-time.After(10 * time.Second)
				if s.get(t, s.atIssuer(t, "anna-7")); !s.isSignedIn(t) {
					t.Errorf("the operator is not signed in although the issuer is back:\n%s", s.log)
				}
			})
		})
	}
}

// TestSlowTokenIsBounded: an issuer that holds the code for ever holds the browser for a few seconds.
func TestSlowTokenIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := oidctest.Unserved(t, testClient, testSecret)
		s := newSignInTest(t, issuer, issuer)
		back := s.atIssuer(t, "anna-7")
		issuer.Behave(oidctest.Behavior{Slow: time.Hour})
		began := time.Now()
		if shown := s.get(t, back); shown.Code != http.StatusBadGateway || time.Since(began) > callTime {
			t.Errorf("%d after %v", shown.Code, time.Since(began))
		}
	})
}

// TestCookiesOfTwoConsoles: browsers send a cookie to all ports of a host, so the name has the port.
func TestCookiesOfTwoConsoles(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"localhost:9465": "gigagate-console-9465", "[::1]:9475": "gigagate-console-9475", "gigagate.example": "gigagate-console",
		"localhost:a;b": "gigagate-console", "localhost:": "gigagate-console",
	} {
		r := httptest.NewRequest(http.MethodGet, Root, http.NoBody)
		if r.Host = host; cookieName(r) != want {
			t.Errorf("%s: %s, want %s", host, cookieName(r), want)
		}
	}
}
