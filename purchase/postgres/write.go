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

// Claim writes a new purchase, or finds the one that has its key.
func (j *Journal) Claim(ctx context.Context, c purchase.Claim) (purchase.Purchase, bool, error) {
	order, err := purchase.EncodeOrder(c.Order)
	if err != nil {
		return purchase.Purchase{}, false, notWritten(fmt.Errorf("encode the order: %w", err))
	}
	for _, text := range []string{
		c.ID, c.Key.Caller, c.Key.RequestID, c.Account, c.Order.CustomerUID, c.Personal.CustomerEmail, c.Personal.UserIP,
	} {
		if !storable(text) {
			return purchase.Purchase{}, false, notWritten(errNotStorable)
		}
	}
	rows, err := write(ctx, j, scanPurchase, j.sql.claim, j.clock(),
		c.ID, c.Key.Caller, c.Key.RequestID, c.Account, string(c.Order.Kind), string(c.Order.EffectiveMode()),
		orNull(c.Order.CustomerUID), order, string(purchase.Sending), c.PermitLife, c.Lease,
		purchase.ByGateway, orNull(c.Personal.CustomerEmail), orNull(c.Personal.UserIP))
	if err != nil {
		return purchase.Purchase{}, false, fmt.Errorf("claim: %w", err)
	}
	if len(rows) == 1 {
		return rows[0], true, nil
	}
	// The key is taken. Who has it takes a statement of its own, which sees what was committed while
	// the first one waited. Failing here is no promise that nothing was written: an earlier claim of
	// the same id may have been.
	p, err := j.Lookup(ctx, c.Key)
	if err != nil {
		return purchase.Purchase{}, false, fmt.Errorf("claim: read who has the key: %w", err)
	}
	return p, p.ID == c.ID, nil
}

// Record applies one event as [purchase.Purchase.After] decides.
//
// Events mostly find what they expect, so the first statement is sent without reading: it moves the
// purchase if its attempt is the change's and its state is one that the event moves. Where it is
// not, the row is read, judged, and written if it has stayed the same meanwhile. So it is where the
// account has aliases: no index keeps a package from being bound twice under different names. Replicas
// that bind one package to two purchases at the same moment, under different names, are not kept from it.
func (j *Journal) Record(ctx context.Context, id string, change purchase.Change) (purchase.Purchase, purchase.Verdict, error) {
	fail := func(err error) (purchase.Purchase, purchase.Verdict, error) {
		return purchase.Purchase{}, "", fmt.Errorf("record %s: %w", change.Event, err)
	}
	if !storable(id) {
		return fail(purchase.ErrNotFound)
	}
	evidence, err := json.Marshal(change.Evidence)
	if err != nil {
		return fail(notWritten(err))
	}
	if expected, after, states := expect(change); len(states) > 0 && len(change.Aliases) == 0 {
		changed, err := j.apply(ctx, id, change, evidence, guard{expected: expected, states: states}, after, purchase.Moves)
		if err != nil {
			return fail(err)
		}
		if len(changed) == 1 {
			return changed[0], purchase.Moves, nil
		}
	}
	for {
		read, twice, err := j.readRecorded(ctx, id, change)
		if err != nil {
			return fail(err)
		}
		after, verdict := timeless(read.Purchase).After(change, began)
		switch {
		case verdict == purchase.Illegal:
			return read.Purchase, verdict, fmt.Errorf("record %s of attempt %d in %s: %w", change.Event, change.Attempt, read.State, purchase.ErrIllegal)
		case verdict != purchase.Moves && twice && (read.SuccessSeen || !change.SuccessSeen):
			return read.Purchase, verdict, nil
		}
		if verdict == purchase.Moves && after.State == purchase.Succeeded && len(change.Aliases) > 0 {
			taken, err := one(ctx, j, pgx.RowTo[bool], j.sql.taken, change.ItemUID, change.Aliases)
			if err != nil {
				return fail(err)
			}
			if taken {
				return fail(purchase.ErrItemTaken)
			}
		}
		changed, err := j.apply(ctx, id, change, evidence, guard{expected: read.Purchase, revision: &read.revision}, after, verdict)
		if err != nil {
			return fail(err)
		}
		if len(changed) == 1 {
			return changed[0], verdict, nil
		}
		// Somebody else wrote in between, which is their progress: each round is one more entry.
	}
}

// began stands for the time of a transaction in what After decides before the transaction begins; what
// is added to it is what the transaction has to add.
var began = time.Unix(0, 0)

// timeless is p with no time set, so that every time After sets can be told.
func timeless(p purchase.Purchase) purchase.Purchase {
	p.ClaimedAt, p.PermittedAt, p.SendNotAfter, p.LeaseUntil = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	p.UpdatedAt, p.SettledAt = time.Time{}, time.Time{}
	return p
}

