package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const variedCode = `package main

import (
	"fmt"
	"strings"
)

type shop struct{ name string }

type pair[K comparable, V any] struct {
	key   K
	value V
}

// early gets its value before main runs. Go does not see that it depends on the method.
var early = interface{ early() string }(shop{}).early()

func (shop) early() string { return "original early" }

//go:noinline
func plain(n int, word string) string { return fmt.Sprint("original ", n, word) }

func (s *shop) method(n int) (text string, err error) {
	defer func() { text += s.name }()
	text = "original "
	return text, nil
}

func (shop) unnamed(int, string, ...int) string { return "original" }

func (_ shop) blank(_ int, kept, _ string) string { return "original " + kept }

func variadic(separator string, words ...string) string { return strings.Join(words, separator) }

func generic[K comparable, V any](key K, values ...V) string { return fmt.Sprint("original ", key, values) }

func (p *pair[K, V]) generic(other V) string { return fmt.Sprint("original ", p.key, p.value, other) }

func silent(said *string) { *said = "original" }

func deep(n int) string {
	if n == 0 {
		return "original"
	}
	return "." + deep(n-1)
}

func main() {
	s := shop{"!"}
	text, err := s.method(1)
	silent(&s.name)
	fmt.Print(strings.Join([]string{
		early, plain(2, "now"), text + fmt.Sprint(err), s.unnamed(1, "x", 2, 3), s.blank(1, "kept", "x"), variadic("-", "original", "a", "b"),
		generic("key", 1, 2), (&pair[string, int]{"key", 1}).generic(2), s.name, deep(2),
	}, "\n"))
}
`

// TestVariants builds a program with all variants at once, and runs it with each one.
func TestVariants(t *testing.T) {
	t.Parallel()
	const original = `original early
original 2now
original !<nil>
original
original kept
original-a-b
original key[1 2]
original key1 2
original
..original`
	list := []sabotage{
		{edits: []edit{{"shop.plain", `"original"`, `"first"`}}},
		{edits: []edit{{"shop.plain", `n, word`, `n+1, word`}, {"shop.silent", `*said = "original"`, `*said = "first"`}}},
		{edits: []edit{{"shop.method", `"original"`, `"changed"`}}},
		{edits: []edit{{"shop.unnamed", `return "original"`, `return "changed"`}, {"shop.blank", `"original "+kept`, `"changed "+kept`}}},
		{edits: []edit{{"shop.variadic", "strings.Join(words, separator)", "strings.Join(words[1:], separator)"}}},
		{edits: []edit{{"shop.generic", `"original"`, `"changed"`}, {"shop.pair.generic", `"original"`, `"changed"`}}},
		{edits: []edit{{"shop.shop.early", `"original"`, `"changed"`}}},
		{edits: []edit{{"shop.deep", `"."`, `":"`}}},
	}
	changes := [][]string{ // what each sabotage makes of the output
		{"original 2now", "first 2now"},
		{"original 2now", "original 3now", "2\noriginal\n", "2\nfirst\n"},
		{"original !", "changed !"},
		{"original\noriginal kept", "changed\nchanged kept"},
		{"original-a-b", "a-b"},
		{"original key", "changed key"},
		{"original early", "changed early"},
		{"..", "::"},
	}
	folder := t.TempDir()
	writeFiles(t, folder, map[string]string{"go.mod": "module shop\n\ngo 1.26\n", "shop/main.go": variedCode})
	code := newModule(folder)
	b := prepare(code, "", list)
	texts, err := b.texts(code)
	if err != nil || len(b.alone) > 0 {
		t.Fatal(err, b.alone)
	}
	if varied := texts["shop/main.go"]; strings.Count(varied, "//go:noinline\nfunc sabotage") != 3 {
		t.Errorf("the three copies of the function are not all kept from being inlined:\n%s", varied)
	}
	writeFiles(t, folder, texts)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", "program", "./shop")
	build.Dir = folder
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, output, texts["shop/main.go"])
	}
	for number := -1; number <= len(list); number++ {
		want := original
		if number > unchanged {
			want = strings.NewReplacer(changes[number-1]...).Replace(original)
		}
		command := exec.CommandContext(t.Context(), filepath.Join(folder, "program"))
		if number >= unchanged {
			command.Env = append(os.Environ(), numberVariable+"="+strconv.Itoa(number))
		}
		if output, err := command.CombinedOutput(); err != nil || string(output) != want {
			t.Errorf("sabotage %d: %v\n%s\nwant\n%s", number, err, output, want)
		}
	}
}

// TestNotEverySabotageHasVariants: what cannot share a build is known before the build.
func TestNotEverySabotageHasVariants(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	writeFiles(t, folder, map[string]string{
		"shop/schema.sql": "CREATE TABLE a (id TEXT)",
		"shop/shop.go": `package shop

const most = 3

type number = int

//go:noinline
func signed(n int) int { return n }

func sell(price int) int { return signed(price) }
`,
	})
	for reason, edits := range map[string][]edit{
		"it changes a file that is not Go":                     {{"shop.sell", "signed(price)", "price"}, {"shop/schema.sql", "TEXT", "INT"}},
		"it changes code outside of functions":                 {{"shop.most", "3", "4"}},
		"it changes code outside of functions, once more":      {{"shop/shop.go", "number = int", "number = int64"}},
		"it changes code outside of functions, its parameters": {{"shop/shop.go", "(n int)", "(n int64)"}},
		"it changes code outside of functions, its directive":  {{"shop/shop.go", "//go:noinline", ""}},
		"": {{"shop.sell", "signed(price)", "price"}},
	} {
		want, _, _ := strings.Cut(reason, ",")
		list, got, err := sabotage{edits: edits}.variants(newModule(folder), 1)
		if err != nil || !strings.HasPrefix(got, want) || (got == "") != (want == "") || (got == "") != (len(list) > 0) {
			t.Errorf("%v: the reason is %q, %v, with %d variants, want %q", edits, got, err, len(list), want)
		}
	}
}

// TestMostSabotagesShareABuild: builds of their own would take most of the time.
func TestMostSabotagesShareABuild(t *testing.T) {
	t.Parallel()
	b := prepare(newModule(filepath.Join("..", "..")), "", sabotages)
	if len(b.alone) > len(sabotages)/8 {
		t.Error(b.summary())
	}
}

func writeFiles(t *testing.T, root string, texts map[string]string) {
	t.Helper()
	for name, text := range texts {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
