package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// order is a job: what one caller buys.
type order struct {
	Caller int    `json:"caller"`
	Body   string `json:"body"`
}

// Kind implements [river.JobArgs].
func (order) Kind() string { return "order" }

// purchase is the worker of all orders.
type purchase struct {
	river.WorkerDefaults[order]
	settings
	client *http.Client
	done   map[int]chan error // by caller
}

// Work makes the paid call and tells the caller.
func (p *purchase) Work(ctx context.Context, job *river.Job[order]) error {
	err := p.buy(ctx, job.Args.Body)
	p.done[job.Args.Caller] <- err
	return err
}

func (p *purchase) buy(ctx context.Context, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header = http.Header{"Authorization": {"Bearer " + p.token}, "Content-Type": {"application/json"}, "Accept": {"application/json"}}
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the vendor answers %s: %s", resp.Status, text)
	}
	return err
}

// load lets the callers buy, and counts the jobs that end within the window.
func (s settings) load(
	ctx context.Context, insert func(context.Context, river.JobArgs, *river.InsertOpts) (*rivertype.JobInsertResult, error), work *purchase,
) (result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var callers sync.WaitGroup
	var jobs atomic.Int64
	for caller := range s.callers {
		callers.Go(func() {
			for ctx.Err() == nil {
				uncanceled := context.WithoutCancel(ctx)
				_, err := insert(uncanceled, order{Caller: caller, Body: s.body}, &river.InsertOpts{MaxAttempts: 1})
				if err == nil {
					err = <-work.done[caller]
				}
				if err != nil {
					cancel(err)
				}
				jobs.Add(1)
			}
		})
	}
	wait(ctx, s.warmUp)
	before, began := jobs.Load(), time.Now()
	wait(ctx, s.window)
	ended, elapsed := jobs.Load()-before, time.Since(began)
	failed := context.Cause(ctx)
	cancel(nil)
	callers.Wait()
	return result{Jobs: ended, PerSecond: float64(ended) / elapsed.Seconds()}, failed
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
