package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/scenarios/protocol"
)

// contract is the package of the calls. Scenarios name calls without it.
const contract = "gigagate.v1."

// normalised reads an answer as the contract's message and writes it in one form, with default values. So each language
// may print the same message in its own way.
func normalised(method string, answer protocol.Answer) (map[string]any, error) {
	switch {
	case answer.Refused != nil:
		return asObject("refused", answer.Refused)
	case answer.NotKnownYet != nil:
		return asObject("notKnownYet", answer.NotKnownYet)
	case answer.Error == nil:
		message, err := responseOf(method)
		if err != nil {
			return nil, err
		}
		response, err := canonical(answer.Response, message)
		if err != nil {
			return nil, fmt.Errorf("the response is not a response of %s: %w", method, err)
		}
		return map[string]any{"response": response, "replayed": answer.Replayed}, nil
	}
	if _, ok := code.Code_value[answer.Error.Code]; !ok {
		return nil, fmt.Errorf("the error's code is %q", answer.Error.Code)
	}
	told := map[string]any{"code": answer.Error.Code, "message": answer.Error.Message, "outcome": nil}
	if text := string(answer.Error.Outcome); text != "" && text != "null" {
		outcome, err := canonical(answer.Error.Outcome, &gigagatev1.Outcome{})
		if err != nil {
			return nil, fmt.Errorf("the outcome is not an Outcome message: %w", err)
		}
		told["outcome"] = outcome
	}
	return map[string]any{"error": told}, nil
}

// asObject returns an object with one member: value in decoded JSON.
func asObject(name string, value any) (map[string]any, error) {
	text, err := json.Marshal(map[string]any{name: value})
	if err != nil {
		return nil, err
	}
	var object map[string]any
	return object, json.Unmarshal(text, &object)
}

// responseOf makes an empty response of a method.
func responseOf(method string) (proto.Message, error) {
	descriptor, err := protocol.MethodNamed(method)
	if err != nil {
		return nil, err
	}
	message, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.Output().FullName())
	if err != nil {
		return nil, err
	}
	return message.New().Interface(), nil
}

func canonical(text []byte, into proto.Message) (any, error) {
	if err := protojson.Unmarshal(text, into); err != nil {
		return nil, err
	}
	written, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(into)
	if err != nil {
		return nil, err
	}
	var value any
	return value, json.Unmarshal(written, &value)
}

// differences lists where got does not match want. An object needs the members of want and may have others. A list needs
// the same number of elements. null means that there must be no value, "*" any value, and "/…/" a text that matches the
// regular expression.
func differences(path string, want, got any) []string {
	differs := func() []string { return []string{fmt.Sprintf("%s: want %s, got %s", path, inJSON(want), inJSON(got))} }
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return differs()
		}
		var all []string
		for _, name := range slices.Sorted(maps.Keys(want)) {
			all = append(all, differences(path+"."+name, want[name], object[name])...)
		}
		return all
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return differs()
		}
		var all []string
		for i := range want {
			all = append(all, differences(fmt.Sprintf("%s[%d]", path, i), want[i], list[i])...)
		}
		return all
	case string:
		if want == "*" {
			if got == nil || got == "" {
				return differs()
			}
			return nil
		}
		if pattern, ok := patternIn(want); ok {
			expression, err := regexp.Compile(pattern)
			if err != nil {
				return []string{fmt.Sprintf("%s: %v", path, err)}
			}
			if text, isText := got.(string); !isText || !expression.MatchString(text) {
				return differs()
			}
			return nil
		}
	}
	if !reflect.DeepEqual(want, got) {
		return differs()
	}
	return nil
}

// patternIn returns the regular expression in "/…/". It reports false if want has another form.
func patternIn(want string) (string, bool) {
	if len(want) < 2 || !strings.HasPrefix(want, "/") || !strings.HasSuffix(want, "/") {
		return "", false
	}
	return want[1 : len(want)-1], true
}

// inJSON writes a value as JSON for a reader. It does not escape < and >.
func inJSON(value any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(text.String())
}
