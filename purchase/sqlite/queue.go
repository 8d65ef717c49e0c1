package sqlite

import (
	"fmt"
	"math"
	"sync"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/internal/groups"
)

// work is what the writer does for a call. It calls run, and calls it a second time if the first transaction was rolled
// back.
type work struct {
	run      func(c *connection) error
	finished func(written bool) // may be nil; called once, when the outcome is final and before the caller is answered
}

type operation = groups.Operation[work]

// finish answers the caller. written reports whether the result of run is durable.
func finish(o *operation, written bool, err error) {
	if o.Work.finished != nil {
		o.Work.finished(written)
	}
	o.Finish(err)
}

// queue holds the operations that wait for the writer. It refuses only claims. An admitted claim keeps its
// place until its outcome is recorded. All other writes are about purchases for which money may have moved
// already, so they are always taken.
type queue struct {
	wake          chan struct{} // of both
	reads, writes *groups.Queue[work]

	mu       sync.Mutex
	admitted map[string]struct{} // by purchase id
	limit    int
}

func newQueue(limit int) *queue {
	wake := make(chan struct{}, 1)
	return &queue{
		wake: wake, reads: groups.NewQueue[work](wake), writes: groups.NewQueue[work](wake),
		admitted: map[string]struct{}{}, limit: limit,
	}
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

func (q *queue) read(o *operation) error { return q.reads.Add(o, 0) }

func (q *queue) write(o *operation) error { return q.writes.Add(o, 0) }

// takeReads takes all waiting reads.
func (q *queue) takeReads() []*operation { return q.reads.Take(math.MaxInt) }

// waiting returns how many writes wait.
func (q *queue) waiting() int {
	n, _ := q.writes.Len()
	return n
}

// isOver reports whether the queue is closed and empty.
func (q *queue) isOver() bool {
	reads, _ := q.reads.Len()
	writes, closed := q.writes.Len()
	return closed && reads+writes == 0
}

// close makes the writer stop as soon as the queue is empty.
func (q *queue) close() {
	q.reads.Close()
	q.writes.Close()
}
