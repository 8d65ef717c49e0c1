package main

import (
	"context"
	"io"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc/grpclog"
)

// takeOver sends to logger what libraries would print in their own formats: OpenTelemetry's errors, and the standard log,
// to which the servers and clients of net/http write.
func takeOver(ctx context.Context, logger *slog.Logger) {
	otel.SetLogger(logr.New(otelLogSink{logger}))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		logger.WarnContext(ctx, "telemetry", "error", withoutSecrets(err.Error()))
	}))
	slog.SetLogLoggerLevel(slog.LevelWarn)
	slog.SetDefault(logger)
}

// takeOverGRPC sends gRPC's errors to the log. By itself, gRPC prints them as text. Its lower levels are dropped, because
// they quote addresses from the settings. Call it once, before gRPC is used.
func takeOverGRPC() {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, grpcErrors{}))
}

// grpcErrors passes gRPC's lines on to the default logger.
type grpcErrors struct{}

// Write implements io.Writer.
func (grpcErrors) Write(line []byte) (int, error) {
	_, text, _ := strings.Cut(string(line), "ERROR: ") // drops gRPC's own timestamp
	logger := slog.Default()
	logger.Warn("grpc", "error", withoutSecrets(strings.TrimSpace(text)))
	return len(line), nil
}

// These parts of an error may hold a password or a token: a setting that cannot be read, and the user in a URL.
var (
	refusedSetting = regexp.MustCompile(`(?s)^(invalid OTEL_\w+) value .*`)
	userInfo       = regexp.MustCompile(`[^\s"]+@`)
)

// secretVariables are the variables that may hold a password or a token. Exporters use it, and their errors may quote it.
var secretVariables = regexp.MustCompile(`(?i)^(OTEL_EXPORTER_OTLP_(\w+_)?(HEADERS|ENDPOINT|CERTIFICATE|CLIENT_KEY)|\w+_PROXY)$`)

// withoutSecrets is the text of an exporter's error without secrets.
func withoutSecrets(text string) string {
	text = userInfo.ReplaceAllString(refusedSetting.ReplaceAllString(text, "$1"), "…@")
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		if !secretVariables.MatchString(name) {
			continue
		}
		text = masked(text, value)
		if plain, err := url.PathUnescape(value); err == nil {
			text = masked(text, plain)
		}
	}
	return text
}

// masked replaces every piece of secret in text that is four bytes or longer.
func masked(text, secret string) string {
	const piece = 4
	var kept strings.Builder
	for len(text) > 0 {
		n := 0
		for n < len(text) && strings.Contains(secret, text[:n+1]) {
			n++
		}
		if n >= piece {
			kept.WriteString("…")
		} else {
			n = 1
			kept.WriteString(text[:n])
		}
		text = text[n:]
	}
	return kept.String()
}

// otelLogSink passes OpenTelemetry's errors about settings that it cannot read on to the log. The errors quote the
// setting, which may be secret. Therefore only the message is logged, without the error and the values.
type otelLogSink struct{ logger *slog.Logger }

func (otelLogSink) Init(logr.RuntimeInfo)                 {}
func (otelLogSink) Enabled(int) bool                      { return false }
func (otelLogSink) Info(int, string, ...any)              {}
func (s otelLogSink) Error(_ error, msg string, _ ...any) { s.logger.Warn("telemetry", "error", msg) }
func (s otelLogSink) WithValues(...any) logr.LogSink      { return s }
func (s otelLogSink) WithName(string) logr.LogSink        { return s }
