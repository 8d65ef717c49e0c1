package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"gigagate.internal/purchase"
)

const (
	// maxGroup bounds how many writes share a transaction.
	maxGroup = 512
	// retryEvery is how long a file that cannot be used is left alone.
	retryEvery = 250 * time.Millisecond
	// idleBeforeCheckpoint is how long there is nothing to do before the log is brought to the
	// database file; with maxLogPages in the log it is done between two groups.
	idleBeforeCheckpoint = 100 * time.Millisecond
	maxLogPages          = 4000
)

// runWriter does all work on the file until the queue is closed and empty.
func (j *Journal) runWriter() {
	defer close(j.stopped)
	behind := j.checkpoint(maxLogPages)
	for {
		if j.conn == nil && !time.Now().Before(j.retryAt) {
			j.reopen()
		}
		reads, closed := j.queue.takeReads()
		j.serve(reads)
		// Callers that were answered just now have their next write ready in a moment.
		runtime.Gosched()
		group, more := j.queue.takeGroup(j.maxGroup)
		if len(group) > 0 {
			j.writeGroup(group)
			behind = j.checkpoint(maxLogPages)
		}
		switch {
		case len(reads) > 0 || len(group) > 0 || more:
		case closed:
			j.end()
			return
		default:
			behind = j.idle(behind)
		}
	}
}

// idle waits for something to do. It reports whether pages of the log are still not in the database file.
func (j *Journal) idle(behind bool) bool {
	var due <-chan time.Time
	switch {
	case j.conn == nil:
		due = time.After(time.Until(j.retryAt))
	case behind:
		due = time.After(idleBeforeCheckpoint)
	}
	select {
	case <-j.queue.wake:
		return behind
	case <-due:
		return j.checkpoint(1)
	}
}

func (j *Journal) serve(reads []*operation) {
	for _, o := range reads {
		if j.conn == nil {
			o.finish(false, j.unusable())
			continue
		}
		err := o.run(j.conn)
		if isFault(err) {
			j.fail(err)
		}
		o.finish(false, err)
	}
}

// writeGroup writes a group, in one transaction if it can.
func (j *Journal) writeGroup(group []*operation) {
	if j.transact(group) {
		return
	}
	for i := range group {
		j.transact(group[i : i+1])
	}
}

// transact runs a group in one transaction and answers its callers. It reports false, and has
// answered nobody and changed nothing, if one of several cannot be written: each has to be tried
// alone, so that it is the only one to fail.
func (j *Journal) transact(group []*operation) bool {
	refuse := func(err error) {
		for _, o := range group {
			o.finish(false, err)
		}
	}
	if j.conn == nil {
		refuse(notWritten(j.unusable()))
		return true
	}
	if err := j.inPlace(); err != nil {
		refuse(notWritten(err))
		return true
	}
	j.began = j.time()
	if _, err := j.conn.begin.ExecContext(background); err != nil {
		j.fail(err)
		refuse(notWritten(err))
		return true
	}
	results := make([]error, len(group))
	for i, o := range group {
		err := o.run(j.conn)
		if results[i] = err; leavesTransaction(err) {
			continue
		}
		if _, rollback := j.conn.rollback.ExecContext(background); isFault(err) || rollback != nil {
			// Without its commit nothing of a transaction is ever read back.
			j.fail(errors.Join(err, rollback))
			refuse(notWritten(err))
			return true
		}
		clear(j.conn.open)
		j.conn.newest = j.newest
		if len(group) == 1 {
			refuse(notWritten(err))
		}
		return len(group) == 1
	}
	if err := j.commit(j.conn); err != nil {
		j.fail(err)
		refuse(inDoubt(err))
		return true
	}
	// A file that was taken away meanwhile may be lost with this process, and what is in it with it.
	if err := j.inPlace(); err != nil {
		refuse(inDoubt(err))
		return true
	}
	j.newest = j.conn.newest
	for i, o := range group {
		o.finish(results[i] == nil, results[i])
	}
	return true
}

