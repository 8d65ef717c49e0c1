package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// trial runs a load of intents against replicas of one journal, and arms faults of the sandbox.
type trial struct {
	t        *testing.T
	random   *rand.Rand // used only by the test's own goroutine
	seed     uint64
	shop     *shop
	replicas []*replica
	// customers are the customers of the purchases before the faults. Those purchases have every kind
	// and mode, so they are also the older witnesses that an absence needs.
	customers []string

	workers sync.WaitGroup
	stop    context.CancelFunc
	free    chan *intent // intents that no caller works on at the moment

	intents []*intent // used only by the test's own goroutine
}

const (
	// perRound is how many new intents there are for each kill.
	perRound = 40
	// mostRounds bounds the number of rounds, unless -process.times needs more.
	mostRounds = 40
	callers    = 16
)

func newTrial(t *testing.T, s *shop, replicas ...*replica) *trial {
	t.Helper()
	seed := *processSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-process.seed=%d", seed)
	load := &trial{t: t, random: rand.New(rand.NewPCG(seed, 0)), seed: seed, shop: s, replicas: replicas}
	load.free = make(chan *intent, 64+perRound*max(*processTimes, mostRounds)) // room for all, so that callers do not wait for each other
	load.open()
	ctx, cancel := context.WithCancel(t.Context())
	load.stop = cancel
	for i := range callers {
		load.workers.Go(func() { load.call(ctx, rand.New(rand.NewPCG(seed, uint64(i)+1))) })
	}
	t.Cleanup(func() {
		cancel()
		load.workers.Wait()
	})
	return load
}

