package main

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
)

// masked matches texts that differ from gateway to gateway: times, ids, and the numbers and codes of an eSIM.
var masked = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z|` + // a time
	`[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|` + // a uid
	`[0-7][0-9A-HJKMNP-TV-Z]{25}|` + // a ULID
	`[0-9a-f]{32}|\d{15,}|[A-Z0-9]{16}`) // a token, an ICCID or IMSI, an activation code

var isTime = regexp.MustCompile(`^\d{4}-`)

// masks replaces ids with numbers, in the order in which they first appear. So two transcripts can be equal even if their
// ids differ.
type masks map[string]string

func (m masks) apply(value any) any {
	switch value := value.(type) {
	case string:
		return masked.ReplaceAllStringFunc(value, m.name)
	case map[string]any:
		hidden := make(map[string]any, len(value))
		for _, name := range slices.Sorted(maps.Keys(value)) { // sorted, because ids are numbered in this order
			if token, ok := value[name].(string); ok && name == "nextPageToken" && token != "" {
				hidden[name] = m.name(token) // a page token contains an id in encoded form
				continue
			}
			hidden[name] = m.apply(value[name])
		}
		return hidden
	case []any:
		hidden := make([]any, len(value))
		for i, element := range value {
			hidden[i] = m.apply(element)
		}
		return hidden
	}
	return value
}

func (m masks) name(found string) string {
	if isTime.MatchString(found) {
		return "<time>"
	}
	if m[found] == "" {
		m[found] = fmt.Sprintf("<id %d>", len(m)+1)
	}
	return m[found]
}

// sameAnswers lists the differences between the answers that two languages got in one scenario.
func sameAnswers(scenario string, first, second []told) []string {
	one, other := answersIn(scenario, first), answersIn(scenario, second)
	if len(one) != len(other) {
		return []string{fmt.Sprintf("%d calls were answered, %d in the other language", len(other), len(one))}
	}
	var problems []string
	oneMasks, otherMasks := masks{}, masks{}
	for i := range one {
		want, got := oneMasks.apply(one[i].answer), otherMasks.apply(other[i].answer)
		if reflect.DeepEqual(want, got) {
			continue
		}
		found := differences("answer", want, got)
		if found == nil { // this language has more members than the other one
			found = differences("answer of the other language", got, want)
		}
		problems = append(problems, fmt.Sprintf("call %d, %s:", i+1, one[i].method))
		problems = append(problems, found...)
	}
	return problems
}

func answersIn(scenario string, all []told) []told {
	return slices.DeleteFunc(slices.Clone(all), func(t told) bool { return t.scenario != scenario })
}
