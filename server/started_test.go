package server_test

import (
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// started is what one purchase has started: contexts that can be canceled, timers, and functions that wait for the end of a
// context.
type started struct{ contexts, timers, afterFuncs int64 }

// TestWhatAPurchaseStarts: what a purchase over gRPC starts is bounded, because thousands may wait for a slow vendor. The
// numbers include what grpc-go and package net start in the gateway for a purchase. If they fall, lower the bounds.
func TestWhatAPurchaseStarts(t *testing.T) { //nolint:paralleltest // it counts the allocations of the whole process
	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 1 // record every allocation from now on
	defer func() { runtime.MemProfileRate = rate }()

	const purchases = 20
	var held, calls sync.WaitGroup
	held.Add(purchases)
	release := make(chan struct{})
	g := open(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/register") {
				held.Done()
				<-release
			}
			next.ServeHTTP(w, r)
		})
	}})
	inUseBefore, before := startedNow(t)
	for range purchases {
		calls.Go(func() {
			if a := g.overGRPC(t, t.Context(), ask(register())); a.outcome.GetReason() != gigagatev1.ErrorReason_ERROR_REASON_UNSPECIFIED {
				t.Error(a)
			}
		})
	}
	held.Wait()
	goroutines := goroutinesOfGateway(t)
	mostInFlight := started{contexts: 4, timers: 3, afterFuncs: 2}
	var inFlight started
	for range 10 { // the runtime frees stopped timers late, and on a busy machine very late
		inUse, _ := startedNow(t)
		if inFlight = inUse.minus(inUseBefore).per(purchases); !inFlight.exceeds(mostInFlight) {
			break
		}
	}
	close(release)
	calls.Wait()
	_, after := startedNow(t)
	inAll := after.minus(before).per(purchases)
	if most := (2*purchases + 10); goroutines > most {
		t.Errorf("%d goroutines for %d purchases, want at most %d", goroutines, purchases, most)
	}
	if inFlight.exceeds(mostInFlight) {
		t.Errorf("a purchase that waits for the vendor has %+v, want at most %+v", inFlight, mostInFlight)
	}
	if most := (started{contexts: 8, timers: 7, afterFuncs: 3}); inAll.exceeds(most) {
		t.Errorf("a purchase starts %+v, want at most %+v", inAll, most)
	}
}

func (s started) exceeds(most started) bool {
	return s.contexts > most.contexts || s.timers > most.timers || s.afterFuncs > most.afterFuncs
}

func (s started) minus(t started) started {
	return started{s.contexts - t.contexts, s.timers - t.timers, s.afterFuncs - t.afterFuncs}
}

// per returns what one of n purchases has started.
func (s started) per(n int64) started {
	round := func(sum int64) int64 { return (sum + n/2) / n }
	return started{round(s.contexts), round(s.timers), round(s.afterFuncs)}
}

// startedNow returns what the gateway has started and still holds, and what it has started in all, by the functions that
// allocate it.
func startedNow(t *testing.T) (inUse, inAll started) {
	t.Helper()
	runtime.GC()
	runtime.GC() // the profile shows allocations after two collections
	records := make([]runtime.MemProfileRecord, 1<<17)
	found, ok := runtime.MemProfile(records, true)
	if !ok {
		t.Fatalf("%d records of allocations", found)
	}
	for _, record := range records[:found] {
		const smallest = 64 // bytes of a context or a timer; the same functions allocate closures, which are smaller
		if record.AllocBytes < smallest*record.AllocObjects {
			continue
		}
		names := functions(record.Stack())
		if !slices.ContainsFunc(names, isOfGateway) {
			continue
		}
		inUse.add(names[0], record.InUseObjects())
		inAll.add(names[0], record.AllocObjects)
	}
	return inUse, inAll
}

// add counts objects that a function has allocated.
func (s *started) add(function string, objects int64) {
	switch function {
	case "context.withCancel", "context.WithDeadlineCause":
		s.contexts += objects
	case "time.newTimer":
		s.timers += objects
	case "context.AfterFunc":
		s.afterFuncs += objects
	}
}

// goroutinesOfGateway returns how many goroutines the gateway has.
func goroutinesOfGateway(t *testing.T) (count int) {
	t.Helper()
	records := make([]runtime.StackRecord, 1<<12)
	found, ok := runtime.GoroutineProfile(records)
	if !ok {
		t.Fatalf("%d goroutines", found)
	}
	for _, record := range records[:found] {
		if slices.ContainsFunc(functions(record.Stack()), isOfGateway) {
			count++
		}
	}
	return count
}

// functions returns the names of a stack's functions, the innermost first, without those of the runtime.
func functions(stack []uintptr) (names []string) {
	for frames, more := runtime.CallersFrames(stack), true; more; {
		var frame runtime.Frame
		if frame, more = frames.Next(); !strings.HasPrefix(frame.Function, "runtime.") {
			names = append(names, frame.Function)
		}
	}
	return append(names, "runtime")
}

// isOfGateway reports whether a function is the gateway's. The test's process also has the caller and the vendor.
func isOfGateway(function string) bool {
	return strings.HasPrefix(function, "gigagate.internal/purchase.") || strings.HasPrefix(function, "google.golang.org/grpc.(*Server)")
}
