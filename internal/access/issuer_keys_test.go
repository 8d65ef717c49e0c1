package access

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// fakeIssuer answers as an OIDC provider. It counts how often its keys are fetched.
type fakeIssuer struct {
	mu       sync.Mutex
	keys     string
	fetches  int
	answer   func(*http.Request) (*http.Response, error) // in place of the usual answer, if it is set
	inFlight time.Duration                               // how long an answer takes
}

func (f *fakeIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	answer, keys, wait := f.answer, f.keys, f.inFlight
	if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
		f.fetches++
	}
	f.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if answer != nil {
		return answer(r)
	}
	if r.URL.Path == "/keys" {
		return answerWith(http.StatusOK, keys), nil
	}
	return answerWith(http.StatusOK, `{"issuer":"https://login.example.com","jwks_uri":"https://login.example.com/keys"}`), nil
}

func answerWith(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// set changes what the issuer does.
func (f *fakeIssuer) set(change func(*fakeIssuer)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeIssuer) fetched() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fetches
}

const discoveryFile = `
issuers:
  - issuer: https://login.example.com
    audience: gigagate
callers:
  - name: shop
    identities:
      - jwt: {issuer: https://login.example.com, subject: shop}
`

// watchFile starts with a callers file, and stops when the test ends.
func watchFile(t *testing.T, config Config, text string) *Live {
	t.Helper()
	config.File = filepath.Join(t.TempDir(), "callers.yaml")
	if err := os.WriteFile(config.File, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Watch(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// accepts reports whether a token of a signer is accepted.
func accepts(t *testing.T, l *Live, s signer) bool {
	t.Helper()
	return acceptsToken(t, l, s.sign(t, claims(time.Now(), nil)))
}

// acceptsToken reports whether a token is accepted.
func acceptsToken(t *testing.T, l *Live, token string) bool {
	t.Helper()
	p, err := l.Identify(t.Context(), Credentials{Authorization: []string{"Bearer " + token}})
	if err != nil && !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("the error %v", err)
	}
	return err == nil && p.Name == "shop"
}

func wait(d time.Duration) { <-time.After(d) }

// A key that the issuer has changed works soon: at once if the last fetch is some time ago.
func TestRotatedKeyWorks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		before, after, last := newSigner(t, jose.ES256, "1"), newSigner(t, jose.ES256, "2"), newSigner(t, jose.ES256, "3")
		issuer := &fakeIssuer{keys: jwks(t, before.public)}
		l := watchFile(t, Config{Transport: issuer}, discoveryFile)
		if !accepts(t, l, before) {
			t.Error("the first key is refused")
		}
		issuer.set(func(f *fakeIssuer) { f.keys = jwks(t, before.public, after.public) })
		wait(betweenFetches)
		if !accepts(t, l, after) || !accepts(t, l, before) || issuer.fetched() != 2 {
			t.Errorf("the new key is refused, after %d fetches", issuer.fetched())
		}
		issuer.set(func(f *fakeIssuer) { f.keys = jwks(t, last.public) })
		if accepts(t, l, last) {
			t.Error("the issuer was asked twice at once")
		}
		wait(betweenFetches)
		if !accepts(t, l, last) || accepts(t, l, before) {
			t.Error("the last key is refused, or the withdrawn one is accepted")
		}
	})
}

// While an issuer is slow, few calls with invented key ids wait for it. At the start, all calls wait for its first keys.
func TestFewWaitForASlowIssuer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		known, invented := newSigner(t, jose.ES256, "1"), newSigner(t, jose.ES256, "2")
		issuer := &fakeIssuer{keys: jwks(t, known.public), inFlight: time.Second}
		l := watchFile(t, Config{Transport: issuer}, discoveryFile)
		ask := func(s signer, calls int) (accepted, waited int) {
			token := s.sign(t, claims(time.Now(), nil))
			var mu sync.Mutex
			var all sync.WaitGroup
			for range calls {
				all.Go(func() {
					began := time.Now()
					ok := acceptsToken(t, l, token)
					mu.Lock()
					defer mu.Unlock()
					if ok {
						accepted++
					}
					if time.Since(began) > 0 {
						waited++
					}
				})
			}
			all.Wait()
			return accepted, waited
		}
		if accepted, waited := ask(known, 5*mostWaiting); accepted != 5*mostWaiting || waited != accepted {
			t.Errorf("at the start, %d calls are accepted and %d waited", accepted, waited)
		}
		for range 2 { // the places come back
			wait(betweenFetches)
			if accepted, waited := ask(invented, 5*mostWaiting); accepted != 0 || waited != mostWaiting {
				t.Errorf("%d calls with an invented key id are accepted, %d waited", accepted, waited)
			}
		}
		if accepted, waited := ask(known, 1); accepted != 1 || waited != 0 {
			t.Errorf("a known key: accepted %d, waited %d", accepted, waited)
		}
	})
}

// A key that the issuer has withdrawn ends within minutes, although no token has a new key id.
func TestWithdrawnKeyEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stolen, other := newSigner(t, jose.ES256, "1"), newSigner(t, jose.ES256, "2")
		issuer := &fakeIssuer{keys: jwks(t, stolen.public)}
		l := watchFile(t, Config{Transport: issuer}, discoveryFile)
		token := stolen.sign(t, claims(time.Now(), nil))
		for range 2 { // the second time it is remembered
			if !acceptsToken(t, l, token) {
				t.Error("the key is refused")
			}
		}
		issuer.set(func(f *fakeIssuer) { f.keys = jwks(t, other.public) })
		wait(refreshKeys + 2*pollFiles)
		if n := issuer.fetched(); n != 2 || acceptsToken(t, l, token) {
			t.Errorf("the withdrawn key is accepted, or there were %d fetches", n)
		}
	})
}

