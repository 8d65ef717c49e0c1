package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
)

// pattern is a piece of Go: an expression, statements, cases of a switch, or elements of a composite literal. It may
// contain wildcards. $x stands for one expression or statement, and $*x for any number of them. A replacement can use
// them, except for $_ and $*_.
type pattern struct {
	text  string // each wildcard is an identifier here, so that the text is Go
	start token.Pos
	nodes []ast.Node
	// names are the wildcards and the identifiers that may be local names. Names of fields and methods are not in it.
	names map[*ast.Ident]bool
}

const (
	wildOne  = "wildcardOne_"
	wildMany = "wildcardMany_"
)

var wildcard = regexp.MustCompile(`\$(\*?)([A-Za-z_]\w*)`)

// forms are files that a pattern can be a part of, and how to find it there. A list of elements can be one expression.
var forms = []struct {
	before, after string
	find          func(ast.Decl) []ast.Node
}{
	{"package p; var _ = x{", "}", func(d ast.Decl) []ast.Node {
		return nodes(d.(*ast.GenDecl).Specs[0].(*ast.ValueSpec).Values[0].(*ast.CompositeLit).Elts)
	}},
	{"package p; func _() { switch {", "\n}}", func(d ast.Decl) []ast.Node {
		return nodes(d.(*ast.FuncDecl).Body.List[0].(*ast.SwitchStmt).Body.List)
	}},
	{"package p; func _() {", "\n}", func(d ast.Decl) []ast.Node {
		return nodes(d.(*ast.FuncDecl).Body.List)
	}},
}

func parsePattern(text string) (pattern, error) {
	text = strings.TrimSpace(wildcard.ReplaceAllStringFunc(text, func(w string) string {
		if name, isMany := strings.CutPrefix(w, "$*"); isMany {
			return wildMany + name
		}
		return wildOne + w[len("$"):]
	}))
	var err error
	for _, form := range forms {
		var file *ast.File
		file, err = parser.ParseFile(token.NewFileSet(), "", form.before+text+form.after, parser.SkipObjectResolution)
		if err != nil {
			continue
		}
		p := pattern{text, file.FileStart + token.Pos(len(form.before)), form.find(file.Decls[0]), map[*ast.Ident]bool{}}
		for _, n := range p.nodes {
			p.addNames(n)
		}
		return p, nil
	}
	return pattern{}, fmt.Errorf("neither an expression, nor elements, cases or statements: %q: %w", text, err)
}

func (p pattern) addNames(root ast.Node) {
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			p.names[n] = true
		case *ast.SelectorExpr:
			p.addNames(n.X)
			return false
		case *ast.KeyValueExpr:
			if _, isField := n.Key.(*ast.Ident); !isField {
				p.addNames(n.Key)
			}
			p.addNames(n.Value)
			return false
		}
		return true
	})
}

func nodes[N ast.Node](list []N) []ast.Node {
	all := make([]ast.Node, len(list))
	for i, n := range list {
		all[i] = n
	}
	return all
}

// bindings say what the local names and the wildcards of a rule stand for in the code.
type bindings struct {
	names map[string]string // by the name in the rule
	wild  map[string]string // texts, by the wildcard's identifier
}

// fill returns the text of a replacement, with the names and texts of the code. locals are the local names of the
// function. A replacement must not use one that the rule does not contain, because a rename would break it.
func (p pattern) fill(b bindings, locals map[string]bool) (string, error) {
	own := map[string]bool{}
	for _, n := range p.nodes {
		addLocals(own, n)
	}
	var text strings.Builder
	var err error
	done := 0
	for _, n := range p.nodes {
		ast.Inspect(n, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok || !p.names[id] {
				return true
			}
			value, bound := b.names[id.Name]
			if text, isWild := b.wild[id.Name]; isWild {
				value, bound = text, true
			}
			switch name, isWild := strings.CutPrefix(id.Name, "wildcard"); {
			case bound:
				text.WriteString(p.text[done:id.Pos()-p.start] + value)
				done = int(id.End() - p.start)
			case isWild:
				err = fmt.Errorf("the rule does not contain the wildcard %s", name[strings.Index(name, "_")+1:])
			case locals[id.Name] && !own[id.Name]:
				err = fmt.Errorf("the replacement uses the local name %s, and the rule does not contain it", id.Name)
			}
			return true
		})
	}
	return text.String() + p.text[done:], err
}

// addLocals adds the names that a function or a statement declares.
func addLocals(names map[string]bool, root ast.Node) {
	add := func(declared ...ast.Expr) {
		for _, e := range declared {
			if id, ok := e.(*ast.Ident); ok && id.Name != "_" {
				names[id.Name] = true
			}
		}
	}
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field: // a receiver, a parameter or a result
			for _, name := range n.Names {
				add(name)
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				add(n.Lhs...)
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				add(n.Key, n.Value)
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				if n != root {
					add(name)
				}
			}
		case *ast.StructType, *ast.InterfaceType:
			return false
		}
		return true
	})
}
