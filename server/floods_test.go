package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/stats"

	"gigagate.internal/internal/fairshare"
)

// took returns how long a function takes.
func took(do func()) time.Duration {
	began := time.Now()
	do()
	return time.Since(began)
}

// A client whose reset calls still run is slowed down, and nobody else. Afterwards it is as fast as before.
func TestResetCallsSlowTheirClientDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission()
		handlers := admissionStats{noStats{}, a}
		open := func(host string) (context.Context, context.CancelFunc) {
			ctx, leave := from(t, host)
			admitted, err := a.admit(ctx, register)
			if err != nil {
				t.Fatal(err)
			}
			return admitted, leave
		}
		call := func(host string) {
			ctx, leave := open(host)
			handlers.HandleRPC(ctx, &stats.End{})
			leave()
			synctest.Wait()
		}
		var running []context.Context
		for range maxUseless {
			ctx, leave := open("10.0.0.1")
			running = append(running, ctx)
			leave()
			synctest.Wait()
		}
		if took := took(func() { call("10.0.0.1") }); took != floodPause {
			t.Errorf("its next call waits for %s", took)
		}
		if took := took(func() { call("10.0.0.2") }); took != 0 {
			t.Errorf("a call of another client waits for %s", took)
		}
		for _, ctx := range running {
			handlers.HandleRPC(ctx, &stats.End{})
		}
		if took := took(func() { call("10.0.0.1") }); took != 0 {
			t.Errorf("a call waits for %s when the reset calls have ended", took)
		}
	})
}

// The same over REST, with HTTP/2. A connection of HTTP/1.1 is not slowed down by its own request.
func TestResetRequestsSlowTheirClientDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFloods()
		var ends []func()
		reset := func(proto int) {
			ctx, leave := context.WithCancel(t.Context())
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/inventory", nil)
			r.ProtoMajor = proto
			ends = append(ends, f.beginREST(r, "10.0.0.1"))
			leave()
			synctest.Wait()
		}
		for range 2 * maxUseless {
			reset(1)
		}
		if took := took(func() { f.begin("10.0.0.1") }); took != 0 {
			t.Errorf("after requests of HTTP/1.1, a call waits for %s", took)
		}
		for range maxUseless {
			reset(2)
		}
		if took := took(func() { f.begin("10.0.0.1") }); took != floodPause {
			t.Errorf("the next call waits for %s", took)
		}
		for _, end := range ends {
			end()
		}
		synctest.Wait()
		if took := took(func() { f.begin("10.0.0.1") }); took != 0 {
			t.Errorf("a call waits for %s when the handlers have ended", took)
		}
	})
}

// All connections of a client share a few pauses. A client with very many connections waits for a bounded time, and not for
// all of them. Another client does not wait for them at all.
func TestPausesAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFloods()
		var all sync.WaitGroup
		slow := func(calls int) {
			for range calls {
				all.Go(func() { f.slow("10.0.0.1") })
			}
			synctest.Wait()
		}
		const few = 100
		began := time.Now()
		slow(few)
		if took := took(func() { f.slow("10.0.0.2") }); took != floodPause {
			t.Errorf("another client is slowed down by %s", took)
		}
		all.Wait()
		if took, want := time.Since(began), few/(maxPauses/2)*floodPause; took != want {
			t.Errorf("%d calls took %s, not %s", few, took, want)
		}
		slow(2 * int(floodPatience/floodPause) * maxPauses) // more than can have their pause in time
		if took := took(func() { f.slow("10.0.0.1") }); took != floodPatience {
			t.Errorf("behind very many others, a call waits for %s", took)
		}
		all.Wait()
	})
}

// Wrong credentials slow their client down, while they are held back.
func TestWrongCredentialsSlowTheirClientDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Server{refusalPause: refusalPause, admission: newAdmission()}
		var refusals sync.WaitGroup
		for range maxUseless {
			refusals.Go(func() { s.holdBack(t.Context(), "10.0.0.1", time.Now()) })
		}
		synctest.Wait()
		if took := took(func() { s.admission.floods.begin("10.0.0.1") }); took != floodPause {
			t.Errorf("the next call waits for %s", took)
		}
		refusals.Wait()
		if took := took(func() { s.admission.floods.begin("10.0.0.1") }); took != 0 {
			t.Errorf("a call waits for %s when the others were refused", took)
		}
	})
}

// REST slows its clients down before it does anything else. It does nothing for a request whose client has left.
func TestRESTSlowsClientsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Server{admission: newAdmission(), requests: fairshare.New(2), refusedRequests: fairshare.New(2)}
		handler := s.guardREST(nil)
		serve := func(ctx context.Context) {
			call := &restCall{}
			r := httptest.NewRequestWithContext(context.WithValue(ctx, restCallKey{}, call), http.MethodGet, "/", nil)
			call.original = r
			r.RemoteAddr, r.ProtoMajor = "10.0.0.1:4711", 2
			handler.ServeHTTP(httptest.NewRecorder(), r)
		}
		if took := took(func() { serve(t.Context()) }); took != 0 {
			t.Errorf("a request waits for %s", took)
		}
		for range maxUseless {
			s.admission.floods.uselessCall("10.0.0.1")
		}
		if took := took(func() { serve(t.Context()) }); took != floodPause {
			t.Errorf("a request waits for %s", took)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		defer func() {
			if value := recover(); value != http.ErrAbortHandler { //nolint:errorlint // net/http compares it, too
				t.Errorf("a request whose client has left ended with %v", value)
			}
		}()
		serve(gone)
	})
}
