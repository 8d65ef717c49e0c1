package main

import (
	"go/format"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const guardCode = `package shop

type guard struct{ limit int }

// check is the rule.
func (g *guard) check(price int, known bool) error {
	if !known {
		return errUnknown
	}
	if price > g.limit && known { // too high
		return errHigh
	}
	return nil
}
`

const replyCode = `package shop

var replies = map[string][]string{
	"yes": {"sold", "done"},
	"no":  {"refused"},
}

func reply(text string) (string, error) {
	switch n := len(text); {
	case n == 0:
		return "", errEmpty
	case n > 10:
		return "", errLong
	}
	ask(text, query)
	if err := ask(text, query); err != nil {
		return "", err
	}
	if err := tell(text); err != nil {
		return "", err
	}
	return text, nil
}

const query = ` + "`SELECT state\n\tFROM purchase WHERE state = 'SENDING'`" + `
`

// TestEdit makes one edit to guardCode and replyCode, or to what a developer may make of them.
func TestEdit(t *testing.T) {
	t.Parallel()
	limit := edit{"shop.guard.check", "price > g.limit", never}
	for name, c := range map[string]struct {
		edit    edit
		code    [2]string // a regular expression in the code, and what is there instead
		want    string    // in the changed code
		wantErr string    // parts of the error, separated by |
	}{
		"a condition": {
			edit: limit, want: "if (false && (price > g.limit)) && known {",
		},
		"the name of a method is enough": {
			edit: edit{"shop.check", limit.rule, always}, want: "if (true || (price > g.limit)) && known {",
		},
		"a local variable is renamed": {
			edit: limit, code: [2]string{`\bprice\b`, "cost"}, want: "if (false && (cost > g.limit)) && known {",
		},
		"the receiver is renamed": {
			edit: limit, code: [2]string{`\bg\b`, "ours"}, want: "if (false && (price > ours.limit)) && known {",
		},
		"the receiver is a value": {
			edit: limit, code: [2]string{`\*guard`, "guard"}, want: "if (false && (price > g.limit)) && known {",
		},
		"the condition is on several lines": {
			edit: edit{"shop.check", "price > g.limit && known", "price > g.limit"},
			code: [2]string{`price > g.limit && known {`, "(price >\n\t\tg.limit) && // too high\n\t\tknown {"},
			want: "if price > g.limit { // too high",
		},
		"the function is in another file": {
			edit: edit{"shop.reply", "return text, nil", "return text, errLong"}, want: "return text, errLong",
		},
		"a field is renamed": {
			edit: limit, code: [2]string{`limit`, "most"}, wantErr: "the rule is not there|shop.guard.check|near: shop/guard.go:10 guard.check: price > g.most",
		},
		"the rule is in another function": {
			edit: edit{"shop.reply", "price > g.limit", never}, wantErr: "near: shop/guard.go:10 guard.check: price > g.limit",
		},
		"the function is renamed": {
			edit: edit{"shop.guard.verify", "price > g.limit", never}, wantErr: "0 declarations|near: shop/guard.go:10 guard.check: price > g.limit",
		},
		"two methods have the name": {
			edit: edit{"shop.check", "price > g.limit", never}, code: [2]string{`// check is the rule.`, "func (other) check() {}"},
			wantErr: "2 declarations",
		},
		"a global name is not a local one": {
			edit: edit{"shop.check", "return known", "return nil"}, wantErr: "the rule is not there",
		},
		"one name means one variable": {
			edit: edit{"shop.check", "price > price.limit", never}, wantErr: "the rule is not there",
		},
		"two names mean two variables": {
			edit: edit{"shop.reply", "ask(text, other)", never}, code: [2]string{`query\)`, "text)"}, wantErr: "the rule is not there",
		},
		"two matches": {
			edit: edit{"shop.reply", "err != nil", never}, wantErr: "the rule is there 2 times|shop/reply.go:16|shop/reply.go:19",
		},
		"an if statement": {
			edit: edit{"shop.reply", "if err := tell(text); err != nil { $*_ }", never}, want: "if err := tell(text); false && (err != nil) {",
		},
		"a statement": {
			edit: edit{"shop.check", "if price > g.limit && known { return errHigh }", dropped}, want: "errUnknown } return nil }",
		},
		"several statements": {
			edit: edit{"shop.reply", "ask(text, query); if err := $call; err != nil { $*body }", "if err := $call; err == nil { $*body }"},
			want: "{ case n == 0: return \"\", errEmpty case n > 10: return \"\", errLong } if err := ask(text, query); err == nil { return \"\", err } if err",
		},
		"an argument": {
			edit: edit{"shop.reply", "if err := ask(text, query); err != nil { $*body }", "if err := ask(text); err != nil { $*body }"},
			want: "if err := ask(text); err != nil {",
		},
		"a case": {
			edit: edit{"shop.reply", "case n == 0: $*_", dropped}, want: "{ case n > 10: return",
		},
		"one more case": {
			edit: edit{"shop.reply", "case n > 10: $*_", "case n > 5: return \"\", nil; $rule"}, want: "case n > 5: return \"\", nil case n > 10:",
		},
		"an element": {
			edit: edit{"shop.replies", `"no": {$*_}`, dropped}, want: `"yes": {"sold", "done"}, }`,
		},
		"the last of the elements": {
			edit: edit{"shop.replies", `{"sold", "done"}`, `{"sold"}`}, want: `"yes": {"sold"},`,
		},
		"one more element": {
			edit: edit{"shop.replies", `"no": {$*words}`, `"no": {"sorry", $*words}`}, want: `"no": {"sorry", "refused"},`,
		},
		"SQL": {
			edit: edit{"shop.query", `"state FROM   purchase"`, `"id FROM purchase"`}, want: "`SELECT id FROM purchase WHERE",
		},
		"SQL twice": {
			edit: edit{"shop.query", `"state"`, `"id"`}, wantErr: "the text is there 2 times",
		},
		"SQL is not Go": {
			edit: edit{"shop.query", `"FROM purchase"`, never}, wantErr: "a part of a string cannot be replaced",
		},
		"SQL by its file": {
			edit: edit{"shop/schema.sql", "id TEXT,", "id INTEGER,"}, want: "CREATE TABLE a (id INTEGER,",
		},
		"text by its file, twice": {
			edit: edit{"shop/reply.go", "ask(text,\nquery)", "nil"}, wantErr: "the text is there 2 times",
		},
		"a local name that the rule does not bind": {
			edit: edit{"shop.check", "return errHigh", "return errHigh(price)"}, wantErr: "the replacement uses the local name price",
		},
		"a wildcard that the rule does not bind": {
			edit: edit{"shop.check", "return errHigh", "return $err"}, wantErr: "the rule does not contain the wildcard err",
		},
		"no Go": {
			edit: edit{"shop.check", "return errHigh }", dropped}, wantErr: "neither an expression",
		},
		"no Go without the rule": {
			edit: edit{"shop.check", "!known", "return"}, wantErr: "without the rule it is not Go",
		},
		"no package": {
			edit: edit{"shops.check", "known", "true"}, wantErr: "no package in shops",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := makeEdit(t, c.edit, c.code)
			for part := range strings.SplitSeq(c.wantErr, "|") {
				if (err == nil) != (c.wantErr == "") || err != nil && !strings.Contains(err.Error(), part) {
					t.Errorf("the error is %v, want %q in it", err, part)
				}
			}
			if !strings.Contains(text, c.want) {
				t.Errorf("the code is\n%s\nwant in it\n%s", text, c.want)
			}
		})
	}
}

// makeEdit returns the changed file with one space for all white space.
func makeEdit(t *testing.T, e edit, code [2]string) (string, error) {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "shop"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"guard.go": guardCode, "reply.go": replyCode, "guard_test.go": "no Go", "schema.sql": "CREATE TABLE a (id\tTEXT, b)",
	} {
		if code[0] != "" {
			text = regexp.MustCompile(code[0]).ReplaceAllString(text, code[1])
		}
		if err := os.WriteFile(filepath.Join(root, "shop", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	changed, err := sabotage{edits: []edit{e}}.changed(newModule(root))
	for file, text := range maps.All(changed) {
		if formatted, err := format.Source([]byte(text)); err == nil {
			text = string(formatted)
		} else if filepath.Ext(file) == ".go" {
			t.Errorf("%s: %v", file, err)
		}
		return strings.Join(strings.Fields(text), " "), nil
	}
	return "", err
}
