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
	purchase *Purchase
	sale     *gigastore.Sale // nil if only the journal has it
}

// settled wakes the calls that wait for p.
func (w *watchers) settled(p *Purchase, sale *gigastore.Sale) {
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

// awaitOwned returns a purchase of this process, and its sale if the process has it, once the purchase is settled. It
// returns nil if ctx or the engine's waits end first. ended is closed once the purchase's owner has ended. Until then
// nobody else settles the purchase, so awaitOwned reads nothing.
func (e *Engine) awaitOwned(ctx context.Context, s *settlement, id string, ended <-chan struct{}) (*Purchase, *gigastore.Sale) {
	select {
	case <-ended:
		return e.await(ctx, s, id)
	case <-s.done:
	case <-ctx.Done():
	case <-e.waits.Done():
	}
	return s.outcome()
}

// await is awaitOwned for a purchase that other processes may settle. A transition that this process records wakes it. For
// transitions by other processes, it reads the purchase: after firstPoll, then ever less often.
func (e *Engine) await(ctx context.Context, s *settlement, id string) (*Purchase, *gigastore.Sale) {
	polls := pauses(firstPoll, longestPoll)
	timer := time.NewTimer(polls.NextBackOff())
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			if p, err := e.poll(ctx, id); err == nil && p.State.Settled() {
				return p, nil
			}
			timer.Reset(polls.NextBackOff())
			continue
		case <-s.done:
		case <-ctx.Done():
		case <-e.waits.Done():
		}
		return s.outcome()
	}
}

// outcome returns the purchase and its sale if the purchase is settled.
func (s *settlement) outcome() (*Purchase, *gigastore.Sale) {
	select {
	case <-s.done:
		return s.purchase, s.sale
	default:
		return nil, nil
	}
}

// poll reads a purchase for await.
func (e *Engine) poll(ctx context.Context, id string) (*Purchase, error) {
	ctx, cancel := endingWith(ctx, e.waits)
	defer cancel()
	return e.get(ctx, id)
}

// endingWith returns ctx with an additional end: it also ends when other ends.
func endingWith(ctx, other context.Context) (context.Context, context.CancelFunc) {
	ending, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(other, cancel)
	return ending, func() {
		stop()
		cancel()
	}
}
