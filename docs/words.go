// Package docs explains the words that an operator meets: states, events, reasons, log lines and metrics. Their meanings
// stand on the pages in this folder, and nowhere else. The program has these pages, so that the log and the command line
// can lead to them.
//
// A word is a row of a table whose first cell is an anchor and the word:
//
//	| <a id="log-drained"></a>`drained` | info | nothing |
package docs

import (
	"embed"
	"html"
	"path"
	"regexp"
	"strings"
	"sync"
	"unicode"
)

//go:embed operations.md purchase-life.md reference.md
var files embed.FS

// pages are the pages with words. If several pages have a word, the link leads to the first of them.
var pages = []string{"operations.md", "purchase-life.md", "reference.md"}

// Word is a word that an operator meets.
type Word struct {
	// ID is the name of the word's anchor. See [LogID] and [ValueID].
	ID string `json:"-"`
	// Name is the word, for an enum value without the name of the enum.
	Name string `json:"word"`
	// Kind is the name of the enum, or the heading of the column.
	Kind string `json:"kind"`
	// Facts are what the pages say about the word.
	Facts []Fact `json:"facts"`
	// Page is the page and the anchor, as a path from the root of the repository.
	Page string `json:"page"`
}

// Fact is one cell of a table.
type Fact struct {
	Heading string `json:"heading"`
	Text    string `json:"text"`
}

// LogID is the ID of a log line.
func LogID(message string) string {
	return "log-" + strings.ReplaceAll(plain(message), "_", "-")
}

// MetricID is the ID of a metric with its name in Prometheus.
func MetricID(name string) string { return "metric-" + name }

// ValueID is the ID of a value of an enum of the contract. Its name is the full one, such as PURCHASE_STATE_FAILED.
func ValueID(name string) string { return strings.ToLower(name) }

// Page is the page and the anchor of the word with this ID, or "" if no page has it.
func Page(id string) string {
	word, ok := index()[id]
	if !ok {
		return ""
	}
	return word.Page
}

// Words are all words, in the order of the pages.
var Words = sync.OnceValue(func() (words []*Word) {
	known := map[string]*Word{}
	for _, page := range pages {
		text, _ := files.ReadFile(page) // it is embedded
		for _, found := range wordsOf(page, string(text)) {
			if word, ok := known[found.ID]; ok {
				word.Kind, word.Facts = found.Kind, append(word.Facts, found.Facts...)
				continue
			}
			known[found.ID] = found
			words = append(words, found)
		}
	}
	return words
})

// index has the words by their IDs.
var index = sync.OnceValue(func() map[string]*Word {
	byID := map[string]*Word{}
	for _, word := range Words() {
		byID[word.ID] = word
	}
	return byID
})

// Find returns the words that text names. Case and punctuation do not matter. An enum value needs no name of its enum. A line
// as the log has it names its message. If text names no word, Find returns the words that contain it, and named is false.
func Find(text string) (found []*Word, named bool) {
	wanted := plain(text)
	if wanted == "" {
		return nil, false
	}
	for _, word := range Words() {
		name := plain(word.Name)
		// OpenTelemetry's name of a counter is the name in Prometheus without the last part.
		if name == wanted || name == wanted+"_total" || plain(word.ID) == wanted {
			found = append(found, word)
		}
	}
	if len(found) > 0 {
		return found, true
	}
	if line := messageOf(wanted); line != nil {
		return []*Word{line}, true
	}
	for _, word := range Words() {
		if strings.Contains(plain(word.Name), wanted) {
			found = append(found, word)
		}
	}
	return found, false
}

// messageOf returns the log line whose message stands after msg in a plain text, or nil. If one message begins with another,
// it is the longer one.
func messageOf(text string) (found *Word) {
	for _, word := range Words() {
		isLine := word.ID == LogID(word.Name) && strings.Contains("_"+text+"_", "_msg_"+plain(word.Name)+"_")
		if isLine && (found == nil || len(word.Name) > len(found.Name)) {
			found = word
		}
	}
	return found
}

// plain is text in lower case, with an underscore for everything between letters and digits.
func plain(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}), "_")
}

var (
	anchored = regexp.MustCompile("^<a id=\"([^\"]+)\"></a>`([^`]+)`$")
	pageLink = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)
)

// wordsOf reads the tables of a page.
func wordsOf(page, text string) (words []*Word) {
	section, prefix := "", ""
	var headings []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			section = strings.TrimLeft(line, "# ")
		}
		if !strings.HasPrefix(line, "|") {
			headings = nil
			continue
		}
		cells := cellsOf(line)
		if headings == nil {
			headings = cells
			continue
		}
		match := anchored.FindStringSubmatch(cells[0])
		if match == nil {
			continue
		}
		word := &Word{ID: match[1], Name: match[2], Kind: headings[0], Page: path.Join("docs", page) + "#" + match[1]}
		if word.Kind == "value" { // the table of an enum
			if before, ok := strings.CutSuffix(word.Name, "UNSPECIFIED"); ok {
				prefix = before
			}
			word.Kind, word.Name = section, strings.TrimPrefix(word.Name, prefix)
		}
		for i, cell := range cells[1:min(len(cells), len(headings))] {
			if heading := headings[i+1]; cell != "" && heading != "number" {
				word.Facts = append(word.Facts, Fact{heading, textOf(page, cell)})
			}
		}
		words = append(words, word)
	}
	return words
}

// cellsOf splits a row of a table. A bar with a backslash is a part of its cell.
func cellsOf(row string) []string {
	const bar = "\x00"
	row = strings.ReplaceAll(row, `\|`, bar)
	cells := strings.Split(strings.Trim(row, "|"), "|")
	for i, cell := range cells {
		cells[i] = strings.ReplaceAll(strings.TrimSpace(cell), bar, "|")
	}
	return cells
}

// textOf is a cell for a terminal: its links name their pages.
func textOf(page, cell string) string {
	cell = pageLink.ReplaceAllStringFunc(cell, func(link string) string {
		parts := pageLink.FindStringSubmatch(link)
		text, target := parts[1], parts[2]
		switch {
		case strings.HasPrefix(target, "#"):
			return text + " (" + path.Join("docs", page) + target + ")"
		case strings.Contains(target, "://"):
			return text + " (" + target + ")"
		}
		return text + " (" + path.Join("docs", target) + ")"
	})
	return html.UnescapeString(strings.ReplaceAll(cell, "<br>", " "))
}
