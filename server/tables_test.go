package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

// Every binding of the contract is known to the strict reader by the pattern grpc-gateway has for it.
func TestEveryBindingIsARoute(t *testing.T) {
	t.Parallel()
	if len(routes) != 9 {
		t.Errorf("%d routes", len(routes))
	}
	for _, r := range routes {
		pattern := strings.ReplaceAll(r.template, "}", "=*}")
		if routeOf(r.method, pattern) != r || routeOf("PUT", pattern) != nil {
			t.Errorf("%s %s is not found", r.method, pattern)
		}
		if strings.Contains(r.template, "{") != (len(r.inPath) == 1) {
			t.Errorf("%s has %v in its path", r.template, r.inPath)
		}
	}
}

// Every reason of the contract has a row that says everything, and every reason of the vendor's
// client has its own.
func TestEveryReasonHasARow(t *testing.T) {
	t.Parallel()
	for number, name := range gigagatev1.ErrorReason_name {
		row, ok := situations[gigagatev1.ErrorReason(number)]
		switch {
		case number == 0 && !ok:
		case !ok || row.sentence == "" || row.code == 0 || row.effect == gigagatev1.Effect_EFFECT_UNSPECIFIED:
			t.Errorf("%s: %+v", name, row)
		case row.newIDSafe != (row.effect == gigagatev1.Effect_EFFECT_NOT_APPLIED):
			// A new id is safe for sure only where the intent came to nothing; what the journal was asked is
			// the failure's own to say.
			t.Errorf("%s: a new id is safe: %v, effect %v", name, row.newIDSafe, row.effect)
		}
	}
	for _, reason := range []gigastore.Reason{
		gigastore.ReasonPriceMismatch, gigastore.ReasonInsufficientCredit, gigastore.ReasonCountrySetMismatch,
		gigastore.ReasonModeNotOffered, gigastore.ReasonInventoryItemNotFound, gigastore.ReasonCustomerNotFound,
		gigastore.ReasonActivatedItemNotFound, gigastore.ReasonAlreadyActive, gigastore.ReasonVendorRefused,
	} {
		if got := reasonText(refusalReason(reason)); got != string(reason) {
			t.Errorf("%s became %s", reason, got)
		}
	}
	for _, reason := range []gigastore.Reason{"", "UNSPECIFIED?", "NEW_WORD"} {
		if got := reasonText(refusalReason(reason)); got != "VENDOR_REFUSED" {
			t.Errorf("%q became %s", reason, got)
		}
	}
}

// An error of somebody else's can hold anything, so the log has its type and the caller nothing.
func TestForeignErrorsAreNotQuoted(t *testing.T) {
	t.Parallel()
	foreign := errors.New("CANARY")
	_, err := mapErrors(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: contractPrefix + "S/M"},
		func(context.Context, any) (any, error) { return nil, foreign })
	if !errors.Is(err, foreign) || strings.Contains(err.Error()+status.Convert(err).String(), "CANARY") {
		t.Errorf("%v", err)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("CANARY: %w", context.DeadlineExceeded), context.DeadlineExceeded.Error()},
		{&purchase.JournalError{Err: fmt.Errorf("%w: %w", purchase.ErrNotWritten, databaseError{})}, "SQLSTATE 53100"},
		{fmt.Errorf("%w: %w", purchase.ErrNotWritten, &fs.PathError{Op: "open", Path: "CANARY", Err: syscall.EIO}), "syscall.Errno"},
	} {
		if text := describeCause(c.err); text != c.want {
			t.Errorf("%v is described as %q, want %q", c.err, text, c.want)
		}
	}
}

// databaseError is an error as database drivers have them.
type databaseError struct{}

func (databaseError) Error() string    { return "CANARY" }
func (databaseError) SQLState() string { return "53100" }
