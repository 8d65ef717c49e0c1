package gigastore

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// droppedFields are the fields of the vendor's answers that no decoder reads, and why.
var droppedFields = map[string]string{
	"token.refreshToken":     "null in all samples; the client fetches a new token instead",
	"token.refreshExpiresIn": "belongs to refreshToken",
	"token.tokenType":        "always Bearer; with anything else no call works",
	"token.idToken":          "null in all samples, and useless here",
	"error.type":             "no source explains it; the texts show the reason",
	"error.status":           "the status of HTTP counts",
	"error.path":             "the path that was asked for",
	"inventory.items[].more": "the printed sample is cut off there, so the rest is unknown",
}

// unsentFields are the fields of the vendor's requests that are never sent, and why.
var unsentFields = map[string]string{
	"top-up.customerProfileDomainId": "observed only in one client's model; its effect on a top-up is unknown",
	"top-up.userIp":                  "as above, and the documentation does not ask for it",
	"top-up.userCountry":             "as above",
}

// answerKinds lists the vendor's answers by the decoder that reads them. The fixtures of one kind together have all
// its fields.
var answerKinds = map[string]struct {
	fixtures []string
	decode   func(body []byte) (any, error)
}{
	"token": {[]string{"authenticate-response.json"}, func(body []byte) (any, error) { return parseToken(body) }},
	"sale": {[]string{
		"register-response-now.json", "register-response-first-use.json", "register-response-on-demand.json", "top-up-response.json",
		"top-up-with-profile-response.json", "error-status-not-success.json",
	}, decodesInto[Sale]},
	"activation": {[]string{"activate-response.json"}, func(body []byte) (any, error) {
		var record ActivatedItemRecord
		err := json.Unmarshal(body, &record)
		return []any{record, classifier{}.classify(wholeAnswer(OpActivate, 200, body)).applied}, err
	}},
	"item":      {[]string{"activated-item-get.json"}, decodesInto[ActivatedItemRecord]},
	"items":     {[]string{"activated-items-list.json"}, decodesInto[[]ActivatedItemRecord]},
	"customer":  {[]string{"customer-get.json"}, decodesInto[CustomerRecord]},
	"customers": {[]string{"customers-list.json", "search-customers-response.json"}, decodesList[CustomerRecord]("customers")},
	"inventory": {[]string{"inventory-list.json"}, decodesList[InventoryItem]("items")},
	"countries": {[]string{"countries.json"}, decodesList[Country]("countries")},
	"error": {[]string{
		"error-error-field.json", "error-message-only.json", "error-problem-with-message.json", "error-problem.json",
		"error-empty-body.json", "error-plain-text.json", // these have no fields
	}, func(body []byte) (any, error) {
		a := wholeAnswer(OpRegister, 400, body)
		text, _ := refusalText(a)
		return []string{text, vendorMessage(a)}, nil
	}},
}

// requestKinds lists the vendor's requests that have a body. The section of the dossier lists their fields.
var requestKinds = map[string]struct {
	fixture, section string
	request          any
}{
	"register":            {"register-request.json", "2.2", &RegisterRequest{}},
	"top-up":              {"top-up-request.json", "2.3", &TopUpRequest{}},
	"top-up-with-profile": {"top-up-with-profile-request.json", "2.4", &TopUpWithProfileRequest{}},
}

func decodesInto[T any](body []byte) (any, error) {
	var into T
	err := json.Unmarshal(body, &into)
	return into, err
}

func decodesList[T any](name string) func([]byte) (any, error) {
	return func(body []byte) (any, error) {
		var into []T
		err := intoList(name, &into)(body)
		return into, err
	}
}

func wholeAnswer(operation string, status int, body []byte) answer {
	return answer{operation: operation, status: status, contentType: "application/json", body: body, whole: true, evidence: Evidence{BytesWritten: 1}}
}

