package gigastore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Attributes of spans and metrics about the vendor, in addition to those of the OpenTelemetry conventions.
const (
	attrProblem = attribute.Key("gigagate.problem")
	// AttrOperation is on the span of the call. Its value is an Op constant.
	AttrOperation = attribute.Key("gigagate.vendor.operation")
	// AttrStatusCode is on the span of the caller of the gateway. Its value is the status of the vendor's answer.
	AttrStatusCode = attribute.Key("gigagate.vendor.response.status_code")
)

// traced gives rt a client span and metrics for each request. The span ends when the body has been read. otelhttp
// copies the text of errors into spans, so every error passes through plainErrors first.
func traced(rt http.RoundTripper, cfg Config) http.RoundTripper {
	options := []otelhttp.Option{
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string {
			to := routes[operationOf(r.Context())]
			return to.method + " " + to.template
		}),
	}
	if cfg.TracerProvider != nil {
		options = append(options, otelhttp.WithTracerProvider(cfg.TracerProvider))
	}
	if cfg.MeterProvider != nil {
		options = append(options, otelhttp.WithMeterProvider(cfg.MeterProvider))
	}
	propagator := cfg.Propagator
	if propagator == nil {
		propagator = otel.GetTextMapPropagator()
	}
	options = append(options, otelhttp.WithPropagators(withoutTraceState{propagator}))
	return otelhttp.NewTransport(described{plainErrors{rt}}, options...)
}

// withoutTraceState is a propagator that leaves out the trace state. Our callers and their tracing wrote it, and the
// vendor is a third party.
type withoutTraceState struct{ propagation.TextMapPropagator }

func (p withoutTraceState) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	span := trace.SpanContextFromContext(ctx).WithTraceState(trace.TraceState{})
	p.TextMapPropagator.Inject(trace.ContextWithSpanContext(ctx, span), carrier)
}

// described says on the span of a request which operation it is.
type described struct{ next http.RoundTripper }

func (t described) RoundTrip(r *http.Request) (*http.Response, error) {
	operation := operationOf(r.Context())
	trace.SpanFromContext(r.Context()).SetAttributes(
		AttrOperation.String(operation), semconv.URLTemplate(routes[operation].template))
	return t.next.RoundTrip(r)
}

type operationKey struct{}

func operationOf(ctx context.Context) string {
	operation, _ := ctx.Value(operationKey{}).(string)
	return operation
}

// wireError is a failure to exchange bytes. Its text is a constant, because net/http's own errors repeat what the
// vendor sent, for example in "malformed HTTP response".
type wireError struct {
	phrase string
	cause  error // nil, or an error whose text is a constant too
}

func (e *wireError) Error() string { return e.phrase }

// ErrorType returns the value of error.type on a span. OpenTelemetry calls it.
func (e *wireError) ErrorType() string { return e.phrase }

// Unwrap returns a context's error, io.EOF, io.ErrUnexpectedEOF, a syscall.Errno or nil.
func (e *wireError) Unwrap() error { return e.cause }

// connectFailure replaces an error of a dial or a handshake by one with a fixed text.
func connectFailure(err error) error {
	var number syscall.Errno
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &number):
		return &wireError{"could not connect", number}
	case errors.As(err, &dns):
		return &wireError{"could not connect: host name not resolved", nil}
	case errors.As(err, &certificate):
		return certificateFailure(certificate.Err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return &wireError{"could not connect in time", nil}
	default:
		return &wireError{"could not connect", nil}
	}
}

// certificateFailure says why a certificate was not accepted. It repeats nothing of the certificate.
func certificateFailure(err error) error {
	var authority x509.UnknownAuthorityError
	var noRoots x509.SystemRootsError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &authority), errors.As(err, &noRoots):
		return errUnknownAuthority
	case errors.As(err, &host):
		return errOtherHost
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return errExpired
	default:
		return errCertificate
	}
}

// wireFailure replaces any error of an exchange by one with a fixed text. ctx is the context of the exchange.
func wireFailure(ctx context.Context, err error) error {
	var own *wireError
	var ours phrase
	var number syscall.Errno
	switch {
	case errors.As(err, &ours):
		return ours
	case ctx.Err() != nil:
		return &wireError{ctx.Err().Error(), ctx.Err()}
	case errors.As(err, &own):
		return own
	case errors.As(err, &number):
		return &wireError{"connection broken", number}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &wireError{"connection closed within the answer", io.ErrUnexpectedEOF}
	case errors.Is(err, io.EOF):
		return &wireError{"connection closed before the answer", io.EOF}
	default:
		return &wireError{"no readable HTTP answer", nil}
	}
}

// plainErrors lets through no error text but this package's own.
type plainErrors struct{ next http.RoundTripper }

func (t plainErrors) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, wireFailure(r.Context(), err)
	}
	resp.Body = &plainErrorsBody{resp.Body, r.Context()}
	return resp, nil
}

type plainErrorsBody struct {
	io.ReadCloser
	ctx context.Context //nolint:containedctx // the request's, for wireFailure
}

func (b *plainErrorsBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader returns io.EOF itself
		err = wireFailure(b.ctx, err)
	}
	return n, err
}
