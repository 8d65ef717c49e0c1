package server

import (
	"context"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"gigagate.internal/internal/access"
)

// decoding is the target that the gRPC codec decodes a request into. It holds the message, or the reason why there
// is none.
type decoding struct {
	message proto.Message
	fault   *failure
}

// tolerantCodec is grpc-go's protobuf codec, except that it reports no error for a request that is too large or
// cannot be decoded. On an error grpc-go would answer INTERNAL by itself, before any interceptor and without the
// contract's details.
type tolerantCodec struct{ encoding.CodecV2 }

func newTolerantCodec() tolerantCodec { return tolerantCodec{encoding.GetCodecV2(grpcproto.Name)} }

// Unmarshal stores the fault in v if v is a *decoding, and then returns nil.
func (c tolerantCodec) Unmarshal(data mem.BufferSlice, v any) error {
	target, ok := v.(*decoding)
	if !ok {
		if data.Len() > maxOther {
			return errors.New("the request is too large")
		}
		return c.CodecV2.Unmarshal(data, v)
	}
	if data.Len() > maxBody {
		target.fault = invalidField("", "the request is too large")
		// Most encoders write the fields by number, so the first KiB has the request id.
		keepRequestID(beginningOf(data, 1<<10), false, target.message, target.fault)
		return nil
	}
	if c.CodecV2.Unmarshal(data, target.message) != nil {
		proto.Reset(target.message)
		encoded := data.Materialize()
		target.fault = undecodable(encoded, target.message.ProtoReflect().Descriptor())
		keepRequestID(encoded, true, target.message, target.fault)
	}
	return nil
}

// beginningOf is at most the first n bytes of a message.
func beginningOf(data mem.BufferSlice, n int) []byte {
	reader := data.Reader()
	defer func() { _ = reader.Close() }()
	beginning := make([]byte, n)
	n, _ = io.ReadFull(reader, beginning)
	return beginning[:n]
}

type undecodableKey struct{}

// excessKey is the key of the failure of a call that is beyond the limits of its caller.
type excessKey struct{}

// adaptGRPC returns desc with handlers that identify the caller first and that work with tolerantCodec. The message of a
// caller that is not identified, or that makes too many calls, is not even received. A request that could not be decoded also goes through the
// interceptors. They find its fault in the context.
func (s *Server) adaptGRPC(desc grpc.ServiceDesc) *grpc.ServiceDesc {
	methods := make([]grpc.MethodDesc, len(desc.Methods))
	for i, method := range desc.Methods {
		handler := method.Handler
		method.Handler = func(srv any, ctx context.Context, decode func(any) error, chain grpc.UnaryServerInterceptor) (any, error) {
			began := time.Now()
			ctx = s.identifyGRPC(ctx)
			if access.Of(ctx) == nil {
				s.holdBack(ctx, clientOf(ctx), began)
			}
			excess, end := beginCall(ctx, isOrder("/"+desc.ServiceName+"/"+method.MethodName))
			defer end()
			if excess != nil {
				ctx = context.WithValue(ctx, excessKey{}, excess)
			}
			refused := excess != nil || access.Of(ctx) == nil
			var fault *failure
			tolerant := func(message any) error {
				if refused {
					return nil // the interceptor authorize does it
				}
				target := &decoding{message: message.(proto.Message)}
				err := decode(target)
				fault = target.fault
				return err
			}
			withFault := func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				if fault != nil {
					ctx = context.WithValue(ctx, undecodableKey{}, fault)
				}
				return chain(ctx, req, info, next)
			}
			return handler(srv, ctx, tolerant, withFault)
		}
		methods[i] = method
	}
	desc.Methods = methods
	return &desc
}

// undecodable is the failure of a request that protobuf-go could not decode. The errors of protobuf-go do not name
// the field, so undecodable looks for it.
func undecodable(data []byte, message protoreflect.MessageDescriptor) *failure {
	if path := brokenText(data, message); path != "" {
		return invalidField(path, "is not valid UTF-8")
	}
	return invalidField("", "the request is not a valid protobuf message of this method")
}

// brokenText is the path of the first string in an encoded message that is not valid UTF-8, or "" if there is none.
func brokenText(data []byte, message protoreflect.MessageDescriptor) string {
	for len(data) > 0 {
		number, kind, tag := protowire.ConsumeTag(data)
		if tag < 0 {
			return ""
		}
		size := protowire.ConsumeFieldValue(number, kind, data[tag:])
		if size < 0 {
			return ""
		}
		value := data[tag : tag+size]
		data = data[tag+size:]
		field := message.Fields().ByNumber(number)
		if field == nil || kind != protowire.BytesType {
			continue
		}
		content, _ := protowire.ConsumeBytes(value)
		switch {
		case field.Kind() == protoreflect.StringKind && !utf8.Valid(content):
			return string(field.Name())
		case field.Kind() == protoreflect.MessageKind:
			if inner := brokenText(content, field.Message()); inner != "" {
				return joinPath(string(field.Name()), inner)
			}
		}
	}
	return ""
}
