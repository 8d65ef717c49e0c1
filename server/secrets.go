package server

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
)

// withholdSecrets is an interceptor. It takes the secrets out of the answer to a caller that may not read them. The answer
// still says that there are some.
func withholdSecrets(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	if p := access.Of(ctx); p != nil && p.Rights.Secrets {
		return resp, err
	}
	if message, ok := resp.(proto.Message); ok && err == nil {
		withhold(message.ProtoReflect())
	}
	return resp, err
}

// withhold takes the secrets out of a message and of all messages in it.
func withhold(message protoreflect.Message) {
	switch m := message.Interface().(type) {
	case *gigagatev1.Customer:
		if m.GetProfileUrl() != "" {
			m.ProfileUrl, m.SecretsWithheld = "", true
		}
	case *gigagatev1.EsimProfile:
		if m.GetActivationCode()+m.GetAppleUniversalLink()+m.GetInstallationUrl() != "" {
			m.ActivationCode, m.AppleUniversalLink, m.InstallationUrl, m.SecretsWithheld = "", "", "", true
		}
	}
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil || field.IsMap():
		case field.IsList():
			for i := range value.List().Len() {
				withhold(value.List().Get(i).Message())
			}
		default:
			withhold(value.Message())
		}
		return true
	})
}
