package purchase

import (
	"context"
	"sync"
	"time"

	"gigagate.internal/gigastore"
)

const (
	// firstPoll and longestPoll bound the pause between reads of a purchase that another replica owns.
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
	calls    int
	done     chan struct{} // closed once purchase and sale are set
	purchase Purchase
	sale     *gigastore.Sale // nil if only the journal has it
}

// settled wakes the calls that wait for p.
func (w *watchers) settled(p Purchase, sale *gigastore.Sale) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, ok := w.waiting[p.ID]; ok {
		delete(w.waiting, p.ID)
		s.purchase, s.sale = p, sale
		close(s.done)
	}
}

// join registers a call that waits for the purchase. leave removes it.
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

// leave removes a call that join registered.
func (w *watchers) leave(id string, s *settlement) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.calls--; s.calls == 0 && w.waiting[id] == s {
		delete(w.waiting, id)
	}
}

// await returns once the purchase is settled. It returns false if ctx ends first. A transition that this process
// records wakes it. For transitions by other processes, it reads the purchase: after the first pause, then ever less
// often.
func (s *settlement) await(
	ctx context.Context, id string, first time.Duration, get func(context.Context, string) (Purchase, error),
) (Purchase, *gigastore.Sale, bool) {
	polls := pauses(first, longestPoll)
	for {
		timer := time.NewTimer(polls.NextBackOff())
		select {
		case <-s.done:
			timer.Stop()
			return s.purchase, s.sale, true
		case <-ctx.Done():
			timer.Stop()
			select {
			case <-s.done: // both ended, and the purchase is settled
				return s.purchase, s.sale, true
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
