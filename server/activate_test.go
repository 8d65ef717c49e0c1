package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

const callActivate = "POST /gigastore/activations/activated-items/{uid}/activate"

// started lists the times at which the package was started, according to the ledger.
func (g *gateway) started(item string) (times []time.Time) {
	for _, activation := range g.box.Ledger().Activations {
		if activation.ItemUID == item {
			times = append(times, activation.Time)
		}
	}
	return times
}

func TestActivateOnBothTransports(t *testing.T) {
	t.Parallel()
	for _, shape := range []sandbox.ActivateAnswer{sandbox.ActivateEnvelope, sandbox.ActivateItem, sandbox.ActivateEmptyObject} {
		for _, empty := range []sandbox.EmptyForm{sandbox.EmptyNull, sandbox.EmptyText, sandbox.EmptyAbsent} {
			t.Run(fmt.Sprintf("%s/%s", shape, empty), func(t *testing.T) {
				t.Parallel()
				g := open(t, setup{settings: func(s *sandbox.Settings) { s.ActivateAnswer, s.EmptyActivatedAt = shape, empty }})
				for _, d := range g.transports() {
					for _, m := range []gigagatev1.ActivationMode{firstUse, onDemand} {
						item := g.sold(t, mode(m)).GetActivatedItem().GetUid()
						for _, already := range []bool{false, true} {
							a := d.call(t, t.Context(), ask(activate(item)))
							a.ok(t)
							g.checkStarted(t, a, item, already)
							if already {
								continue
							}
							// Later calls must return the time of the start, not the time of the call.
							if err := g.box.Advance(time.Hour); err != nil {
								t.Fatal(err)
							}
						}
					}
				}
				if n := g.box.Ledger().Calls[callActivate]; n != 4 {
					t.Errorf("%d activate calls for 4 packages", n)
				}
			})
		}
	}
}

func (g *gateway) checkStarted(t *testing.T, a answer, item string, already bool) {
	t.Helper()
	r := a.reply.(*gigagatev1.ActivateResponse)
	times := g.started(item)
	if len(times) != 1 {
		t.Fatalf("started %d times", len(times))
	}
	balance := r.GetActivatedItem().GetBalance()
	if at := balance.GetActivatedAt().AsTime(); at.Sub(times[0]).Abs() >= time.Second {
		t.Errorf("activated at %v, the ledger says %v", at, times[0])
	}
	checkSplit(t, balance, false)
	if r.GetAlreadyActive() != already || r.GetActivatedItem().GetUid() != item {
		t.Errorf("got %v, already %v", r, already)
	}
}

// A package with mode NOW starts at the sale.
func TestActivateOfANowPackage(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	item := g.sold(t, mode(now)).GetActivatedItem().GetUid()
	for _, d := range g.transports() {
		a := d.call(t, t.Context(), ask(activate(item)))
		a.ok(t)
		g.checkStarted(t, a, item, true)
	}
	if n := g.box.Ledger().Calls[callActivate]; n != 0 {
		t.Errorf("%d activate calls", n)
	}
}

var activateFaults = []struct {
	fault  string
	params params
	want   want // the zero value: success
	starts int
}{
	{"commit_then_reset", nil, want{}, 1},
	{"commit_then_close", nil, want{}, 1},
	{"commit_then_5xx", nil, want{}, 1},
	{"truncate", nil, want{}, 1},
	{"garble", nil, want{}, 1},
	{"wrong_status", nil, want{}, 1},
	{"slow_body", params{"interval": "1ms", "bytes": 64}, want{}, 1},
	{"endless_body", nil, want{}, 1},
	{"status", params{"code": 204, "commit": true}, want{}, 1},
	{"status", params{"code": 409, "commit": true}, want{}, 1},
	{"throttle", params{"commit": true}, want{}, 1},
	{"redirect", params{"commit": true}, want{}, 1},
	{"reset_before", nil, outcomeUnknown, 0},
	{"5xx", nil, outcomeUnknown, 0},
	{"hang", nil, outcomeUnknown, 0},
	{"throttle", nil, outcomeUnknown, 0},
	{"redirect", nil, outcomeUnknown, 0},
	{"status", params{"code": 408}, outcomeUnknown, 0},
	{"status", params{"code": 200}, outcomeUnknown, 0},
	{"status", params{"code": 200, "body": `{"activatedItem":{"uid":"another","balance":{"activatedAt":"2026-01-01T00:00:00Z"}}}`, "contentType": "application/json"}, outcomeUnknown, 0},
	{"status", params{"code": 400, "body": "<p>already active</p>", "contentType": "text/html"}, outcomeUnknown, 0},
	{"unauthorized", nil, neverSent, 0},
	{"refuse", params{"message": "unknown words"}, vendorRefused, 0},
	{"refuse", params{"reason": "activatedItemNotFound"}, want{codes.NotFound, 404, "ACTIVATED_ITEM_NOT_FOUND", "NOT_APPLIED", nil}, 0},
	{"refuse", params{"reason": "alreadyActive"}, want{codes.FailedPrecondition, 400, "ALREADY_ACTIVE", "NOT_APPLIED", nil}, 0},
}

