// Package sqlite keeps purchases in one SQLite file, which one gateway has open: the journal that
// needs nothing installed. schema.sql documents the file.
//
// All work on the file is done by one goroutine, the writer. Between two transactions it serves the
// reads that wait; then it puts all writes that wait, of whatever callers, into one transaction, and
// answers them once that is on the disk. It never waits for more to come: while one group is being
// synced the next one gathers.
//
// When a transaction cannot be written the writer closes the file, opens it again, brings what the
// log holds to the disk, and only then goes on; until that works every call fails, [Journal.Ping]
// says why, and the writer keeps trying. While the file is not at its path writes fail likewise, and
// it is kept open.
package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gigagate.internal/purchase"
)

// ErrInUse says that another process, or another journal of this one, has the file open.
var ErrInUse = errors.New("the journal is in use by another process")

var errForgetful = errors.New("the file lacks purchases that were in it: stop the gateway, put the right file in its place, and start it again")

// defaultOpen bounds the memory that waiting outcomes can need to some 20 MB.
const defaultOpen = 16_384

// Options of a journal; zero fields have the defaults named.
type Options struct {
	// Now is the journal's clock, time.Now by default.
	Now func() time.Time
	// Logger is told when the file cannot be used and when it can again. None by default.
	Logger *slog.Logger
	// MaxOpen is how many purchases may be claimed or sending at a time, 16,384 by default. A claim
	// beyond it is refused with ErrQueueFull; no other write ever is.
	MaxOpen int
}

// Journal is a [purchase.Journal] in an SQLite file.
type Journal struct {
	path    string
	now     func() time.Time
	logger  *slog.Logger
	queue   *queue
	stopped chan struct{}

	maxGroup int
	// What follows is the writer's own.
	conn    *connection // nil while the file cannot be used
	fault   error       // why not
	away    bool        // the file is open, and not in its place
	newest  int64       // the number of the newest purchase that is durable
	retryAt time.Time
	began   time.Time // when the transaction began
	commit  func(c *connection) error
	ended   error
}

// background: the writer's statements end by themselves, and one that is interrupted half way would
// be one more way to fail.
var background = context.Background()

// Open opens the file at path, or makes it, and locks it. Every purchase in Sending or Accepted
// counts as lapsed from now on, since the lock proves that its owner is dead. The error is ErrInUse
// where it does not.
func Open(ctx context.Context, path string, options Options) (*Journal, error) {
	if path == "" {
		return nil, errors.New("the journal needs the name of a file")
	}
	j := &Journal{
		path: path, now: options.Now, logger: options.Logger,
		queue: newQueue(cmp.Or(options.MaxOpen, defaultOpen)), stopped: make(chan struct{}), maxGroup: maxGroup,
		commit: func(c *connection) error { _, err := c.commit.ExecContext(background); return err },
	}
	if j.now == nil {
		j.now = time.Now
	}
	if j.logger == nil {
		j.logger = slog.New(slog.DiscardHandler)
	}
	created, err := makeNew(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	if j.conn, err = connect(ctx, path); err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	if err := j.conn.knows(0); err != nil {
		return nil, errors.Join(fmt.Errorf("open the journal: %w", err), j.conn.close())
	}
	j.newest = j.conn.newest
	if err := j.conn.endLeases(ctx, j.time()); err != nil {
		return nil, errors.Join(fmt.Errorf("open the journal: %w", err), j.conn.close())
	}
	if created {
		j.logger.InfoContext(ctx, "a new journal was made: it knows of no purchase before this moment", "path", path)
	}
	go j.runWriter()
	return j, nil
}

// Close ends the journal once everything that was asked of it before is done.
func (j *Journal) Close() error {
	j.queue.close()
	<-j.stopped
	return j.ended
}

// time is the journal's clock as it keeps times.
func (j *Journal) time() time.Time { return j.now().UTC().Truncate(time.Microsecond) }

// read has the writer run a query between two transactions.
func (j *Journal) read(ctx context.Context, run func(c *connection) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := newOperation(run)
	if err := j.queue.read(o); err != nil {
		return err
	}
	_, err := o.wait(ctx)
	return err
}

// write has the writer run an operation in a transaction, alone or with others. finished, which may
// be nil, is told once whether that is durable, also when nobody waits any more.
func (j *Journal) write(ctx context.Context, alone bool, run func(c *connection) error, finished func(written bool)) error {
	o := newOperation(run)
	o.alone, o.finished = alone, finished
	err := ctx.Err()
	if err == nil {
		err = j.queue.write(o)
	}
	ran := false
	if err == nil {
		ran, err = o.wait(ctx)
	}
	if ran || err == nil {
		return err
	}
	if finished != nil {
		finished(false)
	}
	return fmt.Errorf("%w: %w", purchase.ErrNotWritten, err)
}
