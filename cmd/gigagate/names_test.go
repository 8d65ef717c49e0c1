package main

import (
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const operations = "docs/operations.md"

// TestPagesNameRealSettings: every flag and every variable on a page exists.
func TestPagesNameRealSettings(t *testing.T) {
	t.Parallel()
	flags, variables := settings(t)
	variables["GIGAGATE_TEST_POSTGRES_URL"] = true // only the tests read it
	names := []string{readme, "CHANGELOG.md", "Dockerfile", "compose.yaml"}
	docs, err := fs.Glob(os.DirFS(repository), "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(names, docs...) {
		text := readPage(t, page)
		for _, match := range regexp.MustCompile("`--([a-z-]+)").FindAllStringSubmatch(text, -1) {
			if !flags[match[1]] {
				t.Errorf("%s: there is no --%s", page, match[1])
			}
		}
		for _, variable := range regexp.MustCompile(`\bGIGAGATE_[A-Z_]+`).FindAllString(text, -1) {
			if !variables[variable] {
				t.Errorf("%s: nothing reads %s", page, variable)
			}
		}
	}
}

// settings returns the flags of all commands, and their environment variables.
func settings(t *testing.T) (flags, variables map[string]bool) {
	t.Helper()
	flags, variables = map[string]bool{}, map[string]bool{secretVariable: true, apiKeyVariable: true}
	for _, command := range []string{
		"serve", "sandbox serve", "sandbox fault", "sandbox clock", "sandbox ledger", "sandbox reset", "completion", "register", "top-up", "activate", "inventory", "customer", "explain", "purchases get", "purchases list",
		"purchases wait", "purchases watch", "purchases resolve", "freeze", "thaw", "freezes", "audit", "journal backup", "journal check", "journal keys new", "journal keys rotate", "erase", "keys new", "config check", "bench", "health",
	} {
		help := gigagate(t, append(strings.Fields(command), "--help")...)
		for _, match := range regexp.MustCompile(`(?m)^ +(?:-h, )?--(?:\[no-\])?([a-z-]+)`).FindAllStringSubmatch(help.out, -1) {
			flags[match[1]] = true
		}
		for _, match := range regexp.MustCompile(`\(\$(GIGAGATE_[A-Z_]+)\)`).FindAllStringSubmatch(help.out, -1) {
			variables[match[1]] = true
		}
	}
	if len(flags) < 20 || len(variables) < 20 {
		t.Fatalf("only %d flags and %d variables were found in the help", len(flags), len(variables))
	}
	return flags, variables
}

// TestOperationsNamesWhatIsLogged: the page lists every warning and every error, and no other lines.
func TestOperationsNamesWhatIsLogged(t *testing.T) {
	t.Parallel()
	logged := map[string]bool{}
	for _, line := range problemsLogged(t) {
		logged[line] = true
	}
	compare(t, "log lines", logged, tableOf(t, "log line", "level"))
}

// TestOperationsNamesTheMetrics: the page lists all our own metrics, and all metrics on the page exist.
func TestOperationsNamesTheMetrics(t *testing.T) {
	t.Parallel()
	g, _ := startWithBudget(t)
	metrics := get(t, "http://"+g.admin+"/metrics").body
	there := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(metrics, -1) {
		there[match[1]] = true
	}
	listed := tableOf(t, "metric", "what it shows")
	for name := range there {
		if strings.HasPrefix(name, "gigagate_") && !listed[name] {
			t.Errorf("the page does not have %s", name)
		}
	}
	// Some metrics appear with their first record, and those of TLS need TLS.
	for _, instrument := range inSources(t, `(?:Counter|Gauge|Histogram)\("(gigagate\.[a-z._]+)"`) {
		name := strings.ReplaceAll(instrument, ".", "_")
		if !listed[name] && !listed[name+"_total"] && !listed[name+"_seconds"] {
			t.Errorf("the page does not have %s", name)
		}
		there[name], there[name+"_total"], there[name+"_seconds"] = true, true, true
	}
	for name := range listed {
		if !there[name] {
			t.Errorf("the page has %s, but /metrics does not", name)
		}
	}
}

// TestCountersOfAlertsStartAtZero: Prometheus sees no increase in a series that starts with its first event. So the series
// of every alert exist when a process starts, and the first event makes no new one.
func TestCountersOfAlertsStartAtZero(t *testing.T) {
	t.Parallel()
	alerts := readPage(t, rulesFile)
	g := startGateway(t)
	metrics := func() string { return get(t, "http://"+g.admin+"/metrics").body }
	atStart := metrics()
	counters := regexp.MustCompile(`(gigagate_\w+_total)(?:\{(\w+="\w+")\})?`).FindAllStringSubmatch(alerts, -1)
	if len(counters) < 4 {
		t.Fatalf("counters of alerts: %q", counters)
	}
	for _, counter := range counters {
		series := seriesOf(atStart, counter[1], counter[2])
		if len(series) == 0 {
			t.Errorf("no series of %s", counter[0])
		}
		for line, value := range series {
			if value != "0" {
				t.Errorf("%s starts with %s", line, value)
			}
		}
	}

	g.inject(t, `{"path":"/gigastore/activations/register","fault":"refuse","params":{"reason":"insufficientCredits"}}`)
	post(t, "http://"+g.rest+"/v1/activations/register", registration("order-1", ""))
	g.inject(t, `{"path":"/gigastore/activations/register","fault":"commit_then_reset"}`)
	post(t, "http://"+g.rest+"/v1/activations/register", registration("order-2", ""))
	now := metrics()
	for _, label := range []string{`gigagate_purchase_reason="INSUFFICIENT_CREDIT"`, `gigagate_purchase_event="ANSWERED_UNKNOWN"`} {
		before, after := seriesOf(atStart, "gigagate_purchase_events_total", label), seriesOf(now, "gigagate_purchase_events_total", label)
		if !slices.Equal(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))) {
			t.Errorf("%s: series before %v, after %v", label, before, after)
		}
		if !slices.Contains(slices.Collect(maps.Values(after)), "1") {
			t.Errorf("%s was not counted: %v", label, after)
		}
	}
}

