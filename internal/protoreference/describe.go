package main

import (
	"fmt"
	"slices"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"
	_ "google.golang.org/protobuf/types/known/timestamppb" // imported by the contract

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// contract is the content of the page, in the order of the files and their declarations. Files with a service come first,
// because readers usually look for requests.
type contract struct {
	Services []service
	Messages []message
	Enums    []enum
}

type service struct {
	Name, Comment string
	Methods       []method
}

type method struct {
	Name, Comment     string
	HTTP              string // "POST /v1/…"
	Request, Response string // messages of the contract
}

type message struct {
	Name, Comment string
	Fields        []field
}

type field struct {
	Name, Comment string
	Number        int
	Type          string // Markdown
	Rules         []string
}

type enum struct {
	Name, Comment string
	Values        []value
}

type value struct {
	Name, Comment string
	Number        int
	Error         *answer // only for an ErrorReason
}

// answer is the gateway's answer for a reason. It comes from the option error_spec.
type answer struct {
	Reason   string // without the enum's prefix
	Code     string
	Status   int32
	Effect   string // in Markdown, with the other effects that it can have
	Pause    string // "" if there is none
	Sentence string
}

// Answers returns the answers of all error reasons.
func (c contract) Answers() []answer {
	var answers []answer
	for _, e := range c.Enums {
		for _, v := range e.Values {
			if v.Error != nil {
				answers = append(answers, *v.Error)
			}
		}
	}
	return answers
}

// HasAnswers reports whether e is the enum of the error reasons.
func (e enum) HasAnswers() bool {
	return slices.ContainsFunc(e.Values, func(v value) bool { return v.Error != nil })
}

func describe(files linker.Files) contract {
	var c contract
	slices.SortStableFunc(files, func(a, b linker.File) int {
		return min(1, b.Services().Len()) - min(1, a.Services().Len())
	})
	for _, file := range files {
		for s := range all(file.Services()) {
			c.Services = append(c.Services, describeService(s))
		}
		for m := range all(file.Messages()) {
			if isOption(m, file) {
				continue // the callers' copies of the contract do not have this file
			}
			described := message{Name: string(m.Name()), Comment: comment(m)}
			for f := range all(m.Fields()) {
				described.Fields = append(described.Fields, describeField(f))
			}
			c.Messages = append(c.Messages, described)
		}
		for e := range all(file.Enums()) {
			described := enum{Name: string(e.Name()), Comment: comment(e)}
			for v := range all(e.Values()) {
				described.Values = append(described.Values, value{string(v.Name()), comment(v), int(v.Number()), describeError(v)})
			}
			slices.SortFunc(described.Values, func(a, b value) int { return a.Number - b.Number })
			c.Enums = append(c.Enums, described)
		}
	}
	return c
}

// isOption reports whether a message is the value of one of the file's own options.
func isOption(m protoreflect.MessageDescriptor, file linker.File) bool {
	for option := range all(file.Extensions()) {
		if option.Message() == m {
			return true
		}
	}
	return false
}

func describeError(v protoreflect.EnumValueDescriptor) *answer {
	spec, ok := extension(v.Options(), &descriptorpb.EnumValueOptions{}, gigagatev1.E_ErrorSpec).(*gigagatev1.ErrorSpec)
	if !ok {
		return nil
	}
	described := &answer{
		Reason: strings.TrimPrefix(string(v.Name()), "ERROR_REASON_"),
		Code:   spec.GetCode().String(), Status: spec.GetHttpStatus(),
		Effect:   "`" + strings.TrimPrefix(spec.GetEffect().String(), "EFFECT_") + "`",
		Sentence: spec.GetSentence(),
	}
	if spec.GetOtherEffect() != "" {
		described.Effect += " (" + spec.GetOtherEffect() + ")"
	}
	if spec.GetRetryDelay() != nil {
		described.Pause = fmt.Sprintf("%vs", spec.GetRetryDelay().AsDuration().Seconds())
	}
	return described
}

func describeService(s protoreflect.ServiceDescriptor) service {
	described := service{Name: string(s.Name()), Comment: comment(s)}
	for m := range all(s.Methods()) {
		described.Methods = append(described.Methods, method{
			Name: string(m.Name()), Comment: comment(m), HTTP: binding(m),
			Request: string(m.Input().Name()), Response: string(m.Output().Name()),
		})
	}
	return described
}

// binding returns the HTTP method and the path of a call, or "" if it has none.
func binding(m protoreflect.MethodDescriptor) string {
	rule := extension(m.Options(), &descriptorpb.MethodOptions{}, annotations.E_Http)
	if rule == nil {
		return ""
	}
	var text string
	rule.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if oneof := f.ContainingOneof(); oneof != nil && oneof.Name() == "pattern" {
			text = strings.ToUpper(string(f.Name())) + " " + v.String()
		}
		return true
	})
	return text
}