// Tokens with invented key ids cause few fetches. A good token is accepted meanwhile.
func TestInventedKeyIDsCauseFewFetches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		good, invented := newSigner(t, jose.ES256, "1"), newSigner(t, jose.ES256, "1")
		issuer := &fakeIssuer{keys: jwks(t, good.public), inFlight: time.Second}
		l := watchFile(t, Config{Transport: issuer}, discoveryFile)
		const seconds = 60
		var calls sync.WaitGroup
		for i := range 10 * seconds {
			for range 10 {
				s := invented
				s.key.KeyID = fmt.Sprint("invented-", i)
				token := "Bearer " + s.sign(t, claims(time.Now(), nil))
				calls.Go(func() {
					if _, err := l.Identify(t.Context(), Credentials{Authorization: []string{token}}); err == nil {
						t.Error("an invented key is accepted")
					}
				})
			}
			wait(time.Second / 10)
			if i > 20 && !accepts(t, l, good) {
				t.Error("the good key is refused")
			}
		}
		calls.Wait()
		if n := issuer.fetched(); n > 1+seconds/int(betweenFetches.Seconds()) {
			t.Errorf("%d fetches in %d s", n, seconds)
		}
	})
}

// If an issuer is down, its keys stay for an hour. After that no token of it is accepted.
func TestIssuerIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, jose.ES256, "1")
		issuer := &fakeIssuer{keys: jwks(t, s.public)}
		log := &recorded{}
		l := watchFile(t, Config{Transport: issuer, Logger: log.logger()}, discoveryFile)
		wait(time.Second)
		issuer.set(func(f *fakeIssuer) {
			f.answer = func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }
		})
		wait(keepKeys - time.Minute)
		if !accepts(t, l, s) {
			t.Error("the key is refused within the hour")
		}
		if err := l.Reload(t.Context()); err != nil || !accepts(t, l, s) {
			t.Errorf("a reload has dropped the keys: %v", err)
		}
		wait(2 * time.Minute)
		if accepts(t, l, s) {
			t.Error("the key is accepted after the hour")
		}
		if n := log.count("the keys of an issuer cannot be fetched"); n < 50 || n > 60 {
			t.Errorf("%d warnings", n)
		}
		issuer.set(func(f *fakeIssuer) { f.answer = nil })
		wait(betweenFetches + pollFiles)
		if !accepts(t, l, s) {
			t.Error("the key is refused although the issuer is back")
		}
	})
}

func TestWrongAnswersOfAnIssuer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		configuration, keys *http.Response
		says                string
	}{
		"500":                  {answerWith(500, ""), nil, "https://login.example.com/.well-known/openid-configuration answers 500"},
		"a redirect":           {redirect(), nil, "https://login.example.com/.well-known/openid-configuration answers 302"},
		"HTML":                 {answerWith(200, "<html>"), nil, "the issuer's configuration is not the JSON of OIDC discovery"},
		"another issuer":       {answerWith(200, `{"issuer":"https://evil.example.com","jwks_uri":"https://login.example.com/keys"}`), nil, "the issuer's configuration is of another issuer"},
		"no TLS":               {answerWith(200, `{"issuer":"https://login.example.com","jwks_uri":"http://login.example.com/keys"}`), nil, "the issuer's configuration has a jwks_uri that is not an https URL"},
		"a file":               {answerWith(200, `{"issuer":"https://login.example.com","jwks_uri":"file:///etc/passwd"}`), nil, "the issuer's configuration has a jwks_uri that is not an https URL"},
		"a huge configuration": {&http.Response{StatusCode: 200, Body: io.NopCloser(endless{})}, nil, "the answer of https://login.example.com/.well-known/openid-configuration is larger than 1048576 bytes"},
		"a huge key set":       {nil, &http.Response{StatusCode: 200, Body: io.NopCloser(endless{})}, "the answer of https://login.example.com/keys is larger than 1048576 bytes"},
		"no keys":              {nil, answerWith(200, `{"keys":[]}`), "jwks_uri: it has no key that can check a signature"},
		"a symmetric key":      {nil, answerWith(200, `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`), "jwks_uri: it has no key that can check a signature"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				issuer, log := &fakeIssuer{}, &recorded{}
				issuer.answer = func(r *http.Request) (*http.Response, error) {
					if r.URL.Path == "/keys" {
						return test.keys, nil
					}
					if test.configuration == nil {
						return answerWith(200, `{"issuer":"https://login.example.com","jwks_uri":"https://login.example.com/keys"}`), nil
					}
					return test.configuration, nil
				}
				l := watchFile(t, Config{Transport: issuer, Logger: log.logger()}, discoveryFile)
				if accepts(t, l, newSigner(t, jose.ES256, "1")) {
					t.Error("a token is accepted")
				}
				if !strings.Contains(log.String(), test.says) {
					t.Errorf("the log is %s", log)
				}
			})
		})
	}
}

// An issuer that does not answer holds a call for a few seconds only, and no more calls after that.
func TestSilentIssuer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := &fakeIssuer{inFlight: time.Hour}
		l := watchFile(t, Config{Transport: issuer}, discoveryFile)
		began := time.Now()
		if accepts(t, l, newSigner(t, jose.ES256, "1")) || time.Since(began) != fetchTimeout {
			t.Errorf("the call took %v", time.Since(began))
		}
		if accepts(t, l, newSigner(t, jose.ES256, "1")) || time.Since(began) != fetchTimeout {
			t.Errorf("the second call took %v", time.Since(began)-fetchTimeout)
		}
	})
}

func redirect() *http.Response {
	r := answerWith(http.StatusFound, "")
	r.Header.Set("Location", "http://169.254.169.254/")
	return r
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
