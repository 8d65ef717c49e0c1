// Command sabotage checks that tests protect the safety rules. These rules prevent double purchases, wrong answers and
// leaked secrets. The command removes one rule at a time and expects a test to fail. It does not touch the working
// tree: it passes the changed files to go test with -overlay. Run it from anywhere in the module:
//
//	go run ./internal/sabotage            all sabotages
//	go run ./internal/sabotage witness    only those whose name contains "witness"
//
// It exits with status 1 if no test fails for a removed rule, or if the text of a rule is not in its file exactly once.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	wanted := ""
	if len(os.Args) > 1 {
		wanted = os.Args[1]
	}
	if err := run(ctx, wanted); err != nil {
		fmt.Fprintln(os.Stderr, "sabotage:", err)
		os.Exit(1) //nolint:gocritic // the process ends, so stop need not run
	}
}

// run tries every sabotage whose name contains wanted. It returns an error if one is missed.
func run(ctx context.Context, wanted string) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	caught, missed := 0, 0
	for _, s := range sabotages {
		if !strings.Contains(s.name, wanted) {
			continue
		}
		began := time.Now()
		result, err := s.try(ctx, root)
		if err != nil {
			return err
		}
		if result == "caught" {
			caught++
		} else {
			missed++
		}
		fmt.Fprintf(os.Stdout, "%-7s %5.1fs  %s\n", result, time.Since(began).Seconds(), s.name)
	}
	fmt.Fprintf(os.Stdout, "%d caught, %d missed\n", caught, missed)
	if missed > 0 {
		return errors.New("no test fails when a safety rule is removed")
	}
	return nil
}

func moduleRoot(ctx context.Context) (string, error) {
	file, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(file))), nil
}

// try removes the rule and runs the test that should fail. The result is "caught" or "MISSED". It returns an error if
// the test does not exist or the changed code does not compile.
func (s sabotage) try(ctx context.Context, root string) (string, error) {
	changed, err := s.changed(root)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "sabotage")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	replace := map[string]string{}
	for file, text := range changed {
		replace[filepath.Join(root, file)] = filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(replace[filepath.Join(root, file)], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		return "", err
	}
	test := exec.CommandContext(ctx, "go", "test", "-overlay", overlayFile, "-count=1", "-short", "-run", s.test, s.pkg) //nolint:gosec // from the list
	test.Dir = root
	output, err := test.CombinedOutput()
	switch text := string(output); {
	case err == nil && strings.Contains(text, "no tests to run"):
		return "", fmt.Errorf("%s: no test is called %s in %s", s.name, s.test, s.pkg)
	case err == nil:
		return "MISSED", nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case strings.Contains(text, "[build failed]") || strings.Contains(text, "[setup failed]") || !strings.Contains(text, "FAIL"):
		return "", fmt.Errorf("%s does not compile:\n%s", s.name, text)
	}
	return "caught", nil
}

// changed returns the text of each changed file without the rule, by its path from the module's root.
func (s sabotage) changed(root string) (map[string]string, error) {
	texts := map[string]string{}
	for _, e := range s.edits {
		text, ok := texts[e.file]
		if !ok {
			content, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				return nil, err
			}
			text = string(content)
		}
		if n := strings.Count(text, e.rule); n != 1 {
			return nil, fmt.Errorf("%s: %s has the text %q %d times, want once", s.name, e.file, e.rule, n)
		}
		texts[e.file] = strings.Replace(text, e.rule, e.without, 1)
	}
	return texts, nil
}
