package main

import (
	"regexp"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
)

// fieldRules are the contract's rules for a field of a request.
type fieldRules struct {
	*validate.FieldRules
	required bool
}

func rulesOf(field *protogen.Field) fieldRules {
	rules, _ := proto.GetExtension(field.Desc.Options(), validate.E_Field).(*validate.FieldRules)
	return fieldRules{rules, rules.GetRequired() || isMarkedRequired(field)}
}

func oneofIsRequired(oneof *protogen.Oneof) bool {
	rules, _ := proto.GetExtension(oneof.Desc.Options(), validate.E_Oneof).(*validate.OneofRules)
	return rules.GetRequired()
}

// stringSchema has the rules that JSON Schema can express. A limit in bytes becomes the same limit in characters, because
// a text never has more characters than bytes. Rules in CEL are only in the comment.
func stringSchema(field *protogen.Field, in direction) object {
	schema := typed("string")
	if in != request {
		return schema
	}
	rules := rulesOf(field)
	text := rules.GetString()
	// A required text must not be empty. Most patterns say that already.
	if pattern := text.GetPattern(); rules.required && (pattern == "" || regexp.MustCompile(pattern).MatchString("")) {
		schema = schema.with("minLength", 1)
	}
	if text.HasMaxBytes() {
		schema = schema.with("maxLength", text.GetMaxBytes())
	}
	switch {
	case text.GetEmail():
		schema = schema.with("format", "email")
	case text.GetIp():
		schema = schema.with("anyOf", []object{{{"format", "ipv4"}}, {{"format", "ipv6"}}})
	}
	return schema.withText("pattern", portable.Replace(text.GetPattern()))
}

// portable turns a pattern of RE2 into one that other dialects understand. Python, in which strict validators are written,
// has no \p. ECMAScript writes a code point as \u.
var portable = strings.NewReplacer(
	`\p{Cc}`, `\x00-\x1f\x7f-\x9f`, `\p{Zl}\p{Zp}`, `\u2028\u2029`,
	`\p{Z}`, ` \xa0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000`,
	`\x{200B}`, `\u200B`, `\x{202D}`, `\u202D`, `\x{202E}`, `\u202E`, `\x{FEFF}`, `\uFEFF`,
)

func boolSchema(field *protogen.Field, in direction) object {
	schema := typed("boolean")
	if rules := rulesOf(field).GetBool(); in == request && rules.HasConst() {
		schema = schema.with("const", rules.GetConst())
	}
	return schema
}

func int32Schema(field *protogen.Field, in direction) object {
	schema := typed("integer").with("format", "int32")
	if in != request {
		return schema
	}
	rules := rulesOf(field).GetInt32()
	if rules.HasGte() {
		schema = schema.with("minimum", rules.GetGte())
	}
	if rules.HasLte() {
		schema = schema.with("maximum", rules.GetLte())
	}
	return schema
}

// durationSchema describes the form of a duration. JSON Schema cannot express its limits.
func durationSchema(field *protogen.Field, in direction) object {
	sign := "-?"
	if in == request && rulesOf(field).GetDuration().HasGte() && rulesOf(field).GetDuration().GetGte().AsDuration() >= 0 {
		sign = ""
	}
	schema := typed("string").with("pattern", `^`+sign+`[0-9]+(\.[0-9]{1,9})?s$`)
	// Without an example, tools make up numbers of thirty digits.
	return schema.with("examples", []string{"5s"})
}
