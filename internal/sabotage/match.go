package main

import (
	"go/ast"
	"go/token"
	"iter"
	"maps"
	"reflect"
	"strings"
)

// match is a place in the code that a pattern matches.
type match struct {
	first, last ast.Node
	bound       bindings
}

// matcher compares a pattern with the code of one declaration. It compares syntax trees, so white space, comments and
// superfluous parentheses do not matter. A local name of the pattern matches any local name of the code, but the same
// one everywhere.
type matcher struct {
	pattern pattern
	source  *source
	globals map[string]bool // names of the package and of the language: a local name of the pattern is not one of them
	locals  map[string]bool // local names of the declaration
	bound   bindings
}

// find returns all matches in a declaration.
func (m *matcher) find(root ast.Node) []match {
	var found []match
	for list := range parts(root, len(m.pattern.nodes) == 1) {
		m.bound = bindings{map[string]string{}, map[string]string{}}
		again := len(found) > 0 && found[len(found)-1].first == list[0] // a wildcard at the end takes as little as it can
		if !again && m.lists(reflect.ValueOf(m.pattern.nodes), reflect.ValueOf(list)) {
			found = append(found, match{list[0], list[len(list)-1], m.bound})
		}
	}
	return found
}

// parts returns every node of a tree, or every part of a list of statements, cases, elements or arguments.
func parts(root ast.Node, single bool) iter.Seq[[]ast.Node] {
	return func(yield func([]ast.Node) bool) {
		ast.Inspect(root, func(n ast.Node) bool {
			var list []ast.Node
			switch n := n.(type) {
			case nil, *ast.ParenExpr:
				return true
			case *ast.BlockStmt:
				list = nodes(n.List)
			case *ast.CaseClause:
				list = nodes(n.Body)
			case *ast.CommClause:
				list = nodes(n.Body)
			case *ast.CompositeLit:
				list = nodes(n.Elts)
			case *ast.CallExpr:
				list = nodes(n.Args)
			}
			if single {
				return yield([]ast.Node{n})
			}
			for start := range list {
				for end := start + 1; end <= len(list); end++ {
					yield(list[start:end])
				}
			}
			return true
		})
	}
}

// lists compares two slices. A wildcard $*x takes any number of elements.
func (m *matcher) lists(p, code reflect.Value) bool {
	if p.Len() == 0 {
		return code.Len() == 0
	}
	rest := p.Slice(1, p.Len())
	if name := wildcardIn(p.Index(0)); strings.HasPrefix(name, wildMany) {
		for n := range code.Len() + 1 {
			before := bindings{maps.Clone(m.bound.names), maps.Clone(m.bound.wild)}
			if m.bindWild(name, code.Slice(0, n)) && m.lists(rest, code.Slice(n, code.Len())) {
				return true
			}
			m.bound = before
		}
		return false
	}
	return code.Len() > 0 && m.values(p.Index(0), code.Index(0)) && m.lists(rest, code.Slice(1, code.Len()))
}

// values compares two parts of syntax trees.
func (m *matcher) values(p, code reflect.Value) bool {
	p, code = plain(p), plain(code)
	if !p.IsValid() || !code.IsValid() {
		return p.IsValid() == code.IsValid()
	}
	if name := wildcardIn(p); strings.HasPrefix(name, wildOne) {
		return m.bindWild(name, reflect.ValueOf([]any{code.Interface()}))
	}
	if p.Type() != code.Type() {
		return false
	}
	switch value := p.Interface().(type) {
	case *ast.Ident:
		return m.names(value, code.Interface().(*ast.Ident).Name)
	case token.Pos: // f(x...) has one that f(x) has not
		return p.IsZero() == code.IsZero()
	}
	switch p.Kind() {
	case reflect.Pointer:
		return m.values(p.Elem(), code.Elem())
	case reflect.Slice:
		return m.lists(p, code)
	case reflect.Struct:
		for i := range p.NumField() {
			if !m.values(p.Field(i), code.Field(i)) {
				return false
			}
		}
		return true
	default:
		return p.Interface() == code.Interface()
	}
}

// names compares two identifiers.
func (m *matcher) names(p *ast.Ident, code string) bool {
	isLocal := m.pattern.names[p] && p.Name != "_" && m.locals[code]
	if !isLocal || m.globals[p.Name] && p.Name != code {
		return p.Name == code
	}
	if bound, ok := m.bound.names[p.Name]; ok {
		return bound == code
	}
	for _, taken := range m.bound.names {
		if taken == code {
			return false
		}
	}
	m.bound.names[p.Name] = code
	return true
}

// bindWild binds a wildcard to the text of some nodes. A second use of it has to match the same text.
func (m *matcher) bindWild(name string, list reflect.Value) bool {
	text := ""
	if n := list.Len(); n > 0 {
		text = m.source.between(list.Index(0).Interface().(ast.Node), list.Index(n-1).Interface().(ast.Node))
	}
	if bound, ok := m.bound.wild[name]; ok {
		return bound == text
	}
	if name != wildOne+"_" && name != wildMany+"_" {
		m.bound.wild[name] = text
	}
	return true
}

// plain unwraps interfaces and parentheses. It is invalid if nothing is in them.
func plain(v reflect.Value) reflect.Value {
	for v.IsValid() && v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if !v.IsValid() || v.Kind() != reflect.Pointer {
		return v
	}
	if v.IsNil() {
		return reflect.Value{}
	}
	if paren, ok := reflect.TypeAssert[*ast.ParenExpr](v); ok {
		return plain(reflect.ValueOf(paren.X))
	}
	return v
}

// wildcardIn returns the identifier of the wildcard that v consists of, or nothing.
func wildcardIn(v reflect.Value) string {
	v = plain(v)
	if !v.IsValid() {
		return ""
	}
	switch node := v.Interface().(type) {
	case *ast.ExprStmt:
		return wildcardIn(reflect.ValueOf(node.X))
	case *ast.Ident:
		if strings.HasPrefix(node.Name, "wildcard") {
			return node.Name
		}
	}
	return ""
}
