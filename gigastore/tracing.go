package gigastore

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"
	"go.opentelemetry.io/otel/trace"
)

const instrumentation = "gigagate.internal/gigastore"

// Attributes of spans and metrics about the vendor, in addition to those of the OpenTelemetry conventions.
const (
	attrProblem = attribute.Key("gigagate.problem")
	// AttrOperation is on the span of the call. Its value is an Op constant.
	AttrOperation = attribute.Key("gigagate.vendor.operation")
	// attrClassification is what an answer says about its call: one of the classification constants.
	attrClassification = attribute.Key("gigagate.vendor.classification")
	// AttrStatusCode is on the span of the caller of the gateway. Its value is the status of the vendor's answer.
	AttrStatusCode = attribute.Key("gigagate.vendor.response.status_code")
)

// telemetry makes a client span and a measurement for each request. They follow the HTTP conventions of OpenTelemetry.
// otelhttp would do the same, but it needs an http.Request and costs a sixth of the CPU time of a paid call.
type telemetry struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	duration   httpconv.ClientRequestDuration
	calls      callDuration
	base       string
	scheme     attribute.KeyValue
	server     []attribute.KeyValue // the vendor's address
}

func newTelemetry(base *url.URL, cfg Config) (*telemetry, error) {
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	if cfg.Propagator == nil {
		cfg.Propagator = otel.GetTextMapPropagator()
	}
	duration, err := httpconv.NewClientRequestDuration(cfg.MeterProvider.Meter(instrumentation),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10))
	if err != nil {
		return nil, fmt.Errorf("gigastore: metrics: %w", err)
	}
	calls, err := newCallDuration(cfg.MeterProvider.Meter(instrumentation))
	if err != nil {
		return nil, fmt.Errorf("gigastore: metrics: %w", err)
	}
	t := &telemetry{
		tracer:     cfg.TracerProvider.Tracer(instrumentation),
		propagator: cfg.Propagator,
		duration:   duration,
		calls:      calls,
		base:       base.String(),
		scheme:     semconv.URLScheme(base.Scheme),
		server:     []attribute.KeyValue{semconv.ServerAddress(base.Hostname())},
	}
	if port, err := strconv.Atoi(base.Port()); err == nil {
		t.server = append(t.server, semconv.ServerPort(port))
	}
	return t, nil
}

// propagate gives the vendor the span of ctx. It leaves out the trace state. Our callers and their tracing wrote it,
// and the vendor is a third party.
func (t *telemetry) propagate(ctx context.Context, carrier propagation.TextMapCarrier) {
	if span := trace.SpanContextFromContext(ctx); span.TraceState().Len() > 0 {
		ctx = trace.ContextWithSpanContext(ctx, span.WithTraceState(trace.TraceState{}))
	}
	t.propagator.Inject(ctx, carrier)
}

// requestSpan is the span of one request. It ends when the request fails or the body of its answer is closed.
type requestSpan struct {
	trace.Span
	telemetry *telemetry
	method    attribute.KeyValue
	began     time.Time
}

// begin starts the span of a request and returns a context with it.
func (t *telemetry) begin(ctx context.Context, operation, target string) (context.Context, requestSpan) {
	to, began := routes[operation], time.Now()
	ctx, span := t.tracer.Start(ctx, to.method+" "+to.template, trace.WithSpanKind(trace.SpanKindClient))
	s := requestSpan{span, t, semconv.HTTPRequestMethodKey.String(to.method), began}
	if span.IsRecording() {
		span.SetAttributes(t.server...)
		span.SetAttributes(s.method, semconv.URLFull(t.base+target), semconv.URLTemplate(to.template),
			semconv.NetworkProtocolVersion("1.1"), AttrOperation.String(operation))
	}
	return ctx, s
}

// failed ends the span of a request that got no answer. The text of err must be one of this package's own.
func (s requestSpan) failed(ctx context.Context, err error) {
	s.measure(ctx, "1.1", semconv.ErrorType(err))
	spanFailed(s, err)
	s.End()
}

// answered notes the head of an answer.
func (s requestSpan) answered(ctx context.Context, resp *http.Response) {
	_, version, _ := strings.Cut(resp.Proto, "/")
	s.measure(ctx, version, semconv.HTTPResponseStatusCode(resp.StatusCode))
	if !s.IsRecording() {
		return
	}
	s.SetAttributes(semconv.HTTPResponseStatusCode(resp.StatusCode), semconv.NetworkProtocolVersion(version))
	if resp.StatusCode >= 400 {
		s.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(resp.StatusCode)))
		s.SetStatus(codes.Error, "")
	}
}

// measure records how long the request took until the head of its answer came, or until it failed.
func (s requestSpan) measure(ctx context.Context, version string, outcome attribute.KeyValue) {
	took := time.Since(s.began).Seconds()
	s.telemetry.duration.RecordSet(ctx, took, attribute.NewSet(append([]attribute.KeyValue{
		s.method, s.telemetry.scheme, semconv.NetworkProtocolName("http"), semconv.NetworkProtocolVersion(version), outcome,
	}, s.telemetry.server...)...))
}

func spanFailed(span trace.Span, err error) {
	span.SetAttributes(semconv.ErrorType(err))
	span.SetStatus(codes.Error, err.Error())
}

// spannedBody lets through no error text but this package's own, and notes errors in the span. Closing it ends the
// span.
type spannedBody struct {
	io.ReadCloser
	ctx  context.Context //nolint:containedctx // the request's, for wireFailure
	span trace.Span
}

func (b *spannedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader returns io.EOF itself
		err = wireFailure(b.ctx, err)
		spanFailed(b.span, err)
	}
	return n, err
}

func (b *spannedBody) Close() error {
	b.span.End()
	return b.ReadCloser.Close()
}
