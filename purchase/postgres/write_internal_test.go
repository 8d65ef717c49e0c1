package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"gigagate.internal/purchase"
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

// TestExpectAgreesWithAfter: Record's first statement is sent without a read. For every row that its guard
// accepts, Purchase.After must decide the same.
func TestExpectAgreesWithAfter(t *testing.T) {
	t.Parallel()
	for _, event := range purchase.Events() {
		for _, attempt := range []int{0, 1, 3} {
			for _, item := range []string{"", "item"} {
				transition := purchase.Transition{
					Event: event, Attempt: attempt, ItemUID: item, CustomerUID: "customer", Reason: "R",
					PermitLife: 10, Lease: 100, SuccessSeen: true, Anomaly: true,
				}
				expected, after, states := expect(transition)
				for i, state := range append(purchase.States(), purchase.States()...) {
					met := purchase.Purchase{
						ID: "id", State: state, Attempt: attempt, Anomalies: 7, UpdatedAt: began.Add(-5), LeaseUntil: began.Add(5),
						SuccessSeen: i >= len(purchase.States()),
					}
					want, verdict := timeless(met).After(transition, began)
					guessed := slices.Contains(states, string(state))
					// If the decision depends on more than the state, Record must read the row first.
					if moves := verdict == purchase.Moves; moves != guessed && (guessed || event != purchase.PresumedAbsent) {
						t.Errorf("%s of attempt %d in %s: verdict %s, and the guard is %v", event, attempt, state, verdict, states)
						continue
					} else if !guessed {
						continue
					}
					got := after
					got.ID, got.Anomalies = "id", 7+after.Anomalies-expected.Anomalies
					if got != want {
						t.Errorf("%s in %s:\n got %+v\nwant %+v", event, state, got, want)
					}
				}
			}
		}
	}
}
