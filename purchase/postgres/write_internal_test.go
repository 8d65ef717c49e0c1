package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestWroteNothing: which errors prove that the statement wrote nothing. If a written claim were reported as
// not written, its key could be used for a second sale.
func TestWroteNothing(t *testing.T) {
	t.Parallel()
	reply := func(severity, code string) error {
		return fmt.Errorf("wrapped: %w", &pgconn.PgError{Severity: severity, SeverityUnlocalized: severity, Code: code})
	}
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"unique violation", reply("ERROR", "23505"), true},
		{"check violation", reply("ERROR", "23514"), true},
		{"serialization failure", reply("ERROR", "40001"), true},
		{"deadlock", reply("ERROR", "40P01"), true},
		{"disk full", reply("ERROR", "53100"), true},
		{"read only", reply("ERROR", "25006"), true},
		{"no such table", reply("ERROR", "42P01"), true},
		{"statement completion unknown", reply("ERROR", "40003"), false},
		{"transaction resolution unknown", reply("ERROR", "08007"), false},
		{"protocol violation, as a pooler reports a lost server", reply("ERROR", "08P01"), false},
		{"cancelled, perhaps while the commit waited for a replica", reply("ERROR", "57014"), false},
		{"internal error", reply("ERROR", "XX000"), false},
		{"terminated, perhaps after the commit", reply("FATAL", "57P01"), false},
		{"any end of the session", reply("FATAL", "53100"), false},
		{"panic", reply("PANIC", "53100"), false},
		{"in the server's language", &pgconn.PgError{Severity: "FEHLER", SeverityUnlocalized: "ERROR", Code: "23505"}, true},
		{"without a known severity", &pgconn.PgError{Severity: "ERROR", Code: "23505"}, false},
		{"connection broke", io.ErrUnexpectedEOF, false},
		{"time over", context.DeadlineExceeded, false},
		{"anything else", errors.New("anything else"), false},
	} {
		if got := wroteNothing(c.err); got != c.want {
			t.Errorf("%s: wrote nothing = %t, want %t", c.name, got, c.want)
		}
	}
}
