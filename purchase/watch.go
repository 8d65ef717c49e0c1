package purchase

import (
	"context"
	"sync"
	"time"

	"gigagate.internal/gigastore"
)

const (
	// firstPoll and longestPoll bound how often a purchase that another replica owns is read.
	firstPoll   = 50 * time.Millisecond
	longestPoll = time.Second
)

// watchers wakes the calls that wait for a purchase.
type watchers struct {
	mu      sync.Mutex
	waiting map[string]*settlement
}

// settlement is one purchase that calls wait for.
type settlement struct {
	calls int
	done  chan struct{} // closed once the rest is set
	kept  Purchase
	sale  *gigastore.Sale // nil: not at hand, the journal has it
}

// settled wakes the calls that wait for p.
func (w *watchers) settled(p Purchase, sale *gigastore.Sale) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, ok := w.waiting[p.ID]; ok {
		delete(w.waiting, p.ID)
		s.kept, s.sale = p, sale
		close(s.done)
	}
}

// join makes a call wait for the purchase; leave ends that.
func (w *watchers) join(id string) *settlement {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.waiting[id]
	if !ok {
		s = &settlement{done: make(chan struct{})}
		w.waiting[id] = s
	}
	s.calls++
	return s
}

func (w *watchers) leave(id string, s *settlement) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.calls--; s.calls == 0 && w.waiting[id] == s {
		delete(w.waiting, id)
	}
}

// await returns once the purchase is settled, with false when ctx ends first. It is woken by what
// this process journals and, from pause on and ever more slowly, reads for what another one may.
func (s *settlement) await(
	ctx context.Context, id string, pause time.Duration, get func(context.Context, string) (Purchase, error),
) (Purchase, *gigastore.Sale, bool) {
	for ; ; pause = min(2*pause, longestPoll) {
		timer := time.NewTimer(pause)
		select {
		case <-s.done:
			timer.Stop()
			return s.kept, s.sale, true
		case <-ctx.Done():
			timer.Stop()
			select {
			case <-s.done: // both are true, and this one is the answer
				return s.kept, s.sale, true
			default:
				return Purchase{}, nil, false
			}
		case <-timer.C:
		}
		if p, err := get(ctx, id); err == nil && p.State.Settled() {
			return p, nil, true
		}
	}
}