// open makes the first purchases, before any fault.
func (l *trial) open() {
	l.t.Helper()
	conn, err := l.replicas[0].connection(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	for len(l.intents) < 12 {
		in := newIntent(len(l.intents), l.customers)
		if in.topUp != nil && len(l.customers) == 0 {
			l.t.Fatal("the first intent has to be a register")
		}
		a := in.buyWithin(l.t.Context(), conn, soon)
		sold, ok := a.sold.(interface{ GetCustomer() *gigagatev1.Customer })
		if !ok {
			l.t.Fatalf("%s: %v", in.requestID, a)
		}
		if in.register != nil {
			l.customers = append(l.customers, sold.GetCustomer().GetUid())
		}
		l.intents = append(l.intents, in)
	}
}

// more gives the callers new intents.
func (l *trial) more(n int) {
	for range n {
		in := newIntent(len(l.intents), l.customers)
		l.intents = append(l.intents, in)
		l.free <- in
	}
}

// call is one caller. It takes an intent, repeats it a few times with random deadlines, and leaves it to
// another caller if it is not settled by then.
func (l *trial) call(ctx context.Context, random *rand.Rand) {
	for {
		select {
		case in := <-l.free:
			if l.insist(ctx, random, in) {
				continue
			}
			l.free <- in
		case <-ctx.Done():
			return
		}
	}
}

// insist makes one call for the intent. It reports whether the caller is done with it: it has a final
// answer, or it gives up an intent of which nothing was started.
func (l *trial) insist(ctx context.Context, random *rand.Rand, in *intent) bool {
	for range 1 + random.IntN(3) {
		patience := []time.Duration{600 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second}[random.IntN(4)]
		var twins sync.WaitGroup
		if random.IntN(5) == 0 { // the same id from two callers at once
			twins.Go(func() { l.buy(ctx, l.replicas[len(in.requestID)%len(l.replicas)], in, patience) })
			twins.Go(func() { l.buy(ctx, l.replicas[0], in, patience) })
			twins.Wait()
		} else if a, ok := l.buy(ctx, l.replicas[random.IntN(len(l.replicas))], in, patience); ok && a.outcome.GetEffect() == gigagatev1.Effect_EFFECT_NOT_STARTED && random.IntN(2) == 0 {
			in.abandon()
		}
		if in.ended() || ctx.Err() != nil {
			return in.ended()
		}
	}
	return false
}

func (l *trial) buy(ctx context.Context, r *replica, in *intent, patience time.Duration) (told, bool) {
	conn, err := r.connection(ctx)
	if err != nil {
		return told{}, false
	}
	a := in.buyWithin(ctx, conn, patience)
	if a.sold == nil && a.outcome == nil {
		pause(ctx, 10*time.Millisecond) // the gateway has died, and its connection will end in a moment
	}
	return a, true
}

const (
	registerPath = "/gigastore/activations/register"
	paidPaths    = "/gigastore/activations/*"
	listPath     = "/gigastore/activations/activated-items"
	tokenPath    = "/reseller/authenticate"
)

// troubles are faults that a purchase can meet. A cut metatag, which makes a package unrecognisable for
// good, has its own tests. Here it would hand every absence of that time to an operator.
var troubles = []struct {
	path, fault string
	params      map[string]any
}{
	{paidPaths, "commit_then_reset", nil},
	{paidPaths, "commit_then_close", nil},
	{paidPaths, "commit_then_5xx", nil},
	{paidPaths, "commit_late", map[string]any{"delay": "300ms"}},
	{paidPaths, "commit_late", map[string]any{"delay": "500ms", "answer": true}},
	{paidPaths, "truncate", nil},
	{paidPaths, "truncate_chunked", nil},
	{paidPaths, "garble", nil},
	{registerPath, "foreign_metatag", nil},
	{paidPaths, "slow_body", map[string]any{"bytes": 200, "interval": "100ms"}},
	{paidPaths, "early_hints", nil},
	{paidPaths, "surplus", nil},
	{paidPaths, "surplus", map[string]any{"place": "before"}},
	{paidPaths, "surplus", map[string]any{"place": "before", "code": 400, "split": true}},
	{paidPaths, "reset_before", nil},
	{registerPath, "reset_before", map[string]any{"afterBytes": "request"}},
	{paidPaths, "5xx", map[string]any{"html": true}},
	{registerPath, "hang", map[string]any{"duration": "700ms"}},
	{paidPaths, "unauthorized", nil},
	{paidPaths, "throttle", map[string]any{"retryAfter": 1}},
	{paidPaths, "redirect", nil},
	{registerPath, "refuse", map[string]any{"reason": "insufficientCredits"}},
	{listPath, "list_fail", nil},
	{listPath, "list_lag", map[string]any{"duration": "1s"}},
	{listPath, "list_unsorted", nil},
	{listPath, "truncate", nil},
	{tokenPath, "5xx", nil},
	{tokenPath, "hang", map[string]any{"duration": "300ms"}},
	{"/gigastore/products/inventory", "5xx", nil},
}

// trouble arms some faults, and removes the earlier ones that did not play.
func (l *trial) trouble() {
	l.t.Helper()
	l.shop.disarm(l.t)
	for range 8 + l.random.IntN(8) {
		fault := troubles[l.random.IntN(len(troubles))]
		l.shop.inject(l.t, fault.path, fault.fault, 1+l.random.IntN(2), fault.params)
	}
}

// settle ends all faults and all callers, and waits until every purchase is settled or needs an operator. On a slow machine
// the callers may have begun only a part of the intents.
func (l *trial) settle() {
	l.t.Helper()
	l.shop.disarm(l.t)
	l.stop()
	l.workers.Wait()
	began := time.Now()
	fewest, deadline := len(l.intents)+1, began
	for {
		open := slices.Concat(l.list(gigagatev1.PurchaseState_PURCHASE_STATE_SENDING),
			l.list(gigagatev1.PurchaseState_PURCHASE_STATE_ACCEPTED), l.list(gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN))
		if len(open) == 0 {
			break
		}
		if len(open) < fewest { // however slow the machine is, there has to be progress
			fewest, deadline = len(open), time.Now().Add(soon)
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%d purchases stay open, such as %v", len(open), open[0])
		}
		pause(l.t.Context(), 20*time.Millisecond)
	}
	l.t.Logf("all settled %.1f s after the trouble", time.Since(began).Seconds())
}

// repeatAll repeats every intent once more, except the abandoned ones.
func (l *trial) repeatAll() {
	l.t.Helper()
	queue := make(chan *intent)
	var repeaters sync.WaitGroup
	for i := range callers {
		r := l.replicas[i%len(l.replicas)]
		repeaters.Go(func() {
			for in := range queue {
				l.buy(l.t.Context(), r, in, soon)
			}
		})
	}
	for _, in := range l.intents {
		if !in.isAbandoned() {
			queue <- in
		}
	}
	close(queue)
	repeaters.Wait()
}
