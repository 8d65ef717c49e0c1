package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/internal/groups"
)

const (
	// atOnce is how many groups can be written at the same time, and how many read. While one waits for the server's
	// disk, the next is on its way.
	atOnce = 2
	// maxGroup is the maximum size of a group.
	maxGroup = 256
	// maxWaiting limits the memory for claims that wait.
	maxWaiting = 16_384
	// groupTimeout is how long a group waits for a connection, and then for the answer to its transaction.
	groupTimeout = 5 * time.Second
	// lockTime is how long rows may be locked while their secrets are rewritten. It is shorter than the lock_timeout of
	// the functions that write.
	lockTime = time.Second
)

// change is a claim or a step to write. The SQL function claim or write takes its values, and returns its result.
type change struct {
	values []any
	key    string // of the purchase
	isStep bool
	totals *totals // that it changes, or nil
	result string
	at     time.Time // when the transaction began
	day    *string   // on which a claim with a budget counts
	used   []int64   // in the periods of that day, before a claim with a budget
}

// The results of the SQL functions.
const (
	written    = "WRITTEN"
	taken      = "TAKEN"
	overBudget = "OVER_BUDGET"
	stale      = "STALE"
	itemTaken  = "ITEM_TAKEN"
	frozen     = "FROZEN " // before the scope of the freeze
)

type operation = groups.Operation[*change]

// permit is what ConfirmPermit asks for.
type permit struct {
	id      string
	attempt int
	stands  bool
}

// ConfirmPermit implements [purchase.Journal]. It compares with the database's clock.
func (j *Journal) ConfirmPermit(ctx context.Context, id string, attempt int) error {
	p := &permit{id: id, attempt: attempt}
	o := groups.New(p)
	err := j.permits.Add(o, 0)
	if err == nil {
		_, err = o.Wait(ctx)
	}
	if err == nil && !p.stands {
		err = purchase.ErrPermitOver
	}
	return err
}

// confirmGroup reads permits and answers their callers.
func (j *Journal) confirmGroup(conn *pgx.Conn, group []*groups.Operation[*permit]) {
	ctx, cancel := context.WithTimeout(context.Background(), j.groupTimeout)
	defer cancel()
	ids, attempts := make([]string, len(group)), make([]int, len(group))
	for i, o := range group {
		ids[i], attempts[i] = o.Work.id, o.Work.attempt
	}
	rows, err := conn.Query(ctx, j.sql.confirm, j.clock(), ids, attempts)
	var stand []bool
	if err == nil {
		stand, err = pgx.CollectRows(rows, pgx.RowTo[bool])
	}
	if err == nil && len(stand) != len(group) {
		err = fmt.Errorf("%d permits have %d results", len(group), len(stand))
	}
	if err == nil {
		for i, o := range group {
			o.Work.stands = stand[i]
		}
	}
	finish(group, err)
}

// write puts a change into the queue, and waits until it is durable or refused. Only claims are refused when the queue
// is full. A step is about a purchase for which money may have moved already.
func (j *Journal) write(ctx context.Context, c *change) error {
	if err := ctx.Err(); err != nil {
		return notWritten(err)
	}
	limit := j.maxWaiting
	if c.isStep {
		limit = 0
	}
	o := groups.New(c)
	if err := j.changes.Add(o, limit); err != nil {
		if errors.Is(err, groups.ErrFull) {
			err = purchase.ErrQueueFull
		}
		return notWritten(err)
	}
	ran, err := o.Wait(ctx)
	if err != nil && !ran {
		return notWritten(err)
	}
	return err
}

// serve takes groups from a queue until it is closed and empty, and runs them. It gets a connection first and takes the
// group then. So what waits for a connection can still be abandoned, and becomes one group.
func serve[W any](j *Journal, queue *groups.Queue[W], run func(conn *pgx.Conn, group []*groups.Operation[W])) {
	for queue.Await() {
		ctx, cancel := context.WithTimeout(context.Background(), j.groupTimeout)
		conn, err := j.pool.Acquire(ctx)
		cancel()
		group := queue.Take(maxGroup)
		switch {
		case err != nil:
			finish(group, notWritten(err))
			continue
		case len(group) > 0:
			run(conn.Conn(), group)
		}
		conn.Release()
	}
}

// writeGroup writes a group in one transaction and answers its callers. If one change makes the server refuse the
// transaction, each change gets its own transaction, so that only the bad one fails. Claims come first, and there is a
// limit on the time. So locked rows hold up the steps of their purchases, and no new purchases.
func (j *Journal) writeGroup(conn *pgx.Conn, group []*operation) {
	ctx, cancel := context.WithTimeout(context.Background(), j.groupTimeout)
	defer cancel()
	began := time.Now()
	err := j.commit(ctx, conn, group)
	j.instruments.Wrote(len(group), began)
	switch {
	case err == nil:
		j.finishCommitted(ctx, conn, group)
	case !wroteNothing(err):
		finish(group, fmt.Errorf("it is unknown whether the change was written: %w", err))
	case len(group) == 1:
		finish(group, notWritten(err))
	default:
		j.writeAlone(conn, group, notWritten(err))
	}
}

