package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

const callersTrace = "0af7651916cd43dd8448eb211c80319c"

func TestTracesAreExportedOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, env string
		exported  bool
	}{
		{"not asked for", "OTEL_TRACES_EXPORTER=", false},
		{"none", "OTEL_TRACES_EXPORTER=none", false},
		{"console", "OTEL_TRACES_EXPORTER=console", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := startProcess(t, []string{test.env}, serveLine(t, "--sandbox")...)
			rest := p.out.waitFor(t, p.ended, `REST +http://(\S+)`)[1]
			do(t, http.MethodPost, "http://"+rest+"/v1/activations/register", registration("order-1", ""), http.Header{
				"Content-Type": {"application/json"}, "Traceparent": {"00-" + callersTrace + "-b7ad6b7169203331-01"},
			})
			_ = p.Process.Signal(syscall.SIGTERM)
			<-p.ended
			if exported := strings.Contains(p.out.String(), callersTrace); exported != test.exported {
				t.Errorf("exported %v, want %v:\n%s", exported, test.exported, p.out)
			}
			if !strings.Contains(p.log.String(), callersTrace) {
				t.Errorf("the log has no trace id:\n%s", p.log)
			}
			// An exporter that was not asked for would find no collector, and log that.
			if strings.Contains(p.log.String(), `"msg":"telemetry"`) {
				t.Errorf("the gateway tried to export:\n%s", p.log)
			}
		})
	}
}

// TestNothingPersonalIsLoggedOrExported buys over gRPC and REST, with all kinds of failures, while
// everything is logged and exported.
func TestNothingPersonalIsLoggedOrExported(t *testing.T) {
	var mu sync.Mutex
	var exported bytes.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.Copy(&exported, r.Body)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")

	g := startGateway(t, "--log-level=debug")
	sold := do(t, http.MethodPost, "http://"+g.rest+"/v1/activations/register",
		registration("order-1", `,"customerEmail":"canary@example.com"`), http.Header{
			"Content-Type": {"application/json"}, "Traceparent": {"00-" + callersTrace + "-b7ad6b7169203331-01"},
		})
	if sold.status != http.StatusOK {
		t.Fatalf("%+v", sold)
	}
	activations := g.activations(t)
	sent := 1
	register := func(more func(*gigagatev1.RegisterRequest)) {
		sent++
		req := &gigagatev1.RegisterRequest{
			RequestId: fmt.Sprintf("order-%d", sent), InventoryItemId: sandbox.ItemWorldwide1GB, Metatag: "text",
			UserIp: "198.51.100.77", UserCountry: "GR", CustomerEmail: new("canary@example.com"),
		}
		more(req)
		// Other tests check the result.
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		_, _ = activations.Register(ctx, req)
		get(t, "http://"+g.rest+"/v1/purchases?requestId="+req.GetRequestId())
	}
	register(func(*gigagatev1.RegisterRequest) {})
	register(func(r *gigagatev1.RegisterRequest) { r.UserIp = "2001:db8::ca:1" })
	register(func(r *gigagatev1.RegisterRequest) { r.UserIp = "198.51.100.77 " })
	register(func(r *gigagatev1.RegisterRequest) { r.CustomerEmail = new("canary@example.com\xff") })
	for _, fault := range []string{
		`"refuse","params":{"message":"canary@example.com at 198.51.100.77 is not welcome"}`,
		`"status","params":{"code":500,"body":"canary@example.com"}`,
		`"status","params":{"code":400,"body":"{\"message\":\"canary@example.com\"}","contentType":"application/json"}`,
		`"garble"`, `"commit_then_reset"`, `"redirect","params":{"location":"http://127.0.0.1:1/canary@example.com"}`,
	} {
		g.inject(t, `{"path":"/gigastore/activations/register","fault":`+fault+`}`)
		register(func(*gigagatev1.RegisterRequest) {})
	}
	for _, body := range []string{
		registration("order-1", `,"customerEmail":"canary@example.com`),
		registration("order-1", `,"canary@example.com":1`),
		registration("order-1", `,"userIp":"198.51.100.77"`),
		registration("order-1", `,"activationMode":"canary@example.com"`),
		registration("order-1", `,"customerEmail":"other-canary@example.com"`),
	} {
		post(t, "http://"+g.rest+"/v1/activations/register", body)
	}
	get(t, "http://"+g.rest+"/v1/customers/canary@example.com?ip=198.51.100.77")
	if g.exit() != 0 {
		t.Fatal(g.log)
	}

	mu.Lock()
	defer mu.Unlock()
	id, _ := hex.DecodeString(callersTrace)
	if !bytes.Contains(exported.Bytes(), id) || !strings.Contains(exported.String(), "purchase_id") {
		t.Fatal("the spans and log records of a running call were not flushed at the end")
	}
	if !strings.Contains(g.log.String(), callersTrace) || !strings.Contains(g.log.String(), "DEBUG") {
		t.Fatalf("the log is not at level debug: %s", g.log)
	}
	// Personal data that callers sent, and eSIM links, codes and numbers that the sandbox generated.
	canaries := []string{"canary@example.com", "198.51.100.77", "2001:db8::ca:1", "LPA:1", "sandbox.invalid"}
	for _, made := range regexp.MustCompile(`"(?:iccid|imsi)":"(\d+)"`).FindAllStringSubmatch(sold.body, -1) {
		canaries = append(canaries, made[1])
	}
	for _, canary := range canaries {
		for name, text := range map[string]string{"the log": g.log.String(), "what was exported": exported.String()} {
			if at := strings.Index(text, canary); at >= 0 {
				t.Errorf("%s holds %q: …%q…", name, canary, text[max(0, at-200):min(len(text), at+100)])
			}
		}
	}
}

