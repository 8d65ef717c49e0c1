package server

import (
	"slices"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// fieldsOfRequests visits every field that a request of the contract can have.
func fieldsOfRequests(visit func(protoreflect.FieldDescriptor)) {
	seen := map[protoreflect.FullName]bool{}
	var message func(protoreflect.MessageDescriptor)
	message = func(m protoreflect.MessageDescriptor) {
		if seen[m.FullName()] || m.ParentFile().Package() != "gigagate.v1" {
			return
		}
		seen[m.FullName()] = true
		for i := range m.Fields().Len() {
			visit(m.Fields().Get(i))
			if inner := m.Fields().Get(i).Message(); inner != nil {
				message(inner)
			}
		}
	}
	for _, r := range routes {
		message(r.input)
	}
}

func rulesOfField(field protoreflect.FieldDescriptor) *validate.FieldRules {
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	return rules
}

// Each pattern of the contract has a sentence for its refusal, and each sentence belongs to a pattern.
func TestEveryPatternHasASentence(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	fieldsOfRequests(func(field protoreflect.FieldDescriptor) {
		pattern := rulesOfField(field).GetString().GetPattern()
		used[pattern] = true
		if pattern != "" && patternSentences[pattern] == "" {
			t.Errorf("%s: the pattern %s has no sentence", field.FullName(), pattern)
		}
	})
	for pattern := range patternSentences {
		if !used[pattern] {
			t.Errorf("no field has the pattern %s", pattern)
		}
	}
}

// Every field of a request is annotated as required or optional, in a form that other tools read.
func TestEveryFieldOfARequestIsRequiredOrOptional(t *testing.T) {
	t.Parallel()
	fieldsOfRequests(func(field protoreflect.FieldDescriptor) {
		if oneof := field.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
			return // the oneof as a whole is required, not its fields
		}
		behaviors, _ := proto.GetExtension(field.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
		required := slices.Contains(behaviors, annotations.FieldBehavior_REQUIRED)
		if len(behaviors) != 1 || !required && behaviors[0] != annotations.FieldBehavior_OPTIONAL {
			t.Errorf("%s: %v", field.FullName(), behaviors)
		}
		// A price needs both of its fields. Their patterns say so, because they refuse an empty text.
		if field.Parent().Name() != "Money" && required != rulesOfField(field).GetRequired() {
			t.Errorf("%s: annotated %v, required by its rules: %v", field.FullName(), behaviors, rulesOfField(field).GetRequired())
		}
	})
}
