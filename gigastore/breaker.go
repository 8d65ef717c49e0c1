package gigastore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	// deadAfter is how many calls in a row have to fail before the vendor counts as dead.
	deadAfter = 5
	// probeEvery is how often a dead vendor is asked whether it answers again.
	probeEvery = 2 * time.Second
)

// breaker says whether a purchase may be started. While the vendor is dead, every purchase would wait for a minute and then
// fail, or its outcome would not be known. It stops no call: whoever starts a purchase asks [Client.MaySell] first.
//
// Paid calls and requests for tokens open it, because every purchase needs them. While it is open, [Client.WatchOutages] reads
// from the vendor. Each answer lets one purchase try. The vendor's answer to a purchase closes the breaker. So does a second
// answer to a read, if nobody has bought since the first.
type breaker struct {
	problems *problems
	opened   chan struct{} // has an element after the breaker opened

	mu       sync.Mutex
	answers  int // of the vendor, to paid calls and probes
	failures int // since the last answer
	open     bool
	reads    bool // while open: the vendor has answered a probe since the last failure
	trial    bool // while open: one purchase may try
}

func newBreaker(problems *problems) *breaker {
	return &breaker{problems: problems, opened: make(chan struct{}, 1)}
}

// begin returns what end needs to know about the start of a call.
func (b *breaker) begin() (answers int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.answers
}

// end takes note of a call. A failure does not count if the vendor has answered another call since this one began: calls that
// hung during an outage may end long after it.
func (b *breaker) end(ctx context.Context, operation string, answersBefore, status int, err error) {
	if !isPaid(operation) && operation != OpAuthenticate {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case isOutage(status, err):
		if answersBefore == b.answers {
			b.failed(ctx, status, err)
		}
	case status != 0 && isPaid(operation):
		b.answers++
		b.close(ctx, 0)
	}
}

func (b *breaker) failed(ctx context.Context, status int, err error) {
	b.failures++
	b.reads, b.trial = false, false
	if b.open || b.failures < deadAfter {
		return
	}
	b.open = true
	cause := fmt.Sprintf("the vendor answers with status %d", status)
	if err != nil {
		cause = err.Error() // a constant
	}
	b.problems.found(ctx, problemOutage, cause)
	select {
	case b.opened <- struct{}{}:
	default:
	}
}

// close ends the outage. The breaker opens again after deadAfter failures. failures of them count as seen already.
func (b *breaker) close(ctx context.Context, failures int) {
	b.open, b.trial, b.failures = false, false, failures
	b.problems.over(ctx, problemOutage)
}

// probed takes note of an answer to a probe.
func (b *breaker) probed(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return
	}
	b.answers++
	b.reads = true
	if b.trial { // nobody has tried since the last answer
		b.close(ctx, deadAfter-1)
		return
	}
	b.trial = true
}

// isOutage reports whether a call failed in a way that shows a dead vendor. A refusal shows a living one. So does every other
// answer, except that of a proxy whose vendor does not answer. An error without an answer counts only if it is not ours.
func isOutage(status int, err error) bool {
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case 0:
		wire, ok := errors.AsType[*wireError](err)
		return ok && wire.connecting || isCertificateFailure(err) || errors.Is(err, context.DeadlineExceeded)
	}
	return false
}

// IsDown reports whether the vendor counts as dead, and not even a read has been answered since. Then a caller should not be
// kept waiting for one.
func (c *Client) IsDown() bool {
	c.breaker.mu.Lock()
	defer c.breaker.mu.Unlock()
	return c.breaker.open && !c.breaker.reads
}

// MaySell reports whether a purchase may be started, or sent once more. Ask it once before each permit: after an outage it lets
// one purchase at a time try, until the vendor has answered one.
func (c *Client) MaySell() bool {
	b := c.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	may := !b.open || b.trial
	b.trial = false
	return may
}

// NotTried says that a purchase that MaySell allowed was not started. So another one may try. Without it, repeated calls whose
// request ids have purchases already would use up every try, and the breaker would stay open.
func (c *Client) NotTried() {
	b := c.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trial = b.open && b.reads
}

// WatchOutages finds out when a dead vendor answers again. It returns when ctx ends.
func (c *Client) WatchOutages(ctx context.Context) {
	var probes sync.WaitGroup
	defer probes.Wait()
	for {
		select {
		case <-c.breaker.opened:
		case <-ctx.Done():
			return
		}
		for c.isOpen() {
			probes.Go(func() { c.probe(ctx) }) // without waiting for the ones before, which may hang
			select {
			case <-time.After(probeEvery):
			case <-ctx.Done():
				return
			}
		}
	}
}

func (c *Client) isOpen() bool {
	c.breaker.mu.Lock()
	defer c.breaker.mu.Unlock()
	return c.breaker.open
}

// probe asks for the inventory, which changes nothing. The head of the answer is enough. It takes as long as any call, so that
// a slow vendor does not count as dead for ever.
func (c *Client) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var renewed bool
	a := c.authorized(ctx, OpInventory, &renewed, func(bearer Secret) answer {
		return c.exchange(ctx, &call{operation: OpInventory, bearer: bearer})
	})
	status := a.status
	if refused, ok := errors.AsType[*Error](a.err); ok { // of the token
		status = refused.Status
	}
	if status != 0 && !isOutage(status, nil) {
		c.breaker.probed(ctx)
	}
}
