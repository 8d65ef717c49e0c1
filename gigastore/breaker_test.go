package gigastore

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

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

// TestBreaker: every step of the breaker. Each letter is an event.
//
//	f, t  a failure of a purchase, and of a request for a token
//	l     a failure of a purchase that began before the latest answer
//	a     an answer to a purchase
//	p     an answer to a read, 2 s after the event before it
//	P     an answer to a read at once
//	r     a failed read
//	A, R  an answer to a purchase and to a read that began before the breaker opened
//	m, -  a purchase that may start, and one that may not
//	n, o  the end of the latest trial: nothing was sent; something was
//	O     the end of the first trial
//	x     a purchase has tried for too long
func TestBreaker(t *testing.T) {
	t.Parallel()
	for name, events := range map[string]string{
		"closed at first":                       "m m m",
		"opens after five failures":             "f f f f m f -",
		"tokens count":                          "t f t f t -",
		"failed reads do not count":             "r r r r r r m",
		"an answer begins a new row":            "f f f f a f f f f m f -",
		"an old failure does not count":         "f f f f a l l l l l l m",
		"one purchase tries after a read":       "f f f f f - p m - n",
		"the answer to it closes":               "f f f f f - p m a o m m f f f f m f -",
		"nobody tries beside it":                "f f f f f p m p - p - o p m",
		"its failure takes the trial":           "f f f f f p m f o - p m -",
		"it failed, and reads prove no more":    "f f f f f p m f o p p p m -",
		"its answer closes, also after failure": "f f f f f p m f o p m a o m m",
		"it takes too long":                     "f f f f f p m x - p m -",
		"it took too long, and reads go on":     "f f f f f p m x p p p m -",
		"it took too long, but has an answer":   "f f f f f p m x a m m",
		"its end is not the end of the next":    "f f f f f p m x p m O p -",
		"two reads without a purchase":          "f f f f f p p m m",
		"reads end an outage once":              "f f f f f p p f - p p p m - a p m f f f f f p p m m",
		"two reads at once are one":             "f f f f f p P P m -",
		"one failure after two reads":           "f f f f f p p f - p m -",
		"purchases that send nothing":           "f f f f f p m n m n p m m m",
		"nothing was sent, but it is dead":      "f f f f f p m f n - p m -",
		"nothing was sent, and it is alive":     "n m n m m",
		"an answer from before the outage":      "f f f f f A - p A m -",
		"a read from before the outage":         "f f f f f R - R - p R m -",
		"a later outage":                        "f f f f f p p m f R - p m a m m",
		"a call without a trial":                "m f f f f f p n m n m -",
	} {
		synctest.Test(t, func(t *testing.T) {
			problems, err := newProblems(nil, noop.NewMeterProvider())
			if err != nil {
				t.Fatal(err)
			}
			c := &Client{breaker: newBreaker(problems), problems: problems}
			var trial, first *Trial
			refused := connectFailure(syscall.ECONNREFUSED)
			for i, event := range events {
				b, now := c.breaker, c.breaker.begin()
				switch event {
				case 'f':
					b.end(t.Context(), OpTopUp, now, 0, refused)
				case 't':
					b.end(t.Context(), OpAuthenticate, now, 0, refused)
				case 'l':
					b.end(t.Context(), OpRegister, beginning{now.answers - 1, now.outages}, 0, refused)
				case 'r':
					b.end(t.Context(), OpActivatedItems, now, 0, refused)
				case 'a':
					b.end(t.Context(), OpRegister, now, http.StatusBadRequest, nil)
				case 'A':
					b.end(t.Context(), OpRegister, beginning{now.answers, now.outages - 1}, http.StatusOK, nil)
				case 'p':
					<-time.After(probeEvery)
					b.end(t.Context(), OpInventory, now, http.StatusOK, nil)
				case 'P':
					b.end(t.Context(), OpActivatedItems, now, http.StatusOK, nil)
				case 'R':
					b.end(t.Context(), OpInventory, beginning{now.answers, now.outages - 1}, http.StatusOK, nil)
				case 'x':
					<-time.After(trialTime)
				case 'n':
					trial.NotTried()
				case 'o':
					trial.Over()
				case 'O':
					first.Over()
				case 'm', '-':
					next, may := c.MaySell()
					if may != (event == 'm') {
						t.Errorf("%s, after %q: may sell %t", name, events[:i], may)
					}
					if may {
						trial = next
					}
					if first == nil {
						first = next
					}
				}
			}
		})
	}
}
