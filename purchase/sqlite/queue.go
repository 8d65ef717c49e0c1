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

// The states of an operation. The caller and the writer race to move it out of waiting.
const (
	waiting   uint32 = iota
	taken            // the writer runs it
	abandoned        // the caller left before the writer took it
)

// operation is a call in the queue. The writer calls run, and calls it a second time if the first transaction
// was rolled back. The caller may read what run found after it has received from done.
type operation struct {
	run      func(c *connection) error
	finished func(written bool) // may be nil; called once, when the outcome is final and before done receives
	stand    atomic.Uint32
	done     chan error
}

func newOperation(run func(c *connection) error) *operation {
	return &operation{run: run, done: make(chan error, 1)}
}

// finish answers the caller. written reports whether the result of run is durable.
func (o *operation) finish(written bool, err error) {
	if o.finished != nil {
		o.finished(written)
	}
	o.done <- err
}

// wait returns the writer's answer, or the cause of ctx if ctx ends first. If the writer has not taken the
// operation by then, wait marks it as abandoned and reports that it did not and will not run.
func (o *operation) wait(ctx context.Context) (ran bool, err error) {
	select {
	case err := <-o.done:
		return true, err
	case <-ctx.Done():
	}
	if o.stand.CompareAndSwap(waiting, abandoned) {
		return false, context.Cause(ctx)
	}
	return true, fmt.Errorf("the caller stopped waiting for the answer: %w", context.Cause(ctx))
}

// queue holds the operations that wait for the writer. It refuses only claims. An admitted claim keeps its
// place until its outcome is recorded. All other writes are about purchases for which money may have moved
// already, so they are always taken.
type queue struct {
	wake chan struct{} // receives a value when there is work

	mu       sync.Mutex
	closed   bool
	reads    []*operation
	writes   []*operation
	admitted map[string]struct{} // by purchase id
	limit    int
}

func newQueue(limit int) *queue {
	return &queue{wake: make(chan struct{}, 1), admitted: map[string]struct{}{}, limit: limit}
}

// admit reserves a place for a claim and its outcome.
func (q *queue) admit(id string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, again := q.admitted[id]; !again && len(q.admitted) >= q.limit {
		return fmt.Errorf("%w: %w: %d purchases are waiting for their outcome", purchase.ErrNotWritten, purchase.ErrQueueFull, q.limit)
	}
	q.admitted[id] = struct{}{}
	return nil
}

// release gives up the place of a purchase.
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
	if len(*list) == cap(*list) { // drop the callers who left, so that the queue does not grow while the disk hangs
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

// takeReads takes all waiting reads, and reports whether the queue is closed.
func (q *queue) takeReads() (reads []*operation, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	reads, q.reads = q.reads, nil
	return stillWanted(reads), q.closed
}

// takeGroup takes up to most writes for the next transaction. It reports whether more are waiting.
func (q *queue) takeGroup(most int) (group []*operation, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.writes), most)
	group = q.writes[:n:n]
	if q.writes = q.writes[n:]; len(q.writes) == 0 {
		q.writes = nil
	}
	return stillWanted(group), q.writes != nil
}

// stillWanted marks operations as taken, and drops those whose callers have left.
func stillWanted(list []*operation) []*operation {
	wanted := list[:0]
	for _, o := range list {
		if o.stand.CompareAndSwap(waiting, taken) {
			wanted = append(wanted, o)
		}
	}
	return wanted
}

// close makes the writer stop as soon as the queue is empty.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}
