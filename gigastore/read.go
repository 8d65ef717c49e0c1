package gigastore

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	readTries      = 3
	firstRetryWait = 100 * time.Millisecond
	maxRetryWait   = 5 * time.Second // if the vendor asks for more, give up: the caller decides
)

var retryableStatuses = []int{
	http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
	http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// read sends a call that changes nothing, and returns the body of a whole 2xx.
func (c *Client) read(ctx context.Context, k call) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	k.limit = maxReadAnswer
	a, err := c.tryRead(ctx, func() answer { return c.exchange(ctx, &k) })
	return a.body, err
}

// readAuthorized is read with an access token.
func (c *Client) readAuthorized(ctx context.Context, k call) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	k.limit = maxReadAnswer
	var renewed bool
	a, err := c.tryRead(ctx, func() answer {
		return c.authorized(ctx, k.operation, &renewed, func(bearer Secret) answer {
			k.bearer = bearer
			return c.exchange(ctx, &k)
		})
	})
	return a.body, err
}

// authorized sends a call with the current token. After the first 401 of a read it sends the call once more, with a
// new token.
func (c *Client) authorized(ctx context.Context, operation string, renewed *bool, send func(bearer Secret) answer) answer {
	for {
		bearer, err := c.tokens.get(ctx)
		if err != nil {
			return answer{operation: operation, err: err}
		}
		a := send(bearer)
		c.answered(ctx, bearer, a.status)
		if a.status != http.StatusUnauthorized || *renewed {
			return a
		}
		*renewed = true
	}
}

// tryRead sends a call that changes nothing, up to three times within ctx. It returns an answer that is a whole 2xx.
func (c *Client) tryRead(ctx context.Context, send func() answer) (answer, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = firstRetryWait, maxRetryWait
	var last *Error
	a, err := backoff.Retry(ctx, func() (answer, error) {
		a := send()
		result := c.classify(ctx, a)
		if result.applied {
			return a, nil
		}
		last = a.failure(result)
		switch {
		case !isRetryable(a):
			return a, backoff.Permanent(last)
		case a.retryAfter == 0:
			return a, last
		}
		deadline, ok := ctx.Deadline()
		if a.retryAfter > maxRetryWait || ok && time.Until(deadline) < a.retryAfter {
			return a, backoff.Permanent(last)
		}
		return a, &backoff.RetryAfterError{Duration: a.retryAfter}
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(readTries))
	switch {
	case err == nil:
		return a, nil
	case ctx.Err() != nil && !errors.Is(last, ctx.Err()):
		last.Err = &wireError{phrase: ctx.Err().Error(), cause: ctx.Err()} // ctx ended between two tries
	}
	return answer{}, last
}

func isRetryable(a answer) bool {
	// Fetching a token has its own tries, and a certificate does not change between tries.
	if _, ok := errors.AsType[*tokenError](a.err); ok || errors.Is(a.err, errTooLong) || isCertificateFailure(a.err) {
		return false
	}
	return a.status == 0 || slices.Contains(retryableStatuses, a.status) || a.status >= 200 && a.status <= 299 && !a.whole
}

// readJSON reads with an access token and decodes the answer. It hides the decoder's own error, which could
// repeat values.
func (c *Client) readJSON(ctx context.Context, operation, segment string, query url.Values, into func([]byte) error) error {
	body, err := c.readAuthorized(ctx, call{operation: operation, segment: segment, query: query})
	if err != nil {
		return err
	}
	return decoded(operation, body, into)
}

func decoded(operation string, body []byte, into func([]byte) error) error {
	if into(body) != nil {
		return &Error{Operation: operation, Status: http.StatusOK, Body: slices.Clone(body[:min(len(body), maxErrorBody)]), Err: errMalformed}
	}
	return nil
}
