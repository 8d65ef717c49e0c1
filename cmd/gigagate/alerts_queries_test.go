package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dashboardFile = "deploy/grafana/gigagate.json"

// query is a query of Prometheus, with the place where it stands. legend has the labels that Grafana shows.
type query struct{ where, text, legend string }

// dashboardQueries returns the queries of all panels.
func dashboardQueries(t *testing.T) []query {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title, Type, Description string
			Targets                  []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal([]byte(readPage(t, dashboardFile)), &dashboard); err != nil {
		t.Fatal(err)
	}
	var queries []query
	for _, panel := range dashboard.Panels {
		if panel.Type != "row" && (len(panel.Targets) == 0 || panel.Description == "") {
			t.Errorf("the panel %q has no query or no description", panel.Title)
		}
		for _, target := range panel.Targets {
			queries = append(queries, query{dashboardFile + ": " + panel.Title, target.Expr, target.LegendFormat})
		}
	}
	return queries
}

// series are the values that each label of each metric has.
type series map[string]map[string]map[string]bool

var labelOf = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)

// add adds what a gateway exposes.
func (s series) add(metrics string) {
	for line := range strings.Lines(metrics) {
		name := regexp.MustCompile(`^[a-z_]+`).FindString(line)
		if name == "" {
			continue
		}
		if s[name] == nil {
			s[name] = map[string]map[string]bool{}
		}
		for _, label := range labelOf.FindAllStringSubmatch(line, -1) {
			if s[name][label[1]] == nil {
				s[name][label[1]] = map[string]bool{}
			}
			s[name][label[1]][label[2]] = true
		}
	}
}

// exposedSeries returns what gateways expose after purchases with all kinds of outcomes.
func exposedSeries(t *testing.T) series {
	t.Helper()
	secured := startGateway(t, newTLSFolder(t, newAuthority(t, "servers"), newAuthority(t, "callers")).flags()...)
	get(t, "http://"+secured.rest+"/v1/inventory") // not TLS
	g, key := startWithBudget(t)                   // sells order-2000
	as := http.Header{"Authorization": {"Bearer " + key}, "Content-Type": {"application/json"}}
	buy := func(requestID string) {
		do(t, http.MethodPost, "http://"+g.rest+"/v1/activations/register", registration(requestID, ""), as)
	}
	buy("order-2000")
	buy("beyond-the-budget")
	get(t, "http://"+g.rest+"/v1/inventory") // without a credential
	found := series{}
	eventually(t, "the reconciler and the budgets are measured", func() error {
		found.add(get(t, "http://"+g.admin+"/metrics").body)
		if len(found["gigagate_purchase_open"]) == 0 || len(found["gigagate_budget_left"]) == 0 {
			return errNotYet
		}
		return nil
	})
	found.add(get(t, "http://"+secured.admin+"/metrics").body)
	return found
}

var (
	ofPrometheus = []string{"job", "instance"}
	languageOf   = []string{
		"absent", "by", "histogram_quantile", "increase", "max", "min", "offset", "or", "rate", "sum", "time", "unless",
	}
	window   = regexp.MustCompile(`\[[^\]]*\]`)
	selector = regexp.MustCompile(`(\w+)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`(\w+) *(=~|!~|!=|=) *"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(?:by|on) *\(([^)]*)\)`)
	word     = regexp.MustCompile(`\b[a-zA-Z_]\w*`)
)

// check returns what a query names and no gateway exposes.
func (q query) check(exposed series) []string {
	var wrong, labels []string
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	text := window.ReplaceAllString(q.text, "")
	for _, selected := range selector.FindAllStringSubmatch(text, -1) {
		for _, match := range matcher.FindAllStringSubmatch(selected[2], -1) {
			label, values := match[1], exposed[selected[1]][match[1]]
			if slices.Contains(ofPrometheus, label) {
				continue
			}
			if len(values) == 0 {
				complain("%s has no label %s", selected[1], label)
				continue
			}
			for value := range strings.SplitSeq(match[3], "|") {
				if value != "" && !values[value] {
					complain("%s never has %s=%q", selected[1], label, value)
				}
			}
		}
	}
	text = selector.ReplaceAllString(text, "$1")
	for _, group := range grouping.FindAllStringSubmatch(text, -1) {
		labels = append(labels, word.FindAllString(group[1], -1)...)
	}
	for _, shown := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(q.legend, -1) {
		labels = append(labels, shown[1])
	}
	known := map[string]bool{}
	metrics := 0
	for _, name := range word.FindAllString(grouping.ReplaceAllString(text, ""), -1) {
		switch {
		case exposed[name] != nil || name == "up":
			metrics++
			for label := range maps.Keys(exposed[name]) {
				known[label] = true
			}
		case !slices.Contains(languageOf, name):
			complain("no gateway exposes %s", name)
		}
	}
	if metrics == 0 && len(wrong) == 0 {
		complain("it has no metric")
	}
	for _, label := range labels {
		if !known[label] && !slices.Contains(ofPrometheus, label) {
			complain("no metric of the query has the label %s", label)
		}
	}
	return wrong
}

// TestQueriesNameRealMetrics: the alerts and the dashboard name only metrics and labels that a running gateway exposes. They
// also name only values that a gateway exposes.
func TestQueriesNameRealMetrics(t *testing.T) {
	t.Parallel()
	queries := dashboardQueries(t)
	for _, rule := range alertRules(t) {
		queries = append(queries, query{rule.Alert, rule.Expr, ""})
	}
	exposed := exposedSeries(t)
	for _, q := range queries {
		for _, wrong := range q.check(exposed) {
			t.Errorf("%s: %s: %s", q.where, q.text, wrong)
		}
	}
}

// TestQueriesAreRead: the check of a query finds a wrong metric, label and value.
func TestQueriesAreRead(t *testing.T) {
	t.Parallel()
	exposed := series{}
	exposed.add("# TYPE sold_total counter\nsold_total{caller=\"shop\"} 1\nopen{state=\"UNCERTAIN\"} 1\n")
	for text, want := range map[string]string{
		`sum by (caller) (rate(sold_total{job="gigagate"}[5m])) > 0.1 * 60`: "[]",
		`sum(rate(sold{caller="shop"}[5m]))`:                                "[sold has no label caller no gateway exposes sold]",
		`max(open{state="UNCERTAN"})`:                                       `[open never has state="UNCERTAN"]`,
		`max by (caller) (open)`:                                            "[no metric of the query has the label caller]",
		`open unless avg(open)`:                                             "[no gateway exposes avg]",
		`time()`:                                                            "[it has no metric]",
	} {
		if got := fmt.Sprint(query{text: text}.check(exposed)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