// seriesOf is the series of a metric that have a label, with their values.
func seriesOf(metrics, name, label string) map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(metrics) {
		if series, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && strings.HasPrefix(series, name+"{") && strings.Contains(series, label) {
			found[series] = value
		}
	}
	return found
}

// TestOperationsNamesTheAttributes: the page lists our own attributes, those of metrics as Prometheus spells them.
func TestOperationsNamesTheAttributes(t *testing.T) {
	t.Parallel()
	text := readPage(t, operations)
	for _, key := range inSources(t, `attribute\.(?:Key|Int|String)\("(gigagate\.[a-z_.]+)"`) {
		if !strings.Contains(text, "`"+key+"`") && !strings.Contains(text, "`"+strings.ReplaceAll(key, ".", "_")+"`") {
			t.Errorf("the page does not have %s", key)
		}
	}
}

// TestOperationsTellsEveryReason: for every reason, the page says what an operator should look for.
func TestOperationsTellsEveryReason(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	for _, match := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| `NEEDS_OPERATOR`").FindAllStringSubmatch(readPage(t, "docs/purchase-life.md"), -1) {
		there[match[1]] = true
	}
	compare(t, "reasons", there, tableOf(t, "reason", "look for"))
}

func compare(t *testing.T, what string, there, listed map[string]bool) {
	t.Helper()
	if len(there) == 0 {
		t.Fatalf("no %s are found", what)
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		if !listed[name] {
			t.Errorf("%s: %s lacks %q", what, operations, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(listed)) {
		if !there[name] {
			t.Errorf("%s: %s has %q, which does not exist", what, operations, name)
		}
	}
}

// tableOf returns the names in the first column of the page's table whose first two headings are given.
func tableOf(t *testing.T, first, second string) map[string]bool {
	t.Helper()
	_, table, ok := strings.Cut(readPage(t, operations), "\n| "+first+" | "+second+" |")
	if !ok {
		t.Fatalf("%s has no table %s, %s", operations, first, second)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	names := map[string]bool{}
	for _, match := range regexp.MustCompile("(?m)^\\| (?:<a id=\"[^\"]+\"></a>)?`([^`]+)` \\|").FindAllStringSubmatch(table, -1) {
		names[match[1]] = true
	}
	return names
}

// inSources returns all matches of a pattern's first group in the gateway's own code.
func inSources(t *testing.T, pattern string) []string {
	t.Helper()
	var found []string
	expression := regexp.MustCompile(pattern)
	for _, folder := range []string{"cmd/gigagate", "server", "purchase", "purchase/sqlite", "purchase/postgres", "purchase/internal/groups", "purchase/sealed", "gigastore", "internal/access"} {
		files, err := fs.Glob(os.DirFS(repository), folder+"/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, match := range expression.FindAllStringSubmatch(readPage(t, file), -1) {
				found = append(found, match[1])
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("nothing matches %s", pattern)
	}
	return found
}
