package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// edit is one change to the code: without stands in place of rule, which must be found exactly once.
//
// place is a package's folder and a declaration: "purchase.Engine.claim", "purchase.transitions". A method needs no
// type if nothing else in the package has its name. The file does not matter. rule and without are patterns. Local
// names may be renamed in the code. If rule is a string literal, it is a part of a string in the code, such as SQL.
//
// If place is a file, rule and without are plain text.
//
// Where rule is text, its white space matches any white space.
type edit struct {
	place   string
	rule    string
	without string
}

// What can stand in place of a rule. never and always are for a condition, or for an if statement with its condition.
const (
	never   = "false && ($rule)"
	always  = "true || ($rule)"
	dropped = ""
)

// apply makes the edit. It returns the file that it changes and the new text. changed are the texts of the files that
// other edits have changed before.
func (e edit) apply(m *module, changed map[string]string) (file, text string, err error) {
	if e.namesFile() {
		text, ok := changed[e.place]
		if !ok {
			content, err := os.ReadFile(filepath.Join(m.root, e.place))
			if err != nil {
				return "", "", err
			}
			text = string(content)
		}
		text, err := replaceText(text, 0, len(text), e.rule, e.without)
		return e.place, text, err
	}
	folder, decl := e.target()
	files, err := m.read(folder)
	if err != nil {
		return "", "", err
	}
	files = slices.Clone(files)
	for i, s := range files {
		if text, ok := changed[s.path]; ok {
			if files[i], err = parseSource(s.path, text); err != nil {
				return "", "", err
			}
		}
	}
	s, text, err := e.applyToSyntax(declarations(files), decl)
	if err != nil {
		return "", "", err
	}
	if _, err := parseSource(s.path, text); err != nil {
		return "", "", fmt.Errorf("without the rule it is not Go: %w", err)
	}
	return s.path, text, nil
}

func (e edit) namesFile() bool { return path.Ext(e.place) == ".go" || path.Ext(e.place) == ".sql" }

// target returns the folder and the declaration that the edit names.
func (e edit) target() (folder, decl string) {
	slash := strings.LastIndex(e.place, "/") + 1
	name, decl, _ := strings.Cut(e.place[slash:], ".")
	return e.place[:slash] + name, decl
}

// replaceText replaces the only occurrence of a rule in a part of a text.
func replaceText(text string, start, end int, rule, without string) (string, error) {
	words := strings.Fields(rule)
	for i, word := range words {
		words[i] = regexp.QuoteMeta(word)
	}
	found := regexp.MustCompile(strings.Join(words, `\s+`)).FindAllStringIndex(text[start:end], -1)
	if len(found) != 1 {
		return "", fmt.Errorf("the text is there %d times, want once: %q", len(found), rule)
	}
	return text[:start+found[0][0]] + without + text[start+found[0][1]:], nil
}

func (e edit) applyToSyntax(all []declaration, name string) (*source, string, error) {
	rule, err := parsePattern(e.rule)
	if err != nil {
		return nil, "", err
	}
	without, err := parsePattern(e.without)
	if err != nil {
		return nil, "", err
	}
	named := declared(all, name)
	if len(named) != 1 {
		return nil, "", fmt.Errorf("the package has %d declarations of this name, want one%s", len(named), nearest(all, rule))
	}
	d := named[0]
	s := d.source
	if part, ok := stringIn(rule); ok {
		replacement, ok := stringIn(without)
		if !ok {
			return nil, "", fmt.Errorf("a part of a string cannot be replaced by %q", e.without)
		}
		text, err := replaceText(s.text, s.offset(d.node.Pos()), s.offset(d.node.End()), part, replacement)
		return s, text, err
	}
	m := &matcher{pattern: rule, source: s, globals: map[string]bool{}, locals: map[string]bool{}}
	for _, name := range types.Universe.Names() {
		m.globals[name] = true
	}
	for _, d := range all {
		if _, isType := d.node.(*ast.TypeSpec); !isType { // many a local variable has the name of its type
			m.globals[d.name] = true
		}
	}
	addLocals(m.locals, d.node)
	switch found := m.find(d.node); len(found) {
	case 0:
		return nil, "", errors.New("the rule is not there" + nearest(all, rule))
	case 1:
		text, err := e.replace(s, found[0], without, m.locals)
		return s, text, err
	default:
		return nil, "", fmt.Errorf("the rule is there %d times, first in %s and %s", len(found), s.line(found[0].first), s.line(found[1].first))
	}
}

// replace returns the text of a file with another text in place of a match.
func (e edit) replace(s *source, found match, without pattern, locals map[string]bool) (string, error) {
	first, last := found.first, found.last
	if branch, ok := first.(*ast.IfStmt); ok && first == last && (e.without == never || e.without == always) {
		first, last = branch.Cond, branch.Cond
	}
	found.bound.wild[wildOne+"rule"] = s.between(first, last)
	text, err := without.fill(found.bound, locals)
	if err != nil {
		return "", err
	}
	before, after := s.text[:s.offset(first.Pos())], s.text[s.offset(last.End()):]
	if _, ok := first.(ast.Expr); ok && text == "" { // an element or an argument goes with its comma
		rest, hasComma := strings.CutPrefix(strings.TrimLeft(after, " \t\n"), ",")
		if hasComma {
			return before + rest, nil
		}
		return strings.TrimSuffix(strings.TrimRight(before, " \t\n"), ",") + after, nil
	}
	if len(without.nodes) == 1 {
		if _, ok := without.nodes[0].(*ast.BinaryExpr); ok {
			text = "(" + text + ")"
		}
	}
	return before + text + after, nil
}

// stringIn returns the text of a pattern that is one string literal.
func stringIn(p pattern) (string, bool) {
	if len(p.nodes) == 1 {
		if literal, ok := p.nodes[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
			return literal.Value[1 : len(literal.Value)-1], true
		}
	}
	return "", false
}

// nearest says which code of a package is most like a rule.
func nearest(all []declaration, rule pattern) string {
	type candidate struct {
		likeness float64
		text     string
	}
	var candidates []candidate
	for _, d := range all {
		for list := range parts(d.node, len(rule.nodes) == 1) {
			if len(list) == len(rule.nodes) && fmt.Sprintf("%T", list[0]) == fmt.Sprintf("%T", rule.nodes[0]) {
				text := d.source.between(list[0], list[len(list)-1])
				place := fmt.Sprintf("\n\tnear: %s %s: %s", d.source.line(list[0]), d.name, strings.Join(strings.Fields(text), " "))
				candidates = append(candidates, candidate{likeness(text, rule.text), place})
			}
		}
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(b.likeness, a.likeness) })
	var text strings.Builder
	for _, c := range candidates[:min(3, len(candidates))] {
		text.WriteString(c.text)
	}
	return text.String()
}

var word = regexp.MustCompile(`\w+|[^\w\s]`)

// likeness is the share of the words that two texts have in common.
func likeness(a, b string) float64 {
	left, right := word.FindAllString(a, -1), word.FindAllString(b, -1)
	all := len(left) + len(right)
	common := 0
	for _, w := range left {
		if i := slices.Index(right, w); i >= 0 {
			right = slices.Delete(right, i, i+1)
			common++
		}
	}
	return 2 * float64(common) / float64(all)
}
