package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// language is the client program of a language, and how to build and run it. In a command, {work} is replaced by a
// temporary folder, which is removed at the end.
type language struct {
	name    string
	tools   []string   // programs that must be in PATH
	folder  string     // where the commands run, from the repository's root
	prepare [][]string // commands that build the client program
	program []string   // the command that runs it; the gateway's address is appended
	rest    bool       // whether that address is the base URL of REST instead of the address of gRPC
}

// languages are all languages that the contract has stubs for, and plain HTTP. The others are compared with the first one
// that runs.
var languages = []language{
	{
		name:    "go",
		tools:   []string{"go"},
		folder:  "internal/scenarios",
		prepare: [][]string{{"go", "build", "-o", "{work}/clientgo", "./clientgo"}},
		program: []string{"{work}/clientgo"},
	},
	{
		name:    "http",
		tools:   []string{"go"},
		folder:  "internal/scenarios",
		prepare: [][]string{{"go", "build", "-o", "{work}/clienthttp", "./clienthttp"}},
		program: []string{"{work}/clienthttp"},
		rest:    true,
	},
	{
		name:    "typescript",
		tools:   []string{"node", "npm"},
		folder:  "clients/typescript",
		prepare: [][]string{{"npm", "ci", "--no-audit", "--no-fund"}},
		program: []string{"node", "test/scenario-client.mjs"},
	},
	{
		name:    "python",
		tools:   []string{"python3", "make"},
		folder:  "clients/python",
		prepare: [][]string{{"make", "venv"}},
		program: []string{".venv/bin/python", "tests/scenario_client.py"},
	},
	{
		name:    "java",
		tools:   []string{"java", "mvn"},
		folder:  "clients/java",
		prepare: [][]string{{"mvn", "--quiet", "--batch-mode", "test-compile", "dependency:copy-dependencies"}},
		program: []string{"java", "-classpath", "target/test-classes:target/classes:target/dependency/*", "com.gigagate.scenario.ScenarioClient"},
	},
	{
		name:    "rust",
		tools:   []string{"cargo"},
		folder:  "clients/rust",
		prepare: [][]string{{"cargo", "build", "--quiet", "--locked", "--example", "scenario"}},
		program: []string{"target/debug/examples/scenario"},
	},
}

// missing names what this machine does not have for a language. It is empty if nothing is missing.
func (l language) missing(root string) string {
	for _, tool := range l.tools {
		if _, err := exec.LookPath(tool); err != nil {
			return tool + " is not in PATH"
		}
	}
	if _, err := os.Stat(filepath.Join(root, l.folder)); err != nil {
		return "there is no " + l.folder
	}
	return ""
}

// build builds the client program.
func (l language) build(ctx context.Context, root, work string) error {
	for _, line := range l.prepare {
		if err := execute(ctx, filepath.Join(root, l.folder), in(work, line)); err != nil {
			return err
		}
	}
	return nil
}

// start starts the client program with an environment.
func (l language) start(ctx context.Context, s stage, g *gateway, environment []string) (*program, error) {
	address := g.grpc
	if l.rest {
		address = g.rest
	}
	return startProgram(ctx, filepath.Join(s.root, l.folder), in(s.work, l.program), address, environment)
}

// in replaces {work} in a command by the folder work.
func in(work string, line []string) []string {
	filled := make([]string, len(line))
	for i, word := range line {
		filled[i] = strings.ReplaceAll(word, "{work}", work)
	}
	return filled
}

// execute runs a command. If it fails, the error contains the command's output.
func execute(ctx context.Context, folder string, line []string) error {
	command := exec.CommandContext(ctx, line[0], line[1:]...) //nolint:gosec // the table of languages
	command.Dir = folder
	if text, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(line, " "), err, text)
	}
	return nil
}
