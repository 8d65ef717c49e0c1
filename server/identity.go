package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// Every call is identified by itself, also on a connection that has made calls before. It is identified before anything of
// its body is read. The principal is a value of the call's context.

// identifyGRPC returns the context of a call with its principal. Without one, nobody is identified.
func (s *Server) identifyGRPC(ctx context.Context) context.Context {
	var state *tls.ConnectionState
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			state = &info.State
		}
	}
	return s.identify(ctx, state, metadata.ValueFromIncomingContext(ctx, "authorization"))
}

// identifyREST is identifyGRPC for REST. It reads the Authorization header and the certificate of the connection. No other
// header can make a caller.
func (s *Server) identifyREST(r *http.Request) *http.Request {
	ctx := s.identify(r.Context(), restCallOf(r.Context()).original.TLS, r.Header.Values("Authorization"))
	return r.WithContext(ctx)
}

// identify also recovers a panic. No other code would: over gRPC it runs before the interceptors.
func (s *Server) identify(ctx context.Context, state *tls.ConnectionState, authorization []string) context.Context {
	if s.access == nil {
		return access.With(ctx, access.Open)
	}
	p, err := recoverAsError(func() (*access.Principal, error) {
		return s.access.Identify(ctx, access.Credentials{Certificate: s.certificate(state), Authorization: authorization})
	})
	if err != nil {
		if p, ok := errors.AsType[*panicked](err); ok {
			s.logger.ErrorContext(ctx, "the check of a credential panicked", "cause", p.Error(), "stack", p.stack)
		}
		return ctx
	}
	return access.With(ctx, p)
}

// certificate is the client's certificate if it is trusted now, otherwise nil.
func (s *Server) certificate(state *tls.ConnectionState) *x509.Certificate {
	if state == nil || s.trusted == nil {
		return nil
	}
	return s.trusted(*state)
}

func unauthenticated() *failure {
	return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED}
}

// holdBack waits before a call is refused whose caller is not known. The refusal leaves refusalPause after the call began, so
// its time does not tell how much of the credential was right. And a client that tries credentials one after another cannot
// use up the processor. The call keeps its place among the running calls, which are bounded.
func (s *Server) holdBack(ctx context.Context, client string, began time.Time) {
	defer s.admission.floods.uselessCall(client)()
	pause := time.NewTimer(s.refusalPause - time.Since(began))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
}

// identifyStream identifies the caller of a stream, for example of reflection. A stream is one call of its caller. Everyone
// who can connect may watch the health of the gateway, as in its unary form.
func (s *Server) identifyStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if info.FullMethod == healthpb.Health_Watch_FullMethodName {
		return next(srv, stream)
	}
	began := time.Now()
	ctx := s.identifyGRPC(stream.Context())
	if access.Of(ctx) == nil {
		s.holdBack(ctx, clientOf(ctx), began)
		return unauthenticated()
	}
	f, end := beginCall(ctx, false)
	defer end()
	if f != nil {
		return f
	}
	return next(srv, stream)
}

// beginCall counts a call of its caller, and the result end ends it. Nothing of the call's body has been read, and nothing of
// the journal. After a failure, which is not nil, the call must be refused. Health checks are not counted.
func beginCall(ctx context.Context, isOrder bool) (f *failure, end func()) {
	p := access.Of(ctx)
	if p == nil {
		return nil, func() {}
	}
	excess, wait := p.Limits.Begin(time.Now())
	if excess == access.NoExcess {
		return nil, p.Limits.End
	}
	f = &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_RATE_LIMITED, retryDelay: max(wait, leastRetryDelay)}
	if excess == access.TooManyAtOnce {
		f.sentence, f.retryDelay = tooManyAtOnce, 0
	}
	if isOrder {
		f.effect = gigagatev1.Effect_EFFECT_INDETERMINATE // its request id is not looked up
	}
	return f, func() {}
}

// leastRetryDelay is the shortest time after which a caller beyond its rate is asked to try again.
const leastRetryDelay = 100 * time.Millisecond

// These sentences refuse a caller that has too many calls or purchases under way. A purchase can outlive its call.
const (
	tooManyAtOnce    = "this caller has as many calls under way as it may, so this call did nothing"
	tooManyPurchases = "this caller has as many purchases under way as it may, so nothing was started"
)

// isIdentified reports whether a credential has named the principal. Otherwise it is nobody, or everybody.
func isIdentified(p *access.Principal) bool { return p != nil && p != access.Open }

// authorize is an interceptor. It refuses a call of the contract that nobody may make, or not this caller, or not now.
func authorize(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if strings.HasPrefix(info.FullMethod, contractPrefix) {
		if f, ok := ctx.Value(excessKey{}).(*failure); ok {
			return nil, f
		}
		if f := mayCall(ctx, info.FullMethod); f != nil {
			if fault, ok := ctx.Value(undecodableKey{}).(*failure); ok {
				f.effect = fault.effect // an order whose request id could not be read may be one that was bought
			}
			return nil, f
		}
	}
	return next(ctx, req)
}

// mayCall is the failure of a call that its caller may not make, otherwise nil.
func mayCall(ctx context.Context, method string) *failure {
	p := access.Of(ctx)
	if p == nil {
		return unauthenticated()
	}
	name := method[strings.LastIndexByte(method, '/')+1:]
	onlyOperators := access.IsForOperators(name)
	if !p.Rights.Methods.Has(name) || onlyOperators && !p.Rights.All {
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED}
	}
	return nil
}

// scopeOf says whose purchases the caller of ctx sees.
func scopeOf(ctx context.Context) purchase.Scope {
	switch p := access.Of(ctx); {
	case p == nil:
		return purchase.Scope{}
	case p.Rights.All:
		return purchase.Everyone
	default:
		return purchase.Scope{Caller: p.Key()}
	}
}

// actorOf says who makes the call, for an audit record.
func actorOf(ctx context.Context) purchase.AuditRecord {
	p := access.Of(ctx)
	record := purchase.AuditRecord{Actor: p.Name, ActorKind: purchase.ActorCaller}
	if isIdentified(p) && p.Rights.All {
		record.ActorKind = purchase.ActorOperator
	}
	return record
}

// checkOperator refuses a call whose operator field names somebody else than the operator who makes the call.
func checkOperator(ctx context.Context, operator string) error {
	if p := access.Of(ctx); isIdentified(p) && operator != p.Name {
		return invalidField("operator", "must be the name of the operator who makes the call")
	}
	return nil
}

// callerName is the name of the caller in a key, as callers see it. The heir of the purchases that were made before there
// were callers is shown by its own name.
func (s *Server) callerName(key purchase.Key) string {
	if key.Caller == access.DefaultCaller && s.access != nil {
		return cmp.Or(s.access.Heir(), key.Caller)
	}
	return key.Caller
}

// journalName is the opposite of callerName: the name under which the journal keeps a caller.
func (s *Server) journalName(caller string) string {
	if s.access != nil && caller == s.access.Heir() {
		return access.DefaultCaller
	}
	return caller
}
