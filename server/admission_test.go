package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/tap"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// from returns the context of a stream from a client's address, and the function that ends the stream.
func from(t *testing.T, host string) (context.Context, context.CancelFunc) {
	t.Helper()
	address := &net.TCPAddr{IP: net.ParseIP(host), Port: 4711}
	return context.WithCancel(peer.NewContext(t.Context(), &peer.Peer{Addr: address}))
}

var register = &tap.Info{FullMethodName: gigagatev1.ActivationService_Register_FullMethodName}

type noStats struct{ stats.Handler }

func (noStats) HandleRPC(context.Context, stats.RPCStats) {}

// A client that opens more calls than its share is refused. Another client is still served. A place comes back when both
// the stream and its handler have ended.
func TestAdmission(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission()
		handlers := admissionStats{noStats{}, a}
		var contexts []context.Context
		var leaves []context.CancelFunc
		open := func(host string) context.Context {
			ctx, leave := from(t, host)
			admitted, err := a.admit(ctx, register)
			if err != nil {
				t.Fatal(err)
			}
			contexts, leaves = append(contexts, admitted), append(leaves, leave)
			return admitted
		}
		for range maxCalls / 2 {
			if !begin(open("10.0.0.1")) {
				t.Fatal("refused before its share is used up")
			}
		}
		var refusals sync.WaitGroup
		began := time.Now()
		for range maxRefused / 2 {
			beyond := open("10.0.0.1")
			refusals.Go(func() {
				if begin(beyond) {
					t.Error("served beyond its share")
				}
				if took := time.Since(began); took != refusalPause {
					t.Errorf("refused after %s", took)
				}
			})
		}
		refusals.Wait()
		began = time.Now()
		flood := open("10.0.0.1")
		select {
		case <-flood.Done():
		default:
			t.Error("a flood is served")
		}
		if first, second := flood.Err(), flood.Err(); first != nil || !errors.Is(second, context.Canceled) {
			t.Errorf("the errors for grpc-go are %v, %v", first, second)
		}
		if time.Since(began) < floodPause {
			t.Error("its connection is not slowed down")
		}
		if !begin(open("10.0.0.2")) {
			t.Error("another client is refused")
		}
		// A stream that was reset keeps its place while its handler runs.
		for _, leave := range leaves {
			leave()
		}
		synctest.Wait()
		if begin(open("10.0.0.1")) {
			t.Error("a reset stream lost its place while its handler runs")
		}
		for _, ctx := range contexts {
			handlers.HandleRPC(ctx, &stats.End{})
		}
		if !begin(open("10.0.0.1")) {
			t.Error("places were not given back")
		}
		for _, leave := range leaves {
			leave()
		}
	})
}

// Health watches of strangers leave half of the places for calls, however many addresses the strangers have.
func TestWatchesLeavePlaces(t *testing.T) {
	t.Parallel()
	a := newAdmission()
	watch := &tap.Info{FullMethodName: healthpb.Health_Watch_FullMethodName}
	a.known = map[string]bool{watch.FullMethodName: true, register.FullMethodName: true}
	a.lives = map[string]time.Duration{register.FullMethodName: time.Minute}
	places := func(info *tap.Info) (taken int) {
		for host := range 4 {
			for range maxCalls / 4 {
				if a.take(info.FullMethodName, fmt.Sprint("10.0.0.", host)) != nil {
					taken++
				}
			}
			if info == watch && a.take(info.FullMethodName, fmt.Sprint("10.0.0.", host)) != nil {
				t.Error("one address has more than half of the watches")
			}
		}
		return taken
	}
	if taken := places(watch); taken != maxWatches {
		t.Errorf("%d watches", taken)
	}
	if taken := places(register); taken != maxCalls-maxWatches {
		t.Errorf("%d calls beside the watches", taken)
	}
}

// A call whose message does not arrive is ended. A call's own time begins when its message has arrived.
func TestCallsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission()
		a.lives = map[string]time.Duration{register.FullMethodName: time.Minute}
		ended := func(begins bool) time.Duration {
			stream, leave := from(t, "10.0.0.1")
			defer leave()
			ctx, err := a.admit(stream, register)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if begins {
				begin(ctx)
			}
			<-ctx.Done()
			return time.Since(began)
		}
		if took := ended(false); took != messageTime {
			t.Errorf("without a message it ended after %s", took)
		}
		if took := ended(true); took != time.Minute {
			t.Errorf("with a message it ended after %s", took)
		}
	})
}

// The deadline may be over before grpc-go starts the handler. The place still comes back.
func TestCallThatNeverStarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission()
		a.longest = time.Minute
		stream, leave := from(t, "10.0.0.1")
		defer leave()
		stream, late := context.WithTimeout(stream, time.Millisecond)
		defer late()
		for range maxCalls / 2 {
			if _, err := a.admit(stream, register); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(2 * time.Minute)
		if !a.calls.Take("10.0.0.1") {
			t.Error("places were lost")
		}
	})
}

// grpc-go ends a call whose path names no service and method, and does not report its end. Its place must still come back.
// Otherwise a client could use up all places with such calls.
func TestCallOfNoMethodGivesItsPlaceBack(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"/x", "x/y", "", "/"} {
		synctest.Test(t, func(t *testing.T) {
			a := newAdmission()
			stream, leave := from(t, "10.0.0.1")
			for range maxCalls / 2 {
				if _, err := a.admit(stream, &tap.Info{FullMethodName: method}); err != nil {
					t.Fatal(err)
				}
			}
			leave() // as grpc-go does after its answer
			synctest.Wait()
			if !a.calls.Take("10.0.0.1") {
				t.Errorf("places were lost to %q", method)
			}
		})
	}
}
