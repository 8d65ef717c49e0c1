package server

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/purchase"
)

// Attributes of the server span, in addition to those of the OpenTelemetry conventions. None of them can hold
// a caller's free text.
const (
	attrMode   = attribute.Key("gigagate.activation_mode")
	attrEffect = attribute.Key("gigagate.effect")
)

// annotate sets attributes on the span of ctx.
func annotate(ctx context.Context, attrs ...attribute.KeyValue) {
	trace.SpanFromContext(ctx).SetAttributes(attrs...)
}

// requestAttributes are the kind and the activation mode of a purchase. Other requests have none.
func requestAttributes(req any) []attribute.KeyValue {
	switch r := req.(type) {
	case *gigagatev1.RegisterRequest:
		return purchaseAttributes(purchase.Register, r.GetActivationMode())
	case *gigagatev1.TopUpRequest:
		if r.GetNewProfile() != nil {
			return purchaseAttributes(purchase.TopUpWithProfile, r.GetActivationMode())
		}
		return purchaseAttributes(purchase.TopUp, r.GetActivationMode())
	}
	return nil
}

func purchaseAttributes(kind purchase.Kind, mode gigagatev1.ActivationMode) []attribute.KeyValue {
	return []attribute.KeyValue{purchase.AttrKind.String(string(kind)), attrMode.String(modeText(mode))}
}

// errorType is the attribute of a span that names the reason of its error.
func errorType(reason gigagatev1.ErrorReason) attribute.KeyValue {
	return semconv.ErrorTypeKey.String(reasonText(reason))
}

// modeText is the mode without the enum's prefix. A number that the enum does not have is UNKNOWN.
func modeText(mode gigagatev1.ActivationMode) string {
	if name, ok := gigagatev1.ActivationMode_name[int32(mode)]; ok {
		return strings.TrimPrefix(name, "ACTIVATION_MODE_")
	}
	return "UNKNOWN"
}
