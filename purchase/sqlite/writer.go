package sqlite

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/internal/groups"
)

const (
	// maxGroup is the maximum number of writes in one transaction.
	maxGroup = 512
	// retryEvery is the pause between attempts to open an unusable file again.
	retryEvery = 250 * time.Millisecond
	// The writer copies the WAL into the database file when it has been idle for idleBeforeCheckpoint. It also copies it
	// between two groups, after writesPerCheckpoint writes or textPerCheckpoint bytes of text. A write alone in its group
	// changes seven to nine pages, and a long answer of the vendor fills more. So the WAL stays below about 100 MB, and the
	// long answers of the last group come on top. To ask SQLite for its size after each group costs too much CPU.
	idleBeforeCheckpoint = 100 * time.Millisecond
	writesPerCheckpoint  = 1500
	textPerCheckpoint    = 16 << 20
)

// runWriter does all work on the file until the queue is closed and empty.
func (j *Journal) runWriter() {
	defer close(j.stopped)
	behind := 1 // writes, or pages, that the database file may lack: at first the end of the leases
	for {
		if j.conn == nil && !time.Now().Before(j.retryAt) {
			j.reopen()
		}
		reads := j.queue.takeReads()
		j.serve(reads)
		// Callers who were just answered often send their next write at once. Let them join this group.
		runtime.Gosched()
		group := j.queue.writes.Take(j.maxGroup)
		if len(group) > 0 {
			j.writeGroup(group)
			if behind += len(group); behind >= writesPerCheckpoint || j.conn != nil && j.conn.text >= textPerCheckpoint {
				behind = j.checkpoint()
			}
		}
		switch {
		case len(reads) > 0 || len(group) > 0:
		case j.queue.isOver():
			j.end()
			return
		default:
			behind = j.idle(behind)
		}
	}
}

// idle waits for work. It returns what the database file still lacks.
func (j *Journal) idle(behind int) int {
	var due <-chan time.Time
	switch {
	case j.conn == nil:
		due = time.After(time.Until(j.retryAt))
	case behind > 0:
		due = time.After(idleBeforeCheckpoint)
	}
	select {
	case <-j.queue.wake:
		return behind
	case <-due:
		return j.checkpoint()
	}
}

func (j *Journal) serve(reads []*operation) {
	for _, o := range reads {
		if j.conn == nil {
			finish(o, false, j.unusable())
			continue
		}
		err := o.Work.run(j.conn)
		if isFault(err) {
			j.fail(err)
		}
		finish(o, false, err)
	}
}

// writeGroup writes a group in one transaction if possible. Otherwise it gives each operation a transaction of
// its own.
func (j *Journal) writeGroup(group []*operation) {
	if j.transact(group) {
		return
	}
	for i := range group {
		j.transact(group[i : i+1])
	}
}

