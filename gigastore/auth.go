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
	maxToken         = 16 << 10 // in bytes; the vendor's sample is a JWT
	assumedTokenLife = time.Hour
	maxTokenLife     = 30 * 24 * time.Hour
	renewBefore      = time.Minute // or a tenth of the token's life, if that is less
)

// token is an access token and how long it lives.
type token struct {
	value Secret
	life  time.Duration // counted from the request for it
}

// tokenSource keeps one access token for all callers. It is unknown whether a new token revokes older ones, and
// whether authentication is rate limited (dossier 1.1). So it fetches one token at a time, and only when it needs
// one.
type tokenSource struct {
	now    func() time.Time
	fetch  func(context.Context) (token, error)
	flight singleflight.Group

	mu      sync.Mutex
	current Secret
	renewAt time.Time
	refused int // refused tokens in a row, since the vendor last accepted one
}

func newTokenSource(now func() time.Time, fetch func(context.Context) (token, error)) *tokenSource {
	return &tokenSource{now: now, fetch: fetch}
}

// get returns the current token. If there is none, it fetches one and shares it among all callers who wait. The fetch
// keeps the values of the first caller's context but not its cancellation, so a caller who leaves does not fail the
// others.
func (s *tokenSource) get(ctx context.Context) (Secret, error) {
	if value, ok := s.valid(); ok {
		return value, nil
	}
	detached := context.WithoutCancel(ctx)
	result := s.flight.DoChan("", func() (any, error) {
		// Another fetch may have ended since the check above.
		if value, ok := s.valid(); ok {
			return value, nil
		}
		asked := s.now()
		t, err := recoverAsError(func() (token, error) { return s.fetch(detached) })
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

// tokenError is the error of a call that was not sent because there was no access token.
type tokenError struct{ cause error }

func (e *tokenError) Error() string { return "no access token: " + phraseOf(e.cause) }

func (e *tokenError) Unwrap() error { return e.cause }

func (s *tokenSource) valid() (Secret, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current, s.current != "" && s.now().Before(s.renewAt)
}

// invalidate drops value after the vendor has refused it, and returns how many tokens in a row were refused. It keeps
// a newer token.
func (s *tokenSource) invalidate(value Secret) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == value {
		s.current = ""
		s.refused++
	}
	return s.refused
}

// taken resets the count of refused tokens after the vendor has accepted one.
func (s *tokenSource) taken() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = 0
}

// answered records what the status of an answer says about the call's token. A single 401 is no problem: the token
// was old, or another gateway's token has replaced it.
func (c *Client) answered(ctx context.Context, bearer Secret, status int) {
	switch {
	case status == http.StatusUnauthorized:
		if c.tokens.invalidate(bearer) > 1 {
			c.problems.found(ctx, problemToken, "the vendor refuses access tokens that it has just issued")
		}
	case status >= 200 && status < 500:
		c.tokens.taken()
		c.problems.over(ctx, problemToken)
	}
}

// credentialRefusals are the statuses that a vendor may answer to wrong credentials. Which one this vendor uses is
// unknown (dossier 2.1).
var credentialRefusals = []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden}

// authenticate fetches an access token.
//
// POST /reseller/authenticate, docs api-authentification.
func (c *Client) authenticate(ctx context.Context) (token, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	secret := c.credentials.current(ctx)
	a, err := c.tryRead(ctx, func() answer {
		return c.exchange(ctx, &call{
			operation: OpAuthenticate, basic: &[2]Secret{Secret(c.credentials.id), secret}, limit: maxTokenAnswer,
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

// parseToken reads accessToken and expiresIn, which is in seconds. If expiresIn is missing or makes no sense, it
// assumes one hour, as one known client does.
func parseToken(body []byte) (token, error) {
	o, err := readObject(body)
	if err != nil {
		return token{}, errBadToken
	}
	var value string
	var seconds Decimal
	take(o, "accessToken", &value)
	take(o, "expiresIn", &seconds)
	if value == "" || len(value) > maxToken || !isVisible(value) { // it becomes part of a header
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
