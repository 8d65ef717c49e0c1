package gigastore

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneTokenForManyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var logins atomic.Int64
		client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/reseller/authenticate" {
				logins.Add(1)
				<-release
				authenticates(w, r)
				return
			}
			if r.Header.Get("Authorization") != "Bearer "+testBearer {
				t.Errorf("Authorization %q", r.Header.Get("Authorization"))
			}
			writeJSON(w, 200, `{"items":[]}`)
		}), Config{})

		first, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() { _, err := client.Inventory(first); left <- err }()
		synctest.Wait()

		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() {
				if _, err := client.Inventory(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		leave() // the caller whose call started the fetch leaves
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("the caller who left got %v", err)
		}
		close(release)
		callers.Wait()
		if got := logins.Load(); got != 1 {
			t.Errorf("%d logins", got)
		}
	})
}

func TestTokenIsRenewedBeforeItEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		expiresIn string
		fresh     time.Duration // the token is still used after this time
		stale     time.Duration // the token is renewed by this time
	}{
		"a day":        {"86400", 86339 * time.Second, 86341 * time.Second},
		"five min":     {"300", 269 * time.Second, 271 * time.Second},
		"missing":      {"null", 3539 * time.Second, 3541 * time.Second},
		"zero":         {"0", 3539 * time.Second, 3541 * time.Second},
		"negative":     {"-5", 3539 * time.Second, 3541 * time.Second},
		"not a number": {`"soon"`, 3539 * time.Second, 3541 * time.Second},
		"text number":  {`"300"`, 269 * time.Second, 271 * time.Second},
		"senseless":    {"1e30", 3539 * time.Second, 3541 * time.Second},
		"a year":       {"31536000", 30*24*time.Hour - 61*time.Second, 30*24*time.Hour - 59*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logins := 0
				client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/reseller/authenticate" {
						logins++
						writeJSON(w, 200, `{"accessToken":"token-`+strconv.Itoa(logins)+`","expiresIn":`+tc.expiresIn+`}`)
						return
					}
					writeJSON(w, 200, `{"items":[]}`)
				}), Config{})
				start := time.Now()
				for _, step := range []struct {
					at   time.Duration
					want int
				}{{0, 1}, {tc.fresh, 1}, {tc.stale, 2}} {
					<-time.After(time.Until(start.Add(step.at)))
					if _, err := client.Inventory(t.Context()); err != nil {
						t.Fatal(err)
					}
					if logins != step.want {
						t.Errorf("after %v: %d logins, want %d", step.at, logins, step.want)
					}
				}
			})
		})
	}
}

func TestInvalidateSparesANewerToken(t *testing.T) {
	fetched := 0
	s := newTokenSource(time.Now, func(context.Context) (token, error) {
		fetched++
		return token{Secret("token-" + strconv.Itoa(fetched)), time.Hour}, nil
	})
	first, _ := s.get(t.Context())
	s.invalidate(first)
	second, _ := s.get(t.Context())
	s.invalidate(first) // by a slow call that still had the old token
	third, _ := s.get(t.Context())
	if first == second || second != third || fetched != 2 {
		t.Errorf("%d fetches", fetched)
	}
}

func TestAuthenticateRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/reseller/authenticate" {
				writeJSON(w, 200, `{"items":[]}`)
				return
			}
			id, secret, ok := r.BasicAuth()
			if r.Method != "POST" || !ok || id != "test-id" || secret != "canary-client-secret" || r.ContentLength != 0 {
				t.Errorf("%s, basic %v, %d bytes", r.Method, ok, r.ContentLength)
			}
			authenticates(w, r)
		}), Config{})
		if _, err := client.Inventory(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestUnusableTokens(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		logins int
	}{
		"wrong credentials": {401, `{"error":"unauthorized"}`, 1},
		"not an object":     {200, `"x"`, 1},
		"no token":          {200, `{"expiresIn":60}`, 1},
		"token is a number": {200, `{"accessToken":7}`, 1},
		"line break":        {200, `{"accessToken":"a\r\nX-Evil: 1"}`, 1},
		"space":             {200, `{"accessToken":"a b"}`, 1},
		"too long":          {200, `{"accessToken":"` + strings.Repeat("x", maxToken+1) + `"}`, 1},
		"vendor down":       {503, ``, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logins, others := 0, 0
				client := servePipe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/reseller/authenticate" {
						logins++
						writeJSON(w, tc.status, tc.body)
						return
					}
					others++
				}), Config{Timeout: time.Minute})
				_, err := client.Register(t.Context(), testPermit(), testRegister())
				e := wantEffect(t, err, EffectNone)
				if e.Operation != OpRegister || e.BytesWritten != 0 || logins != tc.logins || others != 0 {
					t.Errorf("%v: %d logins, %d other requests", e, logins, others)
				}
			})
		})
	}
}

// TestTokenIsNotAwaitedBeyondThePermit: a paid call stops waiting for a token at NotAfter, because a later token would be
// useless.
func TestTokenIsNotAwaitedBeyondThePermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := make(chan struct{})
		client := servePipe(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-gone }), Config{Timeout: time.Minute})
		defer close(gone)
		start := time.Now()
		permit := testPermit()
		permit.NotAfter = start.Add(10 * time.Second)
		_, err := client.Register(t.Context(), permit, testRegister())
		wantEffect(t, err, EffectNone)
		if waited := time.Since(start); waited != 10*time.Second {
			t.Errorf("waited %v", waited)
		}
		<-time.After(2 * time.Minute) // on synctest's clock: wait until the fetch, which nobody waits for, has given up
	})
}
