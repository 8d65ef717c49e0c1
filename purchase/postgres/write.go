package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gigagate.internal/purchase"
)

// Claim implements [purchase.Journal].
func (j *Journal) Claim(ctx context.Context, c purchase.Claim) (purchase.Purchase, error) {
	order, err := purchase.EncodeOrder(c.Order)
	if err != nil {
		return purchase.Purchase{}, notWritten(fmt.Errorf("encode the order: %w", err))
	}
	for _, text := range []string{
		c.ID, c.Key.Caller, c.Key.RequestID, c.Account, c.Order.CustomerUID, c.Personal.CustomerEmail, c.Personal.UserIP,
	} {
		if !storable(text) {
			return purchase.Purchase{}, notWritten(errNotStorable)
		}
	}
	rows, err := write(ctx, j, scanPurchase, j.sql.claim, j.clock(),
		c.ID, c.Key.Caller, c.Key.RequestID, c.Account, string(c.Order.Kind), string(c.Order.EffectiveMode()),
		orNull(c.Order.CustomerUID), order, string(purchase.Sending), c.PermitLife, c.Lease,
		purchase.ByGateway, orNull(c.Personal.CustomerEmail), orNull(c.Personal.UserIP))
	if err != nil {
		return purchase.Purchase{}, fmt.Errorf("claim: %w", err)
	}
	if len(rows) == 1 {
		return rows[0], nil
	}
	// The key is taken. Reading who has it needs a second statement, which sees what was committed while the
	// first one waited. If this read fails, the error is not ErrNotWritten, because an earlier claim of the same
	// id may have been written.
	p, err := j.Lookup(ctx, c.Key)
	if err != nil {
		return purchase.Purchase{}, fmt.Errorf("claim: read the purchase that has the key: %w", err)
	}
	return p, nil
}

// Record implements [purchase.Journal].
//
// Most events find the state that they expect. So the first statement is sent without a read. It moves the
// purchase if the row has the attempt of the transition and a state that the event moves. If it changes no row,
// Record reads the row, decides, and writes if the revision is still the same.
//
// A transition with aliases skips the first statement, because no index stops a package from being bound twice
// under different account names. The check before the write does not cover replicas that bind one package under
// different names at the same moment.
func (j *Journal) Record(ctx context.Context, id string, transition purchase.Transition) (purchase.Purchase, purchase.Verdict, error) {
	fail := func(err error) (purchase.Purchase, purchase.Verdict, error) {
		return purchase.Purchase{}, "", fmt.Errorf("record %s: %w", transition.Event, err)
	}
	if !storable(id) {
		return fail(purchase.ErrNotFound)
	}
	evidence, err := json.Marshal(transition.Evidence)
	if err != nil {
		return fail(notWritten(err))
	}
	if expected, after, states := expect(transition); len(states) > 0 && len(transition.Aliases) == 0 {
		changed, err := j.apply(ctx, id, transition, evidence, guard{expected: expected, states: states}, after, purchase.Moves)
		if err != nil {
			return fail(err)
		}
		if len(changed) == 1 {
			return changed[0], purchase.Moves, nil
		}
	}
	for {
		read, twice, err := j.readRecorded(ctx, id, transition)
		if err != nil {
			return fail(err)
		}
		after, verdict := timeless(read.Purchase).After(transition, began)
		switch {
		case verdict == purchase.Illegal:
			return read.Purchase, verdict, fmt.Errorf("record %s of attempt %d in %s: %w", transition.Event, transition.Attempt, read.State, purchase.ErrIllegal)
		case verdict != purchase.Moves && twice && (read.SuccessSeen || !transition.SuccessSeen):
			return read.Purchase, verdict, nil
		}
		if verdict == purchase.Moves && after.State == purchase.Succeeded && len(transition.Aliases) > 0 {
			taken, err := one(ctx, j, pgx.RowTo[bool], j.sql.taken, transition.ItemUID, transition.Aliases)
			if err != nil {
				return fail(err)
			}
			if taken {
				return fail(purchase.ErrItemTaken)
			}
		}
		changed, err := j.apply(ctx, id, transition, evidence, guard{expected: read.Purchase, revision: &read.revision}, after, verdict)
		if err != nil {
			return fail(err)
		}
		if len(changed) == 1 {
			return changed[0], verdict, nil
		}
		// Another writer added an entry in between. So every round means progress for somebody, and the loop ends.
	}
}

// began stands for the transaction's start when After decides before the transaction exists. The difference
// between a time that After sets and began is the interval that the SQL adds to the real start.
var began = time.Unix(0, 0)

// timeless returns p with all times cleared, so that apply can see which times After has set.
func timeless(p purchase.Purchase) purchase.Purchase {
	p.ClaimedAt, p.PermittedAt, p.SendNotAfter, p.LeaseUntil = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	p.UpdatedAt, p.SettledAt = time.Time{}, time.Time{}
	return p
}

// expect returns the states in which transition moves a purchase of the transition's attempt, whatever else the row
// contains. after is the result, which is the same in all of these states.
func expect(transition purchase.Transition) (expected, after purchase.Purchase, states []string) {
	for _, state := range purchase.States() {
		p := purchase.Purchase{State: state, Attempt: transition.Attempt}
		seen := p
		if seen.SuccessSeen = true; !moves(seen, transition) {
			continue // the decision depends on more than the state
		}
		if moved, verdict := p.After(transition, began); verdict == purchase.Moves {
			expected, after = p, moved
			states = append(states, string(state))
		}
	}
	return expected, after, states
}

