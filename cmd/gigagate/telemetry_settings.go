package main

import (
	"context"
	"log/slog"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// otelSettings say which values of OpenTelemetry's variables can be used. Without this check, some values would stop the
// gateway: the exporters return an error, and the batch processors panic at a negative size. Endpoints, headers and
// certificates are not listed here. OpenTelemetry itself reports wrong values of these and uses the default.
var otelSettings = []struct {
	names  *regexp.Regexp
	usable func(value string) bool
}{
	{regexp.MustCompile(`^OTEL_(TRACES|LOGS)_EXPORTER$`), oneOf("otlp", "console", "none")},
	{regexp.MustCompile(`^OTEL_METRICS_EXPORTER$`), oneOf("otlp", "console", "none", "prometheus")},
	{regexp.MustCompile(`^OTEL_METRICS_PRODUCERS$`), oneOf("prometheus", "none")},
	{regexp.MustCompile(`^OTEL_EXPORTER_OTLP_(\w+_)?PROTOCOL$`), oneOf("grpc", "http/protobuf")},
	{regexp.MustCompile(`^OTEL_EXPORTER_OTLP_(\w+_)?COMPRESSION$`), oneOf("gzip", "none")},
	{regexp.MustCompile(`^OTEL_SDK_DISABLED$`), folded("true", "false")},
	{regexp.MustCompile(`^OTEL_TRACES_SAMPLER$`), folded("always_on", "always_off", "traceidratio",
		"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio")},
	{regexp.MustCompile(`^OTEL_TRACES_SAMPLER_ARG$`), isRatio},
	{regexp.MustCompile(`^OTEL_(BSP|BLRP)_\w+_SIZE$`), between(1, 1<<20)}, // a queue's memory is allocated at the start
	{regexp.MustCompile(`^OTEL_((BSP|BLRP)_SCHEDULE_DELAY|METRIC_EXPORT_\w+)$`), between(1, math.MaxInt32)},
	{regexp.MustCompile(`^OTEL_(BSP_EXPORT|BLRP_EXPORT|EXPORTER_OTLP(_\w+)?)_TIMEOUT$`), between(0, math.MaxInt32)},
	{regexp.MustCompile(`^OTEL_\w+_LIMIT$`), between(math.MinInt32, math.MaxInt32)},
}

// ignoreUnusable unsets OpenTelemetry's variables whose values cannot be used, so that the defaults apply. The values are
// not logged, because somebody may have put a secret into the wrong variable.
func ignoreUnusable(ctx context.Context, logger *slog.Logger) {
	environment := os.Environ()
	slices.Sort(environment)
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		for _, setting := range otelSettings {
			if value != "" && setting.names.MatchString(name) && !setting.usable(value) {
				logger.WarnContext(ctx, "telemetry", "error", "the value of "+name+" cannot be used, so its default applies")
				_ = os.Unsetenv(name)
			}
		}
	}
}

func oneOf(values ...string) func(string) bool {
	return func(value string) bool { return slices.Contains(values, value) }
}

// folded is oneOf, but it ignores case.
func folded(values ...string) func(string) bool {
	return func(value string) bool { return slices.Contains(values, strings.ToLower(value)) }
}

func between(least, most int) func(string) bool {
	return func(value string) bool {
		n, err := strconv.Atoi(value)
		return err == nil && n >= least && n <= most
	}
}

func isRatio(value string) bool {
	ratio, err := strconv.ParseFloat(value, 64)
	return err == nil && ratio >= 0 && ratio <= 1
}

// exporterSet reports whether the standard variables ask for an exporter of a signal. They do so by the
// exporter's name, or by an OTLP endpoint, because an endpoint only makes sense with an exporter.
func exporterSet(signal string) bool {
	switch name := os.Getenv("OTEL_" + signal + "_EXPORTER"); {
	case strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true"):
		return false
	case name == "prometheus":
		return false // /metrics is there already
	case name != "":
		return true
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}