// finishCommitted answers the callers of a group whose commit succeeded. Before it answers that a step is stale, it makes
// one more write durable. An earlier try of the same step may have made the step stale, and the commit of that try may be
// on this server only, because pgx cancels it after groupTimeout. The caller would find that try in the history and take
// the step as recorded. A group that changed nothing has not waited for the standby. The new write waits for it, and then
// the standby has the earlier try, too.
func (j *Journal) finishCommitted(ctx context.Context, conn *pgx.Conn, group []*operation) {
	var outdated []*operation
	for _, o := range group {
		if o.Work.result == stale {
			outdated = append(outdated, o)
		} else {
			o.Finish(nil)
		}
	}
	if len(outdated) == 0 {
		return
	}
	err := j.probe(ctx, conn)
	if err != nil {
		err = fmt.Errorf("it is unknown whether an earlier try is durable: %w", err)
	}
	finish(outdated, err)
}

// writeAlone gives each change its own transaction. When the time is over, the rest is refused.
func (j *Journal) writeAlone(conn *pgx.Conn, group []*operation, refused error) {
	until := time.Now().Add(j.groupTimeout)
	for _, steps := range []bool{false, true} {
		for i, o := range group {
			switch {
			case o.Work.isStep != steps:
			case time.Now().After(until):
				o.Finish(refused)
			default:
				j.writeGroup(conn, group[i:i+1])
			}
		}
	}
}

func finish[W any](group []*groups.Operation[W], err error) {
	for _, o := range group {
		o.Finish(err)
	}
}

// commit writes changes in one transaction, which takes one round trip. Statements that are sent together are one
// transaction, and it ends with the batch. So the commit is certain only when Close returns nil. Results that have
// arrived before that may still be rolled back.
func (j *Journal) commit(ctx context.Context, conn *pgx.Conn, group []*operation) error {
	var claims, steps []*change
	for _, o := range group {
		if o.Work.isStep {
			steps = append(steps, o.Work)
		} else {
			claims = append(claims, o.Work)
		}
	}
	batch := &pgx.Batch{}
	j.lockTotals(batch, group)
	j.enqueue(batch, j.sql.claim, claims)
	j.enqueue(batch, j.sql.write, steps)
	return durably(conn, func() error { return conn.SendBatch(ctx, batch).Close() })
}

// onlyLocal marks a connection whose commit may not have reached a synchronous standby.
const onlyLocal = "only local"

var errOnlyLocal = errors.New("the commit was cancelled while it waited for a synchronous standby: it may be on this server only")

// durably runs a write. It returns an error if the standby may lack the commit. The server reports a success with a
// warning if an operator cancels a commit that waits for its standby.
func durably(conn *pgx.Conn, write func() error) error {
	marks := conn.PgConn().CustomData()
	delete(marks, onlyLocal)
	if err := write(); err != nil {
		return err
	}
	if marks[onlyLocal] != nil {
		return errOnlyLocal
	}
	return nil
}

// probe writes a row that nothing reads, and waits until it is durable.
func (j *Journal) probe(ctx context.Context, conn *pgx.Conn) error {
	return durably(conn, func() error {
		_, err := conn.Exec(ctx, j.sql.ping)
		return err
	})
}

// enqueue adds the call of an SQL function. Its arguments are the clock, and an array for each value of the changes. An
// array without a value is NULL.
func (j *Journal) enqueue(batch *pgx.Batch, function string, changes []*change) {
	if len(changes) == 0 {
		return
	}
	// Two groups that change the same purchases lock them in the same order, so that none waits for the other for ever.
	slices.SortStableFunc(changes, func(a, b *change) int { return strings.Compare(a.key, b.key) })
	args := []any{j.clock()}
	for i := range changes[0].values {
		var array []any
		for k, c := range changes {
			if array == nil && c.values[i] != nil {
				array = make([]any, len(changes))
			}
			if array != nil {
				array[k] = c.values[i]
			}
		}
		args = append(args, array)
	}
	batch.Queue(function, args...).Query(func(rows pgx.Rows) error { return readResults(rows, changes) })
}

// readResults reads the results of changes, which come in their order.
func readResults(rows pgx.Rows, changes []*change) error {
	n := 0
	for ; rows.Next() && n < len(changes); n++ {
		columns := []any{&changes[n].result, &changes[n].at}
		if !changes[n].isStep {
			columns = append(columns, &changes[n].day, &changes[n].used)
		}
		if err := rows.Scan(columns...); err != nil {
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
		"58",    // system error
		"XX",    // internal error
	} {
		if strings.HasPrefix(refused.Code, class) {
			return false
		}
	}
	return true
}

func notWritten(err error) error { return fmt.Errorf("%w: %w", purchase.ErrNotWritten, err) }
