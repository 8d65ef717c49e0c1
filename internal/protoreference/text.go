package main

import (
	"iter"
	"strings"
)

// descriptors is any list of descriptors in protoreflect.
type descriptors[D any] interface {
	Len() int
	Get(i int) D
}

func all[D any](list descriptors[D]) iter.Seq[D] {
	return func(yield func(D) bool) {
		for i := range list.Len() {
			if !yield(list.Get(i)) {
				return
			}
		}
	}
}

// prose returns a comment as Markdown, with one line for each paragraph. It escapes HTML.
func prose(comment string) string {
	var paragraphs []string
	for paragraph := range strings.SplitSeq(comment, "\n\n") {
		paragraphs = append(paragraphs, strings.Join(strings.Fields(paragraph), " "))
	}
	return strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(strings.Join(paragraphs, "\n\n"))
}

// cell returns text for a cell of a Markdown table. It escapes bars, because a bar ends the cell even inside code.
func cell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\n\n", "<br>"), "|", `\|`)
}

// short returns a comment's first sentence.
func short(comment string) string {
	text, _, _ := strings.Cut(prose(comment), "\n\n")
	if first, _, more := strings.Cut(text, ". "); more {
		return first + "."
	}
	return text
}
