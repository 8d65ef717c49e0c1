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

// takeOver has logger write what libraries would print in their own ways: OpenTelemetry its errors, and the standard
// log, where net/http's servers and clients write theirs.
func takeOver(ctx context.Context, logger *slog.Logger) {
	otel.SetLogger(logr.New(complaints{logger}))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		logger.WarnContext(ctx, "telemetry", "error", withoutSecrets(err.Error()))
	}))
	slog.SetLogLoggerLevel(slog.LevelWarn)
	slog.SetDefault(logger)
}

// takeOverGRPC has the log write gRPC's errors, which gRPC prints as text. Its lower levels are left out: they quote the
// addresses it was given. It can be called once, before gRPC is used.
func takeOverGRPC() {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, grpcErrors{}))
}

// grpcErrors passes lines of gRPC's on to the default logger.
type grpcErrors struct{}

// Write implements io.Writer.
func (grpcErrors) Write(line []byte) (int, error) {
	_, text, _ := strings.Cut(string(line), "ERROR: ") // after gRPC's own time
	logger := slog.Default()
	logger.Warn("grpc", "error", withoutSecrets(strings.TrimSpace(text)))
	return len(line), nil
}

// Settings that cannot be read, and users of a URL: they may hold a password or a token.
var (
	refusedSetting = regexp.MustCompile(`(?s)^(invalid OTEL_\w+) value .*`)
	userInfo       = regexp.MustCompile(`[^\s"]+@`)
)

// secretVariables may hold a password or a token: exporters send it, and their errors may quote it.
var secretVariables = regexp.MustCompile(`(?i)^(OTEL_EXPORTER_OTLP_(\w+_)?(HEADERS|ENDPOINT|CERTIFICATE|CLIENT_KEY)|\w+_PROXY)$`)

// withoutSecrets is the text of an error of an exporter.
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

// masked leaves out of text every piece of secret of four bytes or more.
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

// complaints is where OpenTelemetry says which setting it cannot read. It quotes the setting, which
// may be secret, so only what it wants of it is logged.
type complaints struct{ logger *slog.Logger }

func (complaints) Init(logr.RuntimeInfo)                 {}
func (complaints) Enabled(int) bool                      { return false }
func (complaints) Info(int, string, ...any)              {}
func (c complaints) Error(_ error, msg string, _ ...any) { c.logger.Warn("telemetry", "error", msg) }
func (c complaints) WithValues(...any) logr.LogSink      { return c }
func (c complaints) WithName(string) logr.LogSink        { return c }
