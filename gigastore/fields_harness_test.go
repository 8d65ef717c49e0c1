package gigastore

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// field is a leaf of a JSON text: a scalar, or an empty object or list.
type field struct {
	path string
	get  func() any
	set  func(any)
}

// fieldsOf lists the fields under a value. All elements of a list share their paths.
func fieldsOf(value any, path string) (fields []field) {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			at := path + "." + name
			if isLeaf(member) {
				fields = append(fields, field{at, func() any { return value[name] }, func(v any) { value[name] = v }})
			}
			fields = append(fields, fieldsOf(member, at)...)
		}
	case []any:
		for i, element := range value {
			if isLeaf(element) {
				fields = append(fields, field{path + "[]", func() any { return value[i] }, func(v any) { value[i] = v }})
			}
			fields = append(fields, fieldsOf(element, path+"[]")...)
		}
	}
	return fields
}

func isLeaf(value any) bool {
	object, isObject := value.(map[string]any)
	list, isList := value.([]any)
	return isObject && len(object) == 0 || isList && len(list) == 0 || !isObject && !isList
}

// otherValues returns values that differ from value. A decoder that reads the field notices at least one of them.
func otherValues(value any) []any {
	switch value := value.(type) {
	case string:
		return []any{value + "x"}
	case float64:
		return []any{value + 1}
	case bool:
		return []any{!value}
	}
	return []any{"text", 7.0, true, map[string]any{}, "2025-11-03T09:15:27Z"}
}

// everyField also compares unexported fields. It ignores members that the decoders do not know.
var everyField = cmp.Options{
	cmp.Exporter(func(reflect.Type) bool { return true }),
	cmp.FilterPath(func(p cmp.Path) bool { return p.Last().Type() == reflect.TypeFor[UnknownMembers]() }, cmp.Ignore()),
}

// bodyOf returns the JSON of a fixture. Error fixtures have it inside an envelope.
func bodyOf(t *testing.T, name string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal(fixture(t, name), &value); err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(name, "error-") {
		return value.(map[string]any)["body"]
	}
	return value
}

// decodedAs returns the decoded value, or "refused" if the decoder fails.
func decodedAs(t *testing.T, decode func([]byte) (any, error), value any) any {
	t.Helper()
	decoded, err := decode([]byte(mustJSON(t, value)))
	if err != nil {
		return "refused"
	}
	return decoded
}

// setAll sets every field of a request.
func setAll(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if d, ok := reflect.TypeAssert[*Decimal](v.Addr()); ok {
			d.text = "1"
			return
		}
		for _, field := range v.Fields() {
			setAll(field)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		setAll(v.Elem())
	case reflect.String:
		v.SetString("text")
	case reflect.Int:
		v.SetInt(1)
	default: // requests have no other kinds
	}
}

// documentedFields returns the fields of answers in the dossier's tables, with their paths.
func documentedFields(t *testing.T) map[string]bool {
	t.Helper()
	fields := map[string]bool{}
	for head, sections := range map[string]map[string]string{
		"response field": {"2.1": "token", "2.2": "sale"},
		"field": {
			"3.1": "sale.activatedItem", "3.2": "sale.activatedItem.balance", "3.4": "inventory.items[]", "3.5": "sale.customer",
			"3.6": "customer.relatedEsims[]",
		},
	} {
		tables := documentedTables(t, head)
		for section, path := range sections {
			if len(tables[section]) == 0 {
				t.Errorf("the dossier's section %s has no table of fields", section)
			}
			for _, name := range tables[section] {
				fields[path+"."+name] = true
			}
		}
	}
	return fields
}

// documentedTables returns the names in the first column of the dossier's tables with that head, by section.
func documentedTables(t *testing.T, head string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../docs/gigastore-api.md")
	if err != nil {
		t.Fatal(err)
	}
	tables, section, inside := map[string][]string{}, "", false
	for line := range strings.Lines(string(text)) {
		if title, ok := strings.CutPrefix(line, "### "); ok {
			section, _, _ = strings.Cut(title, " ")
		}
		if !strings.HasPrefix(line, "|") {
			inside = false
			continue
		}
		first := strings.TrimSpace(strings.Split(line, "|")[1])
		switch {
		case first == head:
			inside = true
		case inside && strings.Trim(first, "-") != "":
			for name := range strings.SplitSeq(first, ", ") {
				tables[section] = append(tables[section], strings.TrimSuffix(name, "[]"))
			}
		}
	}
	return tables
}
