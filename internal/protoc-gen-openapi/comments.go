package main

import (
	"regexp"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
)

// commentOf is a leading comment as Markdown. Each paragraph is one line.
func (d *document) commentOf(comments protogen.CommentSet) string {
	var paragraphs []string
	for paragraph := range strings.SplitSeq(string(comments.Leading), "\n\n") {
		paragraphs = append(paragraphs, strings.Join(strings.Fields(paragraph), " "))
	}
	return d.inJSONNames(strings.TrimSpace(strings.Join(paragraphs, "\n\n")))
}

// snakeName matches a field's name of several words, and the path after it.
var snakeName = regexp.MustCompile(`\b[a-z]+(_[a-z]+)+\b(\.[a-z_]+)?`)

// inJSONNames replaces the names of fields in a comment by their names in JSON. It does not change a path of fields,
// because errors name paths with the contract's names.
func (d *document) inJSONNames(comment string) string {
	return snakeName.ReplaceAllStringFunc(comment, func(name string) string {
		for _, field := range d.fields {
			if string(field.Desc.Name()) == name {
				return field.Desc.JSONName()
			}
		}
		return name
	})
}

// summaryOf is the beginning of a comment, up to its first full stop, comma or colon.
func summaryOf(comment string) string {
	if end := strings.IndexAny(comment, ".,:"); end > 0 {
		return comment[:end]
	}
	return comment
}

// asIn matches the comment of a field that means the same as the field of this name in another message.
var asIn = regexp.MustCompile(`^As in (\w+)\.$`)

// fieldComment is the comment of a field. For "As in Message." it is the comment of the field in that message.
func (d *document) fieldComment(field *protogen.Field) string {
	comment := d.commentOf(field.Comments)
	match := asIn.FindStringSubmatch(comment)
	if match == nil {
		return comment
	}
	for _, other := range d.fields {
		if other.Desc.Name() == field.Desc.Name() && string(other.Parent.Desc.Name()) == match[1] {
			return d.fieldComment(other)
		}
	}
	return comment
}

// fieldsIn are the fields of all messages of the contract.
func fieldsIn(files []*protogen.File) []*protogen.Field {
	var fields []*protogen.Field
	for _, file := range files {
		if !file.Generate {
			continue
		}
		for _, message := range file.Messages {
			fields = append(fields, message.Fields...)
		}
	}
	return fields
}

// enumComment is the comment of an enum and of each value that can be sent.
func (d *document) enumComment(enum *protogen.Enum) string {
	lines := []string{d.commentOf(enum.Comments), ""}
	for _, value := range enum.Values {
		if comment := d.commentOf(value.Comments); comment != neverSent {
			lines = append(lines, "- `"+string(value.Desc.Name())+"`: "+comment)
		}
	}
	return strings.Join(lines, "\n")
}

// neverSent is the contract's comment on a value that no answer has.
const neverSent = "Never sent."
