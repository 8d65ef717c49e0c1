package server

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/tap"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
	"gigagate.internal/internal/fairshare"
	"gigagate.internal/internal/stack"
)

// admission bounds the calls of the gRPC port over all connections. It sees a call when its headers have arrived, before
// the call has a goroutine. So it also bounds calls whose message never comes and calls whose answer is never read.
type admission struct {
	calls   *fairshare.Limit
	streams *fairshare.Limit // those of the calls that may last as long as their connection
	refused *fairshare.Limit
	floods  *floods
	// lives is how long a call may take in all, by the full name of its method. A method without an entry, such as a
	// health watch, may take as long as its connection lasts.
	lives   map[string]time.Duration
	known   map[string]bool // the full names of all methods
	longest time.Duration   // no handler takes longer
}

func newAdmission() *admission {
	return &admission{
		calls: fairshare.New(maxCalls), streams: fairshare.New(maxWatches), refused: fairshare.New(maxRefused), floods: newFloods(),
	}
}

// admitted is what admission decided about a call.
type admitted struct {
	refused bool
	end     *time.Timer   // ends the call
	life    time.Duration // how long the call may take after its message arrived; 0 means as long as its connection
	// parts counts what still runs of the call: its stream and its handler. The call keeps its place until both have
	// ended, because a client can reset streams faster than their handlers notice.
	parts   atomic.Int32
	useless func() // ends the count of a call whose stream ended before its handler
	release func()
}

type admittedKey struct{}

// admit is a [tap.ServerInHandle]. It does not refuse a call beyond the bound, because grpc-go would then never release
// the timer of the call's deadline. The call gets refusalTime to deliver its message, so that it can be refused with an
// Outcome. If there are too many such calls as well, the call ends at once as CANCELLED, and its connection is slowed down.
func (a *admission) admit(ctx context.Context, info *tap.Info) (context.Context, error) {
	client := clientOf(ctx)
	a.floods.begin(client) // in the goroutine that reads this connection
	if ctx.Err() != nil {  // a deadline that passed in the pause, too
		return ctx, nil //nolint:nilerr // grpc-go ends it
	}
	call := &admitted{life: a.lives[info.FullMethodName], release: func() {}, useless: func() {}}
	ctx = context.WithValue(ctx, admittedKey{}, call)
	release, patience := a.take(info.FullMethodName, client), messageTime
	if release == nil {
		call.refused = true
		patience = refusalTime
		if !a.refused.Take(client) {
			a.floods.slow(client)
			return &endedContext{Context: ctx}, nil
		}
		release = func() { a.refused.Release(client) }
	}
	call.release = sync.OnceFunc(func() {
		release()
		call.useless()
	})
	call.parts.Store(2)
	if name, ok := strings.CutPrefix(info.FullMethodName, "/"); !ok || !strings.Contains(name, "/") {
		call.parts.Store(1) // the name is no method: grpc-go ends the call without a handler and without telling admissionStats
	}
	ctx, cancel := context.WithCancel(ctx)
	call.end = time.AfterFunc(patience, cancel)
	context.AfterFunc(ctx, func() {
		call.end.Stop()
		cancel()
		if call.parts.Load() == 2 {
			call.useless = a.floods.uselessCall(client) // before anything that can release the call
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			// The call may have ended before grpc-go started its handler. Then grpc-go never starts it, and no one else
			// releases the place.
			time.AfterFunc(a.longest, call.release)
		}
		call.partEnded()
	})
	return ctx, nil
}

// take takes the places of a call. It returns the function that gives them back, or nil if there are none.
func (a *admission) take(method, client string) (release func()) {
	isStream := a.known[method] && a.lives[method] == 0
	if isStream && !a.streams.Take(client) {
		return nil
	}
	taken := a.calls.Take(client)
	if isStream && !taken {
		a.streams.Release(client)
	}
	if !taken {
		return nil
	}
	return func() {
		a.calls.Release(client)
		if isStream {
			a.streams.Release(client)
		}
	}
}

// partEnded is called at the end of the stream and at the end of the handler. The second call releases the place.
func (c *admitted) partEnded() {
	if c.parts.Add(-1) == 0 {
		c.release()
	}
}

// begin is called once the call's message has arrived. It reports whether the call may be served. A call that may not be
// served is kept for refusalPause, so that a client that asks again after each refusal does not use up the processor.
func begin(ctx context.Context) bool {
	call, ok := ctx.Value(admittedKey{}).(*admitted)
	switch {
	case !ok: // over REST
		return true
	case call.refused:
		pause := time.NewTimer(refusalPause)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		return false
	case call.life > 0:
		call.end.Reset(call.life)
	default:
		call.end.Stop()
	}
	return true
}

// admissionStats tells admission when a handler has ended. It also keeps the names of unknown methods out of spans and
// metrics, because a caller can write anything there.
type admissionStats struct {
	stats.Handler
	admission *admission
}

// TagRPC implements [stats.Handler].
func (h admissionStats) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	stack.Grow()
	if !h.admission.known[info.FullMethodName] {
		other := *info
		other.FullMethodName = "_OTHER" // OpenTelemetry's word for it
		info = &other
	}
	return h.Handler.TagRPC(ctx, info)
}

// HandleRPC implements [stats.Handler].
func (h admissionStats) HandleRPC(ctx context.Context, event stats.RPCStats) {
	h.Handler.HandleRPC(ctx, event)
	if _, ok := event.(*stats.End); !ok {
		return
	}
	if call, ok := ctx.Value(admittedKey{}).(*admitted); ok {
		call.partEnded()
	}
}

// endedContext is done from the start, but its first Err returns nil. grpc-go calls Err once before it starts the
// handler. On an error it would drop the call there and never release the timer of the call's deadline.
type endedContext struct {
	context.Context
	asked atomic.Bool
}

var ended = func() chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}()

// Done implements [context.Context].
func (*endedContext) Done() <-chan struct{} { return ended }

// Err implements [context.Context].
func (c *endedContext) Err() error {
	if c.asked.CompareAndSwap(false, true) {
		return nil
	}
	return context.Canceled
}

// beginStream refuses streams beyond the bound of admission with OVERLOADED.
func beginStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if !begin(stream.Context()) {
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_OVERLOADED}
	}
	return next(srv, stream)
}

// setMethods sets which methods there are, and how long their calls may take: the longest time to an answer, plus the time
// for a slow client to read it.
func (s *Server) setMethods(services map[string]grpc.ServiceInfo) {
	s.admission.lives, s.admission.longest = map[string]time.Duration{}, s.AnswerWithin()+readTime
	s.admission.known = map[string]bool{}
	for name, service := range services {
		for _, method := range service.Methods {
			full := "/" + name + "/" + method.Name
			s.admission.known[full] = true
			if !method.IsServerStream {
				s.admission.lives[full] = s.admission.longest
			}
		}
	}
}

type clientKey struct{}

// clientFromHTTP puts the client's address into the context of a REST call, which has no gRPC peer.
func clientFromHTTP(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	client := fairshare.ClientOf(restCallOf(ctx).original.RemoteAddr)
	return next(context.WithValue(ctx, clientKey{}, client), req)
}

// clientOf is the client whose fair share a call uses: the caller once it is identified, otherwise its address. No name of
// a caller looks like an address.
func clientOf(ctx context.Context) string {
	if p := access.Of(ctx); isIdentified(p) {
		return p.Name
	}
	if client, ok := ctx.Value(clientKey{}).(string); ok {
		return client
	}
	if p, ok := peer.FromContext(ctx); ok {
		return fairshare.ClientOf(p.Addr.String())
	}
	return "unknown"
}
