package purchase_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"gigagate.internal/purchase"
)

//go:generate go test -run ^TestLifePageIsCurrent$ . -update

var update = flag.Bool("update", false, "write the generated parts of docs/purchase-life.md")

const lifePage = "../docs/purchase-life.md"

// generated is a part of the page between two comments.
var generated = regexp.MustCompile(`(?s)(<!-- generated: (\w+) -->\n)(.*?)(<!-- end of (\w+) -->\n)`)

// TestLifePageIsCurrent checks that the page's diagram and tables match the transition function.
func TestLifePageIsCurrent(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(lifePage)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]string{
		"diagram": diagram(), "transitions": transitionTable(), "events": events(), "reasons": reasons(),
	}
	want := generated.ReplaceAllFunc(page, func(part []byte) []byte {
		match := generated.FindSubmatch(part)
		name := string(match[2])
		text, known := parts[name]
		if !known || string(match[5]) != name {
			t.Errorf("the page has an unknown generated part %q", name)
		}
		delete(parts, name)
		return bytes.Join([][]byte{match[1], []byte(text), match[4]}, nil)
	})
	if len(parts) > 0 {
		t.Errorf("the page lacks %v", parts)
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(lifePage, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(page, want) {
		t.Errorf("%s does not match the code: run go generate ./purchase", lifePage)
	}
}

// diagram shows every move. Moves between the same two states share one arrow.
func diagram() string {
	var text strings.Builder
	text.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> SENDING: claim\n")
	for _, from := range purchase.States() {
		for _, to := range purchase.States() {
			var by []string
			for _, event := range purchase.Events() {
				if next, verdict := purchase.Next(from, event); verdict == purchase.Moves && next == to {
					by = append(by, string(event))
				}
			}
			if len(by) > 0 {
				fmt.Fprintf(&text, "    %s --> %s: %s\n", from, to, strings.Join(by, "<br>"))
			}
		}
	}
	for _, state := range purchase.States() {
		if state.Settled() {
			fmt.Fprintf(&text, "    %s --> [*]\n", state)
		}
	}
	text.WriteString("```\n")
	return text.String()
}

// transitionTable is the whole table, with one row per event. Illegal events have an empty cell.
func transitionTable() string {
	var text, rule strings.Builder
	text.WriteString("| event |")
	rule.WriteString("|---|")
	for _, state := range purchase.States() {
		fmt.Fprintf(&text, " `%s` |", state)
		rule.WriteString("---|")
	}
	text.WriteString("\n" + rule.String() + "\n")
	for _, event := range purchase.Events() {
		fmt.Fprintf(&text, "| `%s` |", event)
		for _, from := range purchase.States() {
			switch to, verdict := purchase.Next(from, event); verdict {
			case purchase.Moves:
				fmt.Fprintf(&text, " `%s` |", to)
			case purchase.Stays:
				text.WriteString(" kept |")
			case purchase.Contradicts:
				text.WriteString(" **anomaly** |")
			case purchase.Illegal:
				text.WriteString(" |")
			}
		}
		text.WriteString("\n")
	}
	return text.String()
}

// events is the table of the events and their meanings.
func events() string {
	var text strings.Builder
	text.WriteString("| event | what happened |\n|---|---|\n")
	for _, known := range purchase.EventMeanings() {
		fmt.Fprintf(&text, "| `%s` | %s |\n", known.Event, known.Meaning)
	}
	return text.String()
}

// reasons is the table of the gateway's own reasons: the state that each belongs to, and its meaning.
func reasons() string {
	var text strings.Builder
	text.WriteString("| reason | of | meaning |\n|---|---|---|\n")
	for _, known := range purchase.ReasonMeanings() {
		fmt.Fprintf(&text, "| `%s` | `%s` | %s |\n", known.Reason, known.Of, known.Meaning)
	}
	return text.String()
}

// TestLifePageIsWhatAfterDoes: for a complete transition of the newest send, After does what the page's table
// says. The page's prose describes the cases in which After differs.
func TestLifePageIsWhatAfterDoes(t *testing.T) {
	t.Parallel()
	for _, from := range purchase.States() {
		for _, event := range purchase.Events() {
			p := purchase.Purchase{State: from, Attempt: 1}
			transition := purchase.Transition{Event: event, Attempt: 1, Reason: "REASON", ItemUID: "item"}
			switch from {
			case purchase.Succeeded:
				p.ItemUID = "item"
			case purchase.NeedsOperator:
				p.Reason = purchase.Unreadable
			default:
			}
			to, verdict := purchase.Next(from, event)
			after, told := p.After(transition, time.Unix(0, 0))
			if after.State != to || told != verdict {
				t.Errorf("%s in %s: the table says %s (%s), After %s (%s)", event, from, to, verdict, after.State, told)
			}
		}
	}
}
