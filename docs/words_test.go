package docs_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"gigagate.internal/docs"
	_ "gigagate.internal/gen/go/gigagate/v1" // the contract
)

//go:generate go test -run ^TestEveryRowHasItsAnchor$ . -update

var update = flag.Bool("update", false, "write the anchors of the tables")

// anchored are the tables that are written by hand, by their first headings, and the anchors of their rows.
var anchored = []struct {
	page, headings string
	id             func(name string) string
}{
	{"operations.md", "| metric | what it shows |", docs.MetricID},
	{"operations.md", "| log line | level |", docs.LogID},
	{"operations.md", "| reason | look for |", func(name string) string { return docs.ValueID("OPERATOR_REASON_" + name) }},
	{"purchase-life.md", "| state | may credit have moved? |", func(name string) string { return docs.ValueID("PURCHASE_STATE_" + name) }},
}

var firstCell = regexp.MustCompile("(?m)^\\| (?:<a id=\"[^\"]*\"></a>)?`([^`]+)` \\|")

// TestEveryRowHasItsAnchor: the rows of the tables that are written by hand are words.
func TestEveryRowHasItsAnchor(t *testing.T) {
	t.Parallel()
	for _, table := range anchored {
		text, err := os.ReadFile(table.page)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, ok := strings.Cut(string(text), "\n"+table.headings)
		rows, after, ended := strings.Cut(rest, "\n\n")
		if !ok || !ended || !firstCell.MatchString(rows) {
			t.Fatalf("%s has no table %s", table.page, table.headings)
		}
		want := firstCell.ReplaceAllStringFunc(rows, func(cell string) string {
			name := firstCell.FindStringSubmatch(cell)[1]
			return "| <a id=\"" + table.id(name) + "\"></a>`" + name + "` |"
		})
		if want == rows {
			continue
		}
		if !*update {
			t.Errorf("%s: the table %s lacks anchors: run go generate ./docs", table.page, table.headings)
			continue
		}
		if err := os.WriteFile(table.page, []byte(before+"\n"+table.headings+want+"\n\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEveryValueIsAWord: every value of every enum of the contract has one anchor, and something is said about it.
func TestEveryValueIsAWord(t *testing.T) {
	t.Parallel()
	words := map[string]*docs.Word{}
	for _, word := range docs.Words() {
		if words[word.ID] != nil {
			t.Errorf("two words have the anchor %s", word.ID)
		}
		words[word.ID] = word
	}
	values := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("gigagate.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Enums().Len() {
			enum := file.Enums().Get(i)
			for j := range enum.Values().Len() {
				values++
				name := string(enum.Values().Get(j).Name())
				if word := words[docs.ValueID(name)]; word == nil || word.Kind != string(enum.Name()) || len(word.Facts) == 0 {
					t.Errorf("%s is not explained: %+v", name, word)
				}
			}
		}
		return true
	})
	if values < 50 {
		t.Errorf("only %d values were found", values)
	}
}

// TestEveryAnchorIsThere: each page that a word names has the anchor exactly once.
func TestEveryAnchorIsThere(t *testing.T) {
	t.Parallel()
	for _, word := range docs.Words() {
		page, id, _ := strings.Cut(word.Page, "#")
		text, err := os.ReadFile("../" + page)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), `<a id="`+id+`"></a>`); n != 1 {
			t.Errorf("%s has the anchor %s %d times", page, id, n)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text  string
		named bool
		kinds string
	}{
		{"NO_OLDER_WITNESS", true, "OperatorReason"},
		{"no older-witness", true, "OperatorReason"},
		{"OPERATOR_REASON_NO_OLDER_WITNESS", true, "OperatorReason"},
		{"presumed_absent", true, "PurchaseEventType ErrorReason"},
		{"needs-operator", true, "PurchaseState"},
		{"Purchase needs an operator", true, "log line"},
		{"the owner of a send is gone: its outcome is uncertain", true, "log line"},
		{"owner of a send", false, "log line"},
		{"gigagate_purchase_open", true, "metric"},
		{"gigagate.purchase.events", true, "metric"},
		{`time=2026-11-30T09:00:00Z level=WARN msg="vendor problem" problem=outage cause="no answer"`, true, "log line"},
		{`{"time":"2026-11-30T09:00:00Z","level":"WARN","msg":"call","transport":"grpc","code":"UNAVAILABLE"}`, true, "log line"},
		{`level=INFO msg="a line that nobody explains" problem="vendor problem"`, false, ""},
		{"xyz", false, ""},
		{"", false, ""},
		{"?!", false, ""},
	} {
		found, named := docs.Find(test.text)
		var kinds []string
		for _, word := range found {
			kinds = append(kinds, word.Kind)
		}
		if got := strings.Join(kinds, " "); named != test.named || got != test.kinds {
			t.Errorf("%q: %v %q", test.text, named, got)
		}
	}
}

// TestWordsAreText: what a terminal shows has no Markdown links, no HTML and no empty facts.
func TestWordsAreText(t *testing.T) {
	t.Parallel()
	for _, word := range docs.Words() {
		for _, fact := range word.Facts {
			if fact.Text == "" || strings.Contains(fact.Text, "](") || strings.Contains(fact.Text, "<br>") || strings.Contains(fact.Text, "&lt;") {
				t.Errorf("%s: %q", word.Name, fact)
			}
		}
	}
	found, _ := docs.Find("OTHER_ACCOUNT")
	facts := found[0].Facts
	if len(found) != 1 || len(facts) != 2 || facts[0].Heading != "look for" || facts[1].Heading != "meaning" ||
		!strings.Contains(facts[0].Text, "See Changing the client id (docs/operations.md#changing-the-client-id).") || found[0].Page != "docs/operations.md#operator_reason_other_account" {
		t.Errorf("%+v", found[0])
	}
}