func describeField(f protoreflect.FieldDescriptor) field {
	described := field{Name: string(f.Name()), Number: int(f.Number()), Type: typeOf(f), Comment: comment(f)}
	if oneof := f.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
		described.Rules = append(described.Rules, "one of `"+string(oneof.Name())+"`")
	}
	if f.HasOptionalKeyword() {
		described.Rules = append(described.Rules, "optional")
	}
	if rules := extension(f.Options(), &descriptorpb.FieldOptions{}, validate.E_Field); rules != nil {
		described.Rules = append(described.Rules, rulesOf(rules.ProtoReflect())...)
	}
	if options, ok := f.Options().(*descriptorpb.FieldOptions); ok && options.GetDebugRedact() {
		described.Rules = append(described.Rules, "never logged")
	}
	return described
}

// rulesOf lists validation rules as "name value". The rules of a type, such as string, are listed like all others.
func rulesOf(rules protoreflect.Message) (told []string) {
	rules.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Name() == "cel":
			for i := range v.List().Len() {
				if rule, ok := v.List().Get(i).Message().Interface().(*validate.Rule); ok {
					told = append(told, rule.GetMessage())
				}
			}
		case f.Message() != nil && f.Message().FullName() == "google.protobuf.Duration":
			if duration, ok := v.Message().Interface().(*durationpb.Duration); ok {
				told = append(told, fmt.Sprintf("%s %vs", f.Name(), duration.AsDuration().Seconds()))
			}
		case f.Message() != nil:
			told = append(told, rulesOf(v.Message())...)
		case f.Kind() == protoreflect.BoolKind && f.Name() != "const":
			told = append(told, string(f.Name()))
		default:
			told = append(told, fmt.Sprintf("%s `%v`", f.Name(), v.Interface()))
		}
		return true
	})
	slices.Sort(told) // Range has no fixed order
	return told
}

// extension returns the value of an extension in options, or nil if it is not set. The compiler reads options with its own
// descriptors. So they are decoded again into the types that this program links.
func extension(options protoreflect.ProtoMessage, into proto.Message, extension protoreflect.ExtensionType) protoreflect.ProtoMessage {
	text, err := proto.Marshal(options)
	if err != nil || proto.Unmarshal(text, into) != nil || !proto.HasExtension(into, extension) {
		return nil
	}
	message, _ := proto.GetExtension(into, extension).(protoreflect.ProtoMessage)
	return message
}

// typeOf returns the name of a field's type, with a link if the page describes it.
func typeOf(f protoreflect.FieldDescriptor) string {
	name := f.Kind().String()
	var described protoreflect.Descriptor
	switch {
	case f.Message() != nil:
		described = f.Message()
	case f.Enum() != nil:
		described = f.Enum()
	}
	if described != nil {
		name = string(described.FullName())
		if described.ParentFile().Package() == f.ParentFile().Package() {
			name = fmt.Sprintf("[%s](#%s)", described.Name(), strings.ToLower(string(described.Name())))
		}
	}
	if f.IsList() {
		name = "list of " + name
	}
	return name
}

func comment(d protoreflect.Descriptor) string {
	return strings.TrimSpace(d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments)
}
