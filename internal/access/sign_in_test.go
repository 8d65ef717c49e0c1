package access

import (
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// An issuer of the callers file at which nobody signs in cannot sign anybody in.
func TestSignInIsOfItsIssuer(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSigner(t, jose.EdDSA, "e1")
	d := withKeys(t, issuerFile, s.public)
	for name, want := range map[string]refusal{"https://login.example.com": "", "https://narrow.example.com": unknownIssuer, "https://evil.example.com": unknownIssuer} {
		token := s.sign(t, claims(now, map[string]any{"iss": name, "aud": "console", "nonce": "n"}))
		who, why := d.bySignIn(t.Context(), token, SignInConfig{Issuer: "https://login.example.com", ClientID: "console"}, "n", now)
		if why != want || (why == "") != (who == Subject{"https://login.example.com", "shop"}) {
			t.Errorf("%s: %v, refused for %q, want %q", name, who, why, want)
		}
	}
}

// Who signed in must be in the callers file, and the same as in the other credentials.
func TestSignedInAgrees(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSigner(t, jose.ES256, "e1")
	d := withKeys(t, issuerFile+`
operators:
  - name: anna
    identities: [{jwt: {issuer: https://login.example.com, subject: anna}}]
`, s.public)
	token := []string{"Bearer " + s.sign(t, claims(now, nil))}
	subject := func(name string) *Subject { return &Subject{"https://login.example.com", name} }
	for name, test := range map[string]struct {
		shown Credentials
		name  string
		why   refusal
	}{
		"alone":             {Credentials{SignedIn: subject("anna")}, "anna", ""},
		"unknown":           {Credentials{SignedIn: subject("bert")}, "", unknownSubject},
		"nobody":            {Credentials{SignedIn: &Subject{}}, "", unknownSubject},
		"of another issuer": {Credentials{SignedIn: &Subject{"https://narrow.example.com", "anna"}}, "", unknownSubject},
		"with a token":      {Credentials{SignedIn: subject("shop"), Authorization: token}, "shop", ""},
		"against a token":   {Credentials{SignedIn: subject("anna"), Authorization: token}, "", disagree},
	} {
		p, why := d.identify(t.Context(), test.shown, now)
		got := ""
		if p != nil {
			got = p.Name
		}
		if why != test.why || got != test.name {
			t.Errorf("%s: %q, refused for %q, want %q, %q", name, got, why, test.name, test.why)
		}
	}
}

// A sign-in needs an issuer that can be asked, and that the callers file has.
func TestNewSignIn(t *testing.T) {
	t.Parallel()
	l := watchFile(t, Config{Transport: &fakeIssuer{}}, discoveryFile)
	for issuer, want := range map[string]string{
		"https://login.example.com":  "",
		"https://login.example.com/": "it is not under issuers in the callers file, so nobody could sign in",
		"http://login.example.com":   "it must be an https URL, or an http URL of this machine",
		"login.example.com":          "it must be an https URL, or an http URL of this machine",
	} {
		_, err := l.NewSignIn(SignInConfig{Issuer: issuer, ClientID: "console"})
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v, want %q", issuer, err, want)
		}
	}
}
