package main

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	fenced  = regexp.MustCompile("(?m)^```(?s:.*?)\n```$")
	code    = regexp.MustCompile("`[^`\n]+`")

	ownAnchor = regexp.MustCompile(`<a id="([^"]+)"></a>`)

	testFunction = regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(`)
	testName     = regexp.MustCompile(`^Test[A-Z]\w*$`)
	sourceFile   = regexp.MustCompile(`^[a-z][\w.-]*(/[\w.-]+)+\.(go|proto|json|sql)$`)
)

// TestLinksLeadSomewhere follows every link on every page to its file and its heading. For addresses outside
// the repository, it only checks the syntax.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	found := 0
	for _, page := range pages(t) {
		// Links in code are only examples. In headings, code is part of the name.
		text := code.ReplaceAllString(fenced.ReplaceAllString(readPage(t, page), ""), "")
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			found++
			if err := follow(t, page, match[1]); err != nil {
				t.Errorf("%s: %s: %v", page, match[0], err)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d links were found on all pages", found)
	}
}

// TestPagesNameRealTestsAndFiles: every test and every source file that a page names in code exists.
func TestPagesNameRealTestsAndFiles(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{}
	for _, file := range files(t, "_test.go") {
		for _, match := range testFunction.FindAllStringSubmatch(readPage(t, file), -1) {
			tests[match[1]] = true
		}
	}
	for _, page := range pages(t) {
		for _, span := range code.FindAllString(fenced.ReplaceAllString(readPage(t, page), ""), -1) {
			name := strings.Trim(span, "`")
			if testName.MatchString(name) && !tests[name] {
				t.Errorf("%s: there is no test %s", page, name)
			}
			if !sourceFile.MatchString(name) {
				continue
			}
			_, fromRoot := os.Stat(filepath.Join(repository, name))
			_, fromPage := os.Stat(filepath.Join(repository, path.Dir(page), name))
			if fromRoot != nil && fromPage != nil {
				t.Errorf("%s: there is no file %s", page, name)
			}
		}
	}
}

// follow checks that a link on a page leads to a file and a heading.
func follow(t *testing.T, page, target string) error {
	t.Helper()
	address, err := url.Parse(target)
	if err != nil || address.Scheme != "" {
		return err
	}
	name := page
	if address.Path != "" {
		name = path.Join(path.Dir(page), address.Path)
	}
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return fmt.Errorf("%s is outside the repository", name)
	}
	if _, err := os.Stat(filepath.Join(repository, name)); err != nil {
		return err
	}
	if address.Fragment != "" && !anchors(readPage(t, name))[address.Fragment] {
		return fmt.Errorf("%s has no heading %q", name, address.Fragment)
	}
	return nil
}

// anchors returns the anchors of a page: its own, and the names that GitHub gives the headings.
func anchors(text string) map[string]bool {
	names := map[string]bool{}
	for _, match := range ownAnchor.FindAllStringSubmatch(text, -1) {
		names[match[1]] = true
	}
	for _, match := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, link.ReplaceAllStringFunc(match[1], func(l string) string { return l[1:strings.Index(l, "]")] }))
		unique := name
		for n := 1; names[unique]; n++ {
			unique = fmt.Sprintf("%s-%d", name, n)
		}
		names[unique] = true
	}
	return names
}

// pages returns all Markdown files of the repository, except those that tools put there.
func pages(t *testing.T) []string {
	t.Helper()
	return files(t, ".md")
}

// files lists our files whose name ends with suffix, as paths from the root of the repository.
func files(t *testing.T, suffix string) []string {
	t.Helper()
	var found []string
	err := fs.WalkDir(os.DirFS(repository), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || notOurs[entry.Name()]):
			return fs.SkipDir
		case strings.HasSuffix(name, suffix):
			found = append(found, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// notOurs are the folders that package managers and build tools fill.
var notOurs = map[string]bool{"node_modules": true, "target": true, "build": true, "dist": true, "venv": true}

func readPage(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, page))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
