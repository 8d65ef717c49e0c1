package gigastore

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"

	"go.opentelemetry.io/otel/metric/noop"
)

// TestWhatShowsAnOutage: only what says that the vendor is dead counts, and never a refusal.
func TestWhatShowsAnOutage(t *testing.T) {
	t.Parallel()
	for status := 200; status < 600; status++ {
		want := status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
		if got := isOutage(status, nil); got != want {
			t.Errorf("status %d: %t", status, got)
		}
	}
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{connectFailure(syscall.ECONNREFUSED), true},
		{connectFailure(&net.DNSError{}), true},
		{connectFailure(errors.New("handshake failed")), true},
		{errUnknownAuthority, true},
		{wireFailure(ended(t, context.DeadlineExceeded), io.EOF), true},
		{wireFailure(ended(t, context.Canceled), io.EOF), false}, // the gateway shuts down
		{wireFailure(t.Context(), io.EOF), false},                // the vendor ended the connection
		{wireFailure(t.Context(), syscall.ECONNRESET), false},
		{errPermitExpired, false},
		{errNotConfirmed, false},
		{errUnasked, false},
		{nil, false},
	} {
		if got := isOutage(0, tc.err); got != tc.want {
			t.Errorf("%v: %t", tc.err, got)
		}
	}
}

// ended returns a context that has ended with an error.
func ended(t *testing.T, err error) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	if errors.Is(err, context.DeadlineExceeded) {
		ctx, cancel = context.WithTimeout(t.Context(), 0)
	}
	cancel()
	return ctx
}

// TestBreaker: every step of the breaker. Each letter is an event: f a failure of a purchase, t one of a request for a token,
// l one that began before the latest answer, r a failed read, a an answer to a purchase, p an answer to a probe, m a
// purchase that may start, - one that may not, and n says that a purchase was not started.
func TestBreaker(t *testing.T) {
	t.Parallel()
	for name, events := range map[string]string{
		"closed at first":                   "m m m",
		"opens after five failures":         "f f f f m f -",
		"tokens count":                      "t f t f t -",
		"reads do not count":                "r r r r r r m",
		"an answer begins a new row":        "f f f f a f f f f m f -",
		"an old failure does not count":     "f f f f a l l l l l l m",
		"one purchase tries after a read":   "f f f f f - p m - p m -",
		"the answer to it closes":           "f f f f f - p m a m m f f f f m f -",
		"its failure takes the trial":       "f f f f f p f - p m -",
		"two reads without a purchase":      "f f f f f p p m m",
		"one failure after two reads":       "f f f f f p p f - p m -",
		"purchases that send nothing":       "f f f f f p m n m n p m m m",
		"nothing was sent, but it is dead":  "f f f f f p m f n - p m -",
		"nothing was sent, and it is alive": "m n m m",
	} {
		problems, err := newProblems(nil, noop.NewMeterProvider())
		if err != nil {
			t.Fatal(err)
		}
		c := &Client{breaker: newBreaker(problems), problems: problems}
		for i, event := range events {
			b, now, refused := c.breaker, c.breaker.begin(), connectFailure(syscall.ECONNREFUSED)
			switch event {
			case 'f':
				b.end(t.Context(), OpTopUp, now, 0, refused)
			case 't':
				b.end(t.Context(), OpAuthenticate, now, 0, refused)
			case 'l':
				b.end(t.Context(), OpRegister, now-1, 0, refused)
			case 'r':
				b.end(t.Context(), OpActivatedItems, now, 0, refused)
			case 'a':
				b.end(t.Context(), OpRegister, now, http.StatusBadRequest, nil)
			case 'p':
				b.probed(t.Context())
			case 'n':
				c.NotTried()
			case 'm', '-':
				if got := c.MaySell(); got != (event == 'm') {
					t.Errorf("%s, after %q: may sell %t", name, events[:i], got)
				}
			}
		}
	}
}
