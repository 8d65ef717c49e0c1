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
	// readsApart is the shortest time between two answered reads that count. The reconciler may read much more often than
	// the probes do.
	readsApart = probeEvery / 2
	// trialTime is how long a purchase may try alone. After that it counts as failed until its answer comes. It is short, so
	// that one connection that hangs does not keep the gateway from noticing that the vendor sells again.
	trialTime = 5 * time.Second
)

// breaker says whether a purchase may be started. While the vendor is dead, every purchase would wait for a minute and then
// fail, or its outcome would not be known. It stops no call: whoever starts a purchase asks [Client.MaySell] first.
//
// Paid calls and requests for tokens open it, because every purchase needs them. While it is open, [Client.WatchOutages] reads
// from the vendor. An answer to any read lets one purchase try, which has a [Trial] meanwhile. Only the vendor's answer to a
// purchase shows that it sells, so this answer closes the breaker. If nobody buys, a second answer to a read closes it too, but
// not if that has turned out to be wrong: purchases failed although the vendor answered reads.
//
// A call that was sent before the breaker opened closes nothing. Its answer may come from before the vendor died.
type breaker struct {
	problems *problems
	opened   chan struct{} // has an element after the breaker opened

	mu       sync.Mutex
	answers  int // of the vendor, to paid calls, and to reads while the breaker is open
	failures int // since the last answer
	outages  int // how many there were, including this one
	open     bool
	// doubt: since the vendor last answered a purchase, reads have closed the breaker, or a trial has failed.
	doubt bool
	// All below is about this outage.
	reads  bool      // the vendor has answered a read since the last failure
	readAt time.Time // of the latest read that counted
	mayTry bool      // a purchase may try: the vendor has answered a read since the last trial
	trial  *Trial    // of the purchase that tries now, if there is one
}

// Trial is the right to start a purchase, or to send it once more, while it is not known whether the vendor sells. One
// purchase has it at a time. Outside an outage every purchase may be started, and the Trial is nil. Its methods accept that.
type Trial struct {
	breaker *breaker
	began   time.Time
}

// beginning is what the breaker knew when a call began.
type beginning struct{ answers, outages int }

func newBreaker(problems *problems) *breaker {
	return &breaker{problems: problems, opened: make(chan struct{}, 1)}
}

// begin returns what end needs to know about the start of a call.
func (b *breaker) begin() beginning {
	b.mu.Lock()
	defer b.mu.Unlock()
	return beginning{b.answers, b.outages}
}

// end takes note of a call. A failure does not count if the vendor has answered another call since this one began: calls that
// hung during an outage may end long after it.
func (b *breaker) end(ctx context.Context, operation string, before beginning, status int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case isOutage(status, err):
		if (isPaid(operation) || operation == OpAuthenticate) && before.answers == b.answers {
			b.callFailed(ctx, status, err)
		}
	case status == 0:
	case isPaid(operation):
		b.answers++
		if !b.open || before.outages == b.outages {
			b.doubt = false
			b.close(ctx, 0)
		}
	case operation == OpAuthenticate && status < http.StatusMultipleChoices:
		// The vendor has given a token. The call that needs it tells more.
	case b.open && before.outages == b.outages:
		b.readAnswered(ctx)
	}
}

func (b *breaker) callFailed(ctx context.Context, status int, err error) {
	b.failures++
	b.reads, b.mayTry = false, false
	if b.open || b.failures < deadAfter {
		return
	}
	b.open, b.readAt, b.trial = true, time.Time{}, nil
	b.outages++
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
	b.open, b.failures = false, failures
	b.problems.over(ctx, problemOutage)
}

// readAnswered takes note of an answer to a read during an outage.
func (b *breaker) readAnswered(ctx context.Context) {
	b.answers++
	b.reads = true
	if time.Since(b.readAt) < readsApart {
		return
	}
	b.readAt = time.Now()
	if b.trial != nil {
		if time.Since(b.trial.began) < trialTime {
			return
		}
		b.trial, b.doubt = nil, true
	}
	if b.mayTry && !b.doubt { // nobody has tried since the last answer
		b.doubt = true
		b.close(ctx, deadAfter-1)
		return
	}
	b.mayTry = true
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
// one purchase at a time try, until the vendor has answered one. Then that purchase has the trial, and must end it.
func (c *Client) MaySell() (*Trial, bool) {
	b := c.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.open:
		return nil, true
	case !b.mayTry:
		return nil, false
	}
	b.mayTry = false
	b.trial = &Trial{b, time.Now()}
	return b.trial, true
}

// NotTried ends a trial of which nothing was sent. So another purchase may try. Without it, repeated calls whose request ids
// have purchases already would use up every trial, and the breaker would stay open.
func (t *Trial) NotTried() { t.end(false) }

// Over ends a trial. If the vendor did not answer it, the trial has failed. Over does nothing after NotTried.
func (t *Trial) Over() { t.end(true) }

func (t *Trial) end(failed bool) {
	if t == nil {
		return
	}
	b := t.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open || b.trial != t { // the vendor has answered, or the trial took too long
		return
	}
	b.trial = nil
	b.doubt = b.doubt || failed
	b.mayTry = b.reads && !failed
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
	c.authorized(ctx, OpInventory, &renewed, func(bearer Secret) answer {
		return c.exchange(ctx, &call{operation: OpInventory, bearer: bearer})
	})
}
