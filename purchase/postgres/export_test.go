package postgres

import (
	"testing"
	"time"
)

// Hold makes the changes of a journal with one connection wait in the queue until release is called. They are one
// group then.
func (j *Journal) Hold(t *testing.T) (release func()) {
	t.Helper()
	conn, err := j.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return conn.Release
}

// Waiting returns the number of changes that wait in the queue.
func (j *Journal) Waiting() int {
	n, _ := j.changes.Len()
	return n
}

// SetLimits sets limits for a test. It has to be called before the journal is used.
func (j *Journal) SetLimits(maxWaiting int, groupTimeout time.Duration) {
	j.maxWaiting, j.groupTimeout = maxWaiting, groupTimeout
}
