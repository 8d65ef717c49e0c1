package main

import (
	"go/ast"
	"path/filepath"
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

// TestTheListSurvivesRenames renames every local name in the code. Every rule is still found.
func TestTheListSurvivesRenames(t *testing.T) {
	t.Parallel()
	code := newModule(filepath.Join("..", ".."))
	for _, s := range sabotages {
		for _, e := range s.edits {
			folder, _ := e.target()
			files, err := code.read(folder)
			if err != nil {
				t.Fatal(err)
			}
			for i, file := range files {
				if !strings.Contains(file.text, renamedMark) {
					if files[i], err = parseSource(file.path, renamed(file)); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if _, err := s.changed(code); err != nil {
			t.Errorf("%q: %v", s.name, err)
		}
	}
}

const renamedMark = "// All local names are different.\n"

// renamed returns the text of a file with other local names.
func renamed(file *source) string {
	var places []int
	for _, d := range declarations([]*source{file}) {
		function, ok := d.node.(*ast.FuncDecl)
		if !ok {
			continue
		}
		locals, all := map[string]bool{}, pattern{names: map[*ast.Ident]bool{}}
		addLocals(locals, function)
		all.addNames(function)
		for id := range all.names {
			if locals[id.Name] && id != function.Name {
				places = append(places, file.offset(id.End()))
			}
		}
	}
	slices.Sort(places)
	text := file.text
	for _, place := range slices.Backward(places) {
		text = text[:place] + "Renamed" + text[place:]
	}
	return renamedMark + text
}
