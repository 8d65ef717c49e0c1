package main

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// files returns the text of every file below dir, by its path from dir.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		found[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// writeDeps writes all files that the contract imports, and their imports. It writes the same every time, and no file of an
// earlier run is left.
func TestWriteDepsPrintsWhatIsImported(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), depsDir)
	if err := writeDeps(dir); err != nil {
		t.Fatal(err)
	}
	first := files(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "stale.proto"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeDeps(dir); err != nil {
		t.Fatal(err)
	}
	second := files(t, dir)
	if len(first) == 0 || len(first) != len(second) {
		t.Fatalf("first %d files, then %d", len(first), len(second))
	}
	for name, text := range first {
		if second[name] != text {
			t.Errorf("%s differs the second time", name)
		}
	}

	contract := files(t, "../../proto")
	imports := regexp.MustCompile(`(?m)^import (?:public |weak )?"([^"]+)";`)
	checked := 0
	for _, set := range []map[string]string{contract, first} {
		for name, text := range set {
			for _, match := range imports.FindAllStringSubmatch(text, -1) {
				checked++
				if strings.HasPrefix(match[1], "google/protobuf/") || contract[match[1]] != "" || first[match[1]] != "" {
					continue
				}
				t.Errorf("%s imports %s, which does not exist", name, match[1])
			}
		}
	}
	if checked == 0 {
		t.Error("no import was found")
	}
}

func TestUntarStaysInItsFolder(t *testing.T) {
	t.Parallel()
	archive := func(name string) []byte {
		var text bytes.Buffer
		w := tar.NewWriter(&text)
		header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: 4}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("text")); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return text.Bytes()
	}
	parent := t.TempDir()
	dir := filepath.Join(parent, "inside")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := untar(dir, archive("a.proto")); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"../outside.proto", "/outside.proto"} {
		if err := untar(dir, archive(name)); err == nil {
			t.Errorf("%s was unpacked", name)
		}
	}
	if got := slices.Collect(maps.Keys(files(t, parent))); len(got) != 1 || got[0] != "inside/a.proto" {
		t.Errorf("there is %v", got)
	}
}

func TestUnknownRefIsNamed(t *testing.T) {
	t.Chdir("../..")
	const ref = "no-such-ref"
	if err := breaking(ref); err == nil || !strings.Contains(err.Error(), "git archive "+ref) {
		t.Errorf("%v", err)
	}
}
