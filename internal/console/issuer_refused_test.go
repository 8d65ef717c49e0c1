package console

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gigagate.internal/internal/access/oidctest"
)

// TestNoSessionFromIssuer: what the issuer or the browser brings must be right in every part.
func TestNoSessionFromIssuer(t *testing.T) {
	t.Parallel()
	const notBegun, notAccepted, noOperator, refused = "did not begin", "was not accepted", "not the key or the account of an operator", "did not sign you in"
	token := func(change func(claims map[string]any)) func(*signInTest) {
		return func(s *signInTest) { s.issuer.Behave(oidctest.Behavior{Claims: change}) }
	}
	for name, test := range map[string]struct {
		subject string
		before  func(s *signInTest)                             // before the browser goes to the issuer
		back    func(t *testing.T, s *signInTest, back *string) // before it comes back
		says    string
		status  int
	}{
		"another nonce":              {before: token(func(c map[string]any) { c["nonce"] = "another" }), says: notAccepted, status: http.StatusBadGateway},
		"no nonce":                   {before: token(func(c map[string]any) { delete(c, "nonce") }), says: notAccepted, status: http.StatusBadGateway},
		"a token for another client": {before: token(func(c map[string]any) { c["aud"] = "payroll" }), says: notAccepted, status: http.StatusBadGateway},
		"a token for calls":          {before: token(func(c map[string]any) { c["aud"] = "gigagate" }), says: notAccepted, status: http.StatusBadGateway},
		"a token made for another client": {
			before: token(func(c map[string]any) { c["aud"], c["azp"] = []string{testClient, "payroll"}, "payroll" }), says: notAccepted, status: http.StatusBadGateway,
		},
		"a token for several clients": {before: token(func(c map[string]any) { c["aud"] = []string{testClient, "payroll"} }), says: notAccepted, status: http.StatusBadGateway},
		"an expired token":            {before: token(func(c map[string]any) { c["exp"] = time.Now().Add(-time.Minute).Unix() }), says: notAccepted, status: http.StatusBadGateway},
		"a token without an expiry":   {before: token(func(c map[string]any) { delete(c, "exp") }), says: notAccepted, status: http.StatusBadGateway},
		"a token of another issuer":   {before: token(func(c map[string]any) { c["iss"] = "https://evil.example" }), says: notAccepted, status: http.StatusBadGateway},
		"an unsigned token":           {before: func(s *signInTest) { s.issuer.Behave(oidctest.Behavior{Unsigned: true}) }, says: notAccepted, status: http.StatusBadGateway},
		"a foreign key":               {before: func(s *signInTest) { s.issuer.Behave(oidctest.Behavior{ForeignKey: true}) }, says: notAccepted, status: http.StatusBadGateway},
		"a caller":                    {subject: "shop", says: noOperator, status: http.StatusForbidden},
		"nobody":                      {subject: "bert", says: noOperator, status: http.StatusForbidden},
		"another state": {
			back: func(_ *testing.T, _ *signInTest, back *string) {
				*back = strings.Replace(*back, "state=", "state=x", 1)
			},
			says: notBegun, status: http.StatusBadRequest,
		},
		"no state": {
			back: func(_ *testing.T, _ *signInTest, back *string) { *back = strings.Replace(*back, "state=", "stale=", 1) },
			says: notBegun, status: http.StatusBadRequest,
		},
		"the state of another attempt": {
			back: func(t *testing.T, s *signInTest, _ *string) { s.get(t, issuerPath) },
			says: notBegun, status: http.StatusBadRequest,
		},
		"a browser without the attempt": {
			back: func(_ *testing.T, s *signInTest, _ *string) { clear(s.jar) },
			says: notBegun, status: http.StatusBadRequest,
		},
		"an attempt of another process": {
			back: func(_ *testing.T, s *signInTest, _ *string) { s.attempts = newAttempts() },
			says: notBegun, status: http.StatusBadRequest,
		},
		"an attempt that took too long": {
			back: func(_ *testing.T, s *signInTest, _ *string) { s.now = s.now.Add(attemptTime) },
			says: notBegun, status: http.StatusBadRequest,
		},
		"an invented code": {
			back: func(_ *testing.T, _ *signInTest, back *string) { *back = strings.Replace(*back, "code=", "code=x", 1) },
			says: notAccepted, status: http.StatusBadGateway,
		},
		"a code of another attempt": {back: func(t *testing.T, s *signInTest, back *string) {
			code := s.atIssuerOf(t, "anna-7")
			u, _ := url.Parse(*back)
			query := u.Query()
			query.Set("code", code)
			u.RawQuery = query.Encode()
			*back = u.String()
		}, says: notAccepted, status: http.StatusBadGateway},
		"an error instead of a code": {
			back: func(_ *testing.T, _ *signInTest, back *string) { *back = strings.Replace(*back, "code=", "error=", 1) },
			says: refused, status: http.StatusForbidden,
		},
		"another secret":               {before: func(s *signInTest) { s.issuer.Behave(oidctest.Behavior{Secret: "another"}) }, says: notAccepted, status: http.StatusBadGateway},
		"a huge answer with the token": {back: func(_ *testing.T, s *signInTest, _ *string) { s.issuer.Behave(oidctest.Behavior{Pad: 2 << 20}) }, says: notAccepted, status: http.StatusBadGateway},
		"a huge token":                 {before: token(func(c map[string]any) { c["groups"] = strings.Repeat("a", 100<<10) }), says: notAccepted, status: http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				issuer := oidctest.Unserved(t, testClient, testSecret)
				s := newSignInTest(t, issuer, issuer)
				if test.before != nil {
					test.before(s)
				}
				back := s.atIssuer(t, cmp.Or(test.subject, "anna-7"))
				if test.back != nil {
					test.back(t, s, &back)
				}
				began := time.Now()
				shown := s.get(t, back)
				if held := test.says == notAccepted || test.says == noOperator; held && time.Since(began) < wrongKeyPause {
					t.Errorf("the refusal took %v", time.Since(began))
				}
				if shown.Code != test.status || !strings.Contains(shown.Body.String(), test.says) {
					t.Errorf("%d, want %d and %q in\n%s", shown.Code, test.status, test.says, shown.Body)
				}
				if s.jar["gigagate-console-9465"] != nil || s.isSignedIn(t) {
					t.Error("there is a session")
				}
			})
		})
	}
}

