package main

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTheListFitsTheCode checks that every rule is in the code exactly once. It does not check that a test fails without
// the rule. The command does that, and takes minutes.
func TestTheListFitsTheCode(t *testing.T) {
	t.Parallel()
	code := newModule(filepath.Join("..", ".."))
	names := map[string]bool{}
	for _, s := range sabotages {
		changed, err := s.changed(code)
		if err != nil {
			t.Errorf("%q: %v", s.name, err)
			continue
		}
		if len(changed) == 0 || names[s.name] || s.test == "" || s.pkg == "" {
			t.Errorf("%q: edits in %d files, name used before: %t, test %q in %q", s.name, len(changed), names[s.name], s.test, s.pkg)
		}
		names[s.name] = true
	}
	if len(sabotages) < 25 {
		t.Errorf("only %d sabotages", len(sabotages))
	}
}

// TestSecurityPageNamesGuards: every threat in SECURITY.md names a test that fails when a defence is removed, unless the page
// says that no single rule can be removed. The page has no other threats without a test.
func TestSecurityPageNamesGuards(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(page), "\n## Threats and defences\n")
	tables, _, _ = strings.Cut(tables, "\n## ")
	guards := map[string]bool{}
	for _, s := range sabotages {
		for test := range strings.SplitSeq(s.test, "|") {
			test, _, _ = strings.Cut(strings.Trim(test, "^$"), "/")
			guards[test] = true
		}
	}
	threats := 0
	for _, row := range regexp.MustCompile(`(?m)^\| (.+) \| .+ \| (.+) \|$`).FindAllStringSubmatch(tables, -1) {
		threat, tests := row[1], regexp.MustCompile("`((?:Test|Fuzz)\\w+|\\.ci/\\w+)`(¹?)").FindAllStringSubmatch(row[2], -1)
		if threat == "threat" {
			continue
		}
		threats++
		if len(tests) == 0 {
			t.Errorf("no test stands against: %s", threat)
		}
		for _, test := range tests {
			name, noSingleGuard := test[1], test[2] != "" || strings.HasPrefix(test[1], ".ci/")
			guarded := guards[name]
			if guarded == noSingleGuard {
				t.Errorf("%s: %s is the test of a sabotage: %t, the page says: %t", threat, name, guarded, !noSingleGuard)
			}
		}
	}
	if threats < 40 {
		t.Errorf("only %d threats", threats)
	}
}

// TestTheListSurvivesRefactoring renames every local name in the code, breaks every condition into lines, and moves all
// declarations. Every rule is still found.
func TestTheListSurvivesRefactoring(t *testing.T) {
	t.Parallel()
	code := newModule(filepath.Join("..", ".."))
	refactored := map[string]bool{}
	for _, s := range sabotages {
		for _, e := range s.edits {
			folder, _ := e.target()
			if refactored[folder] || e.namesFile() {
				continue
			}
			files, err := code.read(folder)
			if err != nil {
				t.Fatal(err)
			}
			file, err := parseSource(folder+"/refactored.go", refactor(files))
			if err != nil {
				t.Fatal(err)
			}
			code.packages[folder], refactored[folder] = []*source{file}, true
		}
		if _, err := s.changed(code); err != nil {
			t.Errorf("%q: %v", s.name, err)
		}
	}
}

// refactor returns the text of a package as one file, with its declarations in the opposite order.
func refactor(files []*source) string {
	text := ""
	for _, file := range files {
		for _, d := range file.file.Decls {
			if list, ok := d.(*ast.GenDecl); !ok || list.Tok != token.IMPORT {
				text = refactorDeclaration(file, d) + "\n" + text
			}
		}
	}
	return "package refactored\n" + text
}

// refactorDeclaration returns the text of a declaration with other local names, and with line breaks after operators.
func refactorDeclaration(file *source, d ast.Decl) string {
	insert := map[token.Pos]string{}
	ast.Inspect(d, func(n ast.Node) bool {
		if operation, ok := n.(*ast.BinaryExpr); ok {
			insert[operation.OpPos+token.Pos(len(operation.Op.String()))] = "\n"
		}
		return true
	})
	if function, ok := d.(*ast.FuncDecl); ok {
		locals, p := map[string]bool{}, pattern{names: map[*ast.Ident]bool{}}
		addLocals(locals, function)
		p.addNames(function)
		for name := range p.names {
			if locals[name.Name] && name != function.Name {
				insert[name.End()] = "Renamed"
			}
		}
	}
	text := file.between(d, d)
	for _, place := range slices.Backward(slices.Sorted(maps.Keys(insert))) {
		text = text[:place-d.Pos()] + insert[place] + text[place-d.Pos():]
	}
	return text
}
