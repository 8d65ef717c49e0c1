package main

import (
	"regexp"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
)

// commentOf is a leading comment as Markdown: its lines are joined, its paragraphs kept.
func (d *document) commentOf(comments protogen.CommentSet) string {
	var paragraphs []string
	for paragraph := range strings.SplitSeq(string(comments.Leading), "\n\n") {
		paragraphs = append(paragraphs, strings.Join(strings.Fields(paragraph), " "))
	}
	return d.inJSONNames(strings.TrimSpace(strings.Join(paragraphs, "\n\n")))
}

// snakeName is a name of several words, with whatever path follows it.
var snakeName = regexp.MustCompile(`\b[a-z]+(_[a-z]+)+\b(\.[a-z_]+)?`)

// inJSONNames writes the fields that a comment mentions as they stand in JSON. A path of fields is
// left alone: in an error it is told in the contract's own names.
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

// summaryOf is the beginning of a comment, up to its first stop.
func summaryOf(comment string) string {
	if end := strings.IndexAny(comment, ".,:"); end > 0 {
		return comment[:end]
	}
	return comment
}

// asIn is the comment on a field that means what its namesake in another message means.
var asIn = regexp.MustCompile(`^As in (\w+)\.$`)

// fieldComment is the comment on a field, or on the one that it refers to.
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

// enumComment tells what each value means, but for those that are never sent.
func (d *document) enumComment(enum *protogen.Enum) string {
	lines := []string{d.commentOf(enum.Comments), ""}
	for _, value := range enum.Values {
		if comment := d.commentOf(value.Comments); comment != neverSent {
			lines = append(lines, "- `"+string(value.Desc.Name())+"`: "+comment)
		}
	}
	return strings.Join(lines, "\n")
}

// neverSent is the contract's comment on a value that stands in no answer.
const neverSent = "Never sent."
