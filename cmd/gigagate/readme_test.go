package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readme is the file whose examples must work as pasted.
const readme = "../../README.md"

// block is a fenced block of the README with the directives above it:
//
//	<!-- not run here: reason -->        the block is only shown
//	<!-- shows: regular expression -->   its output, with or without the layout of JSON, matches; may be repeated
//	<!-- from: file -->                  it is a part of that file
type block struct {
	line     int
	language string
	text     string
	skipped  bool
	shows    []string
	from     string
}

// layout is the space inside JSON that means nothing; protojson's differs from build to build.
var layout = regexp.MustCompile(`([,:{\[])\s+(["{\[tfn\d])`)

var directive = regexp.MustCompile(`^<!-- (not run here|shows|from): (.+) -->$`)

func readBlocks(t *testing.T) []block {
	t.Helper()
	file, err := os.Open(readme)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var (
		blocks []block
		next   block
		inside bool
	)
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		name, value := "", ""
		if match := directive.FindStringSubmatch(line); len(match) == 3 {
			name, value = match[1], match[2]
		}
		switch {
		case strings.HasPrefix(line, "```") && inside:
			blocks, next, inside = append(blocks, next), block{}, false
		case strings.HasPrefix(line, "```"):
			next.line, next.language, inside = number, strings.TrimPrefix(line, "```"), true
		case inside:
			next.text += line + "\n"
		case name == "not run here":
			next.skipped = true
		case name == "shows":
			next.shows = append(next.shows, value)
		case name == "from":
			next.from = value
		case strings.HasPrefix(line, "<!--"):
			t.Errorf("README.md:%d: no such directive: %s", number, line)
		case line != "":
			next = block{} // directives stand right above their block
		}
	}
	if err := lines.Err(); err != nil || inside {
		t.Fatalf("README.md ends inside a block, or: %v", err)
	}
	return blocks
}

// TestReadmeWorksAsPasted runs every shell block of the README, in order and in one shell, against
// a running gateway, and looks for what the block is said to show.
func TestReadmeWorksAsPasted(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds programs")
	}
	for _, tool := range []string{"sh", "curl", "go"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("the README's examples need ", tool)
		}
	}
	g := startGateway(t)
	const mark = "=== end of the block at line "
	var script strings.Builder
	var run []block
	for _, b := range readBlocks(t) {
		if b.language != "sh" || b.skipped {
			continue
		}
		run = append(run, b)
		script.WriteString(b.text + "echo\necho '" + mark + "'\n")
	}
	// The ports are the only thing that differs from what is pasted.
	text := strings.NewReplacer("127.0.0.1:8080", g.rest, "127.0.0.1:8089", g.sandbox).Replace(script.String())
	shell := exec.CommandContext(t.Context(), "sh", "-eu")
	shell.Dir = filepath.Dir(readme)
	shell.Stdin = strings.NewReader(text)
	shell.Env = append(os.Environ(), "GIGAGATE_ADDRESS="+g.grpc, "TMPDIR="+t.TempDir())
	output, err := shell.CombinedOutput()
	outputs := strings.Split(string(output), mark+"\n")
	if err != nil {
		t.Fatalf("the block at line %d failed: %v\n%s", run[min(len(outputs), len(run))-1].line, err, outputs[len(outputs)-1])
	}
	for i, b := range run {
		if len(b.shows) == 0 {
			t.Errorf("README.md:%d: nothing is said of what the block shows", b.line)
		}
		for _, pattern := range b.shows {
			// As it stands for what is no JSON, such as headers.
			shown := regexp.MustCompile(pattern)
			if !shown.MatchString(outputs[i]) && !shown.MatchString(layout.ReplaceAllString(outputs[i], "$1$2")) {
				t.Errorf("README.md:%d: no %q in\n%s", b.line, pattern, outputs[i])
			}
		}
	}
}

// TestReadmeQuotesWhatIsThere compares quoted source with its file.
func TestReadmeQuotesWhatIsThere(t *testing.T) {
	t.Parallel()
	for _, b := range readBlocks(t) {
		if b.language == "go" && b.from == "" {
			t.Errorf("README.md:%d: Go code that no compiler sees", b.line)
		}
		if b.from == "" {
			continue
		}
		source, err := os.ReadFile(filepath.Join(filepath.Dir(readme), b.from))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(source), b.text) {
			t.Errorf("README.md:%d is not what %s says", b.line, b.from)
		}
	}
}

// TestReadmeNamesEveryFlag keeps the tables of settings complete and their defaults true.
func TestReadmeNamesEveryFlag(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"serve", "sandbox", "inventory"} {
		help := gigagate(t, name, "--help")
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
