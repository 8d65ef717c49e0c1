package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
)

// module is the code of a module.
type module struct {
	root     string
	mu       sync.Mutex
	packages map[string][]*source // those that were read, by folder
}

func newModule(root string) *module { return &module{root: root, packages: map[string][]*source{}} }

// read returns the files of a package, without its tests.
func (m *module) read(folder string) ([]*source, error) {
	if known, ok := m.packages[folder]; ok {
		return known, nil
	}
	names, err := filepath.Glob(filepath.Join(m.root, folder, "*.go"))
	if err != nil {
		return nil, err
	}
	var read []*source
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		s, err := parseSource(path.Join(folder, filepath.Base(name)), string(text))
		if err != nil {
			return nil, err
		}
		read = append(read, s)
	}
	if len(read) == 0 {
		return nil, fmt.Errorf("there is no package in %s", folder)
	}
	m.packages[folder] = read
	return read, nil
}

// source is one file of Go. Its path is from the module's root.
type source struct {
	path, text string
	file       *ast.File
}

func parseSource(name, text string) (*source, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
	return &source{name, text, file}, err
}

func (s *source) offset(p token.Pos) int { return int(p - s.file.FileStart) }

// between returns the text from the beginning of one node to the end of another.
func (s *source) between(first, last ast.Node) string {
	return s.text[s.offset(first.Pos()):s.offset(last.End())]
}

// line returns where a node is, for a person.
func (s *source) line(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, 1+strings.Count(s.text[:s.offset(n.Pos())], "\n"))
}

// declaration is a function, a method, or one type, variable or constant of a package.
type declaration struct {
	name   string // F, or T.F for a method
	node   ast.Node
	source *source
}

func declarations(files []*source) []declaration {
	var all []declaration
	for _, s := range files {
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				all = append(all, declaration{receiver(d) + d.Name.Name, d, s})
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							all = append(all, declaration{name.Name, spec, s})
						}
					case *ast.TypeSpec:
						all = append(all, declaration{spec.Name.Name, spec, s})
					}
				}
			}
		}
	}
	return all
}

// receiver returns "T." for a method of T or *T, and nothing for a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	of := d.Recv.List[0].Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	switch generic := of.(type) {
	case *ast.IndexExpr:
		of = generic.X
	case *ast.IndexListExpr:
		of = generic.X
	}
	return of.(*ast.Ident).Name + "."
}

// declared returns the declarations that a name can mean: those with this name, or else the methods with this name.
func declared(all []declaration, name string) []declaration {
	var exact, methods []declaration
	for _, d := range all {
		switch {
		case d.name == name:
			exact = append(exact, d)
		case strings.HasSuffix(d.name, "."+name):
			methods = append(methods, d)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return methods
}
