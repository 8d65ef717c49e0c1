package server_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// tooMany is the answer to a read beyond the limits of its caller, and tooManyOrders that to an order.
var (
	tooMany       = want{codes.ResourceExhausted, http.StatusTooManyRequests, "RATE_LIMITED", "NOT_STARTED", nil}
	tooManyOrders = want{codes.ResourceExhausted, http.StatusTooManyRequests, "RATE_LIMITED", "INDETERMINATE", nil}
)

// limited is a caller with limits.
func limited(name string, settings access.LimitSettings) *access.Principal {
	p := caller(name)
	p.Limits = access.NewLimits(settings)
	return p
}

// countedReads is a journal that counts claims and look-ups of request ids.
type countedReads struct {
	purchase.Journal
	n atomic.Int64
}

func (j *countedReads) Lookup(ctx context.Context, key purchase.Key) (purchase.Purchase, error) {
	j.n.Add(1)
	return j.Journal.Lookup(ctx, key)
}

func (j *countedReads) Claim(ctx context.Context, claim purchase.Claim) (purchase.Purchase, error) {
	j.n.Add(1)
	return j.Journal.Claim(ctx, claim)
}

// A caller beyond its rate is refused on both transports, before the journal is asked and before the body is read. The calls
// of both transports count together, and so do repeated calls. Other callers, and health checks, are served.
func TestRateOfACaller(t *testing.T) {
	t.Parallel()
	shop, app := limited("shop", access.LimitSettings{PerSecond: 0.001, Burst: 4}), caller("app")
	j := &countedReads{Journal: newJournal()}
	g := openFor(t, newCallers(shop, app), func(s *setup) { s.journal = j })
	order := ask(register()).as("shop")
	for range 2 { // the second one of each is a replay
		for _, transport := range g.transports() {
			transport.call(t, t.Context(), order).ok(t)
		}
	}
	before := j.n.Load()
	for _, transport := range g.transports() {
		for range 3 {
			a := transport.call(t, t.Context(), order)
			a.check(t, tooManyOrders)
			if delay := a.outcome.GetRetryDelay().AsDuration(); delay < 900*time.Second || delay > 1000*time.Second {
				t.Errorf("%s: retry after %s", transport.name, delay)
			}
			transport.call(t, t.Context(), ask(&gigagatev1.ListPurchasesRequest{}).as("shop")).check(t, tooMany)
		}
		transport.call(t, t.Context(), ask(&gigagatev1.ListPurchasesRequest{}).as("app")).ok(t)
		transport.call(t, t.Context(), ask(&gigagatev1.ListPurchasesRequest{}).as("nobody")).check(t, unidentified)
	}
	// A message that never comes is not waited for.
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer shop")
	stream, err := g.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, gigagatev1.ActivationService_Register_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(&gigagatev1.RegisterResponse{}); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("without a message: %v", err)
	}
	if n := j.n.Load() - before; n != 0 {
		t.Errorf("the journal was asked %d times for calls beyond the rate", n)
	}
	if _, err := healthpb.NewHealthClient(g.conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("a health check: %v", err)
	}
	g.logs.line(t, `"reason":"RATE_LIMITED"`, `"caller":"shop"`, `"transport":"grpc"`)
	g.logs.line(t, `"reason":"RATE_LIMITED"`, `"caller":"shop"`, `"transport":"rest"`)
}

