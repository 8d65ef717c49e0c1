package gigastore

import (
	"context"
	"time"
)

// attempt is one request on its way. It decides whether its bytes may leave, and counts those that did.
//
// httptrace.WroteRequest is of no use for that: it reports a request as written when it is in a buffer.
type attempt struct {
	notAfter time.Time        // no first byte later; zero: no limit
	now      func() time.Time // for notAfter
	confirm  func(context.Context) error
	decides  bool // its answer decides what becomes of a purchase or an activation; reads are repeated
	begun    bool
	left     int64 // bytes that left, or may have, above TLS
}

type attemptKey struct{}

// write writes the whole request. It does so once, whatever came of it.
func (a *attempt) write(ctx context.Context, c *connection, text []byte) error {
	if a.confirm != nil && !a.begun {
		if err := a.confirm(ctx); err != nil {
			return errNotConfirmed
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

// IsOver reports whether limit has passed by either of a machine's clocks. Both times must have been made on this machine.
// The monotonic clock stands still while a machine is suspended, and the wall clock can be set back.
func IsOver(limit, now time.Time) bool {
	return now.After(limit) || now.Round(0).After(limit.Round(0))
}
