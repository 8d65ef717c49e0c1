// Command sabotage checks that tests protect the safety rules. These rules prevent double purchases, wrong answers and
// leaked secrets. The command removes one rule at a time and expects a test to fail. It does not touch the working
// tree: it builds the tests with -overlay. One build serves all sabotages that change functions. Each other sabotage has
// a build of its own. Run it from anywhere in the module:
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
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	times := flag.Int("times", 1, "how often to run each test")
	flag.Parse()
	if err := run(ctx, flag.Args(), *times); err != nil {
		fmt.Fprintln(os.Stderr, "sabotage:", err)
		os.Exit(1) //nolint:gocritic // the process ends, so stop need not run
	}
}

// run tries every sabotage whose name contains the argument or whose test is in the package that it names. It returns an
// error if one is not caught every time.
func run(ctx context.Context, args []string, times int) error {
	if len(args) > 1 {
		return errors.New("give one name or one package")
	}
	wanted := strings.Join(args, "")
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
	if len(chosen) == 0 {
		return errors.New("no sabotage has this text in its name, and none has its test in such a package")
	}
	caught, err := tryAll(ctx, code, chosen, times, os.Stdout)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "%d caught of %d\n", caught, len(chosen))
	if caught < len(chosen) {
		return errors.New("a safety rule can be removed and its test still passes, or the list does not fit the code")
	}
	return nil
}

// tryAll tries sabotages, prints what becomes of each, and returns how many are caught.
func tryAll(ctx context.Context, code *module, list []sabotage, times int, to io.StringWriter) (int, error) {
	dir, err := os.MkdirTemp("", "sabotage")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	shared, err := share(ctx, code, dir, list)
	if err != nil {
		return 0, err
	}
	packages := shared.packages()
	err = inWorkers(len(packages), func(i int) error { return shared.checkTests(ctx, code, packages[i]) })
	if err != nil {
		return 0, err
	}
	_, _ = to.WriteString(shared.summary())
	var mu sync.Mutex
	caught := 0
	err = inWorkers(len(list), func(i int) error {
		began := time.Now()
		failed, err := shared.try(ctx, code, i, times)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		result := verdict(failed, times, err)
		text := fmt.Sprintf("%-9s %5.1fs  %s\n", result, time.Since(began).Seconds(), list[i].name)
		if err != nil {
			text += fmt.Sprintf("\t%v\n", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if result == isCaught {
			caught++
		}
		_, err = to.WriteString(text)
		return err
	})
	return caught, err
}

// inWorkers calls do for each index below n. Each worker takes the next one. While one of them waits for its test, another one
// compiles.
func inWorkers(n int, do func(i int) error) error {
	var workers errgroup.Group
	workers.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		workers.Go(func() error { return do(i) })
	}
	return workers.Wait()
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

// try removes the rule with a build of its own.
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
	if err := code.buildTests(ctx, dir, changed, s.pkg); err != nil {
		return 0, err
	}
	return s.failures(ctx, code, dir, unchanged, times)
}

// failures runs the test that should fail, from the folder that it was built in. It returns how often the test failed. It
// returns an error if the test does not exist.
func (s sabotage) failures(ctx context.Context, code *module, dir string, number, times int) (failed int, err error) {
	for range times {
		fails, err := code.fails(ctx, dir, s.pkg, s.test, number)
		if err != nil {
			return 0, err
		}
		if fails {
			failed++
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