// The calls of a caller that are under way count on both transports together. Each gives its place back when it ends.
func TestCallsAtOnceOfACaller(t *testing.T) {
	t.Parallel()
	shop := limited("shop", access.LimitSettings{AtOnce: 2})
	j := &hungLists{newJournal(), make(chan struct{}, 10), make(chan struct{})}
	g := openFor(t, newCallers(shop, caller("app")), func(s *setup) { s.journal = j })
	list := ask(&gigagatev1.ListPurchasesRequest{})
	letGo := sync.OnceFunc(func() { close(j.letGo) })
	defer letGo()
	answers := make(chan answer, 2)
	for _, transport := range g.transports() {
		go func() { answers <- transport.call(t, t.Context(), list.as("shop")) }()
		<-j.entered
	}
	for _, transport := range g.transports() {
		soon := time.AfterFunc(10*time.Second, letGo) // a list that is not refused hangs
		a := transport.call(t, t.Context(), list.as("shop"))
		soon.Stop()
		a.check(t, tooMany)
		if delay := a.outcome.GetRetryDelay().AsDuration(); delay != time.Second {
			t.Errorf("%s: retry after %s", transport.name, delay)
		}
		transport.call(t, t.Context(), ask(register()).as("shop")).check(t, tooManyOrders)
		transport.call(t, t.Context(), ask(register()).as("app")).ok(t)
	}
	letGo()
	for range 2 {
		(<-answers).ok(t)
	}
	for _, transport := range g.transports() {
		transport.call(t, t.Context(), ask(register()).as("shop")).ok(t)
	}
}

// A purchase outlives its call. So purchases of one caller that are under way count, too.
func TestPurchasesAtOnceOfACaller(t *testing.T) {
	t.Parallel()
	gate := newGate(t, "/register")
	g := openFor(t, newCallers(limited("shop", access.LimitSettings{AtOnce: 2}), caller("app")), func(s *setup) { s.wrap = gate.wrap })
	for n := range 2 {
		order := register()
		order.RequestId = fmt.Sprintf("abandoned-%d", n)
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan struct{})
		go func() {
			defer close(left)
			g.overGRPC(t, ctx, ask(order).as("shop"))
		}()
		<-gate.entered
		leave()
		<-left
	}
	order := ask(register())
	refused := tooMany // its request id was looked up
	for _, transport := range g.transports() {
		transport.call(t, t.Context(), order.as("shop")).check(t, refused)
	}
	close(gate.open)
	g.overREST(t, t.Context(), order.as("app")).ok(t)
}

// The share of a method's places goes by the name of the caller, whatever transport its calls use. Another caller from the
// same address gets the other half.
func TestShareGoesByCaller(t *testing.T) {
	t.Parallel()
	const half = 4 // of the places for lists
	j := &hungLists{newJournal(), make(chan struct{}, 100), make(chan struct{})}
	g := openFor(t, newCallers(caller("shop"), caller("app")), func(s *setup) { s.journal = j })
	list := ask(&gigagatev1.ListPurchasesRequest{})
	answers := make(chan answer, 100)
	for i := range half {
		go func() { answers <- g.transports()[i%2].call(t, t.Context(), list.as("shop")) }()
		<-j.entered
	}
	for _, transport := range g.transports() {
		transport.call(t, t.Context(), list.as("shop")).check(t, want{codes.ResourceExhausted, http.StatusTooManyRequests, "OVERLOADED", "NOT_STARTED", nil})
	}
	for i := range half {
		go func() { answers <- g.transports()[i%2].call(t, t.Context(), list.as("app")) }()
		<-j.entered
	}
	close(j.letGo)
	for range 2 * half {
		(<-answers).ok(t)
	}
}

// A stream of reflection is a call of its caller: it counts against at_once and the rate, and gives its place back.
func TestStreamsOfACaller(t *testing.T) {
	t.Parallel()
	shop := limited("shop", access.LimitSettings{AtOnce: 1})
	g := openFor(t, newCallers(shop))
	list := ask(&gigagatev1.ListPurchasesRequest{}).as("shop")
	ctx, leave := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer shop"))
	open := func() error {
		stream, err := reflectionpb.NewServerReflectionClient(g.conn).ServerReflectionInfo(ctx)
		if err == nil {
			_ = stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
			_, err = stream.Recv()
		}
		return err
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
	if err := open(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a second stream: %v", err)
	}
	g.overREST(t, t.Context(), list).check(t, tooMany)
	leave()
	for deadline := time.Now().Add(10 * time.Second); g.overREST(t, t.Context(), list).code != codes.OK; {
		if time.Now().After(deadline) {
			t.Fatal("the stream's place does not come back")
		}
	}
}