// inPlace fails while the file is not where it was. It stays open: what it holds is still read, can be rescued, and is
// written to again once it is back. Of a log that is gone, closing brings all to the database file.
func (j *Journal) inPlace() error {
	err := j.conn.database.inPlace()
	if err == nil {
		if gone := j.conn.log.inPlace(); gone != nil {
			j.fail(gone)
			return gone
		}
	}
	switch {
	case err != nil && !j.away:
		j.logger.ErrorContext(background, "the journal cannot be used", "path", j.path, "error", err.Error())
	case err == nil && j.away:
		j.logger.InfoContext(background, "the journal can be used again", "path", j.path)
	}
	j.away = err != nil
	return err
}

// leavesTransaction reports whether an operation ended, by success or by a decision that it made before
// its first write, in a way that its transaction can go on from.
func leavesTransaction(err error) bool {
	return err == nil || errors.Is(err, purchase.ErrNotFound) || errors.Is(err, purchase.ErrIllegal) ||
		errors.Is(err, purchase.ErrItemTaken) || errors.Is(err, purchase.ErrNotWritten)
}

func inDoubt(err error) error { return fmt.Errorf("it is not known whether it was written: %w", err) }

func notWritten(err error) error { return fmt.Errorf("%w: %w", purchase.ErrNotWritten, err) }

func (j *Journal) unusable() error { return fmt.Errorf("the journal cannot be used: %w", j.fault) }

// fail gives the connection up. Nothing else is done with the file until it was read again.
func (j *Journal) fail(err error) {
	if j.conn == nil {
		return
	}
	j.logger.ErrorContext(background, "the journal cannot be used", "path", j.path, "error", err.Error())
	_ = j.conn.close() // its errors say the same once more
	j.conn, j.fault, j.retryAt = nil, err, time.Time{}
}

// reopen opens the file again and writes to it, or leaves it alone for a while.
func (j *Journal) reopen() {
	c, err := connect(background, j.path)
	if err == nil {
		if err = c.knows(j.newest); err == nil {
			err = c.probe(j.time())
		}
		if err == nil {
			j.conn, j.fault, j.away = c, nil, false
			j.logger.InfoContext(background, "the journal can be used again", "path", j.path)
			return
		}
		err = errors.Join(err, c.close())
	}
	j.fault, j.retryAt = err, time.Now().Add(retryEvery)
}

// checkpoint brings the log to the database file if pages or more of it are not there yet. It
// reports whether some are not.
func (j *Journal) checkpoint(pages int) bool {
	if j.conn == nil {
		return false
	}
	behind, err := j.conn.logBehind()
	if err == nil && behind >= pages {
		behind, err = j.conn.copyLog()
	}
	if err != nil {
		j.fail(err)
		return false
	}
	return behind > 0
}

func (j *Journal) end() {
	if j.conn == nil {
		return // everybody was told
	}
	if err := errors.Join(j.conn.database.inPlace(), j.conn.close()); err != nil {
		j.ended = fmt.Errorf("close the journal: %w", err)
	}
	j.conn, j.fault = nil, errClosed
}

// knows fails if the newest purchase is not there: a backup took the file's place, say, or a log was lost. All that is
// missing would be sold again.
func (c *connection) knows(newest int64) error {
	var number int64
	if err := c.conn.QueryRowContext(background, "SELECT coalesce(max(number), 0) FROM purchase").Scan(&number); err != nil {
		return err
	}
	if c.newest = number; number < newest {
		return errForgetful
	}
	return nil
}

// probe writes something that nobody reads.
func (c *connection) probe(now time.Time) error {
	_, err := c.updateProbe.ExecContext(background, micros(now))
	return err
}

// endLeases makes every lease end now.
func (c *connection) endLeases(ctx context.Context, now time.Time) error {
	_, err := c.conn.ExecContext(ctx, `UPDATE purchase SET lease_until = ?1
		WHERE state IN ('SENDING', 'ACCEPTED') AND lease_until > ?1`, micros(now))
	return err
}

// logBehind is how many pages of the log are not in the database file yet.
func (c *connection) logBehind() (pages int, err error) {
	var busy, logged, copied int
	err = c.walFrames.QueryRowContext(background).Scan(&busy, &logged, &copied)
	return logged - copied, err
}

// copyLog brings the log to the database file, and returns how many pages are left.
func (c *connection) copyLog() (pages int, err error) {
	var busy, logged, copied int
	err = c.checkpoint.QueryRowContext(background).Scan(&busy, &logged, &copied)
	return logged - copied, err
}
