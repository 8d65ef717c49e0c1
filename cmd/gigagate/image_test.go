package main

import (
	"archive/zip"
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestImageIsBuiltFromAllItNeeds: .dockerignore does not hide any file that the program is built from.
func TestImageIsBuiltFromAllItNeeds(t *testing.T) {
	t.Parallel()
	hidden := hiddenFromImage(t)
	needed := append(filesOfProgram(t), "go.mod", "go.sum")
	for _, file := range needed {
		for pattern, matches := range hidden {
			if matches.MatchString(file) {
				t.Errorf("%s of .dockerignore hides %s", pattern, file)
			}
		}
	}
	if len(needed) < 100 {
		t.Errorf("only %d files of the program were found", len(needed))
	}
}

// TestImageHasTimeZones: the image has no /usr/share/zoneinfo, and the callers file may name a time zone.
func TestImageHasTimeZones(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(repository, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	copied := regexp.MustCompile(`(?m)^COPY --from=build /usr/local/go/(\S+) (\S+)$`).FindStringSubmatch(string(text))
	if len(copied) != 3 || !strings.Contains(string(text), "ENV ZONEINFO="+copied[2]+" ") {
		t.Fatal("the Dockerfile does not copy the time zones to where ZONEINFO says")
	}
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	zones, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), copied[1]))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = zones.Close() }()
	if file, err := zones.Open("Europe/Berlin"); err != nil {
		t.Error(err)
	} else {
		_ = file.Close()
	}
}

// filesOfProgram returns the repository's files that the program is built from, including embedded ones.
func filesOfProgram(t *testing.T) []string {
	t.Helper()
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	list, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=Dir,GoFiles,EmbedFiles,Module", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for decoder := json.NewDecoder(strings.NewReader(string(list))); ; {
		var p struct {
			Dir                 string
			GoFiles, EmbedFiles []string
			Module              *struct{ Path string }
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return files
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module == nil || p.Module.Path != "gigagate.internal" {
			continue
		}
		for _, name := range append(p.GoFiles, p.EmbedFiles...) {
			file, err := filepath.Rel(root, filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, filepath.ToSlash(file))
		}
	}
}

// hiddenFromImage reads the patterns of .dockerignore. It knows the forms that are used there: a star inside a
// name, and two stars before a name for any folders. A folder hides everything in it.
func hiddenFromImage(t *testing.T) map[string]*regexp.Regexp {
	t.Helper()
	file, err := os.Open(filepath.Join(repository, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	patterns := map[string]*regexp.Regexp{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		pattern := strings.TrimSpace(lines.Text())
		if pattern == "" || strings.HasPrefix(pattern, "#") {
			continue
		}
		if strings.ContainsAny(pattern, "!?[") {
			t.Fatalf("%s: this test does not read such patterns", pattern)
		}
		expression := strings.NewReplacer(`\*\*/`, `(.*/)?`, `\*`, `[^/]*`).Replace(regexp.QuoteMeta(pattern))
		patterns[pattern] = regexp.MustCompile("^" + expression + "(/.*)?$")
	}
	return patterns
}
