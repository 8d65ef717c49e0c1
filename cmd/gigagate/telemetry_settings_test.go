package main

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestOpenTelemetrysVariablesNeverStopTheStart sets telemetry up with unusable values. The log names the variable but not
// its value, and the default is used: telemetry reaches the collector by OTLP over HTTP.
func TestOpenTelemetrysVariablesNeverStopTheStart(t *testing.T) {
	const all = "/v1/logs /v1/metrics /v1/traces"
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for _, test := range []struct {
		name, value string
		says        string // "" means the variable's name
		reaches     string
	}{
		{"OTEL_TRACES_EXPORTER", "zipkin-canary", "", all},
		{"OTEL_METRICS_EXPORTER", "zipkin-canary", "", all},
		{"OTEL_LOGS_EXPORTER", "zipkin-canary", "", all},
		{"OTEL_TRACES_EXPORTER", "otlp,console", "", all},
		{"OTEL_METRICS_EXPORTER", "OTLP", "", all},
		{"OTEL_LOGS_EXPORTER", " otlp", "", all},
		{"OTEL_TRACES_EXPORTER", "prometheus", "", all},
		{"OTEL_METRICS_PRODUCERS", "zipkin-canary", "", all},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "", all},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC", "", all},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "", all},
		{"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "udp-canary", "", all},
		{"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc ", "", all},
		{"OTEL_EXPORTER_OTLP_COMPRESSION", "zip-canary", "", all},
		{"OTEL_TRACES_SAMPLER", "canary-sampler", "", all},
		{"OTEL_TRACES_SAMPLER_ARG", "canary", "", all},
		{"OTEL_SDK_DISABLED", "perhaps", "", all},
		{"OTEL_BSP_MAX_QUEUE_SIZE", "canary", "", all},
		{"OTEL_BSP_MAX_QUEUE_SIZE", "-1", "", all},
		{"OTEL_BSP_MAX_QUEUE_SIZE", "9000000000000000000", "", all},
		{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1", "", all},
		{"OTEL_BSP_SCHEDULE_DELAY", "1s", "", all},
		{"OTEL_BSP_EXPORT_TIMEOUT", "-1", "", all},
		{"OTEL_BLRP_MAX_QUEUE_SIZE", "-1", "", all},
		{"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "0", "", all},
		{"OTEL_BLRP_SCHEDULE_DELAY", "canary", "", all},
		{"OTEL_METRIC_EXPORT_INTERVAL", "-1", "", all},
		{"OTEL_METRIC_EXPORT_TIMEOUT", "canary", "", all},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "", all},
		{"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "canary", "", all},
		{"OTEL_RESOURCE_ATTRIBUTES", "a=b,canary,c=d", "", all},
		{"OTEL_RESOURCE_ATTRIBUTES", "a=%zzcanary", `"msg":"telemetry"`, all},
		{"OTEL_EXPORTER_OTLP_HEADERS", "canary,a=%zzcanary", "parse headers", all},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://canary:port", "invalid OTEL_EXPORTER_OTLP_ENDPOINT", ""},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "no URL, canary", `"msg":"telemetry"`, ""},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "%zzcanary", "parse url", all},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", missing, "read tls ca cert file", all},
		// Usable values, which the log does not mention.
		{"OTEL_METRICS_EXPORTER", "prometheus", "nothing", "/v1/logs /v1/traces"},
		{"OTEL_TRACES_EXPORTER", "none", "nothing", "/v1/logs /v1/metrics"},
		{"OTEL_SDK_DISABLED", "true", "nothing", ""},
		{"OTEL_SDK_DISABLED", "TRUE", "nothing", ""},
		{"OTEL_SDK_DISABLED", "false", "nothing", all},
		{"OTEL_TRACES_SAMPLER", "ALWAYS_ON", "nothing", all},
		{"OTEL_BSP_EXPORT_TIMEOUT", "0", "nothing", all},
	} {
		t.Run(test.name+"="+test.value, func(t *testing.T) {
			var mu sync.Mutex
			reached := map[string]bool{}
			collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				reached[r.URL.Path] = true
			}))
			defer collector.Close()
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
			t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "500")
			t.Setenv(test.name, test.value)

			log := newWatched()
			telemetry, err := newTelemetry(t.Context(), logSettings{LogFormat: "json"}, log)
			if err != nil {
				t.Fatal(err)
			}
			ctx, span := telemetry.tracerProvider.Tracer("").Start(t.Context(), "span")
			telemetry.logger.InfoContext(ctx, "line")
			span.End()
			if err := telemetry.shutdown(t.Context()); err != nil {
				telemetry.logger.WarnContext(ctx, "telemetry", "error", withoutSecrets(err.Error()))
			}

			mu.Lock()
			defer mu.Unlock()
			if got := strings.Join(slices.Sorted(maps.Keys(reached)), " "); got != test.reaches {
				t.Errorf("the collector was sent %q, want %q; the log:\n%s", got, test.reaches, log)
			}
			switch told := strings.Contains(log.String(), `"msg":"telemetry"`); {
			case test.says == "nothing":
				if told {
					t.Errorf("the log complains:\n%s", log)
				}
			case !told || !strings.Contains(log.String(), cmp.Or(test.says, test.name)) || strings.Contains(log.String(), "canary"):
				t.Errorf("want %q, and not the value, in\n%s", cmp.Or(test.says, test.name), log)
			}
			checkJSON(t, log.String())
		})
	}
}

// checkJSON checks every line of a log.
func checkJSON(t *testing.T, log string) {
	t.Helper()
	for line := range strings.Lines(log) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}
