package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
)

// logSettings are the flags of the log.
type logSettings struct {
	LogLevel  slog.Level `name:"log-level" default:"info" help:"debug, info, warn or error (default ${default})."`
	LogFormat string     `name:"log-format" enum:"json,text" default:"json" help:"json or text (default ${default})."`
}

// newHandler writes log records to w, each with the trace it belongs to.
func (s logSettings) newHandler(w io.Writer) slog.Handler {
	options := &slog.HandlerOptions{Level: s.LogLevel}
	if s.LogFormat == "text" {
		return traceHandler{slog.NewTextHandler(w, options)}
	}
	return traceHandler{slog.NewJSONHandler(w, options)}
}

// traceHandler adds the trace and the span of the context to every record.
type traceHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h traceHandler) Handle(ctx context.Context, record slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		record = record.Clone()
		record.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traceHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h traceHandler) WithGroup(name string) slog.Handler {
	return traceHandler{h.Handler.WithGroup(name)}
}

// levelHandler passes on the records of a level and above, for a handler that takes all.
type levelHandler struct {
	slog.Handler
	level slog.Level
}

// Enabled implements slog.Handler.
func (h levelHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level && h.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelHandler{h.Handler.WithAttrs(attrs), h.level}
}

// WithGroup implements slog.Handler.
func (h levelHandler) WithGroup(name string) slog.Handler {
	return levelHandler{h.Handler.WithGroup(name), h.level}
}

// telemetry is OpenTelemetry as the standard OTEL_* variables configure it, and the log.
type telemetry struct {
	logger         *slog.Logger
	tracerProvider *sdktrace.TracerProvider
	meterProvider  *sdkmetric.MeterProvider
	loggerProvider *sdklog.LoggerProvider // nil unless logs are exported
	propagator     propagation.TextMapPropagator
	metrics        http.Handler // what /metrics answers
}

// newTelemetry sets up traces, metrics and logs. Without OTEL_* variables nothing is exported;
// traces still have ids, and /metrics still answers.
func newTelemetry(ctx context.Context, settings logSettings, logTo io.Writer) (*telemetry, error) {
	res, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("gigagate"), semconv.ServiceVersion(version())),
		// After our own, so that OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("telemetry resource: %w", err)
	}
	t := &telemetry{
		// Baggage is left out: it can hold anything, and would be passed on to the vendor. A trace's state
		// stays with our own spans: gigastore does not send it.
		propagator: propagation.TraceContext{},
	}
	handler := settings.newHandler(logTo)
	otel.SetLogger(logr.New(complaints{slog.New(handler)}))
	logErrors(ctx, slog.New(handler)) // of exporters that cannot read their settings, first
	if err := t.setUpTraces(ctx, res); err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	if err := t.setUpMetrics(ctx, res); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if handler, err = t.setUpLogs(ctx, res, handler, settings.LogLevel); err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	t.logger = slog.New(handler)
	logErrors(ctx, t.logger)
	return t, nil
}

// logErrors has the errors of OpenTelemetry logged.
func logErrors(ctx context.Context, logger *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		logger.WarnContext(ctx, "telemetry", "error", withoutSecrets(err))
	}))
}

// Settings that cannot be read, and endpoints in an error: they may hold a password or a token.
var (
	refusedSetting = regexp.MustCompile(`(?s)^(invalid OTEL_\w+) value .*`)
	userInfo       = regexp.MustCompile(`[^\s"]+@`)
)

// withoutSecrets is the text of an error of an exporter.
func withoutSecrets(err error) string {
	return userInfo.ReplaceAllString(refusedSetting.ReplaceAllString(err.Error(), "$1"), "…@")
}

// complaints is where OpenTelemetry says which setting it cannot read. It quotes the setting, which
// may be secret, so only what it wants of it is logged.
type complaints struct{ logger *slog.Logger }

func (complaints) Init(logr.RuntimeInfo)                 {}
func (complaints) Enabled(int) bool                      { return false }
func (complaints) Info(int, string, ...any)              {}
func (c complaints) Error(_ error, msg string, _ ...any) { c.logger.Warn("telemetry", "error", msg) }
func (c complaints) WithValues(...any) logr.LogSink      { return c }
func (c complaints) WithName(string) logr.LogSink        { return c }

// exporterSet reports whether the standard variables ask for an exporter of a signal: by its name,
// or by an OTLP endpoint, which nobody sets to export nothing.
func exporterSet(signal string) bool {
	if os.Getenv("OTEL_"+signal+"_EXPORTER") != "" {
		return true
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}

func (t *telemetry) setUpTraces(ctx context.Context, res *resource.Resource) error {
	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	if exporterSet("TRACES") {
		exporter, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return err
		}
		options = append(options, sdktrace.WithBatcher(exporter))
	} else {
		// Nobody will see the spans; their ids are in logs and answers all the same.
		options = append(options, sdktrace.WithSampler(sdktrace.NeverSample()))
	}
	t.tracerProvider = sdktrace.NewTracerProvider(options...)
	return nil
}

func (t *telemetry) setUpMetrics(ctx context.Context, res *resource.Resource) error {
	registry := prometheus.NewRegistry()
	scrape, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return err
	}
	options := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(scrape)}
	if exporterSet("METRICS") {
		reader, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return err
		}
		options = append(options, sdkmetric.WithReader(reader))
	}
	t.meterProvider = sdkmetric.NewMeterProvider(options...)
	t.metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return runtime.Start(runtime.WithMeterProvider(t.meterProvider))
}

// setUpLogs returns handler, joined by OpenTelemetry's where logs are exported.
func (t *telemetry) setUpLogs(ctx context.Context, res *resource.Resource, handler slog.Handler, level slog.Level) (slog.Handler, error) {
	if !exporterSet("LOGS") {
		return handler, nil
	}
	exporter, err := autoexport.NewLogExporter(ctx)
	if err != nil {
		return nil, err
	}
	t.loggerProvider = sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)))
	exported := otelslog.NewHandler("gigagate", otelslog.WithLoggerProvider(t.loggerProvider))
	return slog.NewMultiHandler(handler, levelHandler{exported, level}), nil
}

// shutdown sends what has been recorded and not yet exported.
func (t *telemetry) shutdown(ctx context.Context) error {
	errs := []error{t.tracerProvider.Shutdown(ctx), t.meterProvider.Shutdown(ctx)}
	if t.loggerProvider != nil {
		errs = append(errs, t.loggerProvider.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
