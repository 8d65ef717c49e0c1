// Command protoreference writes docs/reference.md, the contract's reference, from proto/ and its
// comments.
//
// It compiles the files itself, against the third-party descriptors that its own imports link, so it
// needs neither buf nor anything generated.
package main

import (
	"bytes"
	"context"
	_ "embed"
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

func main() {
	root := flag.String("root", ".", "the repository's root")
	flag.Parse()
	text, err := reference(context.Background(), *root)
	if err == nil {
		err = os.WriteFile(filepath.Join(*root, output), text, 0o644) //nolint:gosec // a page for everyone
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "protoreference:", err)
		os.Exit(1)
	}
}

// reference is the page for the contract below root.
func reference(ctx context.Context, root string) ([]byte, error) {
	files, err := compile(ctx, filepath.Join(root, "proto"))
	if err != nil {
		return nil, fmt.Errorf("compile the contract: %w", err)
	}
	tmpl, err := template.New(output).Funcs(template.FuncMap{"prose": prose, "cell": cell, "short": short, "anchor": strings.ToLower}).Parse(page)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := tmpl.Execute(&text, describe(files)); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// compile compiles the contract's files below folder, in the order of their names.
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

// linked finds what this program links: the packages that describe.go imports for their options,
// and the types of Protobuf itself.
func linked(path string) (protocompile.SearchResult, error) {
	file, err := protoregistry.GlobalFiles.FindFileByPath(path)
	return protocompile.SearchResult{Desc: file}, err
}
