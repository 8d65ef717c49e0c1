package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const readme = "README.md"

// TestReadmeWorksAsPasted runs every shell block of the README against a running gateway, in order and in one
// shell. It checks that each block shows what its directives say.
func TestReadmeWorksAsPasted(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds programs")
	}
	needTools(t, "sh", "curl", "go", "openssl")
	g, loopback := startGateway(t), ownLoopback(t, 100) // a number that no page of docs/ has
	session{
		folder:      repository,
		environment: append(os.Environ(), "GIGAGATE_ADDRESS="+g.grpc, "GIGAGATE_SANDBOX_ADDRESS="+g.sandbox, "TMPDIR="+t.TempDir()),
		// The ports are the only thing that differs from what is pasted.
		instead: strings.NewReplacer("127.0.0.1:8080", g.rest, "127.0.0.1:8089", g.sandbox, "IP:127.0.0.1", "IP:"+loopback,
			"127.0.0.1:9190", loopback+":9190", "127.0.0.1:8180", loopback+":8180", "127.0.0.1:9564", loopback+":9564",
			"127.0.0.1:8189", loopback+":8189"),
	}.paste(t, readme)
}

// TestReadmeQuotesWhatIsThere compares quoted source with its file, in the README, in those of the clients, and in docs/deploy.md.
func TestReadmeQuotesWhatIsThere(t *testing.T) {
	t.Parallel()
	pages, err := fs.Glob(os.DirFS(repository), "clients/*/README.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for _, page := range append(pages, readme, "docs/deploy.md") {
		for _, b := range readBlocks(t, page) {
			if b.language == "go" && b.from == "" {
				t.Errorf("%s:%d: Go code that is not compiled", page, b.line)
			}
			if b.from == "" {
				continue
			}
			source, err := os.ReadFile(filepath.Join(repository, b.from))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(source), b.text) {
				t.Errorf("%s:%d differs from %s", page, b.line, b.from)
			}
		}
	}
}

// TestReadmeNamesEveryFlag checks that the tables of settings are complete and their defaults are right.
func TestReadmeNamesEveryFlag(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(repository, readme))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"serve", "sandbox serve", "sandbox ledger", "inventory"} {
		help := gigagate(t, append(strings.Fields(name), "--help")...)
		for _, match := range regexp.MustCompile(`(?m)^ +(?:-h, )?--([a-z-]+)`).FindAllStringSubmatch(help.out, -1) {
			if match[1] != "help" && !strings.Contains(string(text), "`--"+match[1]+"`") {
				t.Errorf("the README does not have --%s of %s", match[1], name)
			}
		}
		for _, match := range regexp.MustCompile(`(?s)--([a-z-]+)=\S+[^-]*?\(default\s+([^\s)]+)\)`).FindAllStringSubmatch(help.out, -1) {
			row := regexp.MustCompile(`(?m)^\| .*` + "`--" + match[1] + "`" + `.*\|$`).FindString(string(text))
			if !strings.Contains(row, "`"+match[2]+"`") {
				t.Errorf("the README's row of --%s does not have its default %s: %q", match[1], match[2], row)
			}
		}
	}
}
