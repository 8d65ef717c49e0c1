package sealed

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const secret = "LPA:1$canary.invalid$someone@example.invalid"

// keyFile writes a key file.
func keyFile(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	write(t, path, lines...)
	return path
}

func write(t testing.TB, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// named returns a line with a new key that has this id.
func named(id string) string {
	_, encoded, _ := strings.Cut(NewKey(time.Now()), ":")
	return id + ":" + encoded
}

func read(t testing.TB, path string) *Keyring {
	t.Helper()
	keys, err := ReadKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func first(t testing.TB, keys *Keyring) key {
	t.Helper()
	newest, ok := keys.newest()
	if !ok {
		t.Fatal("there is no key")
	}
	return newest
}

// TestSealedForOnePlace: a sealed text can be read with its key, in its column of its purchase, and nowhere else. No
// byte of it can be changed. Errors contain nothing of it.
func TestSealedForOnePlace(t *testing.T) {
	t.Parallel()
	keys := read(t, keyFile(t, named("b"), named("a")))
	here := place{"01PURCHASE", columnSale}
	sealed := seal(first(t, keys), here, []byte(secret))
	if text, err := open(keys.find, here, sealed); err != nil || string(text) != secret || bytes.Contains(sealed, []byte("canary")) {
		t.Fatalf("%q, %v", text, err)
	}
	fails := func(what string, keys *Keyring, at place, sealed []byte, want string) {
		t.Helper()
		text, err := open(keys.find, at, sealed)
		if err == nil || text != nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), at.id) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %q, %v, want %q", what, text, err, want)
		}
	}
	const elsewhere = "it was sealed for another purchase or column"
	fails("another purchase", keys, place{"01OTHER", columnSale}, sealed, elsewhere)
	fails("another column", keys, place{here.id, columnPersonal}, sealed, elsewhere)
	fails("another key with the id", read(t, keyFile(t, named("b"))), here, sealed, elsewhere)
	fails("another key", read(t, keyFile(t, named("c"))), here, sealed, `sealed with the key "b", which is not in`)
	fails("no key", &Keyring{}, here, sealed, `sealed with the key "b", and no key file is given`)
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 0x41
		if text, err := open(keys.find, here, changed); err == nil && string(text) == secret {
			t.Errorf("byte %d can be changed", i)
		}
		if i > 0 {
			fails("cut", keys, here, sealed[:i], "")
		}
	}
	fails("a later version", keys, here, append([]byte{2}, sealed[1:]...), "sealed by a later version (2)")
}

// TestNoNonceTwice: the same text is sealed differently each time.
func TestNoNonceTwice(t *testing.T) {
	t.Parallel()
	k := first(t, read(t, keyFile(t, named("a"))))
	seen := map[string]bool{}
	for range 1000 {
		sealed := seal(k, place{"p", columnSale}, nil)
		seen[string(sealed[3:27])] = true
	}
	if len(seen) != 1000 {
		t.Errorf("1000 texts have %d nonces", len(seen))
	}
}

// TestPlainIsReadable: what was stored before there was a key is returned as it is, also with a key.
func TestPlainIsReadable(t *testing.T) {
	t.Parallel()
	keys := read(t, keyFile(t, named("a")))
	for _, plain := range []string{"", "{}", `{"a":1}`, " \n{}", "\t{}", "null"} {
		if text, err := open(keys.find, place{"p", columnSale}, []byte(plain)); err != nil || string(text) != plain {
			t.Errorf("%q: %q, %v", plain, text, err)
		}
	}
}

