// Package sqlite keeps purchases in one SQLite file that a single gateway process has open. This journal needs
// no database server. schema.sql documents the file.
//
// One goroutine, the writer, does all work on the file. Between two transactions it serves the waiting reads.
// Then it puts all waiting writes, from all callers, into one transaction. It answers these callers when the
// transaction is on disk. The writer never waits for more writes to arrive: while it syncs one group, the next
// group gathers in the queue.
//
// If a transaction cannot be written, the writer closes the file and opens it again. It copies the WAL into the
// database file before it goes on. Until that succeeds, every call fails, [Journal.Ping] returns the cause, and
// the writer keeps trying. If the file is no longer at its path, writes fail too, but the file stays open and
// reads still work.
package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/internal/groups"
)

// ErrInUse means that another process has the file open, or another Journal in this process.
var ErrInUse = errors.New("the journal is in use by another process")

var errRolledBack = errors.New("purchases are missing from the file: stop the gateway, put the right file back, and start the gateway again")

// defaultOpen limits the memory for purchases that wait for their outcome to about 20 MB.
const defaultOpen = 16_384

// Options configure a Journal. A zero field means its default.
type Options struct {
	// Now is the journal's clock, time.Now by default.
	Now func() time.Time
	// Logger gets a line when the file becomes unusable, and another when it is usable again. By default nothing is
	// logged.
	Logger *slog.Logger
	// MaxOpen is the maximum number of purchases that wait for their outcome. The default is 16,384. Claim
	// refuses a purchase beyond it with purchase.ErrQueueFull. No other write is ever refused for this reason.
	MaxOpen int
	// Meters measure the transactions. By default nothing is measured.
	Meters metric.MeterProvider
}

// Journal is a [purchase.Journal] in an SQLite file.
type Journal struct {
	path    string
	now     func() time.Time
	logger  *slog.Logger
	queue   *queue
	stopped chan struct{}

	instruments *groups.Instruments

	maxGroup int
	// Only the writer uses the fields below.
	conn    *connection // nil while the file cannot be used
	fault   error       // why the file cannot be used
	away    bool        // the file is open but no longer at its path
	newest  string      // id of the newest durable purchase
	retryAt time.Time
	began   time.Time // start of the current transaction
	commit  func(c *connection) error
	ended   error
}

// background is the context of the writer's statements. They end on their own, and an interrupted statement
// would only be one more way to fail.
var background = context.Background()

// Open opens the journal file at path and locks it. If there is no file, Open creates one. It returns ErrInUse
// if the file is already open elsewhere. The lock proves that the previous owner of every purchase in Sending
// or Accepted is dead, so Open ends their leases. It returns an error if a WAL is left without its database, or
// if the file is empty or holds no journal. It returns a BackupError if the file is a backup that nobody has
// allowed to start.
func Open(ctx context.Context, path string, options Options) (*Journal, error) {
	if path == "" {
		return nil, errors.New("the journal needs the name of a file")
	}
	j := &Journal{
		path: path, now: options.Now, logger: options.Logger,
		queue: newQueue(cmp.Or(options.MaxOpen, defaultOpen)), stopped: make(chan struct{}), maxGroup: maxGroup,
		commit: func(c *connection) error { return c.exec("COMMIT") },
	}
	if j.now == nil {
		j.now = time.Now
	}
	if j.logger == nil {
		j.logger = slog.New(slog.DiscardHandler)
	}
	var err error
	if j.instruments, err = groups.NewInstruments(options.Meters, j.queue.waiting); err != nil {
		return nil, err
	}
	created, err := makeNew(path)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	if j.conn, err = connect(path); err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	if err := j.conn.mayServe(""); err != nil {
		return nil, errors.Join(fmt.Errorf("open the journal: %w", err), j.conn.close())
	}
	j.newest = j.conn.newest
	if err := j.conn.endLeases(j.time()); err != nil {
		return nil, errors.Join(fmt.Errorf("open the journal: %w", err), j.conn.close())
	}
	if created {
		j.logger.InfoContext(ctx, "a new, empty journal was created: it knows no earlier purchases", "path", path)
	}
	go j.runWriter()
	return j, nil
}

// Close finishes the calls that are already in the queue, and closes the file.
func (j *Journal) Close() error {
	j.queue.close()
	<-j.stopped
	return j.ended
}

// time returns the journal's clock in UTC, truncated to microseconds. That is the precision the file keeps.
func (j *Journal) time() time.Time { return j.now().UTC().Truncate(time.Microsecond) }

// read lets the writer run a query between two transactions, and waits for it.
func (j *Journal) read(ctx context.Context, run func(c *connection) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := groups.New(work{run: run})
	if err := j.queue.read(o); err != nil {
		return err
	}
	_, err := o.Wait(ctx)
	return err
}

// write lets the writer run an operation in a transaction, and waits until it is durable. finished may be nil. It is
// called exactly once with whether the operation is durable, even if the caller no longer waits.
func (j *Journal) write(ctx context.Context, run func(c *connection) error, finished func(written bool)) error {
	o := groups.New(work{run, finished})
	err := ctx.Err()
	if err == nil {
		err = j.queue.write(o)
	}
	ran := false
	if err == nil {
		ran, err = o.Wait(ctx)
	}
	if ran || err == nil {
		return err
	}
	if finished != nil {
		finished(false)
	}
	return fmt.Errorf("%w: %w", purchase.ErrNotWritten, err)
}
