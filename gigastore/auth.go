package gigastore

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	maxToken         = 16 << 10 // bytes of an access token; the sample is a JWT
	assumedTokenLife = time.Hour
	maxTokenLife     = 30 * 24 * time.Hour
	renewBefore      = time.Minute // or a tenth of the life, if that is less
)

// token is an access token and when it ends.
type token struct {
	value Secret
	life  time.Duration // from the moment it was asked for
}

// tokenSource keeps one access token for all callers. Whether a new token revokes older ones, and whether authentication
// is rate limited, is unknown (dossier 1.1), so it fetches one at a time and only when needed.
type tokenSource struct {
	now    func() time.Time
	fetch  func(context.Context) (token, error)
	flight singleflight.Group

	mu      sync.Mutex
	current Secret
	renewAt time.Time
	refused int // tokens in a row that no call was taken with
}

func newTokenSource(now func() time.Time, fetch func(context.Context) (token, error)) *tokenSource {
	return &tokenSource{now: now, fetch: fetch}
}

// get returns the current token, or one fetched for everybody who waits. The fetch runs on the values of the first
// caller's context and not on its end, so that a caller who leaves does not fail the others.
func (s *tokenSource) get(ctx context.Context) (Secret, error) {
	if value, ok := s.valid(); ok {
		return value, nil
	}
	detached := context.WithoutCancel(ctx)
	result := s.flight.DoChan("", func() (any, error) {
		// A flight that ended between the look above and this one has left a token.
		if value, ok := s.valid(); ok {
			return value, nil
		}
		asked := s.now()
		t, err := sparing(func() (token, error) { return s.fetch(detached) })
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.current = t.value
		s.renewAt = asked.Add(t.life - min(renewBefore, t.life/10))
		return t.value, nil
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return "", &tokenError{r.Err}
		}
		return r.Val.(Secret), nil
	case <-ctx.Done():
		return "", &tokenError{ctx.Err()}
	}
}

// tokenError says that a call was not sent for want of a token.
type tokenError struct{ cause error }

func (e *tokenError) Error() string { return "no access token: " + phraseOf(e.cause) }

func (e *tokenError) Unwrap() error { return e.cause }

func (s *tokenSource) valid() (Secret, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current, s.current != "" && s.now().Before(s.renewAt)
}

// invalidate forgets value after the vendor has refused it, and returns how many tokens in a row it has refused. A newer
// token stays.
func (s *tokenSource) invalidate(value Secret) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == value {
		s.current = ""
		s.refused++
	}
	return s.refused
}

// taken notes that the vendor took a call with a token of ours.
func (s *tokenSource) taken() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = 0
}

// answered notes what the status of an answer says of the token that the call bore. One refusal is nothing: the token
// was old, or another gateway's took its place.
func (c *Client) answered(ctx context.Context, bearer Secret, status int) {
	switch {
	case status == http.StatusUnauthorized:
		if c.tokens.invalidate(bearer) > 1 {
			c.problems.found(ctx, problemToken, "the vendor refuses the access tokens that it has just given")
		}
	case status >= 200 && status < 500:
		c.tokens.taken()
		c.problems.over(ctx, problemToken)
	}
}

// credentialRefusals are what a vendor may answer to credentials that are wrong. Which one it is, is unknown (dossier 2.1).
var credentialRefusals = []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden}

// authenticate fetches a token.
//
// POST /reseller/authenticate, docs api-authentification.
func (c *Client) authenticate(ctx context.Context) (token, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	secret := c.credentials.current(ctx)
	a, err := c.tryRead(ctx, func() answer {
		return c.exchange(ctx, call{
			operation: OpAuthenticate, method: "POST", path: "/reseller/authenticate",
			basic: &[2]Secret{Secret(c.credentials.id), secret}, limit: maxTokenAnswer,
		})
	})
	if refused, ok := errors.AsType[*Error](err); ok && slices.Contains(credentialRefusals, refused.Status) {
		refused.Err = errCredentials
		c.problems.found(ctx, problemCredentials, refused.Error())
	}
	if err != nil {
		return token{}, err
	}
	t, err := parseToken(a.body)
	if err != nil {
		return token{}, &Error{Operation: OpAuthenticate, Status: a.status, BytesWritten: a.evidence.BytesWritten, Err: err}
	}
	c.problems.over(ctx, problemCredentials)
	return t, nil
}

// parseToken reads accessToken and expiresIn, in seconds. A life that is missing or senseless is taken to be an hour, as
// one client does.
func parseToken(body []byte) (token, error) {
	o, err := readObject(body)
	if err != nil {
		return token{}, errBadToken
	}
	var value string
	var seconds Decimal
	take(o, "accessToken", &value)
	take(o, "expiresIn", &seconds)
	if value == "" || len(value) > maxToken || !isVisible(value) { // it goes into a header
		return token{}, errBadToken
	}
	return token{Secret(value), tokenLife(seconds)}, nil
}

func tokenLife(seconds Decimal) time.Duration {
	d, err := time.ParseDuration(seconds.String() + "s")
	if err != nil || d <= 0 {
		return assumedTokenLife
	}
	return min(d, maxTokenLife)
}
