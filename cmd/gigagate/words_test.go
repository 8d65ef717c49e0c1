package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// problemsLogged returns the messages of all warnings and errors in the gateway's own code. A message must be a literal,
// so that the page can have it.
func problemsLogged(t *testing.T) (messages []string) {
	t.Helper()
	for _, file := range files(t, ".go") {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "clients/") || strings.HasPrefix(file, "gen/") {
			continue
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, filepath.Join(repository, file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			message, problem := loggedBy(call)
			if !problem {
				return true
			}
			literal, ok := message.(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: the message of a log line is not a literal", set.Position(call.Pos()))
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			messages = append(messages, text)
			return true
		})
	}
	return messages
}

// loggedBy returns the message of a call that logs a warning or an error, or may log one.
func loggedBy(call *ast.CallExpr) (message ast.Expr, problem bool) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !isLogger(method.X) {
		return nil, false
	}
	at := -1
	switch method.Sel.Name {
	case "Warn", "Error":
		at = 0
	case "WarnContext", "ErrorContext":
		at = 1
	case "Log", "LogAttrs":
		level, ok := call.Args[1].(*ast.SelectorExpr)
		if !ok || level.Sel.Name != "LevelInfo" && level.Sel.Name != "LevelDebug" {
			at = 2
		}
	}
	if at < 0 || at >= len(call.Args) {
		return nil, false
	}
	return call.Args[at], true
}

// isLogger reports whether an expression is the package slog, or ends with a name such as logger.
func isLogger(expression ast.Expr) bool {
	name := ""
	switch e := expression.(type) {
	case *ast.Ident:
		name = e.Name
	case *ast.SelectorExpr:
		name = e.Sel.Name
	case *ast.CallExpr: // the default logger of slog
		if method, ok := e.Fun.(*ast.SelectorExpr); ok {
			return isLogger(method.X)
		}
	}
	return name == "slog" || strings.HasSuffix(strings.ToLower(name), "logger")
}
