package main

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"gigagate.internal/docs"
	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// explainCommand says what a word means.
type explainCommand struct {
	Word []string `arg:"" name:"word" help:"The word, such as NO_OLDER_WITNESS, or a whole log line."`
	outputSettings
}

// Run prints what the pages say about the word.
func (c *explainCommand) Run(to console) error {
	text := strings.Join(c.Word, " ")
	found, named := docs.Find(text)
	if !named && len(found) != 1 {
		return unknownWord(text, found)
	}
	var table [][]string
	for i, word := range found {
		if i > 0 {
			table = append(table, nil)
		}
		table = append(table, []string{word.Kind, word.Name})
		for _, fact := range word.Facts {
			table = append(table, []string{fact.Heading, printable(fact.Text)})
		}
		table = append(table, []string{"page", word.Page})
	}
	return c.printReport(to, found, table)
}

// unknownWord names the words that contain the text.
func unknownWord(text string, found []*docs.Word) error {
	const most = 10
	if len(found) == 0 {
		return fmt.Errorf("the gateway does not use the word %q", text)
	}
	var names []string
	for _, word := range found[:min(len(found), most)] {
		names = append(names, word.Name)
	}
	more := ""
	if len(found) > most {
		more = fmt.Sprintf(", and %d more", len(found)-most)
	}
	return fmt.Errorf("the gateway does not use the word %q, but these: %s%s", text, strings.Join(names, ", "), more)
}

// helpText says where the state and the reason of a purchase are explained.
func helpText(p *gigagatev1.Purchase) string {
	var text strings.Builder
	for _, value := range []protoreflect.Enum{p.GetState(), p.GetReason(), p.GetOperatorReason()} {
		known := value.Descriptor().Values().ByNumber(value.Number())
		if value.Number() == 0 || known == nil {
			continue
		}
		if page := docs.Page(docs.ValueID(string(known.Name()))); page != "" {
			fmt.Fprintf(&text, "%s is explained in %s.\n", enumText(value), page)
		}
	}
	return text.String()
}
