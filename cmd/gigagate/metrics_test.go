package main

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gigagate.internal/gigastore/sandbox"
)

// metricsOf returns what a gateway shows at /metrics.
func metricsOf(t *testing.T, g *gateway) string {
	t.Helper()
	return get(t, "http://"+g.admin+"/metrics").body
}

// valueOf returns the value of the one series of a metric that has all the labels.
func valueOf(t *testing.T, metrics, name string, labels ...string) float64 {
	t.Helper()
	var found []float64
	for series, value := range seriesOf(metrics, name, "") {
		if slices.ContainsFunc(labels, func(label string) bool { return !strings.Contains(series, label) }) {
			continue
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, number)
	}
	if len(found) != 1 {
		t.Errorf("%s%v has %d series", name, labels, len(found))
		return -1
	}
	return found[0]
}

// TestMetricsOfOutcomes makes a call for each outcome, and compares what the metrics say.
func TestMetricsOfOutcomes(t *testing.T) {
	t.Parallel()
	g, key := startWithBudget(t) // it has bought one package for 4.2 USD
	header := http.Header{"Authorization": {"Bearer " + key}, "Content-Type": {"application/json"}}
	call := func(method, path, body string, status int) answer {
		t.Helper()
		got := do(t, method, "http://"+g.rest+path, body, header)
		if got.status != status {
			t.Errorf("%s %s: %+v", method, path, got)
		}
		return got
	}
	call(http.MethodPost, "/v1/activations/register", registration("order-2000", ""), http.StatusOK)           // a replay
	call(http.MethodPost, "/v1/activations/register", registration("order-1", ""), http.StatusTooManyRequests) // beyond the budget
	call(http.MethodPost, "/v1/activations/register", strings.Replace(registration("order-1", ""), `"GR"`, `"G"`, 1), http.StatusBadRequest)
	g.inject(t, `{"path":"/gigastore/activations/register","fault":"refuse","params":{"reason":"insufficientCredits"}}`)
	cheap := strings.Replace(registration("order-2", `,"activationMode":"ACTIVATION_MODE_FIRST_USE"`), sandbox.ItemWorldwide1GB, sandbox.ItemWorldwide50MB, 1)
	call(http.MethodPost, "/v1/activations/register", cheap, http.StatusBadRequest)

	g.shows(t, `gigagate_purchase_open\{gigagate_purchase_state="UNCERTAIN",.*\} 0\n`) // they are counted soon after the start
	metrics := metricsOf(t, g)
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"gigagate_call_duration_seconds_count", []string{`rpc_method="gigagate.v1.ActivationService/Register"`, `error_type="BUDGET_EXCEEDED"`}, 1},
		{"gigagate_call_duration_seconds_count", []string{`rpc_method="gigagate.v1.ActivationService/Register"`, `error_type="INSUFFICIENT_CREDIT"`}, 1},
		{"gigagate_call_duration_seconds_count", []string{`rpc_method="gigagate.v1.ActivationService/Register"`, `error_type="INVALID_FIELD"`}, 1},
		{"gigagate_purchase_settled_total", []string{
			`gigagate_purchase_state="SUCCEEDED"`, `gigagate_purchase_reason=""`, `gigagate_purchase_kind="register"`, `gigagate_purchase_mode="NOW"`, `gigagate_caller="shop"`,
		}, 1},
		{"gigagate_purchase_settled_total", []string{
			`gigagate_purchase_state="FAILED"`, `gigagate_purchase_reason="INSUFFICIENT_CREDIT"`, `gigagate_purchase_mode="FIRST_USE"`, `gigagate_caller="shop"`,
		}, 1},
		{"gigagate_purchase_settle_duration_seconds_count", []string{`gigagate_purchase_kind="register"`, `gigagate_purchase_state="SUCCEEDED"`}, 1},
		{"gigagate_purchase_replays_total", []string{`gigagate_caller="shop"`}, 1},
		{"gigagate_purchase_attached", nil, 0},
		{"gigagate_purchase_owners", nil, 0},
		{"gigagate_purchase_owners_limit", nil, 2000},
		{"gigagate_purchase_open", []string{`gigagate_purchase_state="UNCERTAIN"`}, 0},
		{"gigagate_purchase_oldest_seconds", []string{`gigagate_purchase_state="NEEDS_OPERATOR"`}, 0},
		{"gigagate_spent_total", []string{`gigagate_caller="shop"`, `gigagate_item="` + sandbox.ItemWorldwide1GB + `"`, `gigagate_currency="USD"`}, 4.2},
		{"gigagate_vendor_call_duration_seconds_count", []string{`gigagate_vendor_operation="register"`, `gigagate_vendor_classification="applied"`}, 1},
		{"gigagate_vendor_call_duration_seconds_count", []string{`gigagate_vendor_operation="register"`, `gigagate_vendor_classification="refused"`}, 1},
		{"gigagate_journal_queue", nil, 0},
	} {
		if got := valueOf(t, metrics, c.name, c.labels...); got != c.want {
			t.Errorf("%s%v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	groups, commits := valueOf(t, metrics, "gigagate_journal_group_size_count"), valueOf(t, metrics, "gigagate_journal_commit_duration_seconds_count")
	if writes := valueOf(t, metrics, "gigagate_journal_group_size_sum"); groups != commits || writes < 4 || groups > writes {
		t.Errorf("%v writes in %v groups, %v commits", writes, groups, commits)
	}
	if scan := valueOf(t, metrics, "gigagate_reconciler_last_scan_seconds"); time.Since(time.UnixMilli(int64(scan*1000))).Abs() > time.Hour {
		t.Errorf("the last scan was at %v", scan)
	}
}

// TestMetricsOfBudgets: what is left is that of the limits in the callers file and of what the journal has.
func TestMetricsOfBudgets(t *testing.T) {
	t.Parallel()
	key, file := keyWithBudget(t)
	journal := "--journal=sqlite:" + writeFile(t, "") + ".db"
	g := startGateway(t, journal, "--callers-file="+file)
	header := http.Header{"Authorization": {"Bearer " + key}, "Content-Type": {"application/json"}}
	if got := do(t, http.MethodPost, "http://"+g.rest+"/v1/activations/register", registration("order-1", ""), header); got.status != http.StatusOK {
		t.Fatalf("%+v", got)
	}
	g.exit()
	g = startGateway(t, journal, "--callers-file="+file)
	g.shows(t, `gigagate_budget_left\{gigagate_budget_period="DAY",gigagate_caller="shop",gigagate_currency="USD",.*\} 3.8\n`)
	metrics := metricsOf(t, g)
	if left := valueOf(t, metrics, "gigagate_budget_left", `gigagate_budget_period="MONTH"`); left != 95.8 {
		t.Errorf("%v are left for the month", left)
	}
	if limit := valueOf(t, metrics, "gigagate_budget_limit", `gigagate_budget_period="MONTH"`); limit != 100 {
		t.Errorf("the limit of the month is %v", limit)
	}
	if series := seriesOf(metrics, "gigagate_budget_left", ""); len(series) != 2 { // there is no total limit
		t.Errorf("%v", series)
	}
}

// shows waits until /metrics has a pattern.
func (g *gateway) shows(t *testing.T, pattern string) {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	eventually(t, "/metrics shows "+pattern, func() error {
		if metrics := metricsOf(t, g); !expression.MatchString(metrics) {
			return errors.New(metrics)
		}
		return nil
	})
}

// TestMetricsOfOpenPurchases: an uncertain purchase is counted, with its age, and its caller's retry waits for it. Once it is
// settled, it is not counted any more.
func TestMetricsOfOpenPurchases(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "--reconcile-settle-delay=1s", "--reconcile-witness-timeout=1s")
	g.inject(t, `{"path":"/gigastore/activations/register","fault":"commit_then_reset"}`)
	for range 20 {
		g.inject(t, `{"path":"/gigastore/activations/activated-items","fault":"list_fail"}`)
	}
	answered := make(chan answer, 2)
	for range 2 {
		go func() {
			got, _ := try(t, http.MethodPost, "http://"+g.rest+"/v1/activations/register", registration("order-1", ""), http.Header{"Content-Type": {"application/json"}})
			answered <- got
		}()
	}
	g.shows(t, `gigagate_purchase_attached\{.*\} 1\n`)
	g.shows(t, `gigagate_purchase_open\{gigagate_purchase_state="UNCERTAIN",.*\} 1\n`)
	if age := valueOf(t, metricsOf(t, g), "gigagate_purchase_oldest_seconds", `gigagate_purchase_state="UNCERTAIN"`); age <= 0 || age > 60 {
		t.Errorf("the oldest is %v s old", age)
	}
	for range 2 {
		if got := <-answered; got.status != http.StatusOK {
			t.Errorf("%+v", got)
		}
	}
	g.shows(t, `gigagate_purchase_open\{gigagate_purchase_state="UNCERTAIN",.*\} 0\n`)
	metrics := metricsOf(t, g)
	for name, want := range map[string]float64{
		"gigagate_purchase_attached": 0, "gigagate_spent_total": 4.2, "gigagate_purchase_replays_total": 1,
	} {
		if got := valueOf(t, metrics, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if unknown := valueOf(t, metrics, "gigagate_vendor_call_duration_seconds_count", `classification="unknown"`, `operation="register"`); unknown != 1 {
		t.Errorf("%v calls are unknown", unknown)
	}
}

// TestExemplars: a scraper that asks for OpenMetrics gets the trace ids of calls. They are those of traces that are exported.
func TestExemplars(t *testing.T) {
	t.Parallel()
	p := startProcess(t, []string{"OTEL_TRACES_EXPORTER=console"}, serveLine(t, "--sandbox")...)
	rest, admin := p.out.waitFor(t, p.ended, `REST +http://(\S+)`)[1], p.out.waitFor(t, p.ended, `admin +http://([^/\s]+)`)[1]
	do(t, http.MethodPost, "http://"+rest+"/v1/activations/register", registration("order-1", ""), http.Header{
		"Content-Type": {"application/json"}, "Traceparent": {"00-" + callersTrace + "-b7ad6b7169203331-01"},
	})
	scraped := do(t, http.MethodGet, "http://"+admin+"/metrics", "", http.Header{"Accept": {"application/openmetrics-text; version=1.0.0"}})
	for _, name := range []string{
		"gigagate_call_duration_seconds_bucket", "gigagate_purchase_settled_total", "gigagate_purchase_settle_duration_seconds_bucket",
		"gigagate_vendor_call_duration_seconds_bucket", "gigagate_spent_total",
	} {
		if !regexp.MustCompile(`(?m)^` + name + `\{.* # \{.*trace_id="` + callersTrace + `".*\}`).MatchString(scraped.body) {
			t.Errorf("%s has no exemplar", name)
		}
	}
	if !strings.HasSuffix(scraped.body, "# EOF\n") {
		t.Errorf("not OpenMetrics:\n%s", scraped.body)
	}
	_ = p.Process.Signal(syscall.SIGTERM)
	<-p.ended
}
