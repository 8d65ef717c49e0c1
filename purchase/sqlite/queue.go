package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"gigagate.internal/purchase"
)

var errClosed = errors.New("the journal is closed")

// Where an operation stands. The caller and the writer race for waiting.
const (
	waiting   uint32 = iota
	taken            // the writer has it
	abandoned        // its caller has gone before that
)

// operation is a call in the queue. Its run is called by the writer, and may be called again if the
// first transaction was rolled back. What run found is the caller's once done has a value.
type operation struct {
	run      func(c *connection) error
	finished func(written bool) // may be nil; called once, before done, when nothing can change any more
	alone    bool               // needs a transaction of its own
	stand    atomic.Uint32
	done     chan error
}

func newOperation(run func(c *connection) error) *operation {
	return &operation{run: run, done: make(chan error, 1)}
}

// finish answers the caller. written is true if run's result is durable.
func (o *operation) finish(written bool, err error) {
	if o.finished != nil {
		o.finished(written)
	}
	o.done <- err
}

// wait returns the writer's answer, or the end of ctx. If that comes before the writer took the
// operation, it never will: abandoned.
func (o *operation) wait(ctx context.Context) (ran bool, err error) {
	select {
	case err := <-o.done:
		return true, err
	case <-ctx.Done():
	}
	if o.stand.CompareAndSwap(waiting, abandoned) {
		return false, context.Cause(ctx)
	}
	return true, fmt.Errorf("the answer was not waited for: %w", context.Cause(ctx))
}

// queue is what callers left for the writer. Only claims are ever refused: an admitted claim holds
// a place until its outcome is recorded too, and every other write is about money that may have
// moved already.
type queue struct {
	wake chan struct{} // has a value when there is something to do

	mu       sync.Mutex
	closed   bool
	reads    []*operation
	writes   []*operation
	admitted map[string]struct{} // purchase ids
	limit    int
}

func newQueue(limit int) *queue {
	return &queue{wake: make(chan struct{}, 1), admitted: map[string]struct{}{}, limit: limit}
}

// admit reserves the place of a claim and of its outcome.
func (q *queue) admit(id string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, again := q.admitted[id]; !again && len(q.admitted) >= q.limit {
		return fmt.Errorf("%w: %w: %d purchases wait for their outcome", purchase.ErrNotWritten, purchase.ErrQueueFull, q.limit)
	}
	q.admitted[id] = struct{}{}
	return nil
}

// release gives the place of a purchase back.
func (q *queue) release(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.admitted, id)
}

func (q *queue) read(o *operation) error { return q.add(&q.reads, o) }

func (q *queue) write(o *operation) error { return q.add(&q.writes, o) }

func (q *queue) add(list *[]*operation, o *operation) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errClosed
	}
	if len(*list) == cap(*list) { // the writer may hang with the disk, and callers come and go
		*list = slices.DeleteFunc(*list, func(o *operation) bool { return o.stand.Load() == abandoned })
	}
	*list = append(*list, o)
	q.signal()
	return nil
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// takeReads takes all reads that wait, and says whether the queue was closed.
func (q *queue) takeReads() (reads []*operation, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	reads, q.reads = q.reads, nil
	return stillWanted(reads), q.closed
}

// takeGroup takes the writes of the next transaction, up to most of them, or one that has to be alone;
// and says whether it left some.
func (q *queue) takeGroup(most int) (group []*operation, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for n < len(q.writes) && n < most && !q.writes[n].alone {
		n++
	}
	if n == 0 && len(q.writes) > 0 {
		n = 1
	}
	group = q.writes[:n:n]
	if q.writes = q.writes[n:]; len(q.writes) == 0 {
		q.writes = nil
	}
	return stillWanted(group), q.writes != nil
}

// stillWanted takes the operations whose callers have not gone.
func stillWanted(list []*operation) []*operation {
	wanted := list[:0]
	for _, o := range list {
		if o.stand.CompareAndSwap(waiting, taken) {
			wanted = append(wanted, o)
		}
	}
	return wanted
}

// close makes the writer end once the queue is empty.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}
