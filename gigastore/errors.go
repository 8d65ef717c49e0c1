package gigastore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Effect says what is known of a failed call's effect at the vendor. The zero value is the safe one.
type Effect uint8

const (
	// EffectUnknown means that the call may have been carried out.
	EffectUnknown Effect = iota
	// EffectNone means that the call was not carried out: no byte of it left, or it was turned away unread.
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

// The values of [Error.Operation]; spans are called "gigastore <operation>".
const (
	OpAuthenticate     = "authenticate"
	OpRegister         = "register"
	OpTopUp            = "top-up"
	OpTopUpWithProfile = "top-up-with-profile"
	OpActivate         = "activate"
	OpActivatedItem    = "activated-item"
	OpActivatedItems   = "activated-items"
	OpCustomer         = "customer"
	OpCustomers        = "customers"
	OpSearchCustomers  = "search-customers"
	OpInventory        = "inventory"
	OpInventoryItem    = "inventory-item"
	OpCountries        = "countries"
	OpVersion          = "version"
)

var operations = []string{
	OpAuthenticate, OpRegister, OpTopUp, OpTopUpWithProfile, OpActivate, OpActivatedItem, OpActivatedItems,
	OpCustomer, OpCustomers, OpSearchCustomers, OpInventory, OpInventoryItem, OpCountries, OpVersion,
}

// Error is the one error type of this package's calls.
type Error struct {
	Operation string // one of the Op constants
	Effect    Effect
	Reason    Reason // set with EffectRefused
	Status    int    // HTTP status, 0 where no answer came
	// Message is the vendor's own, decoded from whichever shape it came in, at most 1 KiB. It may hold personal data,
	// so it is never part of Error.
	Message string
	// Body is the start of the answer as received, at most 4 KiB. It may hold personal data and secrets.
	Body []byte
	// BytesWritten counts the request's bytes above TLS that left or may have left.
	BytesWritten int64
	// SuccessSeen reports a 2xx of a paid call or an activate that bore the word success or an item uid, even garbled or
	// cut: such a call must never be presumed absent.
	SuccessSeen bool
	RetryAfter  time.Duration // as the vendor asked, 0 to 1 h; 0 where it asked for nothing sensible
	// Err is the cause. Contexts' errors, io.ErrUnexpectedEOF and syscall.Errno can be found in it; vendor text cannot.
	Err error
}

// Error returns operation, effect, reason, status and a fixed phrase. Nothing the vendor or the caller sent is in it.
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

// phrase is an error whose text is a constant of this package, and so may be shown.
type phrase string

func (p phrase) Error() string { return string(p) }

const (
	errNotConclusive  = phrase("the answer does not settle the call")
	errMalformed      = phrase("the answer is not of the expected shape")
	errTooLong        = phrase("the answer is longer than allowed")
	errCutOff         = phrase("the answer was cut off")
	errListIncomplete = phrase("the list does not come to its end")
	errPermitExpired  = phrase("the permit had run out before the first byte")
	errNotConfirmed   = phrase("the permit was not confirmed before the first byte")
	errSecondSend     = phrase("a request that may not be sent twice was about to be")
	errUnasked        = phrase("the vendor spoke before it was asked")
	errSurplus        = phrase("more followed the answer on its connection")
	errNotEnded       = phrase("the connection did not end with the answer")
	errManyInterim    = phrase("too many interim answers")
	errCannotWrite    = phrase("the request cannot be written")
	errUnbound        = phrase("bytes without a call to count them for")
	errBadToken       = phrase("the answer holds no usable access token")
	errOtherItem      = phrase("the answer speaks of another item")
	errPanicked       = phrase("a fault of this client")
)

// phraseOf returns the text of the outermost cause whose text may be shown.
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

// inputError says which argument was not sent and why, never its value.
type inputError struct{ field, reason string }

func (e *inputError) Error() string { return e.field + " " + e.reason }

// notSent is the error of a call that was refused here.
func notSent(operation string, err error) *Error {
	return &Error{Operation: operation, Effect: EffectNone, Err: err}
}

// sparing runs f for several callers at once and turns its panic into an error: singleflight would raise it again in a
// goroutine of its own, and end the process.
func sparing[T any](f func() (T, error)) (result T, err error) {
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	return f()
}
