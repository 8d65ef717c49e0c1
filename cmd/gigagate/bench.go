package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/grpc"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// benchCommand puts load on a running gateway. Every call is a purchase. Therefore --count has no default.
type benchCommand struct {
	Count        int    `required:"" placeholder:"N" help:"How many packages to buy. Each spends credit, unless the gateway sells from a sandbox."`
	Concurrency  int    `default:"64" help:"How many calls run at the same time (default ${default})."`
	Connections  int    `default:"4" help:"How many connections the calls share (default ${default})."`
	Item         string `required:"" placeholder:"ID" help:"The inventory item."`
	EmptySandbox bool   `name:"empty-sandbox" help:"Buy even if this takes more than half of the credit that the sandbox has left."`
	sandboxSettings
	clientSettings
}

// AfterApply refuses numbers below 1. It is not Validate, so that the parser reports a missing number first.
func (c *benchCommand) AfterApply() error {
	if c.Count < 1 || c.Concurrency < 1 || c.Connections < 1 {
		return errors.New("--count, --concurrency and --connections must be at least 1")
	}
	return nil
}

// Run buys the packages, shows a progress line on a terminal, and prints a report.
func (c *benchCommand) Run(ctx context.Context, to console) error {
	var conns []*grpc.ClientConn
	defer func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}()
	for range c.Connections {
		conn, err := c.dial()
		if err != nil {
			return err
		}
		conns = append(conns, conn)
	}
	if err := c.announce(ctx, to, conns[0]); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	load := &load{run: ulid.MustNew(ulid.Now(), rand.Reader).String(), outcomes: map[string]int{}}
	began := time.Now()
	var workers, progress sync.WaitGroup
	for i := range c.Concurrency {
		client := gigagatev1.NewActivationServiceClient(conns[i%len(conns)])
		workers.Go(func() { load.work(ctx, client, c) })
	}
	if isTerminal(to.err) {
		progress.Go(func() { load.tell(ctx, to.err, c.Count, began) })
	}
	workers.Wait()
	elapsed := time.Since(began)
	cancel()
	progress.Wait()
	return load.report(to.out, elapsed, c.Count)
}

// load is one run of the bench.
type load struct {
	run         string
	taken, done atomic.Int64

	mu        sync.Mutex
	latencies []time.Duration
	outcomes  map[string]int
	effect    bool // a failed call may have bought a package
}

// work makes one purchase after another until the workers together have made c.Count.
func (l *load) work(ctx context.Context, client gigagatev1.ActivationServiceClient, c *benchCommand) {
	for ctx.Err() == nil {
		n := l.taken.Add(1)
		if n > int64(c.Count) {
			return
		}
		id := fmt.Sprintf("%s-%d", l.run, n)
		call, cancel := context.WithTimeout(ctx, c.Timeout)
		began := time.Now()
		_, err := client.Register(call, &gigagatev1.RegisterRequest{
			RequestId: id, InventoryItemId: c.Item, Metatag: id, UserIp: "203.0.113.24", UserCountry: "GR",
			ActivationMode: gigagatev1.ActivationMode_ACTIVATION_MODE_NOW,
		})
		cancel()
		l.note(time.Since(began), err)
	}
}

func (l *load) note(latency time.Duration, err error) {
	outcome, effect := "OK", false
	if err != nil {
		told := newCallError(err)
		outcome, effect = told.status.Code().String(), told.mayHaveEffect()
		if told.outcome != nil {
			outcome += " " + strings.TrimPrefix(told.outcome.GetReason().String(), "ERROR_REASON_")
		}
	}
	l.done.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latencies = append(l.latencies, latency)
	l.outcomes[outcome]++
	l.effect = l.effect || effect
}

// tell rewrites one progress line a second.
func (l *load) tell(ctx context.Context, w io.Writer, count int, began time.Time) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		fmt.Fprintf(w, "\r\x1b[K%s", progressText(int(l.done.Load()), count, time.Since(began)))
		select {
		case <-ticker.C:
		case <-ctx.Done():
			fmt.Fprint(w, "\r\x1b[K") // clear the line for the report
			return
		}
	}
}

// progressText says how far a run is. Without a finished call it cannot estimate the time left.
func progressText(done, count int, elapsed time.Duration) string {
	if done == 0 || elapsed <= 0 {
		return fmt.Sprintf("%d of %d", done, count)
	}
	left := time.Duration(float64(elapsed) / float64(done) * float64(count-done))
	return fmt.Sprintf("%d of %d, %.0f/s, %v left", done, count, float64(done)/elapsed.Seconds(), left.Round(time.Second))
}

// report prints the results. It returns an error if a call did not buy.
func (l *load) report(w io.Writer, elapsed time.Duration, count int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.latencies)
	var text strings.Builder
	fmt.Fprintf(&text, "%d calls in %.2f s: %.0f/s\n", len(l.latencies), elapsed.Seconds(), float64(len(l.latencies))/elapsed.Seconds())
	if len(l.latencies) > 0 {
		at := func(share float64) time.Duration {
			return l.latencies[int(share*float64(len(l.latencies)-1))].Round(10 * time.Microsecond)
		}
		fmt.Fprintf(&text, "latency p50 %v  p90 %v  p99 %v  max %v\n", at(0.50), at(0.90), at(0.99), at(1))
	}
	for _, outcome := range slices.Sorted(maps.Keys(l.outcomes)) {
		fmt.Fprintf(&text, "%8d  %s\n", l.outcomes[outcome], outcome)
	}
	if _, err := io.WriteString(w, text.String()); err != nil {
		return effectError{fmt.Errorf("%d of %d calls are known to have bought a package, with request ids from %s-1 on, but the report cannot be written: %w",
			l.outcomes["OK"], count, l.run, err)}
	}
	if l.outcomes["OK"] == count {
		return nil
	}
	err := fmt.Errorf("%d of %d calls are known to have bought a package", l.outcomes["OK"], count)
	if l.effect || l.outcomes["OK"] > 0 {
		return effectError{err}
	}
	return err
}
