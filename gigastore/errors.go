package gigastore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Effect says what is known about the effect of a failed call at the vendor. The zero value is the safe one.
type Effect uint8

const (
	// EffectUnknown means that the call may have been carried out.
	EffectUnknown Effect = iota
	// EffectNone means that the call was not carried out: no byte of it left, or the vendor rejected it unread.
	EffectNone
	// EffectRefused means that the vendor read the call and refused it.
	EffectRefused
)

// String returns "unknown", "no effect" or "refused".
func (e Effect) String() string {
	switch e {
	case EffectNone:
		return "no effect"
	case EffectRefused:
		return "refused"
	default:
		return "unknown"
	}
}

// Error is the error type of all calls of this package.
type Error struct {
	Operation string // one of the Op constants
	Effect    Effect
	Reason    Reason // set with EffectRefused
	Status    int    // HTTP status; 0 if no answer came
	// Message is the vendor's own message, at most 1 KiB, from whichever member held it. It may hold personal data, so
	// the method Error leaves it out.
	Message string
	// Body is the start of the answer as received, at most 4 KiB. It may hold personal data and secrets.
	Body []byte
	// BytesWritten counts the request's bytes above TLS that left or may have left.
	BytesWritten int64
	// SuccessSeen is true if a paid call or an activate got a 2xx with the word success or an item uid in it, even in
	// a garbled or cut body. Such a call must never be presumed absent.
	SuccessSeen bool
	RetryAfter  time.Duration // what the vendor asked for, 0 to 1 h; 0 if it asked for nothing sensible
	// Err is the cause. It may wrap a context's error, io.ErrUnexpectedEOF or a syscall.Errno. It never holds vendor
	// text.
	Err error
}

// Error returns operation, effect, reason, status and a fixed phrase. It repeats nothing that the vendor or the
// caller sent.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("gigastore: ")
	b.WriteString(e.Operation)
	if e.Effect == EffectUnknown {
		b.WriteString(": effect unknown")
	} else {
		b.WriteString(": " + e.Effect.String())
	}
	if e.Reason != "" {
		b.WriteString(": " + string(e.Reason))
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d)", e.Status)
	}
	if p := phraseOf(e.Err); p != "" {
		b.WriteString(": " + p)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// LogValue returns what Error returns.
func (e *Error) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// Format writes what Error returns, for every verb, so that %#v does not show the fields.
func (e *Error) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, e.Error()) }

// phrase is an error whose text is a constant of this package. So the text is safe to show.
type phrase string

func (p phrase) Error() string { return string(p) }

// ErrorType returns the value of error.type on a span. OpenTelemetry calls it.
func (p phrase) ErrorType() string { return string(p) }

const (
	errNotConclusive  = phrase("the answer does not show whether the call went through")
	errMalformed      = phrase("the answer has an unexpected shape")
	errTooLong        = phrase("the answer is longer than allowed")
	errCutOff         = phrase("the answer was cut off")
	errListIncomplete = phrase("the list is incomplete")
	errPermitExpired  = phrase("the permit expired before the first byte")
	errNotConfirmed   = phrase("the permit was not confirmed before the first byte")
	errSecondSend     = phrase("the request must not be sent a second time")
	errUnasked        = phrase("the vendor sent data before the request")
	errSurplus        = phrase("more data followed the answer")
	errNotEnded       = phrase("the vendor did not close the connection after the answer")
	errManyInterim    = phrase("too many interim answers")
	errNoStatus       = phrase("the answer has no valid status")
	errBadToken       = phrase("the answer holds no usable access token")
	errOtherItem      = phrase("the answer is about another item")
	errPanicked       = phrase("this client panicked")
)

// phraseOf returns the text of the outermost cause that may be shown.
func phraseOf(err error) string {
	for ; err != nil; err = errors.Unwrap(err) {
		switch e := err.(type) { //nolint:errorlint // walks the chain itself
		case phrase:
			return string(e)
		case *wireError:
			return e.phrase
		case *inputError, *tokenError, *Error:
			return e.Error()
		}
		if err == context.Canceled || err == context.DeadlineExceeded { //nolint:errorlint // walks the chain itself
			return err.Error()
		}
	}
	return ""
}

// inputError says which argument is invalid and why. It never repeats the value.
type inputError struct{ field, reason string }

func (e *inputError) Error() string { return e.field + " " + e.reason }

// notSent is the error of a call that this client rejected before it sent a byte.
func notSent(operation string, err error) *Error {
	return &Error{Operation: operation, Effect: EffectNone, Err: err}
}

// recoverAsError runs f and returns its panic as an error. singleflight would raise a panic again in a goroutine of
// its own, and so end the process.
func recoverAsError[T any](f func() (T, error)) (result T, err error) {
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	return f()
}
