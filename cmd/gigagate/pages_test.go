package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// repository is the path from this package to the root of the repository.
const repository = "../.."

// block is a fenced block of a page with the directives above it:
//
//	<!-- not run here: reason -->        the block is only shown
//	<!-- shows: regular expression -->   the output must match, with or without spaces in JSON; may be repeated
//	<!-- from: file -->                  the block is a part of that file
//
// The comments around generated parts of a page are not directives.
type block struct {
	line     int
	language string
	text     string
	skipped  bool
	shows    []string
	from     string
}

var (
	directive = regexp.MustCompile(`^<!-- (not run here|shows|from): (.+) -->$`)
	generator = regexp.MustCompile(`^<!-- (generated: |end of |Written by )`)
)

// readBlocks reads the fenced blocks of a page, which is named from the repository's root.
func readBlocks(t *testing.T, page string) []block {
	t.Helper()
	file, err := os.Open(filepath.Join(repository, page))
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
		case strings.HasPrefix(line, "<!--") && !generator.MatchString(line):
			t.Errorf("%s:%d: no such directive: %s", page, number, line)
		case line != "":
			next = block{} // directives stand right above their block
		}
	}
	if err := lines.Err(); err != nil || inside {
		t.Fatalf("%s ends inside a block, or: %v", page, err)
	}
	return blocks
}

// commands returns the blocks of a page that are pasted into a shell.
func commands(t *testing.T, page string) []block {
	t.Helper()
	var run []block
	for _, b := range readBlocks(t, page) {
		if b.language == "sh" && !b.skipped {
			run = append(run, b)
		}
	}
	return run
}

// needTools skips a test if a tool of its page is missing. In CI it fails the test.
func needTools(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatal("the page needs ", tool)
		}
		t.Skip("the page needs ", tool)
	}
}

// session is one shell into which a whole page is pasted.
type session struct {
	folder      string
	environment []string
	instead     *strings.Replacer // replaces what cannot be used as printed: addresses
}

// paste runs every command of a page, in order and in one shell. It checks that each block shows what its
// directives say. Everything that the page leaves running ends with the test.
func (s session) paste(t *testing.T, page string) {
	t.Helper()
	const mark = "=== end of the block at line "
	run := commands(t, page)
	var script strings.Builder
	for _, b := range run {
		script.WriteString(b.text + "echo\necho '" + mark + "'\n")
	}
	build(t) // starts the warden, whose process group always ends with this process
	ctx, cancel := context.WithTimeout(t.Context(), 2*soon)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-eu")
	shell.Dir, shell.Env = s.folder, s.environment
	shell.Stdin = strings.NewReader(s.instead.Replace(script.String()))
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: built.warden.Process.Pid}
	shell.WaitDelay = 5 * time.Second // for programs that the page leaves running
	output, err := shell.CombinedOutput()
	outputs := strings.Split(string(output), mark+"\n")
	if err != nil {
		t.Fatalf("%s:%d: the block failed: %v\n%s\n%s", page, run[min(len(outputs), len(run))-1].line, err,
			outputs[len(outputs)-1], s.logs())
	}
	for i, b := range run {
		b.check(t, page, outputs[i])
	}
}

// logs returns what the programs of the page wrote to their log files.
func (s session) logs() string {
	var text strings.Builder
	names, _ := filepath.Glob(filepath.Join(s.folder, "*.log"))
	for _, name := range names {
		if log, err := os.ReadFile(name); err == nil {
			fmt.Fprintf(&text, "%s:\n%s", filepath.Base(name), log)
		}
	}
	return text.String()
}

// layout matches whitespace in JSON. protojson changes it from build to build.
var layout = regexp.MustCompile(`([,:{\[])\s+(["{\[tfn\d])`)

// check checks the output against the block's directives.
func (b block) check(t *testing.T, page, output string) {
	t.Helper()
	if len(b.shows) == 0 {
		t.Errorf("%s:%d: the block has no directive for its output", page, b.line)
	}
	for _, pattern := range b.shows {
		// The unchanged output is also searched, for text that is not JSON, such as headers.
		shown := regexp.MustCompile("(?m)" + pattern)
		if !shown.MatchString(output) && !shown.MatchString(layout.ReplaceAllString(output, "$1$2")) {
			t.Errorf("%s:%d: no %q in\n%s", page, b.line, pattern, output)
		}
	}
}
