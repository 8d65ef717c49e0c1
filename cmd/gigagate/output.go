package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// outputSettings are the flags of every command that prints an answer.
type outputSettings struct {
	Output string `enum:",table,json" default:"" placeholder:"FORM" help:"How to print the answer: table or json. Without it, a terminal gets a table and everything else JSON."`
}

// print writes an answer for whoever reads it.
func (s outputSettings) print(to console, answer proto.Message) error {
	if s.Output == "table" || s.Output == "" && isTerminal(to.out) {
		return printTable(to.out, answer)
	}
	return printJSON(to.out, answer)
}

// isTerminal reports whether a person reads what is written to w.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// printJSON prints message indented. protojson's own indentation varies from build to build.
func printJSON(w io.Writer, message proto.Message) error {
	text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(message)
	if err != nil {
		return err
	}
	return printIndented(w, text)
}

// printIndented prints a JSON text indented.
func printIndented(w io.Writer, text []byte) error {
	var indented bytes.Buffer
	if err := json.Indent(&indented, bytes.TrimSpace(text), "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, indented.String())
	return err
}