// TestLogLevelBoundsWhatIsExported: exactly the written log lines are exported.
func TestLogLevelBoundsWhatIsExported(t *testing.T) {
	t.Parallel()
	for level, exported := range map[string]bool{"info": true, "warn": false} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			p := startProcess(t, []string{"OTEL_LOGS_EXPORTER=console"}, serveLine(t, "--sandbox", "--log-level="+level)...)
			rest := p.out.waitFor(t, p.ended, `REST +http://(\S+)`)[1]
			if sold := post(t, "http://"+rest+"/v1/activations/register", registration("order-1", "")); sold.status != http.StatusOK {
				t.Fatalf("%+v", sold)
			}
			_ = p.Process.Signal(syscall.SIGTERM)
			<-p.ended
			if got := strings.Contains(p.out.String(), `"Value":"call"`); got != exported {
				t.Errorf("the line of a call is exported: %v, want %v:\n%s", got, exported, p.out)
			}
		})
	}
}

// TestCallsAreMeasured: the duration of calls is measured from their start, over gRPC and REST.
func TestCallsAreMeasured(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	get(t, "http://"+g.rest+"/v1/inventory")
	if listed := gigagate(t, "inventory", "--address="+g.grpc); listed.status != 0 {
		t.Fatal(listed.err)
	}
	metrics := get(t, "http://"+g.admin+"/metrics").body
	sums := regexp.MustCompile(`(?m)^rpc_server_call_duration_seconds_sum\{.* (\S+)$`).FindAllStringSubmatch(metrics, -1)
	if len(sums) == 0 {
		t.Fatalf("no duration was measured:\n%s", metrics)
	}
	for _, sum := range sums {
		if seconds, err := strconv.ParseFloat(sum[1], 64); err != nil || seconds <= 0 || seconds > 600 {
			t.Errorf("calls took %s s", sum[1])
		}
	}
}

// TestTelemetryThatCannotBeSent: a drain succeeds even if telemetry cannot be sent.
func TestTelemetryThatCannotBeSent(t *testing.T) {
	t.Parallel()
	p := startProcess(t, []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_TIMEOUT=200",
	}, serveLine(t, "--sandbox")...)
	p.out.waitFor(t, p.ended, `REST +http://(\S+)`)
	_ = p.Process.Signal(syscall.SIGTERM)
	<-p.ended
	if code := p.ProcessState.ExitCode(); code != 0 || !strings.Contains(p.log.String(), `"msg":"telemetry"`) {
		t.Errorf("exit status %d:\n%s", code, p.log)
	}
}

// TestTelemetryThatCannotBeSetUp: the error is a normal line of the log, without the secrets that an endpoint
// or headers may contain.
func TestTelemetryThatCannotBeSetUp(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  []string
		says string
	}{
		"endpoint":          {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://u:s3cret-canary@host:port"}, `"invalid OTEL_EXPORTER_OTLP_ENDPOINT"`},
		"half a password":   {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://u:s3cret-canary/@host"}, `"parse url"`},
		"headers":           {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_HEADERS=s3cret-canary,a=%zzs3cret-canary"}, `"parse headers"`},
		"no scheme":         {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=u:s3cret-canary@host:1", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, `"msg":"telemetry"`},
		"a readable secret": {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://u:s3cret-canary@127.0.0.1:1"}, `"msg":"telemetry"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startProcess(t, append(test.env, "OTEL_EXPORTER_OTLP_TIMEOUT=200"), serveLine(t, "--sandbox")...)
			p.out.waitFor(t, p.ended, `REST +http://(\S+)`)
			_ = p.Process.Signal(syscall.SIGTERM)
			<-p.ended
			text := p.log.String()
			if code := p.ProcessState.ExitCode(); code != 0 || !strings.Contains(text, test.says) || strings.Contains(text, "s3cret-canary") {
				t.Errorf("exit status %d, want %s in\n%s", code, test.says, text)
			}
			for line := range strings.Lines(text) {
				if !json.Valid([]byte(line)) {
					t.Errorf("no JSON: %s", line)
				}
			}
		})
	}
}
