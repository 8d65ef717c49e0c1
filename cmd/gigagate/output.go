package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// outputSettings are the flags of every command that prints an answer.
type outputSettings struct {
	Output string `enum:",table,json" default:"" placeholder:"FORM" help:"How to print the answer: table or json. By default, a terminal gets a table, and a pipe or a file gets JSON."`
}

// asTable reports whether a person reads the output.
func (s outputSettings) asTable(to console) bool {
	return s.Output == "table" || s.Output == "" && isTerminal(to.out)
}

// print writes an answer, as a table for a person or as JSON for a program.
func (s outputSettings) print(to console, answer proto.Message) error {
	if s.asTable(to) {
		return printTable(to.out, answer)
	}
	return printJSON(to.out, answer)
}

// printReport writes what a command found out by itself, as a table or as JSON.
func (s outputSettings) printReport(to console, report any, table [][]string) error {
	if s.asTable(to) {
		var text strings.Builder
		rows(&text, table...)
		_, err := io.WriteString(to.out, text.String())
		return err
	}
	text, err := json.Marshal(report)
	if err != nil {
		return err
	}
	return printIndented(to.out, text)
}

// isTerminal reports whether w is a terminal, so that a person reads the output.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// printJSON prints message as indented JSON. It does not use protojson's indentation, which varies from build to build.
func printJSON(w io.Writer, message proto.Message) error {
	text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(message)
	if err != nil {
		return err
	}
	return printIndented(w, text)
}

// printIndented indents a JSON text and prints it.
func printIndented(w io.Writer, text []byte) error {
	var indented bytes.Buffer
	if err := json.Indent(&indented, bytes.TrimSpace(text), "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, indented.String())
	return err
}
