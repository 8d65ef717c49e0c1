package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// report prints what failed, and a table of scenarios and languages. It returns an error if anything failed.
func report(out io.Writer, columns []*column, scenarios []scenario) error {
	failed := false
	for _, column := range columns {
		for _, result := range column.results {
			if len(result.problems) > 0 {
				failed = true
				fmt.Fprintf(out, "\n%s, %s: %s\n", column.language.name, result.scenario, strings.Join(result.problems, "\n    "))
			}
		}
		if column.err != nil {
			failed = true
			fmt.Fprintf(out, "\n%s: %v\n", column.language.name, column.err)
		}
	}
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "scenario")
	for _, column := range columns {
		fmt.Fprint(table, "\t", column.language.name)
	}
	fmt.Fprintln(table)
	names := make([]string, 0, len(scenarios)+1)
	for _, scenario := range scenarios {
		names = append(names, scenario.name)
	}
	for row, name := range append(names, ledgerRow) {
		fmt.Fprint(table, name)
		for _, column := range columns {
			fmt.Fprint(table, "\t", column.cell(row))
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if failed {
		return errors.New("not every language got the answers that the scenarios expect")
	}
	return nil
}

// cell is the text of one row in the table. The rows are the scenarios in order, then the ledger.
func (c *column) cell(row int) string {
	switch {
	case row >= len(c.results):
		return "-"
	case len(c.results[row].problems) > 0:
		return "FAILED"
	case c.results[row].skipped:
		return "no helper"
	}
	return "ok " + c.results[row].took.Round(time.Millisecond).String()
}