// If the result is in doubt, the gateway reads the package again. It never sends the irreversible call again.
func TestEffectsOfActivateFaults(t *testing.T) {
	t.Parallel()
	g := open(t, setup{timeout: time.Second})
	for _, c := range activateFaults {
		for _, d := range g.transports() {
			t.Run(fmt.Sprintf("%s/%s %v", d.name, c.fault, c.params), func(t *testing.T) {
				item := g.sold(t, mode(onDemand)).GetActivatedItem().GetUid()
				g.inject(t, pathItems+item+"/activate", c.fault, c.params)
				before := g.box.Ledger().Calls[callActivate]
				a := d.call(t, t.Context(), ask(activate(item)))
				if sent := g.box.Ledger().Calls[callActivate] - before; sent != 1 {
					t.Errorf("sent %d times", sent)
				}
				if n := len(g.started(item)); n != c.starts {
					t.Errorf("started %d times, want %d", n, c.starts)
				}
				if c.want.reason == "" {
					a.ok(t)
					g.checkStarted(t, a, item, false)
					return
				}
				a.check(t, c.want)
				g.logs.line(t, `"msg":"audit"`, `"action":"ACTIVATE"`, item, `"outcome":"BEGUN"`)
				g.logs.line(t, `"msg":"audit"`, `"action":"ACTIVATE"`, item, `"outcome":"`+c.want.effect+`"`)
			})
		}
	}
}

// If the package cannot be read after the call either, the outcome is unknown. If it cannot be read before the call,
// nothing is sent. That answer says nothing about an earlier call.
func TestActivateWithoutReads(t *testing.T) {
	t.Parallel()
	g := open(t, setup{timeout: time.Second})
	unread := want{codes.Unavailable, 503, "VENDOR_UNAVAILABLE", "NOT_STARTED", nil}
	for _, d := range g.transports() {
		for _, c := range []struct {
			fault  string
			params params
			want   want
			starts int
		}{
			{"commit_then_reset", nil, outcomeUnknown, 1},
			{"refuse", params{"message": "unknown words"}, outcomeUnknown, 0},
			{"unauthorized", nil, unread, 0},
		} {
			item := g.sold(t, mode(onDemand)).GetActivatedItem().GetUid()
			unreadable := func() { g.injectMany(t, pathItems+item, "5xx", 3, nil) } // the client reads three times
			unreadable()
			d.call(t, t.Context(), ask(activate(item))).check(t, unread)

			g.inject(t, pathItems+item, "slow_body", params{"interval": "1ms", "bytes": 512})
			unreadable()
			g.inject(t, pathItems+item+"/activate", c.fault, c.params)
			d.call(t, t.Context(), ask(activate(item))).check(t, c.want)
			if n := len(g.started(item)); n != c.starts {
				t.Errorf("%s: started %d times", c.fault, n)
			}
			unreadable()
			d.call(t, t.Context(), ask(activate(item))).check(t, unread)
		}
	}
}

// The package was read as pending, but the vendor refuses to start it, because somebody else was faster. The vendor
// may say so in unknown words.
func TestActivateLosesARace(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	for _, unknownWords := range []bool{false, true} {
		for _, d := range g.transports() {
			item := g.sold(t, mode(now)).GetActivatedItem().GetUid()
			g.inject(t, pathItems+item, "status", params{"code": 200, "contentType": "application/json", "body": `{"uid":"` + item + `","balance":{"activatedAt":null}}`})
			if unknownWords {
				g.inject(t, pathItems+item+"/activate", "refuse", params{"message": "the computer says no"})
			}
			a := d.call(t, t.Context(), ask(activate(item)))
			a.ok(t)
			g.checkStarted(t, a, item, true)
		}
	}
}

