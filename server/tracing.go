package server

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// Attributes of the server span, in addition to those of the OpenTelemetry conventions. None of them can hold
// a caller's free text.
const (
	attrKind         = attribute.Key("gigagate.kind")
	attrMode         = attribute.Key("gigagate.activation_mode")
	attrEffect       = attribute.Key("gigagate.effect")
	attrReason       = attribute.Key("gigagate.reason")
	attrPurchaseID   = attribute.Key("gigagate.purchase_id")
	attrVendorStatus = attribute.Key("gigagate.vendor.http_status")
)

// annotate sets attributes on the span of ctx.
func annotate(ctx context.Context, attrs ...attribute.KeyValue) {
	trace.SpanFromContext(ctx).SetAttributes(attrs...)
}

// requestAttributes are the kind and the activation mode of a call that spends or starts a package. Other
// requests have none.
func requestAttributes(req any) []attribute.KeyValue {
	switch r := req.(type) {
	case *gigagatev1.RegisterRequest:
		return []attribute.KeyValue{attrKind.String("register"), attrMode.String(modeText(r.GetActivationMode()))}
	case *gigagatev1.TopUpRequest:
		kind := "top_up"
		if r.GetNewProfile() != nil {
			kind = "top_up_with_profile"
		}
		return []attribute.KeyValue{attrKind.String(kind), attrMode.String(modeText(r.GetActivationMode()))}
	case *gigagatev1.ActivateRequest:
		return []attribute.KeyValue{attrKind.String("activate")}
	}
	return nil
}

// modeText is the mode without the enum's prefix. A number that the enum does not have is UNKNOWN.
func modeText(mode gigagatev1.ActivationMode) string {
	if name, ok := gigagatev1.ActivationMode_name[int32(mode)]; ok {
		return strings.TrimPrefix(name, "ACTIVATION_MODE_")
	}
	return "UNKNOWN"
}
