package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// buildTests builds the tests of packages in the folder dir, with other texts in place of files.
func (m *module) buildTests(ctx context.Context, dir string, texts map[string]string, packages ...string) error {
	replace := map[string]string{}
	for file, text := range texts {
		changed := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
			return err
		}
		replace[filepath.Join(m.root, file)] = changed
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", append([]string{ //nolint:gosec // from the list
		"test", "-c", "-ldflags=-s -w", "-overlay", overlayFile, "-o", dir + string(filepath.Separator),
	}, packages...)...)
	build.Dir = m.root
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("does not compile: %w\n%s", err, output)
	}
	return nil
}

// fails runs tests of a package that were built in dir, and reports whether one of them fails. number chooses a sabotage of a
// shared build.
func (m *module) fails(ctx context.Context, dir, pkg, tests string, number int) (bool, error) {
	binary := filepath.Join(dir, path.Base(pkg)+".test")
	test := exec.CommandContext(ctx, binary, "-test.short", "-test.paniconexit0", "-test.timeout=10m", "-test.run", tests) //nolint:gosec // from the list
	test.Dir = filepath.Join(m.root, pkg)
	test.Env = append(os.Environ(), numberVariable+"="+strconv.Itoa(number))
	output, err := test.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return true, nil
	case err != nil:
		return false, err
	case bytes.Contains(output, []byte("no tests to run")):
		return false, fmt.Errorf("no test is called %s in %s", tests, pkg)
	}
	return false, nil
}

// sharedBuild has the tests of all packages, with the variants of many sabotages. The number of a sabotage is 1 more than its
// index in the list.
type sharedBuild struct {
	dir      string
	list     []sabotage
	variants [][]variant
	mu       sync.Mutex
	alone    map[int]string // why a sabotage has a build of its own, by its index
}

// prepare makes the variants of sabotages, and finds those that cannot be in a shared build.
func prepare(code *module, dir string, list []sabotage) *sharedBuild {
	b := &sharedBuild{dir: dir, list: list, variants: make([][]variant, len(list)), alone: map[int]string{}}
	for i, s := range list {
		variants, reason, err := s.variants(code, i+1)
		if err != nil {
			reason = "it does not fit the code" // its own build will fail with the same error
		}
		if reason != "" {
			b.alone[i] = reason
		}
		b.variants[i] = variants
	}
	return b
}

// share builds the tests of sabotages together.
func share(ctx context.Context, code *module, dir string, list []sabotage) (*sharedBuild, error) {
	b := prepare(code, dir, list)
	for len(b.alone) < len(list) {
		texts, err := b.texts(code)
		if err != nil {
			return nil, err
		}
		err = code.buildTests(ctx, dir, texts, b.packages()...)
		if err == nil || ctx.Err() != nil {
			return b, ctx.Err()
		}
		b.leaveOut(err)
	}
	return b, nil
}

// packages returns the packages with tests in the build.
func (b *sharedBuild) packages() []string {
	var all []string
	for i, s := range b.list {
		if b.shares(i) {
			all = append(all, s.pkg)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// shares reports whether a sabotage uses the shared build.
func (b *sharedBuild) shares(i int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.alone[i] == ""
}

// texts returns the files with all variants.
func (b *sharedBuild) texts(code *module) (map[string]string, error) {
	byFile := map[string][]variant{}
	for i, variants := range b.variants {
		for _, v := range variants {
			if b.shares(i) {
				byFile[v.file] = append(byFile[v.file], v)
			}
		}
	}
	texts := map[string]string{}
	for file, variants := range byFile {
		s, err := code.readFile(file)
		if err != nil {
			return nil, err
		}
		texts[file] = s.withVariants(variants)
		texts[path.Join(path.Dir(file), "00_sabotage.go")] = numberFile(s.file.Name.Name)
	}
	return texts, nil
}

var inVariant = regexp.MustCompile(`\bsabotage(\d+)\.go:\d+`)

// leaveOut takes the sabotages whose variants do not compile out of the build. If the compiler's errors name none, it takes
// all of them.
func (b *sharedBuild) leaveOut(failed error) {
	broken := map[int]bool{}
	for _, place := range inVariant.FindAllStringSubmatch(failed.Error(), -1) {
		if number, err := strconv.Atoi(place[1]); err == nil && number != unchanged {
			broken[number-1] = true
		}
	}
	reason := "it does not compile beside others"
	if len(broken) == 0 {
		reason = "the shared build failed"
		fmt.Fprintln(os.Stderr, "sabotage: the shared build failed, so each sabotage has a build of its own:", failed)
	}
	for i := range b.list {
		if b.shares(i) && (broken[i] || len(broken) == 0) {
			b.alone[i] = reason
		}
	}
}

// checkTests runs the tests of a package with unchanged copies of all functions that have variants. Each of them must pass. If
// one fails, its sabotages get builds of their own, because here the test would fail whatever they do.
func (b *sharedBuild) checkTests(ctx context.Context, code *module, pkg string) error {
	users := map[string][]int{} // the sabotages of each test
	for i, s := range b.list {
		if s.pkg == pkg && b.shares(i) {
			users[s.test] = append(users[s.test], i)
		}
	}
	all := strings.Join(slices.Sorted(maps.Keys(users)), "|")
	if failed, _ := code.fails(ctx, b.dir, pkg, all, unchanged); !failed || ctx.Err() != nil {
		return ctx.Err()
	}
	for test, those := range users {
		if failed, _ := code.fails(ctx, b.dir, pkg, test, unchanged); !failed {
			continue
		}
		b.mu.Lock()
		for _, i := range those {
			b.alone[i] = fmt.Sprintf("%s fails in the shared build without a sabotage", test)
		}
		b.mu.Unlock()
	}
	return ctx.Err()
}

// summary says how many sabotages share the build, and why the others have builds of their own.
func (b *sharedBuild) summary() string {
	reasons := map[string]int{}
	for _, reason := range b.alone {
		reasons[reason]++
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d of %d sabotages share one build of the tests\n", len(b.list)-len(b.alone), len(b.list))
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(&text, "%d with a build of its own: %s\n", reasons[reason], reason)
	}
	return text.String()
}

// try removes the rule of a sabotage and runs the test that should fail. It returns how often the test failed. It returns an
// error if the test does not exist or the changed code does not compile.
func (b *sharedBuild) try(ctx context.Context, code *module, i, times int) (failed int, err error) {
	if b.shares(i) {
		return b.list[i].failures(ctx, code, b.dir, i+1, times)
	}
	return b.list[i].try(ctx, code, times)
}