func TestConcurrentActivationsAreOne(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	uid := g.sold(t, mode(onDemand)).GetActivatedItem().GetUid()
	g.inject(t, pathItems+uid, "slow_body", params{"interval": "20ms", "bytes": 100})
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			d := g.transports()[i%2]
			a := d.call(t, t.Context(), ask(activate(uid)))
			if a.code != codes.OK || a.outcome != nil {
				t.Errorf("%s: %s", d.name, a.text)
			}
		})
	}
	group.Wait()
	if ledger := g.box.Ledger(); ledger.Calls[callActivate] != 1 || len(g.started(uid)) != 1 {
		t.Errorf("%d calls, started %d times", ledger.Calls[callActivate], len(g.started(uid)))
	}
}

// A drain refuses new activations and waits for one that is under way.
func TestDrainingActivations(t *testing.T) {
	t.Parallel()
	held := newGate(t, "/activate")
	g := open(t, setup{wrap: held.wrap})
	under := g.sold(t, mode(onDemand)).GetActivatedItem().GetUid()
	later := g.sold(t, mode(onDemand)).GetActivatedItem().GetUid()
	done := make(chan answer, 1)
	go func() { done <- g.overREST(t, t.Context(), ask(activate(under))) }()
	<-held.entered
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.server.Drain(over); err == nil {
		t.Error("drained with an activation under way")
	}
	drained := make(chan error, 1)
	go func() { drained <- g.server.Drain(t.Context()) }()
	for _, d := range g.transports() {
		d.call(t, t.Context(), ask(activate(later))).check(t, want{codes.Unavailable, 503, "DRAINING", "NOT_STARTED", nil})
	}
	close(held.open)
	(<-done).ok(t)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if len(g.started(under)) != 1 || len(g.started(later)) != 0 {
		t.Errorf("started %d times, and %d times", len(g.started(under)), len(g.started(later)))
	}
}

// Callers come and go while the vendor hangs. Their activations go on without them, so the number of activations is
// bounded.
func TestActivationsAreBounded(t *testing.T) {
	t.Parallel()
	const most = 64
	entered, letGo := make(chan struct{}), make(chan struct{})
	g := open(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, pathItems) {
				select {
				case entered <- struct{}{}:
				case <-letGo:
				}
				<-letGo
			}
			next.ServeHTTP(w, r)
		})
	}})
	end := sync.OnceFunc(func() { close(letGo) })
	defer end()
	for i := range most {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		go func() {
			<-entered
			cancel()
		}()
		if a := g.overGRPC(t, ctx, ask(activate(fmt.Sprintf("hung-%d", i)))); a.code != codes.Canceled {
			t.Fatalf("activation %d: %s", i, a.text)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for _, d := range g.transports() {
		d.call(t, ctx, ask(activate("one-more"))).check(t, want{codes.ResourceExhausted, 429, "OVERLOADED", "NOT_STARTED", nil})
	}
	end()
	again := g.overGRPC(t, t.Context(), ask(activate("one-more")))
	for again.info.GetReason() == "OVERLOADED" { // until one of them has ended
		again = g.overGRPC(t, t.Context(), ask(activate("one-more")))
	}
	again.check(t, want{codes.NotFound, 404, "ACTIVATED_ITEM_NOT_FOUND", "NOT_APPLIED", nil})
}

// An activation may begin at the moment when a drain finds none under way. The process must not panic, and no activation
// may begin after the drain has counted. The race detector finds a violation.
func TestActivationsDuringADrain(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for reason := ""; reason != "DRAINING"; {
				a := g.overGRPC(t, t.Context(), ask(activate(fmt.Sprintf("u%d", i))))
				if reason = a.info.GetReason(); reason != "DRAINING" && reason != "ACTIVATED_ITEM_NOT_FOUND" {
					t.Error(a.text)
					return
				}
			}
		})
	}
	g.logs.line(t, "ACTIVATED_ITEM_NOT_FOUND")
	for range 20 {
		if err := g.server.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	}
	group.Wait()
}
