package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// scenario is one file of proto/scenarios. The README there describes the format.
type scenario struct {
	name  string // the file's name without .json
	About string `json:"about"`
	// Credential is a word of credentials. Without one, the scenario is played on a gateway without TLS and callers.
	Credential string `json:"credential"`
	Steps      []step `json:"steps"`
}

// step is a call of the contract, or of the sandbox's control API.
type step struct {
	Say string `json:"say"`

	Call       string         `json:"call"` // service and method: ActivationService/Register
	Request    map[string]any `json:"request"`
	DeadlineMs int64          `json:"deadlineMs"`
	Helper     bool           `json:"helper"` // through the purchase helper of the language's package

	Sandbox string         `json:"sandbox"` // method and path: POST /_sandbox/faults
	Body    map[string]any `json:"body"`

	Expect map[string]any    `json:"expect"`
	Save   map[string]string `json:"save"` // name of a variable: path in the answer
}

func (s step) String() string {
	if s.Sandbox != "" {
		return s.Sandbox
	}
	return s.Call
}

// readScenarios reads every scenario of a folder, sorted by name. It returns an error if there is none.
func readScenarios(folder string) ([]scenario, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("there are no scenarios in %s", folder)
	}
	var all []scenario
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		one := scenario{name: strings.TrimSuffix(filepath.Base(path), ".json")}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := errors.Join(decoder.Decode(&one), one.check()); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, one)
	}
	return all, nil
}

// check refuses fields that would silently have no effect.
func (s scenario) check() error {
	if s.About == "" || len(s.Steps) == 0 {
		return errors.New("a scenario needs \"about\" and steps")
	}
	if _, known := credentials[s.Credential]; s.Credential != "" && !known {
		return fmt.Errorf("there is no credential %q", s.Credential)
	}
	for i, step := range s.Steps {
		switch {
		case (step.Call == "") == (step.Sandbox == ""):
			return fmt.Errorf("step %d: it needs either call or sandbox", i+1)
		case step.Call != "" && (step.Body != nil || !step.expectsOne()):
			return fmt.Errorf("step %d: a call takes request, not body, and expects either response or error; "+
				"with helper it expects response, refused or notKnownYet", i+1)
		case step.Helper && step.Call != registerCall && step.Call != topUpCall:
			return fmt.Errorf("step %d: the helper makes paid calls only", i+1)
		case step.Sandbox != "" && (step.Request != nil || step.DeadlineMs != 0):
			return fmt.Errorf("step %d: a step for the sandbox takes body, not request or deadlineMs", i+1)
		}
	}
	return nil
}

// The paid calls.
const (
	registerCall = "ActivationService/Register"
	topUpCall    = "ActivationService/TopUp"
)

// expectsOne reports whether a call expects exactly one result, and a kind of result that it can have.
func (s step) expectsOne() bool {
	expected := 0
	for _, kind := range []string{"response", "error", "refused", "notKnownYet"} {
		if s.Expect[kind] != nil {
			expected++
		}
	}
	return expected == 1 && (s.Expect["response"] != nil || s.Helper == (s.Expect["error"] == nil))
}

// helper reports whether a step needs the purchase helper.
func (s scenario) helper() bool {
	return slices.ContainsFunc(s.Steps, func(s step) bool { return s.Helper })
}

// variables are what earlier steps of a scenario saved.
type variables map[string]string

var variable = regexp.MustCompile(`\$\{([a-zA-Z]+)\}`)

// fill returns a copy of value in which ${name} is replaced in every string. It returns an error for an unknown name.
func (v variables) fill(value any) (any, error) {
	switch value := value.(type) {
	case string:
		var missing error
		filled := variable.ReplaceAllStringFunc(value, func(match string) string {
			name := match[2 : len(match)-1]
			known, ok := v[name]
			if !ok {
				missing = fmt.Errorf("nothing was saved as %s", name)
			}
			return known
		})
		return filled, missing
	case map[string]any:
		filled := make(map[string]any, len(value))
		for name, member := range value {
			var err error
			if filled[name], err = v.fill(member); err != nil {
				return nil, err
			}
		}
		return filled, nil
	case []any:
		filled := make([]any, len(value))
		for i, element := range value {
			var err error
			if filled[i], err = v.fill(element); err != nil {
				return nil, err
			}
		}
		return filled, nil
	}
	return value, nil
}

// fillObject is fill for an object. A nil object becomes {}.
func (v variables) fillObject(object map[string]any) (map[string]any, error) {
	filled, err := v.fill(object)
	if err != nil {
		return nil, err
	}
	return filled.(map[string]any), nil
}

// save keeps the texts in answer at the given paths. It returns an error if there is no text.
func (v variables) save(paths map[string]string, answer any) error {
	for name, path := range paths {
		text, ok := at(answer, path).(string)
		if !ok || text == "" {
			return fmt.Errorf("there is no text at %s to save as %s", path, name)
		}
		v[name] = text
	}
	return nil
}

// at returns the value at a dotted path, or nil if there is none.
func at(value any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}
