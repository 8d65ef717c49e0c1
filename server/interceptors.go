package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
)

// traceIDKey is the metadata and the header that names the trace of every answer.
const traceIDKey = "x-trace-id"

// interceptors is the chain of one door, outermost first:
//
//   - observe writes one log line and the answer's trace id, whatever happens inside;
//   - mapErrors gives every error its details, a recovered panic's included;
//   - recoverPanic comes next, so that all below it is covered;
//   - the door's own interceptors complete the request from what that door carries beside it;
//   - tellOfRequestID makes a refused order speak of what the journal has under its request id;
//   - validate sees the request as the handler will;
//   - limit comes last: a request that is refused needs no place.
func (s *Server) interceptors(door string, own ...grpc.UnaryServerInterceptor) []grpc.UnaryServerInterceptor {
	chain := []grpc.UnaryServerInterceptor{s.observe(door), mapErrors, recoverPanic}
	return append(append(chain, own...), s.tellOfRequestID, s.validate, s.limiter.limit)
}

// observe writes one log line per call and sets the trace id of the answer.
func (s *Server) observe(door string) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		start := time.Now()
		annotate(ctx, requestAttributes(req)...)
		resp, err := next(ctx, req)
		if id := trace.SpanContextFromContext(ctx).TraceID(); id.IsValid() {
			// An error has it in its trailer: gRPC clients retry by themselves only after an answer
			// that has no header. It fails only where that has gone out, which cannot be yet.
			set := grpc.SetHeader
			if err != nil {
				set = grpc.SetTrailer
			}
			_ = set(ctx, metadata.Pairs(traceIDKey, id.String()))
		}
		s.logCall(ctx, logged{door: door, method: info.FullMethod, request: req, response: resp, start: start}, err)
		return resp, err
	}
}

// logged is what the log says of a call beside its outcome.
type logged struct {
	door     string
	method   string
	request  any
	response any
	start    time.Time
}

func (s *Server) logCall(ctx context.Context, c logged, err error) {
	attrs := []slog.Attr{
		slog.String("door", c.door),
		slog.String("method", c.method),
		slog.Float64("duration_ms", float64(time.Since(c.start).Microseconds())/1000),
		slog.String("code", status.Code(err).String()),
	}
	level := slog.LevelInfo
	if strings.HasPrefix(c.method, "/grpc.health.") {
		level = slog.LevelDebug // every few seconds, and of no interest
	}
	if f, ok := errors.AsType[*failure](err); ok {
		outcome := f.outcome()
		annotate(ctx, attrReason.String(reasonText(f.reason)), attrEffect.String(effectText(outcome.GetEffect())))
		attrs = append(attrs,
			slog.String("reason", reasonText(f.reason)), slog.String("effect", effectText(outcome.GetEffect())))
		if f.purchaseID != "" {
			annotate(ctx, attrPurchaseID.String(f.purchaseID))
			attrs = append(attrs, slog.String("purchase_id", f.purchaseID))
		}
		attrs = append(attrs, causeAttributes(ctx, f.cause)...)
		if code := codeOf(f.reason); code == codes.Unavailable || code == codes.Internal {
			level = slog.LevelWarn
		}
	}
	if purchase, ok := c.response.(interface{ GetPurchaseId() string }); ok && err == nil {
		attrs = append(attrs, slog.String("purchase_id", purchase.GetPurchaseId()))
	}
	if message, ok := c.request.(proto.Message); ok && s.logger.Enabled(ctx, slog.LevelDebug) {
		attrs = append(attrs, requestAttribute(message, err))
	}
	s.logger.LogAttrs(ctx, level, "call", attrs...)
}

// requestAttribute is the request for the debug log. Of one that broke a rule it names the fields
// at fault alone: what stands in a wrong field can be anything, also what redaction looks for
// elsewhere.
func requestAttribute(message proto.Message, err error) slog.Attr {
	f, ok := errors.AsType[*failure](err)
	if !ok || codeOf(f.reason) != codes.InvalidArgument {
		return slog.Any("request", redacted{message})
	}
	fields := make([]string, 0, len(f.fields))
	for _, field := range f.fields {
		fields = append(fields, field.GetField())
	}
	return slog.Any("invalid_fields", fields)
}

// causeAttributes tells of the cause of a failure what may be told, on the span and in the log.
func causeAttributes(ctx context.Context, cause error) []slog.Attr {
	if cause == nil {
		return nil
	}
	attrs := []slog.Attr{slog.String("cause", describeCause(cause))}
	if vendor, ok := errors.AsType[*gigastore.Error](cause); ok {
		annotate(ctx, attrVendorStatus.Int(vendor.Status))
		attrs = append(attrs, slog.Int("vendor_status", vendor.Status))
	}
	if p, ok := errors.AsType[*panicked](cause); ok {
		attrs = append(attrs, slog.String("stack", p.stack))
	}
	return attrs
}

// contractPrefix begins the full name of every method of the contract.
const contractPrefix = "/gigagate.v1."

// mapErrors makes sure that every error is a failure: what a handler returned as anything else is
// a fault of the gateway, whose text stays inside. The services of grpc-go, such as health, answer
// with statuses of their own.
func mapErrors(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	if err == nil {
		return resp, nil
	}
	if f, ok := errors.AsType[*failure](err); ok {
		// It fails only where the trailer has gone out, which cannot be yet.
		_ = grpc.SetTrailer(ctx, f.retryPushback(ctx))
		return nil, f
	}
	if _, ok := status.FromError(err); ok && !strings.HasPrefix(info.FullMethod, contractPrefix) {
		return nil, err
	}
	return nil, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_INTERNAL, cause: err}
}

// panicked stands for a recovered panic. Its value can hold anything, so only its type is kept,
// and the stack, which has no values of strings.
type panicked struct {
	kind  string
	stack string
}

func (p *panicked) Error() string { return "panic of type " + p.kind }

func newPanicked(value any) *panicked {
	return &panicked{kind: fmt.Sprintf("%T", value), stack: string(debug.Stack())}
}

func recoverPanic(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	return guarded(func() (any, error) { return next(ctx, req) })
}

// guarded runs f and turns its panic into an error.
func guarded[T any](f func() (T, error)) (result T, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = newPanicked(value)
		}
	}()
	return f()
}
