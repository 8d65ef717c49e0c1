package server

import (
	"context"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"gigagate.internal/internal/access"
)

// inProcess is a connection through which REST and the operators' console call the services. A call is a function call in
// the goroutine of the HTTP request.
type inProcess struct {
	stats       stats.Handler
	interceptor grpc.UnaryServerInterceptor
	methods     map[string]inProcessMethod // by full name
}

type inProcessMethod struct {
	handler grpc.MethodHandler
	service any
}

// RegisterService implements [grpc.ServiceRegistrar].
func (c *inProcess) RegisterService(desc *grpc.ServiceDesc, service any) {
	for _, method := range desc.Methods {
		c.methods["/"+desc.ServiceName+"/"+method.MethodName] = inProcessMethod{method.Handler, service}
	}
}

// Invoke implements [grpc.ClientConnInterface].
func (c *inProcess) Invoke(caller context.Context, name string, request, response any, options ...grpc.CallOption) error {
	// As over a socket, the context of the handler ends when the caller is gone, and has no other values of the caller than
	// its call, its principal, its reason and its span. The principal crosses as a value, so no header can name one.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(caller, cancel)()
	ctx = context.WithValue(ctx, restCallKey{}, restCallOf(caller))
	ctx = access.With(ctx, access.Of(caller))
	ctx = access.WithReason(ctx, access.ReasonOf(caller))
	ctx = trace.ContextWithRemoteSpanContext(ctx, trace.SpanContextFromContext(caller))
	var stream runtime.ServerTransportStream
	ctx = grpc.NewContextWithServerTransportStream(ctx, &stream)

	began := time.Now()
	ctx = c.stats.TagRPC(ctx, &stats.RPCTagInfo{FullMethodName: name})
	c.stats.HandleRPC(ctx, &stats.Begin{BeginTime: began})
	method := c.methods[name]
	answer, err := method.handler(method.service, ctx, func(into any) error {
		handOver(into.(proto.Message), request.(proto.Message))
		return nil
	}, c.interceptor)
	c.stats.HandleRPC(ctx, &stats.End{BeginTime: began, EndTime: time.Now(), Error: err})

	for _, option := range options {
		switch o := option.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = stream.Header()
		case grpc.TrailerCallOption:
			*o.TrailerAddr = stream.Trailer()
		}
	}
	if err != nil {
		return err
	}
	handOver(response.(proto.Message), answer.(proto.Message))
	return nil
}

// handOver gives the fields of from to the empty message into. The two then share the messages and lists in these fields. A
// service makes a new answer for each call, so whoever receives one may change it. A service must not change a message within a
// request. A deep copy would cost 1 % of a call.
func handOver(into, from proto.Message) {
	to := into.ProtoReflect()
	from.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		to.Set(field, value)
		return true
	})
}

// NewStream implements [grpc.ClientConnInterface]. No method of the contract is a stream.
func (*inProcess) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "no method is a stream")
}

// fromConsole is the key of a context of a call that the console makes.
type fromConsole struct{}

func markConsole(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	return next(context.WithValue(ctx, fromConsole{}, true), req)
}

func isFromConsole(ctx context.Context) bool { return ctx.Value(fromConsole{}) != nil }
