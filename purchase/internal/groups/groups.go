// Package groups is the queue of a journal that writes in groups. Calls put operations into it. Whoever commits takes
// all that wait, writes them in one transaction, and answers their callers. Nobody waits for more to arrive: while one
// group is written, the next one gathers.
package groups

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Errors of [Queue.Add]. The operation was not added.
var (
	ErrClosed = errors.New("the journal is closed")
	ErrFull   = errors.New("the queue is full")
)

// The states of an operation. The caller and the committer race to move it out of waiting.
const (
	waiting   uint32 = iota
	taken            // the committer runs it
	abandoned        // the caller left before the committer took it
)

// Operation is a call in the queue. The committer may change what Work points to until it calls Finish. The caller may
// read it after Wait has returned the committer's answer.
type Operation[W any] struct {
	Work  W
	stand atomic.Uint32
	done  chan error
}

// New returns an operation that waits.
func New[W any](work W) *Operation[W] { return &Operation[W]{Work: work, done: make(chan error, 1)} }

// Finish answers the caller. It is called once.
func (o *Operation[W]) Finish(err error) { o.done <- err }

// Wait returns the committer's answer, or the cause of ctx if ctx ends first. If nobody has taken the operation by
// then, Wait marks it as abandoned and reports that it did not and will not run.
func (o *Operation[W]) Wait(ctx context.Context) (ran bool, err error) {
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

// Queue holds the operations that wait.
type Queue[W any] struct {
	wake chan struct{}

	mu     sync.Mutex
	closed bool
	list   []*Operation[W]
}

// NewQueue returns an empty queue. wake has room for one value. It receives one when there is work, and when the queue
// is closed. A committer that serves several queues gives them the same channel.
func NewQueue[W any](wake chan struct{}) *Queue[W] { return &Queue[W]{wake: wake} }

// Add adds an operation. It returns ErrFull if limit is positive and as many operations wait already.
func (q *Queue[W]) Add(o *Operation[W], limit int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	if full := limit > 0 && len(q.list) >= limit; full || len(q.list) == cap(q.list) {
		// Drop the callers who left, so that the queue does not grow while the disk or the server hangs.
		q.list = slices.DeleteFunc(q.list, func(o *Operation[W]) bool { return o.stand.Load() == abandoned })
		if full && len(q.list) >= limit {
			return ErrFull
		}
	}
	q.list = append(q.list, o)
	q.signal()
	return nil
}

func (q *Queue[W]) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Await returns true once an operation waits, and false if the queue is closed and empty.
func (q *Queue[W]) Await() bool {
	for {
		n, closed := q.Len()
		switch {
		case n > 0:
			return true
		case closed:
			q.signal() // for the next committer
			return false
		}
		<-q.wake
	}
}

// Take takes up to most operations, those that wait longest first. It drops the operations of callers who have left.
func (q *Queue[W]) Take(most int) []*Operation[W] {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.list), most)
	group := q.list[:n:n]
	if q.list = q.list[n:]; len(q.list) == 0 {
		q.list = nil
	} else {
		q.signal()
	}
	wanted := group[:0]
	for _, o := range group {
		if o.stand.CompareAndSwap(waiting, taken) {
			wanted = append(wanted, o)
		}
	}
	return wanted
}

// Len returns the number of operations that wait, and whether the queue is closed.
func (q *Queue[W]) Len() (n int, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list), q.closed
}

// Close refuses further operations. Those that wait can still be taken.
func (q *Queue[W]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}
