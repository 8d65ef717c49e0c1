package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gigagate.internal/purchase"
)

var errNotStorable = errors.New("PostgreSQL cannot store zero bytes or invalid UTF-8")

// change is a claim or a step to write. The SQL function claim or write takes its values, and returns its result.
type change struct {
	values []any
	key    string // of the purchase
	isStep bool
	result string
	at     time.Time // when the transaction began
}

// The results of the SQL functions.
const (
	written   = "WRITTEN"
	taken     = "TAKEN"
	stale     = "STALE"
	itemTaken = "ITEM_TAKEN"
)

// Claim implements [purchase.Journal].
func (j *Journal) Claim(ctx context.Context, c purchase.Claim) (purchase.Purchase, error) {
	order, err := purchase.EncodeOrder(c.Order)
	if err != nil {
		return purchase.Purchase{}, notWritten(fmt.Errorf("encode the order: %w", err))
	}
	personal, err := json.Marshal(c.Personal)
	if err != nil {
		return purchase.Purchase{}, notWritten(fmt.Errorf("encode personal data: %w", err))
	}
	for _, text := range []string{
		c.ID, c.Key.Caller, c.Key.RequestID, c.Account, c.Order.CustomerUID, c.Personal.CustomerEmail, c.Personal.UserIP,
	} {
		if !storable(text) {
			return purchase.Purchase{}, notWritten(errNotStorable)
		}
	}
	claim := &change{key: c.Key.RequestID + "\x00" + c.Key.Caller, values: []any{
		c.ID, c.Key.Caller, c.Key.RequestID, c.Account, orNull(c.Order.CustomerUID), string(order), c.PermitLife, c.Lease, string(personal),
	}}
	if err := j.write(ctx, claim); err != nil {
		return purchase.Purchase{}, fmt.Errorf("claim: %w", err)
	}
	if claim.result == written {
		return purchase.New(c, claim.at), nil
	}
	// If this read fails, the error is not ErrNotWritten, because an earlier claim of the same id may have been written.
	p, err := j.Lookup(ctx, c.Key)
	if errors.Is(err, purchase.ErrNotFound) {
		return purchase.Purchase{}, notWritten(fmt.Errorf("claim: the purchase id %s belongs to another key", c.ID))
	}
	if err != nil {
		return purchase.Purchase{}, fmt.Errorf("claim: read the purchase that has the key: %w", err)
	}
	return p, nil
}

// Write implements [purchase.Journal].
func (j *Journal) Write(ctx context.Context, s purchase.Step) (purchase.Purchase, error) {
	evidence, err := json.Marshal(s.Transition.Evidence)
	if err != nil {
		return purchase.Purchase{}, notWritten(fmt.Errorf("encode evidence: %w", err))
	}
	var aliases any
	if s.Transition.ItemUID != "" && len(s.Transition.Aliases) > 0 {
		names, err := json.Marshal(s.Transition.Aliases)
		if err != nil {
			return purchase.Purchase{}, notWritten(fmt.Errorf("encode the names of the account: %w", err))
		}
		aliases = string(names)
	}
	// The time of the step is the database's, so only the spans from it are known here.
	p, t := s.At(epoch), s.Transition
	var permitLife, lease any
	if s.Verdict == purchase.Moves && !p.LeaseUntil.IsZero() {
		lease = p.LeaseUntil.Sub(epoch)
	}
	if p.State == purchase.Sending && p.Attempt > s.Before.Attempt {
		permitLife = p.SendNotAfter.Sub(epoch)
	}
	step := &change{key: p.ID, isStep: true, values: []any{
		p.ID, s.Before.Revision, s.Settles(), s.Before.State.Settled(), string(p.State), orNull(string(p.Reason)), p.Attempt,
		p.SuccessSeen, p.Anomalies, permitLife, lease, orNull(p.ItemUID), orNull(p.CustomerUID), aliases, p.Account,
		string(p.Order.Kind), string(p.Order.EffectiveMode()), string(t.Event), t.Attempt, string(s.Verdict), orNull(string(t.Reason)),
		string(evidence), string(t.By), t.Sale,
	}}
	if err := j.write(ctx, step); err != nil {
		return purchase.Purchase{}, fmt.Errorf("write %s: %w", t.Event, err)
	}
	switch step.result {
	case written:
		return s.At(step.at), nil
	case itemTaken:
		return purchase.Purchase{}, purchase.ErrItemTaken
	}
	return purchase.Purchase{}, purchase.ErrStale
}

// epoch stands for the time of a step that is not written yet.
var epoch = time.Unix(0, 0)

// write writes one change in a transaction.
func (j *Journal) write(ctx context.Context, c *change) error {
	conn, err := j.pool.Acquire(ctx)
	if err != nil {
		return notWritten(err)
	}
	defer conn.Release()
	if err := j.commit(ctx, conn.Conn(), []*change{c}); err != nil {
		if wroteNothing(err) {
			return notWritten(err)
		}
		return err
	}
	return nil
}

// commit writes changes in one transaction, which takes one round trip. Statements that are sent together are one
// transaction, and it ends with the batch. So the commit is certain only when Close returns nil. Results that have
// arrived before that may still be rolled back.
func (j *Journal) commit(ctx context.Context, conn *pgx.Conn, changes []*change) error {
	batch := &pgx.Batch{}
	queue := func(statement string, values int, isStep bool) {
		var those []*change
		for _, c := range changes {
			if c.isStep == isStep {
				those = append(those, c)
			}
		}
		if len(those) == 0 {
			return
		}
		// Transactions that change the same purchases must lock them in the same order.
		slices.SortStableFunc(those, func(a, b *change) int { return strings.Compare(a.key, b.key) })
		batch.Queue(statement, j.arguments(those, values)...).Query(func(rows pgx.Rows) error { return results(rows, those) })
	}
	queue(j.sql.claim, valuesOfClaim, false)
	queue(j.sql.write, valuesOfStep, true)
	return conn.SendBatch(ctx, batch).Close()
}

// arguments returns the arguments of a function: the clock, and an array for each value that the changes have.
func (j *Journal) arguments(changes []*change, values int) []any {
	args := make([]any, 1+values)
	args[0] = j.clock()
	for i := range values {
		array := make([]any, len(changes))
		for k, c := range changes {
			array[k] = c.values[i]
		}
		args[1+i] = array
	}
	return args
}

// results reads the results of changes, which come in their order.
func results(rows pgx.Rows, changes []*change) error {
	n := 0
	for ; rows.Next() && n < len(changes); n++ {
		if err := rows.Scan(&changes[n].result, &changes[n].at); err != nil {
			return err
		}
		changes[n].at = changes[n].at.UTC()
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if n != len(changes) {
		return fmt.Errorf("%d changes have %d results", len(changes), n)
	}
	return nil
}

// wroteNothing reports whether err proves that the transaction changed nothing.
func wroteNothing(err error) bool {
	if pgconn.SafeToRetry(err) {
		return true // not a byte was sent
	}
	refused, ok := errors.AsType[*pgconn.PgError](err)
	// An ERROR rolls the transaction back. A FATAL or a PANIC ends the session and may come after the commit.
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

func notWritten(err error) error { return fmt.Errorf("%w: %w", purchase.ErrNotWritten, err) }

// storable reports whether a PostgreSQL text can hold s. It cannot hold zero bytes or invalid UTF-8. Keys with
// them are refused and not changed, because a change could make two keys equal.
func storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
