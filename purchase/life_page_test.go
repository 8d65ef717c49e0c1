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

// TestLifePageIsCurrent keeps the page's diagram and tables what the transition function does.
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
			t.Errorf("the page has a part %q that nothing generates", name)
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
		t.Errorf("%s is not what the code does: run go generate ./purchase", lifePage)
	}
}

// diagram shows every move, those between the same two states as one arrow.
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

// transitionTable is the whole table, one row per event. What is illegal is left empty.
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

// events tells what each event is.
func events() string {
	var text strings.Builder
	text.WriteString("| event | what happened |\n|---|---|\n")
	for _, known := range purchase.EventMeanings() {
		fmt.Fprintf(&text, "| `%s` | %s |\n", known.Event, known.Meaning)
	}
	return text.String()
}

// reasons tells what each reason of our own is, and which state it is a reason for.
func reasons() string {
	var text strings.Builder
	text.WriteString("| reason | of | meaning |\n|---|---|---|\n")
	for _, known := range purchase.ReasonMeanings() {
		fmt.Fprintf(&text, "| `%s` | `%s` | %s |\n", known.Reason, known.Of, known.Meaning)
	}
	return text.String()
}

// TestLifePageIsWhatAfterDoes: for a transition that is complete and speaks of the newest send, After does
// what the page's table says. What it refines beyond that the page's prose tells.
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
