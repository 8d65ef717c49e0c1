// Command sabotage checks that tests protect the safety rules. These rules prevent double purchases, wrong answers and
// leaked secrets. The command removes one rule at a time and expects a test to fail. It does not touch the working
// tree: it builds the test with -overlay. Run it from anywhere in the module:
//
//	go run ./internal/sabotage                              all sabotages
//	go run ./internal/sabotage witness                      only those whose name contains "witness"
//	go run ./internal/sabotage -times 5 ./purchase/memory   only those with a test in this package, five times each
//
// It exits with status 1 if the test of a sabotage passes, or if a rule is not found in the code exactly once. With
// -times, the test has to fail each time. If it fails only sometimes, the sabotage is flaky.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	times := flag.Int("times", 1, "how often to run each test")
	flag.Parse()
	if err := run(ctx, flag.Arg(0), *times); err != nil {
		fmt.Fprintln(os.Stderr, "sabotage:", err)
		os.Exit(1) //nolint:gocritic // the process ends, so stop need not run
	}
}

// run tries every sabotage whose name contains wanted or whose test is in the package wanted. It returns an error if
// one is not caught every time.
func run(ctx context.Context, wanted string, times int) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	code := newModule(root)
	var chosen []sabotage
	for _, s := range sabotages {
		if strings.Contains(s.name, wanted) || s.pkg == wanted {
			chosen = append(chosen, s)
		}
	}
	// Each worker takes the next one. While one of them waits for its test, another one compiles.
	var workers errgroup.Group
	next, caught := atomic.Int64{}, atomic.Int64{}
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(chosen)); i = next.Add(1) - 1 {
				began := time.Now()
				failed, err := chosen[i].try(ctx, code, times)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				result := verdict(failed, times, err)
				if result == isCaught {
					caught.Add(1)
				}
				text := fmt.Sprintf("%-9s %5.1fs  %s\n", result, time.Since(began).Seconds(), chosen[i].name)
				if err != nil {
					text += fmt.Sprintf("\t%v\n", err)
				}
				_, _ = os.Stdout.WriteString(text)
			}
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "%d caught of %d\n", caught.Load(), len(chosen))
	if caught.Load() < int64(len(chosen)) {
		return errors.New("a safety rule can be removed and its test still passes, or the list does not fit the code")
	}
	return nil
}

const isCaught = "caught"

func verdict(failed, times int, err error) string {
	switch {
	case err != nil:
		return "BROKEN"
	case failed == times:
		return isCaught
	case failed == 0:
		return "MISSED"
	}
	return fmt.Sprintf("flaky %d/%d", failed, times)
}

func moduleRoot(ctx context.Context) (string, error) {
	file, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(file))), nil
}

// try removes the rule and runs the test that should fail. It returns how often the test failed. It returns an error
// if the test does not exist or the changed code does not compile.
func (s sabotage) try(ctx context.Context, code *module, times int) (failed int, err error) {
	code.mu.Lock()
	changed, err := s.changed(code)
	code.mu.Unlock()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "sabotage")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	replace := map[string]string{}
	for file, text := range changed {
		replace[filepath.Join(code.root, file)] = filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(replace[filepath.Join(code.root, file)], []byte(text), 0o600); err != nil {
			return 0, err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return 0, err
	}
	overlayFile, testFile := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "test")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		return 0, err
	}
	build := exec.CommandContext(ctx, "go", "test", "-c", "-ldflags=-s -w", "-overlay", overlayFile, "-o", testFile, s.pkg) //nolint:gosec // from the list
	build.Dir = code.root
	if output, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("does not compile: %w\n%s", err, output)
	}
	for range times {
		test := exec.CommandContext(ctx, testFile, "-test.short", "-test.paniconexit0", "-test.timeout=10m", "-test.run", s.test) //nolint:gosec // from the list
		test.Dir = filepath.Join(code.root, s.pkg)
		output, err := test.CombinedOutput()
		switch {
		case err != nil:
			failed++
		case strings.Contains(string(output), "no tests to run"):
			return 0, fmt.Errorf("no test is called %s in %s", s.test, s.pkg)
		}
	}
	return failed, nil
}

// changed returns the text of each changed file without the rule, by its path from the module's root.
func (s sabotage) changed(code *module) (map[string]string, error) {
	texts := map[string]string{}
	for _, e := range s.edits {
		file, text, err := e.apply(code, texts)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.place, err)
		}
		texts[file] = text
	}
	return texts, nil
}
