package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"gigagate.internal/docs"
)

// logSettings are the flags of the log.
type logSettings struct {
	LogLevel  slog.Level `name:"log-level" default:"info" help:"debug, info, warn or error (default ${default})."`
	LogFormat string     `name:"log-format" enum:"json,text" default:"json" help:"json or text (default ${default})."`
}

// newHandler writes log records to w. Each record has the ids of its trace and span.
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

// helpHandler adds the page and the anchor to every warning and error that docs/operations.md explains.
type helpHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h helpHandler) Handle(ctx context.Context, record slog.Record) error {
	if record.Level >= slog.LevelWarn {
		if page := docs.Page(docs.LogID(record.Message)); page != "" {
			record = record.Clone()
			record.AddAttrs(slog.String("help", page))
		}
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h helpHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return helpHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h helpHandler) WithGroup(name string) slog.Handler {
	return helpHandler{h.Handler.WithGroup(name)}
}

// levelHandler passes on only the records of a level and above. It is for a handler that does not have its own level.
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

// telemetry is the log, and OpenTelemetry as the standard OTEL_* variables configure it.
type telemetry struct {
	logger         *slog.Logger
	tracerProvider *sdktrace.TracerProvider
	meterProvider  *sdkmetric.MeterProvider
	loggerProvider *sdklog.LoggerProvider // nil unless logs are exported
	propagator     propagation.TextMapPropagator
	metrics        http.Handler     // serves /metrics
	reader         sdkmetric.Reader // of the same metrics, for the console
}

// newTelemetry sets up traces, metrics and logs. Without OTEL_* variables, nothing is exported. Traces still
// have ids, and /metrics still answers.
func newTelemetry(ctx context.Context, settings logSettings, logTo io.Writer) (*telemetry, error) {
	handler := settings.newHandler(logTo)
	early := slog.New(helpHandler{handler})
	takeOver(ctx, early) // first, so that all later warnings go to our log
	ignoreUnusable(ctx, early)
	res, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("gigagate"), semconv.ServiceVersion(version())),
		// This comes after our own attributes, so that OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
		resource.WithFromEnv())
	if err != nil {
		// res has the part that could be read. The error quotes the rest, which may be secret, so it is not logged. The
		// providers would read the variable again and log such an error, so the variable is unset.
		_ = os.Unsetenv("OTEL_RESOURCE_ATTRIBUTES")
		slog.WarnContext(ctx, "telemetry", "error", "a part of OTEL_RESOURCE_ATTRIBUTES cannot be read: write it as NAME=VALUE,…")
	}
	t := &telemetry{
		// Baggage is left out, because it can hold anything and would be sent to the vendor. A trace's state
		// stays with our own spans, because gigastore does not send it.
		propagator: propagation.TraceContext{},
	}
	t.setUpTraces(ctx, res)
	if err := t.setUpMetrics(ctx, res); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	t.logger = slog.New(helpHandler{t.setUpLogs(ctx, res, handler, settings.LogLevel)})
	takeOver(ctx, t.logger)
	return t, nil
}

// exporterOf makes the exporter of a signal if the variables ask for one. If that fails, for example because of a
// certificate for an endpoint without TLS, the gateway runs without the exporter.
func exporterOf[T any](ctx context.Context, signal string, create func() (T, error)) (exporter T, ok bool) {
	if !exporterSet(signal) {
		return exporter, false
	}
	exporter, err := create()
	if err != nil {
		slog.WarnContext(ctx, "telemetry", "error", withoutSecrets("nothing is exported for OTEL_"+signal+"_EXPORTER: "+err.Error()))
	}
	return exporter, err == nil
}

func (t *telemetry) setUpTraces(ctx context.Context, res *resource.Resource) {
	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	if exporter, ok := exporterOf(ctx, "TRACES", func() (sdktrace.SpanExporter, error) { return autoexport.NewSpanExporter(ctx) }); ok {
		options = append(options, sdktrace.WithBatcher(exporter))
	} else {
		// Spans are not recorded, because nobody would see them. Logs and answers still have their ids.
		options = append(options, sdktrace.WithSampler(sdktrace.NeverSample()))
	}
	t.tracerProvider = sdktrace.NewTracerProvider(options...)
}

func (t *telemetry) setUpMetrics(ctx context.Context, res *resource.Resource) error {
	registry := prometheus.NewRegistry()
	scrape, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return err
	}
	options := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(scrape)}
	if reader, ok := exporterOf(ctx, "METRICS", func() (sdkmetric.Reader, error) { return autoexport.NewMetricReader(ctx) }); ok {
		options = append(options, sdkmetric.WithReader(reader))
	}
	t.meterProvider = sdkmetric.NewMeterProvider(options...)
	t.reader = scrape
	t.metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		// The older text format has no exemplars. A scraper asks for OpenMetrics if it wants them.
		EnableOpenMetrics: true,
		// Scrapers that come at once share one read. Each read waits for the journal, and a scraper that is gone does not end
		// it. One after another, they would keep the next scraper waiting while the journal hangs.
		CoalesceGather: true,
	})
	return runtime.Start(runtime.WithMeterProvider(t.meterProvider))
}

// setUpLogs returns handler. If logs are exported, it adds OpenTelemetry's handler.
func (t *telemetry) setUpLogs(ctx context.Context, res *resource.Resource, handler slog.Handler, level slog.Level) slog.Handler {
	exporter, ok := exporterOf(ctx, "LOGS", func() (sdklog.Exporter, error) { return autoexport.NewLogExporter(ctx) })
	if !ok {
		return handler
	}
	t.loggerProvider = sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)))
	exported := otelslog.NewHandler("gigagate", otelslog.WithLoggerProvider(t.loggerProvider))
	return slog.NewMultiHandler(handler, levelHandler{exported, level})
}

// shutdown exports what is recorded but not exported yet.
func (t *telemetry) shutdown(ctx context.Context) error {
	errs := []error{t.tracerProvider.Shutdown(ctx), t.meterProvider.Shutdown(ctx)}
	if t.loggerProvider != nil {
		errs = append(errs, t.loggerProvider.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