func moves(p purchase.Purchase, transition purchase.Transition) bool {
	_, verdict := p.After(transition, began)
	return verdict == purchase.Moves
}

// guard is the condition under which a transition is applied to a row: the expected attempt and one of the states,
// or the revision that was read.
type guard struct {
	expected purchase.Purchase
	states   []string
	revision *int
}

// apply writes the difference between the guard's expected purchase and after, and the history entry. It
// returns no row if the guard does not hold.
func (j *Journal) apply(
	ctx context.Context, id string, transition purchase.Transition, evidence []byte,
	guard guard, after purchase.Purchase, verdict purchase.Verdict,
) ([]purchase.Purchase, error) {
	var permitLife, lease *time.Duration
	if !after.PermittedAt.IsZero() {
		permitLife = new(after.SendNotAfter.Sub(began))
	}
	if !after.LeaseUntil.IsZero() {
		lease = new(after.LeaseUntil.Sub(began))
	}
	var sale []byte
	if verdict == purchase.Moves && after.State == purchase.Succeeded {
		sale = transition.Sale
	}
	changed, err := write(ctx, j, scanPurchase, j.sql.record, j.clock(),
		id, guard.expected.Attempt, guard.revision, guard.states,
		string(after.State), orNull(string(after.Reason)), after.Attempt,
		after.SuccessSeen, after.Anomalies-guard.expected.Anomalies, permitLife, lease,
		orNull(after.ItemUID), orNull(after.CustomerUID), !after.SettledAt.IsZero(),
		string(transition.Event), transition.Attempt, string(verdict), orNull(string(transition.Reason)),
		orNull(itemOf(transition)), evidence, transition.By, sale)
	if isUnique(err, "purchase_item") {
		return nil, purchase.ErrItemTaken
	}
	return changed, err
}

// itemOf returns the package that transition is about, whether it binds the purchase to it or only mentions it.
func itemOf(transition purchase.Transition) string {
	return cmp.Or(transition.ItemUID, transition.Evidence.ItemUID)
}

// readRecorded reads a purchase, and reports whether its history already contains transition.
func (j *Journal) readRecorded(ctx context.Context, id string, transition purchase.Transition) (row, bool, error) {
	var twice bool
	read, err := one(ctx, j, func(from pgx.CollectableRow) (row, error) { return scanRow(from, &twice) },
		j.sql.recorded, id, string(transition.Event), transition.Attempt, orNull(itemOf(transition)))
	if err == nil {
		read.Purchase, err = read.decoded()
	}
	return read, twice, err
}

// TakeLapsed implements [purchase.Journal]. It skips rows that another transaction is writing.
func (j *Journal) TakeLapsed(ctx context.Context, lease time.Duration, limit int) ([]purchase.Purchase, error) {
	taken, err := readable(write(ctx, j, scanListed, j.sql.takeLapsed, j.clock(), lease, purchase.ByGateway, limit))
	if err != nil {
		return taken, fmt.Errorf("take lapsed purchases: %w", err)
	}
	return taken, nil
}

// write runs one statement that changes rows, in its own transaction. The commit is certain only when
// CollectRows has read all rows and the server's ReadyForQuery message. Rows that were scanned before may still
// be rolled back. The error wraps ErrNotWritten only if nothing was written.
func write[T any](ctx context.Context, j *Journal, scan pgx.RowToFunc[T], statement string, args ...any) ([]T, error) {
	conn, err := j.pool.Acquire(ctx)
	if err != nil {
		return nil, notWritten(err)
	}
	defer conn.Release()
	rows, err := conn.Query(ctx, statement, args...)
	var written []T
	if err == nil {
		written, err = pgx.CollectRows(rows, scan)
	}
	if err != nil && wroteNothing(err) {
		return nil, notWritten(err)
	}
	return written, err
}

// wroteNothing reports whether err proves that the statement changed nothing.
func wroteNothing(err error) bool {
	if pgconn.SafeToRetry(err) {
		return true // not a byte of the statement was sent
	}
	refused, ok := errors.AsType[*pgconn.PgError](err)
	// An ERROR rolls the statement's transaction back. A FATAL or a PANIC ends the session and may come after
	// the commit.
	if !ok || refused.SeverityUnlocalized != "ERROR" {
		return false
	}
	// With these SQLSTATE classes (PostgreSQL, appendix A) the server or a pooler may report a transaction whose
	// outcome it does not know.
	for _, class := range []string{
		"08",    // connection exception, such as 08007 transaction resolution unknown
		"40003", // statement completion unknown
		"57",    // operator intervention: a cancel can hit a commit that waits for its replica
		"XX",    // internal error
	} {
		if strings.HasPrefix(refused.Code, class) {
			return false
		}
	}
	return true
}

// isUnique reports whether err is a violation of the given unique index.
func isUnique(err error, index string) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refused.Code == "23505" && refused.ConstraintName == index
}

func notWritten(err error) error { return fmt.Errorf("%w: %w", purchase.ErrNotWritten, err) }

// storable reports whether a PostgreSQL text can hold s. It cannot hold zero bytes or invalid UTF-8. Keys with
// them are refused and not changed, because a change could make two keys equal.
func storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
