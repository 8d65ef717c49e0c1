// Command protoreference writes docs/reference.md, the contract's reference, and the README's table of
// errors, from proto/ and its comments.
//
// It compiles the files itself, with the descriptors that its own imports link. So it does not need buf.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/reflect/protoregistry"
)

//go:generate go run . -root ../..

//go:embed reference.tmpl
var page string

const output = "docs/reference.md"

// pages are the pages to write. Each function makes the new page from the contract and the old page.
var pages = map[string]func(contract, []byte) ([]byte, error){output: reference, "README.md": withErrors}

// The README's table of errors is between these lines.
const (
	tableStart = "<!-- generated: errors -->\n"
	tableEnd   = "<!-- end of errors -->\n"
)

func main() {
	root := flag.String("root", ".", "the repository's root")
	flag.Parse()
	if err := run(context.Background(), *root); err != nil {
		fmt.Fprintln(os.Stderr, "protoreference:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root string) error {
	files, err := compile(ctx, filepath.Join(root, "proto"))
	if err != nil {
		return fmt.Errorf("compile the contract: %w", err)
	}
	c := describe(files)
	for name, write := range pages {
		name = filepath.Join(root, name)
		old, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		page, err := write(c, old)
		if err == nil {
			err = os.WriteFile(name, page, 0o644) //nolint:gosec // a page for everyone
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// withErrors returns the README with the contract's errors in its table.
func withErrors(c contract, page []byte) ([]byte, error) {
	before, rest, ok1 := strings.Cut(string(page), tableStart)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok1 || !ok2 {
		return nil, errors.New("the lines around the table of errors are missing")
	}
	var table strings.Builder
	table.WriteString("| reason | message | gRPC | REST | effect |\n|---|---|---|---|---|\n")
	for _, a := range c.Answers() {
		fmt.Fprintf(&table, "| `%s` | %s | `%s` | %d | %s |\n", a.Reason, cell(a.Sentence), a.Code, a.Status, a.Effect)
	}
	return []byte(before + tableStart + table.String() + tableEnd + after), nil
}

// reference returns the reference page of the contract. It ignores the old page.
func reference(c contract, _ []byte) ([]byte, error) {
	tmpl, err := template.New(output).Funcs(template.FuncMap{"prose": prose, "cell": cell, "short": short, "anchor": strings.ToLower}).Parse(page)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := tmpl.Execute(&text, c); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// compile compiles the contract's files below folder, sorted by name.
func compile(ctx context.Context, folder string) (linker.Files, error) {
	matches, err := filepath.Glob(filepath.Join(folder, "gigagate", "v1", "*.proto"))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(matches))
	for _, match := range matches {
		name, err := filepath.Rel(folder, match)
		if err != nil {
			return nil, err
		}
		names = append(names, filepath.ToSlash(name))
	}
	slices.Sort(names)
	compiler := protocompile.Compiler{
		SourceInfoMode: protocompile.SourceInfoStandard,
		Resolver: protocompile.CompositeResolver{
			&protocompile.SourceResolver{ImportPaths: []string{folder}},
			protocompile.ResolverFunc(linked),
		},
	}
	return compiler.Compile(ctx, names...)
}

// linked finds a file among those that this program links: the packages of the options, which describe.go imports, and the
// types of Protobuf itself.
func linked(path string) (protocompile.SearchResult, error) {
	file, err := protoregistry.GlobalFiles.FindFileByPath(path)
	return protocompile.SearchResult{Desc: file}, err
}