// atIssuerOf returns a code that the issuer gave to another browser.
func (s *signInTest) atIssuerOf(t *testing.T, subject string) (code string) {
	t.Helper()
	mine := s.jar
	s.jar = map[string]*http.Cookie{}
	back := s.atIssuer(t, subject)
	s.jar = mine
	u, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("code")
}

// TestAttemptMakesOneSession: an address that came back from the issuer works once, even at an issuer that accepts a code twice.
func TestAttemptMakesOneSession(t *testing.T) {
	t.Parallel()
	for _, lax := range []bool{false, true} {
		s := newSignInTest(t, oidctest.New(t, testClient, testSecret), nil)
		s.issuer.Behave(oidctest.Behavior{CodesStay: lax})
		back := s.atIssuer(t, "anna-7")
		attempt := *s.jar["gigagate-sign-in-9465"]
		if s.get(t, back); !s.isSignedIn(t) {
			t.Fatalf("the operator is not signed in:\n%s", s.log)
		}
		for _, kept := range []*http.Cookie{nil, &attempt} {
			clear(s.jar)
			if kept != nil {
				s.jar[kept.Name] = kept
			}
			if shown := s.get(t, back); shown.Code == http.StatusOK || s.isSignedIn(t) {
				t.Errorf("an issuer that accepts a code twice: %t; with the cookie of the attempt: %t; the address works again: %d", lax, kept != nil, shown.Code)
			}
		}
		s.now = s.now.Add(attemptTime)
		s.attempts.use("another", s.now)
		if n := len(s.attempts.used); n != 1 {
			t.Errorf("%d attempts are remembered", n)
		}
	}
}
