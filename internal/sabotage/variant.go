package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
)

// variant is what a sabotage makes of one function. Many variants can be in one build beside the original functions. A number
// in the environment chooses the sabotage whose variants run.
type variant struct {
	sabotage int    // number of the sabotage
	file     string // from the module's root
	function int    // index among the functions of the file
	body     string
}

const (
	// numberVariable is the environment variable that chooses a sabotage. Its name does not begin with GIGAGATE_, so it is not
	// one of the gateway's own.
	numberVariable = "SABOTAGE"
	// unchanged is the number that no sabotage has. Then unchanged copies run in place of all functions that have variants.
	unchanged = 0
)

// variants returns what a sabotage makes of the code, and why that cannot be in one build with other sabotages.
func (s sabotage) variants(code *module, number int) (list []variant, reason string, err error) {
	changed, err := s.changed(code)
	if err != nil {
		return nil, "", err
	}
	for _, file := range slices.Sorted(maps.Keys(changed)) {
		if path.Ext(file) != ".go" {
			return nil, "it changes a file that is not Go", nil
		}
		before, err := code.readFile(file)
		if err != nil {
			return nil, "", err
		}
		after, err := parseSource(file, changed[file])
		if err != nil {
			return nil, "", err
		}
		if before.withoutBodies() != after.withoutBodies() {
			return nil, "it changes code outside of functions", nil
		}
		functions := before.functions()
		for i, f := range after.functions() {
			body := after.between(f.Body, f.Body)
			if body != before.between(functions[i].Body, functions[i].Body) {
				list = append(list, variant{number, file, i, body})
			}
		}
	}
	return list, "", nil
}

// readFile returns a file of Go.
func (m *module) readFile(file string) (*source, error) {
	files, err := m.read(path.Dir(file))
	if err != nil {
		return nil, err
	}
	for _, s := range files {
		if s.path == file {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%s is not a file of its package", file)
}

// functions returns the functions and methods of a file.
func (s *source) functions() []*ast.FuncDecl {
	var all []*ast.FuncDecl
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
			all = append(all, f)
		}
	}
	return all
}

// withoutBodies returns the text of a file without the bodies of its functions.
func (s *source) withoutBodies() string {
	var text strings.Builder
	done := 0
	for _, f := range s.functions() {
		text.WriteString(s.text[done:s.offset(f.Body.Pos())])
		done = s.offset(f.Body.End())
	}
	return text.String() + s.text[done:]
}

// withVariants returns the text of a file with variants of its functions. Each variant is a function of its own at the end of
// the file. The original function calls it when its sabotage is chosen. The lines of the original stay where they are.
func (s *source) withVariants(list []variant) string {
	var text, copies strings.Builder
	done := 0
	for i, f := range s.functions() {
		own := slices.DeleteFunc(slices.Clone(list), func(v variant) bool { return v.function != i })
		if len(own) == 0 {
			continue
		}
		own = append(own, variant{unchanged, s.path, i, s.between(f.Body, f.Body)})
		arguments := s.nameArguments(f, func(from, to token.Pos, name string) {
			text.WriteString(s.text[done:s.offset(from)] + name)
			done = s.offset(to)
		})
		text.WriteString(s.text[done:s.offset(f.Body.Lbrace+1)])
		done = s.offset(f.Body.Lbrace + 1)
		for _, v := range own {
			text.WriteString(v.call(f, arguments))
			copies.WriteString(s.copyOf(f, v))
		}
	}
	return text.String() + s.text[done:] + copies.String()
}

// nameArguments returns the names of a function's receiver and parameters. It gives a name to those that have none, and tells
// where each new name stands in the code.
func (s *source) nameArguments(f *ast.FuncDecl, insert func(from, to token.Pos, name string)) []string {
	var names []string
	fields := f.Type.Params.List
	if f.Recv != nil {
		fields = append(slices.Clone(f.Recv.List), fields...)
	}
	for _, field := range fields {
		if field.Names == nil {
			names = append(names, fmt.Sprintf("sabotaged%d", len(names)))
			insert(field.Type.Pos(), field.Type.Pos(), names[len(names)-1]+" ")
		}
		for _, name := range field.Names {
			names = append(names, name.Name)
			if name.Name == "_" {
				names[len(names)-1] = fmt.Sprintf("sabotaged%d", len(names))
				insert(name.Pos(), name.End(), names[len(names)-1])
			}
		}
		if _, isVariadic := field.Type.(*ast.Ellipsis); isVariadic {
			names[len(names)-1] += "..."
		}
	}
	return names
}

// name is the name of the function that is the variant of f. It is not exported, so reflection does not list it as a method.
func (v variant) name(f *ast.FuncDecl) string {
	return fmt.Sprintf("sabotage%d_%s", v.sabotage, f.Name.Name)
}

// call returns the statement that runs the variant in place of f.
func (v variant) call(f *ast.FuncDecl, arguments []string) string {
	name := v.name(f)
	if f.Recv != nil {
		name, arguments = arguments[0]+"."+name, arguments[1:]
	}
	if f.Type.TypeParams != nil {
		var types []string
		for _, field := range f.Type.TypeParams.List {
			for _, name := range field.Names {
				types = append(types, name.Name)
			}
		}
		name += "[" + strings.Join(types, ", ") + "]"
	}
	call := name + "(" + strings.Join(arguments, ", ") + ")"
	if f.Type.Results == nil {
		call += "; return"
	} else {
		call = "return " + call
	}
	return fmt.Sprintf(" if sabotageOn == %d { %s };", v.sabotage, call)
}

// copyOf returns the function that is the variant of f, with its directives. The compiler tells its mistakes under the name of
// the sabotage.
func (s *source) copyOf(f *ast.FuncDecl, v variant) string {
	before := strings.SplitAfter(s.text[:s.offset(f.Pos())], "\n")
	comment := len(before) - 1
	for comment > 0 && strings.HasPrefix(before[comment-1], "//") {
		comment--
	}
	return fmt.Sprintf("\n//line sabotage%d.go:1\n%s%s%s%s%s\n", v.sabotage, strings.Join(before[comment:], ""),
		s.text[s.offset(f.Pos()):s.offset(f.Name.Pos())], v.name(f), s.text[s.offset(f.Name.End()):s.offset(f.Body.Pos())], v.body)
}

// numberFile returns the file that reads the number of the chosen sabotage. It must be the first file of its package, because Go
// initializes variables in this order. So functions with variants know the number even if variables get their values from them.
func numberFile(pkg string) string {
	return fmt.Sprintf(`package %s

import (
	"os"
	"strconv"
)

var sabotageOn = func() int {
	number, err := strconv.Atoi(os.Getenv(%q))
	if err != nil {
		return -1
	}
	return number
}()
`, pkg, numberVariable)
}