// TestKeyFiles: a key file is read strictly, and errors contain no key.
func TestKeyFiles(t *testing.T) {
	t.Parallel()
	line := named("a")
	encoded := strings.TrimPrefix(line, "a: ")
	for want, lines := range map[string][]string{
		"there is no key in it":               {"# a comment", ""},
		"line 1 does not begin with the id":   {encoded},
		"line 2 does not begin with the id":   {"", "A: " + encoded},
		"line 3: there are two keys":          {line, "", named("a")},
		"line 2: the key b is also there":     {line, "b: " + encoded},
		"line 1: the key a has to be 32":      {"a: " + encoded[4:]},
		"the key a has to be 32 bytes":        {"a: " + encoded + encoded},
		"key a has to be 32 bytes in base64":  {"a: " + strings.TrimRight(encoded, "=")},
		"the key a has to be 32 bytes in bas": {"a:"},
		"is larger than 65536 bytes":          {line, "#" + strings.Repeat("x", maxKeyFile)},
	} {
		_, err := ReadKeys(keyFile(t, lines...))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), encoded[:8]) {
			t.Errorf("%q: %v, want %q", lines, err, want)
		}
	}
	if _, err := ReadKeys(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	path := keyFile(t, "# the newest comes first", "b:"+strings.TrimPrefix(named("b"), "b: "), line, "")
	if got := first(t, read(t, path)).id; got != "b" || read(t, path).Wide() {
		t.Errorf("the first key is %s", got)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if !read(t, path).Wide() {
		t.Error("a file that a group can read is taken for private")
	}
}

// TestGroupMayReadTheKeyFileOfRoot: as in a mounted secret of Kubernetes. It may not change the file, and others may nothing.
func TestGroupMayReadTheKeyFileOfRoot(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		mode           fs.FileMode
		ofRoot, asRoot bool
		want           bool
	}{
		{0o440, true, false, false},
		{0o640, true, false, false},
		{0o660, true, false, true},
		{0o444, true, false, true},
		{0o440, true, true, true},
		{0o440, false, false, true},
		{0o400, false, false, false},
	} {
		if got := wide(test.mode, test.ofRoot, test.asRoot); got != test.want {
			t.Errorf("%+v: %t", test, got)
		}
	}
}

// TestMissingKeyIsLookedForInTheFile: a key that was added to the file is found at once, and a broken file changes nothing. A
// file that looks the same is read once a second at most.
func TestMissingKeyIsLookedForInTheFile(t *testing.T) {
	t.Parallel()
	b := named("b")
	path := keyFile(t, named("a"))
	keys := read(t, path)
	write(t, path, "Broken")
	_, err := keys.find("b")
	if _, ok := errors.AsType[*MissingKeyError](err); !ok || !strings.Contains(err.Error(), "line 1 does not begin") {
		t.Errorf("a broken file: %v", err)
	}
	if _, err := keys.find("a"); err != nil {
		t.Errorf("a broken file took the known key away: %v", err)
	}
	before := keys.at
	if _, err := keys.find("b"); err == nil || !strings.Contains(err.Error(), "line 1 does not begin") || !keys.at.Equal(before) {
		t.Errorf("the same broken file, within a second: %v", err)
	}
	write(t, path, b)
	if found, err := keys.find("b"); err != nil || found.id != "b" {
		t.Error(err)
	}
	before = keys.at.Add(-rereadEvery)
	keys.at = before
	if _, err := keys.find("c"); err == nil || !strings.Contains(err.Error(), `the key "c", which is not in `) || keys.at.Equal(before) {
		t.Errorf("a file that looks the same, a second later: %v", err)
	}
}

// FuzzOpen: no stored text makes the opener panic, or is opened although nobody sealed it.
func FuzzOpen(f *testing.F) {
	keys := read(f, keyFile(f, named("a")))
	here := place{"01PURCHASE", columnPersonal}
	f.Add([]byte(`{}`))
	f.Add([]byte{1, 1, 'a'})
	f.Add([]byte{1, 255})
	f.Add(seal(first(f, keys), here, []byte(secret))[:40])
	f.Add(seal(first(f, keys), place{"01PURCHASE", columnSale}, []byte(secret)))
	f.Fuzz(func(t *testing.T, stored []byte) {
		text, err := open(keys.find, here, stored)
		plain := len(stored) == 0 || stored[0] > lastVersion
		if (err == nil) != plain || plain && !bytes.Equal(text, stored) {
			t.Errorf("%q: %q, %v", stored, text, err)
		}
	})
}