// transact runs a group in one transaction and answers its callers. If one operation of a larger group cannot
// be written, transact rolls back, answers nobody and returns false. The caller then tries each operation
// alone, so that only the bad one fails.
func (j *Journal) transact(group []*operation) bool {
	refuse := func(err error) {
		for _, o := range group {
			finish(o, false, err)
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
	began := time.Now()
	if err := j.conn.exec("BEGIN IMMEDIATE"); err != nil {
		j.fail(err)
		refuse(notWritten(err))
		return true
	}
	j.conn.postings = postings{}
	results := make([]error, len(group))
	var err error
	for i, o := range group {
		if results[i] = o.Work.run(j.conn); !leavesTransaction(results[i]) {
			err = results[i]
			break
		}
	}
	if err == nil {
		err = j.conn.writePostings()
	}
	if err != nil {
		if rollback := j.conn.exec("ROLLBACK"); isFault(err) || rollback != nil {
			// The transaction did not commit, so nothing of it will ever be read.
			j.fail(errors.Join(err, rollback))
			refuse(notWritten(err))
			return true
		}
		j.conn.newest, j.conn.freezesKnown = j.newest, false
		if len(group) == 1 {
			refuse(notWritten(err))
		}
		return len(group) == 1
	}
	err = j.commit(j.conn)
	j.instruments.Wrote(len(group), began)
	if err != nil {
		j.fail(err)
		refuse(inDoubt(err))
		return true
	}
	// If the file was taken away during the commit, it may be lost when this process ends. So the commit does not
	// count as durable.
	if err := j.inPlace(); err != nil {
		refuse(inDoubt(err))
		return true
	}
	j.newest = j.conn.newest
	for i, o := range group {
		finish(o, results[i] == nil, results[i])
	}
	return true
}

// inPlace returns an error while the database file or the WAL is not at its path. A database file that was
// moved away stays open: its purchases can still be read and rescued, and writing resumes once it is back. If
// only the WAL file is gone, closing checkpoints it into the database.
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

// leavesTransaction reports whether the transaction can go on after an operation that returned err. It can
// after a success, and after a refusal that the operation decided before its first write.
func leavesTransaction(err error) bool {
	return err == nil || errors.Is(err, purchase.ErrStale) || errors.Is(err, purchase.ErrItemTaken) || errors.Is(err, purchase.ErrNotWritten)
}

func inDoubt(err error) error {
	return fmt.Errorf("it is unknown whether the change was written: %w", err)
}

func notWritten(err error) error { return fmt.Errorf("%w: %w", purchase.ErrNotWritten, err) }

func (j *Journal) unusable() error { return fmt.Errorf("the journal cannot be used: %w", j.fault) }

// fail closes the connection. The writer opens the file again before it does anything else with it.
func (j *Journal) fail(err error) {
	if j.conn == nil {
		return
	}
	j.logger.ErrorContext(background, "the journal cannot be used", "path", j.path, "error", err.Error())
	_ = j.conn.close() // its error repeats err
	j.conn, j.fault, j.retryAt = nil, err, time.Time{}
}

// reopen opens the file again and checks that it can be written. On failure it sets the time of the next
// attempt.
func (j *Journal) reopen() {
	c, err := connect(j.path)
	if err == nil {
		if err = c.mayServe(j.newest); err == nil {
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

// checkpoint copies the WAL into the database file. It returns the number of pages that are still missing there.
func (j *Journal) checkpoint() int {
	if j.conn == nil {
		return 0
	}
	j.conn.text = 0
	behind, err := j.conn.checkpoint("PASSIVE")
	if err != nil {
		j.fail(err)
		return 0
	}
	return behind
}

func (j *Journal) end() {
	if j.conn == nil {
		return // every caller has received an error
	}
	if err := errors.Join(j.conn.database.inPlace(), j.conn.close()); err != nil {
		j.ended = fmt.Errorf("close the journal: %w", err)
	}
	j.conn, j.fault = nil, groups.ErrClosed
}

// mayServe returns an error if the file is a backup that nobody has allowed to start, or if it has no purchase as
// new as newest, for example because a WAL was lost. Without this check, all missing purchases could be sold again.
func (c *connection) mayServe(newest string) error {
	made, err := c.backupTime()
	if err == nil && !made.IsZero() {
		err = &BackupError{Path: c.database.path, Made: made}
	}
	if err == nil {
		err = c.one("SELECT coalesce(max(id), '') FROM purchase", nil, func(r *reader) { c.newest = r.text() })
	}
	if err == nil && c.newest < newest {
		err = errRolledBack
	}
	return err
}

// probe writes a value that nothing reads.
func (c *connection) probe(now time.Time) error {
	return c.exec("UPDATE journal_probe SET at = ?", micros(now))
}

// endLeases ends every lease at the time now.
func (c *connection) endLeases(now time.Time) error {
	return c.exec("UPDATE purchase_open SET lease_until = ?1 WHERE lease_until > ?1", micros(now))
}