// expect says what change would move: a purchase in its attempt and in one of states. It makes the
// same of it in each.
func expect(change purchase.Change) (expected, after purchase.Purchase, states []string) {
	for _, state := range purchase.States() {
		p := purchase.Purchase{State: state, Attempt: change.Attempt}
		seen := p
		if seen.SuccessSeen = true; !moves(seen, change) {
			continue // it depends on what only the row knows
		}
		if moved, verdict := p.After(change, began); verdict == purchase.Moves {
			expected, after = p, moved
			states = append(states, string(state))
		}
	}
	return expected, after, states
}

func moves(p purchase.Purchase, change purchase.Change) bool {
	_, verdict := p.After(change, began)
	return verdict == purchase.Moves
}

// guard is what a row has to be for a change to be applied: of the expected attempt and in one of
// states, or of the revision that was read.
type guard struct {
	expected purchase.Purchase
	states   []string
	revision *int
}

// apply writes what after differs in from what the guard expected, and the entry of it.
func (j *Journal) apply(
	ctx context.Context, id string, change purchase.Change, evidence []byte,
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
		sale = change.Sale
	}
	changed, err := write(ctx, j, scanPurchase, j.sql.record, j.clock(),
		id, guard.expected.Attempt, guard.revision, guard.states,
		string(after.State), orNull(string(after.Reason)), after.Attempt,
		after.SuccessSeen, after.Anomalies-guard.expected.Anomalies, permitLife, lease,
		orNull(after.ItemUID), orNull(after.CustomerUID), !after.SettledAt.IsZero(),
		string(change.Event), change.Attempt, string(verdict), orNull(string(change.Reason)),
		orNull(itemOf(change)), evidence, change.By, sale)
	if isUnique(err, "purchase_item") {
		return nil, purchase.ErrItemTaken
	}
	return changed, err
}

// itemOf is the item that change speaks of, whether it binds the purchase to it or only tells of it.
func itemOf(change purchase.Change) string {
	return cmp.Or(change.ItemUID, change.Evidence.ItemUID)
}

// readRecorded reads a purchase, and whether its history has change already.
func (j *Journal) readRecorded(ctx context.Context, id string, change purchase.Change) (row, bool, error) {
	var twice bool
	read, err := one(ctx, j, func(from pgx.CollectableRow) (row, error) { return scanRow(from, &twice) },
		j.sql.recorded, id, string(change.Event), change.Attempt, orNull(itemOf(change)))
	if err == nil {
		read.Purchase, err = read.decoded()
	}
	return read, twice, err
}

// TakeLapsed makes a Sending whose lease is over Uncertain, and renews the lease of an Accepted whose
// lease is over.
func (j *Journal) TakeLapsed(ctx context.Context, lease time.Duration, limit int) ([]purchase.Purchase, error) {
	taken, err := readable(write(ctx, j, scanListed, j.sql.takeLapsed, j.clock(), lease, purchase.ByGateway, limit))
	if err != nil {
		return taken, fmt.Errorf("take what has lapsed: %w", err)
	}
	return taken, nil
}

// write runs one statement that changes rows, as a transaction of its own. The answer is complete, and
// the commit done, when all rows and the server's word that it is ready again have been read; what
// is scanned before that may never be kept. Errors tell whether something may have been written.
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

// wroteNothing reports whether err proves that its statement changed nothing.
func wroteNothing(err error) bool {
	if pgconn.SafeToRetry(err) {
		return true // not a byte of it left
	}
	refused, ok := errors.AsType[*pgconn.PgError](err)
	// An ERROR ends the statement's transaction. A FATAL or a PANIC ends the session, and may come
	// after the commit.
	if !ok || refused.SeverityUnlocalized != "ERROR" {
		return false
	}
	// SQLSTATE classes (PostgreSQL, appendix A) by which the server, or a pooler in its place, may
	// speak of a transaction whose end it does not know.
	for _, class := range []string{
		"08", // connection exception, 08007 transaction resolution unknown
		"40003",
		"57", // operator intervention: a cancel can meet a commit that waits for its replica
		"XX", // internal error
	} {
		if strings.HasPrefix(refused.Code, class) {
			return false
		}
	}
	return true
}

// isUnique reports whether err is the violation of one unique index.
func isUnique(err error, index string) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refused.Code == "23505" && refused.ConstraintName == index
}

func notWritten(err error) error { return fmt.Errorf("%w: %w", purchase.ErrNotWritten, err) }

// storable reports whether PostgreSQL's text can hold s. It holds neither zero bytes nor broken UTF-8;
// keys that have them are refused rather than changed, since two keys could become one.
func storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
