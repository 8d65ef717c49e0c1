package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

const (
	rulesFile = "deploy/prometheus/rules.yml"
	// runbooks stands for the place where an operator keeps this repository.
	runbooks = "https://gigagate.internal/"
)

// alertRule is an alert of rulesFile.
type alertRule struct {
	Alert, Expr string
	Labels      struct{ Severity string }
	Annotations struct {
		Summary, Description string
		RunbookURL           string `yaml:"runbook_url"`
	}
}

// alertRules reads rulesFile.
func alertRules(t *testing.T) []alertRule {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []alertRule }
	}
	readYAML(t, rulesFile, &file)
	var all []alertRule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no alerts", rulesFile)
	}
	return all
}

// TestOperationsListsTheAlerts: the table of the page has the alerts of the rules, in the same order.
func TestOperationsListsTheAlerts(t *testing.T) {
	t.Parallel()
	_, listed, ok := strings.Cut(readPage(t, operations), "| alert | how urgent | what it says |\n|---|---|---|\n")
	if !ok {
		t.Fatalf("%s has no table of alerts", operations)
	}
	listed, _, _ = strings.Cut(listed, "\n\n")
	var want strings.Builder
	for _, rule := range alertRules(t) {
		fmt.Fprintf(&want, "| [`%s`](#%s) | %s | %s |\n", rule.Alert, strings.ToLower(rule.Alert), rule.Labels.Severity, rule.Annotations.Summary)
	}
	if listed+"\n" != want.String() {
		t.Errorf("the table of alerts in %s differs from %s. It must be:\n%s", operations, rulesFile, want.String())
	}
}

// TestEveryAlertHasARunbook: an alert says in sentences what happens, and leads to a heading of the page.
func TestEveryAlertHasARunbook(t *testing.T) {
	t.Parallel()
	headings := anchors(readPage(t, operations))
	for _, rule := range alertRules(t) {
		heading := strings.ToLower(rule.Alert)
		if want := runbooks + operations + "#" + heading; rule.Annotations.RunbookURL != want {
			t.Errorf("%s: its runbook is %s, want %s", rule.Alert, rule.Annotations.RunbookURL, want)
		}
		if !headings[heading] {
			t.Errorf("%s has no heading %s", operations, rule.Alert)
		}
		if rule.Labels.Severity != "now" && rule.Labels.Severity != "today" {
			t.Errorf("%s: severity %q", rule.Alert, rule.Labels.Severity)
		}
		for _, text := range []string{rule.Annotations.Summary, rule.Annotations.Description} {
			if !regexp.MustCompile(`^[A-Z{].*\.$`).MatchString(text) {
				t.Errorf("%s: %q is not a sentence", rule.Alert, text)
			}
		}
	}
}

// TestEveryAlertHasATestOfItsRule: promtool runs these tests in .ci/alerts.
func TestEveryAlertHasATestOfItsRule(t *testing.T) {
	t.Parallel()
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	readYAML(t, "deploy/prometheus/rules_test.yml", &file)
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, expected := range test.AlertRuleTest {
			if len(expected.ExpAlerts) > 0 {
				fires[expected.Alertname] = true
			} else {
				silent[expected.Alertname] = true
			}
		}
	}
	for _, rule := range alertRules(t) {
		if !fires[rule.Alert] || !silent[rule.Alert] {
			t.Errorf("%s: a test in which it fires: %t; one in which it does not: %t", rule.Alert, fires[rule.Alert], silent[rule.Alert])
		}
	}
}

// TestJournalProblemIsMeasured: the metric shows that the journal cannot write, and that it can again.
func TestJournalProblemIsMeasured(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	want := func(value string) {
		t.Helper()
		eventually(t, "the metric is "+value, func() error {
			for _, line := range seriesOf(get(t, "http://"+g.admin+"/metrics").body, "gigagate_journal_problem", "") {
				if line == value {
					return nil
				}
			}
			return errNotYet
		})
	}
	want("0")
	if err := os.Rename(g.journal, g.journal+".moved"); err != nil {
		t.Fatal(err)
	}
	want("1")
	if err := os.Rename(g.journal+".moved", g.journal); err != nil {
		t.Fatal(err)
	}
	want("0")
}
