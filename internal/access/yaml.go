package access

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// document is a YAML text. It keeps the first error.
type document struct{ err error }

// field is a value in a document. Its node is nil if the file does not have it.
type field struct {
	doc  *document
	path string // such as "callers[0].may.methods"
	line int
	node *yaml.Node
}

// parseYAML returns the only value of a text.
func parseYAML(text []byte) (field, error) {
	for i, line := range slices.Collect(bytes.Lines(text)) {
		if !utf8.Valid(line) || bytes.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) }) {
			return field{}, fmt.Errorf("line %d: it has a byte that is not text", i+1)
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var root, second yaml.Node
	if err := decoder.Decode(&root); errors.Is(err, io.EOF) {
		return field{}, errors.New("line 1: the file is empty")
	} else if err != nil {
		return field{}, syntaxError(err)
	}
	if err := decoder.Decode(&second); err == nil {
		return field{}, fmt.Errorf("line %d: the file has more than one document", second.Line)
	} else if !errors.Is(err, io.EOF) {
		return field{}, syntaxError(err)
	}
	return field{doc: &document{}, path: "the file", line: 1, node: root.Content[0]}, nil
}

var quotedInError = regexp.MustCompile(` ?['"` + "`" + `].*`)

// syntaxError is an error of the parser without what it quotes, which may be a secret.
func syntaxError(err error) error {
	text := quotedInError.ReplaceAllString(strings.TrimPrefix(err.Error(), "yaml: "), "")
	if !strings.HasPrefix(text, "line ") {
		text = "line 1: " + text
	}
	return errors.New(text)
}

// fail records an error, if it is the first one.
func (f field) fail(format string, args ...any) {
	if f.doc.err == nil {
		f.doc.err = fmt.Errorf("line %d: %s: %w", f.line, f.path, fmt.Errorf(format, args...))
	}
}

// given reports whether the file has the field.
func (f field) given() bool { return f.node != nil }

// is reports whether the field has a value of a kind. Otherwise it fails.
func (f field) is(kind yaml.Kind, words string) bool {
	switch {
	case f.node == nil:
		f.fail("it is missing")
	case f.node.Kind == yaml.AliasNode:
		f.fail("aliases are not supported, write the value here again")
	case f.node.Kind != kind:
		f.fail("it must be %s", words)
	default:
		return true
	}
	return false
}

// mapping returns the fields with the given names. The file may have no others.
func (f field) mapping(names ...string) map[string]field {
	fields := map[string]field{}
	for _, name := range names {
		fields[name] = field{doc: f.doc, path: f.under(name), line: f.line}
	}
	if !f.is(yaml.MappingNode, "a mapping with "+strings.Join(names, ", ")) {
		return fields
	}
	for i := 0; i+1 < len(f.node.Content); i += 2 {
		key, value := f.node.Content[i], f.node.Content[i+1]
		here := field{f.doc, f.path, key.Line, key}
		known, ok := fields[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || !ok:
			here.fail("%s is not a field here, the fields are %s", shown(key.Value), strings.Join(names, ", "))
		case known.given():
			here.fail("the field %s is there twice", key.Value)
		}
		fields[key.Value] = field{f.doc, f.under(key.Value), value.Line, value}
	}
	return fields
}

// under is the path of a field of this value.
func (f field) under(name string) string {
	if f.path == "the file" {
		return name
	}
	return f.path + "." + name
}

// list returns the elements of a list. It is empty if the field is missing.
func (f field) list() []field {
	if !f.given() || !f.is(yaml.SequenceNode, "a list") {
		return nil
	}
	if len(f.node.Content) > longestList {
		f.fail("it has more than %d elements", longestList)
		return nil
	}
	items := make([]field, len(f.node.Content))
	for i, node := range f.node.Content {
		items[i] = field{f.doc, fmt.Sprintf("%s[%d]", f.path, i), node.Line, node}
	}
	return items
}

// Bounds of the file.
const (
	longestText = 512 // bytes
	longestList = 10_000
	mostNumber  = 1_000_000
)

// text returns a text. It takes every scalar as it is written, because a name such as 123456 or NO is no number and no truth.
func (f field) text() string {
	if !f.is(yaml.ScalarNode, "a text") {
		return ""
	}
	switch tag := f.node.ShortTag(); {
	case !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}, tag):
		f.fail("it must be a text")
	case f.node.Value == "" || len(f.node.Value) > longestText:
		f.fail("it must have 1 to %d bytes", longestText)
	}
	return f.node.Value
}

// truth returns true or false. A missing field is false.
func (f field) truth() bool {
	if !f.given() || !f.is(yaml.ScalarNode, "true or false") {
		return false
	}
	if f.node.Value != "true" && f.node.Value != "false" || f.node.ShortTag() != "!!bool" {
		f.fail("it must be true or false")
	}
	return f.node.Value == "true"
}

// matching returns a text that matches a pattern.
func (f field) matching(pattern *regexp.Regexp, words string) string {
	text := f.text()
	if f.doc.err == nil && !pattern.MatchString(text) {
		f.fail("it must be %s", words)
	}
	return text
}

// number returns a number above zero, up to mostNumber, that is written as a pattern says.
func (f field) number(pattern *regexp.Regexp, words string) float64 {
	number, err := strconv.ParseFloat(f.matching(pattern, words), 64)
	if f.doc.err == nil && (err != nil || number <= 0 || number > mostNumber || f.node.ShortTag() == "!!str") {
		f.fail("it must be %s", words)
	}
	return number
}

// oneOf returns a text that is one of some names.
func (f field) oneOf(names []string) string {
	text := f.text()
	if f.doc.err == nil && !slices.Contains(names, text) {
		f.fail("%s is not %s", shown(text), listed(names))
	}
	return text
}

var harmless = regexp.MustCompile(`^[A-Za-z0-9_. -]{1,32}$`)

// shown quotes a value in an error. A long value may be a key or a token that somebody put in the wrong place.
func shown(text string) string {
	if harmless.MatchString(text) && !strings.Contains(text, keyPrefix) {
		return fmt.Sprintf("%q", text)
	}
	return "this value"
}
