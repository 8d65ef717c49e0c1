package gigastore

import (
	"context"
	"time"
)

// attempt is one request while it is sent. It decides whether its bytes may leave, and counts the bytes that left.
//
// httptrace.WroteRequest cannot do this. It reports a request as written as soon as it is in a buffer.
type attempt struct {
	notAfter time.Time        // no first byte after this time; zero: no limit
	now      func() time.Time // the clock for notAfter
	confirm  func(context.Context) error
	decides  bool // the answer settles a purchase or an activation; false for reads, which are repeated
	begun    bool
	left     int64 // bytes above TLS that left or may have left
}

// write writes the whole request. A second call fails, whatever happened in the first.
func (a *attempt) write(ctx context.Context, c *connection, text []byte) error {
	if a.confirm != nil && !a.begun {
		if err := a.confirm(ctx); err != nil {
			return errNotConfirmed
		}
	}
	if a.decides { // after the confirmation, which can take seconds
		if err := c.unasked(); err != nil {
			return err
		}
	}
	switch {
	case a.begun:
		return errSecondSend
	case !a.notAfter.IsZero() && IsOver(a.notAfter, a.now()):
		return errPermitExpired
	}
	a.begun = true
	n, err := c.Write(text)
	if err != nil && c.Conn != c.raw {
		n = len(text) // crypto/tls does not say how much of a record left
	}
	a.left = int64(n)
	return err
}

func (a *attempt) evidence(status int) Evidence {
	return Evidence{HTTPStatus: status, BytesWritten: a.left}
}

// IsOver reports whether limit has passed on either of the machine's two clocks. Both times must come from this
// machine. The monotonic clock alone is not enough because it stops while a machine is suspended. The wall clock
// alone is not enough because it can be set back.
func IsOver(limit, now time.Time) bool {
	return now.After(limit) || now.Round(0).After(limit.Round(0))
}