// TestEveryFieldOfAnAnswerIsReadOrDroppedByName: no new field of the vendor is lost silently. Either a decoder reads it, or
// droppedFields says why none does.
func TestEveryFieldOfAnAnswerIsReadOrDroppedByName(t *testing.T) {
	fields := map[string]bool{} // true: some decoder reads the field
	for kind, answers := range answerKinds {
		for _, name := range answers.fixtures {
			root := bodyOf(t, name)
			before := decodedAs(t, answers.decode, root)
			for _, f := range fieldsOf(root, kind) {
				fields[f.path] = fields[f.path] || slices.ContainsFunc(otherValues(f.get()), func(other any) bool {
					was := f.get()
					defer f.set(was)
					f.set(other)
					return !cmp.Equal(before, decodedAs(t, answers.decode, root), everyField)
				})
			}
		}
	}
	for path := range documentedFields(t) {
		if _, there := fields[path]; !there {
			fields[path] = false
		}
	}
	for path := range fields { // an object or list counts as read if one of its fields is; it may be empty in one fixture
		for field, read := range fields {
			fields[path] = fields[path] || read && (strings.HasPrefix(field, path+".") || strings.HasPrefix(field, path+"[]"))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(fields)) {
		if _, dropped := droppedFields[path]; dropped == fields[path] {
			t.Errorf("%s: read: %t, in droppedFields: %t", path, fields[path], dropped)
		}
	}
	for path := range droppedFields {
		if _, there := fields[path]; !there {
			t.Errorf("droppedFields has %s, which is neither in a fixture nor documented", path)
		}
	}
}

// TestEveryFixtureIsOfAKind: every fixture is used by one of the tests here.
func TestEveryFixtureIsOfAKind(t *testing.T) {
	known := []string{
		"search-customers-request.json", // see TestRequestsOfTheReads
		// The client does not make these calls. The sandbox's tests do.
		"inventory-item-update-request.json", "update-customer-request.json",
	}
	for _, kind := range answerKinds {
		known = append(known, kind.fixtures...)
	}
	for _, kind := range requestKinds {
		known = append(known, kind.fixture)
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, file := range files {
		there = append(there, filepath.Base(file))
	}
	slices.Sort(known)
	if diff := cmp.Diff(there, known); diff != "" {
		t.Errorf("the fixtures differ from those in the lists of kinds:\n%s", diff)
	}
}

// TestEveryFieldOfARequestIsSentOrLeftOutByName: each documented field of a purchase is sent, or unsentFields says
// why not. No other field is sent.
func TestEveryFieldOfARequestIsSentOrLeftOutByName(t *testing.T) {
	documents := documentedTables(t, "request field")
	leftOut := maps.Clone(unsentFields)
	for kind, r := range requestKinds {
		known := map[string]bool{}
		for _, f := range fieldsOf(bodyOf(t, r.fixture), kind) {
			known[f.path] = true
		}
		for _, name := range documents[r.section] {
			names := []string{name}
			if section, all := strings.CutPrefix(name, "all of "); all {
				names = documents[section]
			}
			for _, name := range names {
				if name != "expectedPrice" { // the fixture has the fields inside it
					known[kind+"."+name] = true
				}
			}
		}
		setAll(reflect.ValueOf(r.request).Elem())
		var body any
		if err := json.Unmarshal([]byte(mustJSON(t, r.request)), &body); err != nil {
			t.Fatal(err)
		}
		sent := map[string]bool{}
		for _, f := range fieldsOf(body, kind) {
			sent[f.path] = true
			if !known[f.path] {
				t.Errorf("%s is sent, but is neither in a fixture nor documented", f.path)
			}
		}
		for path := range known {
			if _, left := unsentFields[path]; left == sent[path] {
				t.Errorf("%s: sent: %t, in unsentFields: %t", path, sent[path], left)
			}
			delete(leftOut, path)
		}
	}
	for path := range leftOut {
		t.Errorf("unsentFields has %s, which is neither in a fixture nor documented", path)
	}
}
