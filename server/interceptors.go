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
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// traceIDKey names the gRPC metadata and the HTTP header that carry the trace id. Every answer has it.
const traceIDKey = "x-trace-id"

// interceptors is the chain of one transport (gRPC or REST), outermost first:
//
//   - observe measures the call, and writes one log line and the answer's trace id, whatever happens inside.
//   - mapErrors recovers from a panic in everything below it, and gives every error its details.
//   - The transport's own interceptors add what only the transport knows, such as the client's address.
//   - auditSecrets records that an answer shows secrets.
//   - withholdSecrets takes the secrets out of the answer if the caller may not read them.
//   - tellOfRequestID gives a refused order the effect that the journal has under its request id.
//   - authorize refuses a caller that is not known, and a call that the caller may not make.
//   - validate sees the request as the handler will see it.
//   - limit comes last, because a refused request needs no place.
func (s *Server) interceptors(transport string, own ...grpc.UnaryServerInterceptor) []grpc.UnaryServerInterceptor {
	chain := []grpc.UnaryServerInterceptor{s.observe(transport), mapErrors}
	return append(append(chain, own...), s.auditSecrets, withholdSecrets, s.tellOfRequestID(), authorize, s.validate(), s.limiter.limit)
}

// observe measures a call, writes its log line and sets the trace id of the answer.
func (s *Server) observe(transport string) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		start := time.Now()
		annotate(ctx, requestAttributes(req)...)
		resp, err := next(ctx, req)
		if transport != transportConsole { // an open page would hide how long the calls of callers take
			s.calls.record(ctx, info.FullMethod, time.Since(start), err)
		}
		setTraceID(ctx, err)
		s.logCall(ctx, &logged{transport: transport, method: info.FullMethod, request: req, response: resp, start: start}, err)
		return resp, err
	}
}

// setTraceID sets the trace id of an answer. On an error the id goes into the trailer: gRPC clients retry by themselves only
// if the answer had no header.
func setTraceID(ctx context.Context, err error) {
	id := trace.SpanContextFromContext(ctx).TraceID()
	if !id.IsValid() {
		return
	}
	set := grpc.SetHeader
	if err != nil {
		set = grpc.SetTrailer
	}
	_ = set(ctx, metadata.Pairs(traceIDKey, id.String())) // fails only after the header has been sent, and that is too early here
}

// logged is what the log line of a call says besides its outcome.
type logged struct {
	transport string
	method    string
	request   any
	response  any
	start     time.Time
}

func (s *Server) logCall(ctx context.Context, c *logged, err error) {
	attrs := []slog.Attr{
		slog.String("transport", c.transport),
		slog.String("method", c.method),
		slog.Float64("duration_ms", float64(time.Since(c.start).Microseconds())/1000),
		slog.String("code", status.Code(err).String()),
	}
	if p := access.Of(ctx); isIdentified(p) {
		attrs = append(attrs, slog.String("caller", p.Name))
	}
	level := slog.LevelInfo
	if strings.HasPrefix(c.method, "/grpc.health.") {
		level = slog.LevelDebug // health checks arrive every few seconds and tell nothing new
	}
	if c.transport == transportConsole {
		level = slog.LevelDebug // an open page calls every few seconds, and what it changes has a record of its own
	}
	if f, ok := errors.AsType[*failure](err); ok {
		outcome := f.outcome()
		annotate(ctx, errorType(f.reason), attrEffect.String(effectText(outcome.GetEffect())))
		attrs = append(attrs,
			slog.String("reason", reasonText(f.reason)), slog.String("effect", effectText(outcome.GetEffect())))
		if f.purchaseID != "" {
			annotate(ctx, purchase.AttrID.String(f.purchaseID))
			attrs = append(attrs, slog.String("purchase_id", f.purchaseID))
		}
		attrs = append(attrs, causeAttributes(ctx, f.cause)...)
		if code := codeOf(f.reason); code == codes.Unavailable || code == codes.Internal {
			level = slog.LevelWarn
		}
	}
	if bought, ok := c.response.(interface{ GetPurchaseId() string }); ok && err == nil {
		attrs = append(attrs, slog.String("purchase_id", bought.GetPurchaseId()))
	}
	if message, ok := c.request.(proto.Message); ok && s.logger.Enabled(ctx, slog.LevelDebug) {
		attrs = append(attrs, requestAttribute(message, err))
	}
	s.logger.LogAttrs(ctx, level, "call", attrs...)
}

// requestAttribute is the request for the debug log. For a request that broke a rule it only names the
// wrong fields. Their values can be anything, including a secret in a field that redaction lets through.
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

// causeAttributes returns the log attributes of a failure's cause. It adds the vendor's status to the span.
// It leaves out whatever could hold data of a caller or the vendor.
func causeAttributes(ctx context.Context, cause error) []slog.Attr {
	if cause == nil {
		return nil
	}
	attrs := []slog.Attr{slog.String("cause", describeCause(cause))}
	if vendor, ok := errors.AsType[*gigastore.Error](cause); ok {
		annotate(ctx, gigastore.AttrStatusCode.Int(vendor.Status))
		attrs = append(attrs, slog.Int("vendor_status", vendor.Status))
	}
	if p, ok := errors.AsType[*panicked](cause); ok {
		attrs = append(attrs, slog.String("stack", p.stack))
	}
	return attrs
}

// contractPrefix begins the full name of every method of the contract.
const contractPrefix = "/gigagate.v1."

// mapErrors recovers from panics. It makes sure that every error of the contract's methods is a *failure. Any other error from a
// handler is a fault of the gateway. It becomes INTERNAL, and its text is not sent. The services of grpc-go,
// such as health, keep their own statuses.
func mapErrors(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := recoverAsError(func() (any, error) { return next(ctx, req) })
	if err == nil {
		return resp, nil
	}
	if f, ok := errors.AsType[*failure](err); ok {
		// Setting the trailer fails only after it has been sent, and that is too early here.
		_ = grpc.SetTrailer(ctx, f.retryPushback(ctx))
		return nil, f
	}
	if _, ok := status.FromError(err); ok && !strings.HasPrefix(info.FullMethod, contractPrefix) {
		return nil, err
	}
	return nil, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_INTERNAL, cause: err}
}

// panicked is a recovered panic. The value of a panic can hold secrets, so only its type is kept. The stack
// is kept too, because it shows no contents of strings.
type panicked struct {
	kind  string
	stack string
}

func (p *panicked) Error() string { return "panic of type " + p.kind }

func newPanicked(value any) *panicked {
	return &panicked{kind: fmt.Sprintf("%T", value), stack: string(debug.Stack())}
}

// recoverAsError runs f and turns its panic into an error.
func recoverAsError[T any](f func() (T, error)) (result T, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = newPanicked(value)
		}
	}()
	return f()
}
