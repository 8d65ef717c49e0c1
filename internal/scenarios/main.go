// Command scenarios plays the scenarios of proto/scenarios in every language that the contract has stubs for, and over
// plain HTTP. Each language has a client program, and a gateway with its own sandbox. It checks three things: all
// programs get the answers that the scenarios expect, they all get the same answers, and the sandbox's ledger agrees
// with the answers.
//
//	go run ./internal/scenarios                 every language whose tools are installed
//	go run ./internal/scenarios -only go,http   only these
//	go run ./internal/scenarios -require all    fail if a language is missing
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	var c config
	flag.StringVar(&c.root, "root", ".", "the repository's root")
	only := flag.String("only", "", "play only these languages, separated by commas")
	require := flag.String("require", "", "fail if one of these languages cannot be played here, separated by commas, or all")
	flag.Parse()
	c.scenarios = filepath.Join(c.root, "proto", "scenarios")
	c.only, c.require = words(*only), words(*require)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, c, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// config says what to play.
type config struct {
	root, scenarios string // folders
	only, require   []string
}

// run plays every scenario in every language and prints a table. It returns an error if anything failed.
func run(ctx context.Context, c config, out io.Writer) error {
	var err error
	if c.root, err = filepath.Abs(c.root); err != nil {
		return err
	}
	scenarios, err := readScenarios(c.scenarios)
	if err != nil {
		return err
	}
	chosen, err := c.choose(out)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "gigagate-scenarios-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	gigagate := filepath.Join(work, "gigagate")
	if err := execute(ctx, c.root, []string{"go", "build", "-o", gigagate, "./cmd/gigagate"}); err != nil {
		return err
	}
	s := stage{root: c.root, work: work, gigagate: gigagate, secrets: filepath.Join(work, "secrets")}
	if err := writeSecrets(s.secrets); err != nil {
		return err
	}
	columns := make([]*column, len(chosen))
	for i, language := range chosen {
		columns[i] = &column{language: language, stage: s, err: language.build(ctx, c.root, work)}
	}
	// The languages play at the same time, because a scenario mostly waits. Everything is built before, because a build
	// at the same time would delay answers past their deadlines.
	var playing sync.WaitGroup
	for _, column := range columns {
		if column.err == nil {
			playing.Go(func() { column.play(ctx, scenarios) })
		}
	}
	playing.Wait()
	for _, column := range columns[1:] {
		column.compare(columns[0])
	}
	return report(out, columns, scenarios)
}

// choose picks the languages that are wanted and can be played here. It returns an error if a required one cannot, or if
// none is left.
func (c config) choose(out io.Writer) ([]language, error) {
	for _, name := range slices.Concat(c.only, c.require) {
		if name != "all" && !slices.ContainsFunc(languages, func(l language) bool { return l.name == name }) {
			return nil, fmt.Errorf("there is no language called %s", name)
		}
	}
	var chosen []language
	for _, language := range languages {
		if len(c.only) > 0 && !slices.Contains(c.only, language.name) {
			continue
		}
		missing := language.missing(c.root)
		switch {
		case missing == "":
			chosen = append(chosen, language)
		case slices.Contains(c.require, language.name) || slices.Contains(c.require, "all"):
			return nil, fmt.Errorf("%s cannot be played: %s", language.name, missing)
		default:
			fmt.Fprintf(out, "SKIPPED: %s: %s\n", language.name, missing)
		}
	}
	if len(chosen) == 0 {
		return nil, errors.New("there is no language left to play")
	}
	return chosen, nil
}

// stage is what all languages use to play.
type stage struct {
	root     string // of the repository
	work     string // a temporary folder
	gigagate string // the gateway's program
	secrets  string // the folder with the credentials
}

// column is one language with the results of its scenarios.
type column struct {
	language language
	stage    stage
	results  []result
	heard    []told
	err      error // why the scenarios could not all be played
}

// play plays every scenario and checks the ledgers. Scenarios with a credential are played on a gateway of their own, which
// speaks TLS and knows its callers.
func (c *column) play(ctx context.Context, scenarios []scenario) {
	open, err := c.gateway(ctx, "open")
	if err != nil {
		c.err = err
		return
	}
	defer func() { c.err = errors.Join(c.err, open.stop()) }()
	secured, err := c.gateway(ctx, "secured", securedFlags(c.stage.secrets)...)
	if err != nil {
		c.err = err
		return
	}
	defer func() { c.err = errors.Join(c.err, secured.stop()) }()
	program, err := c.language.start(ctx, c.stage, open, os.Environ())
	if err != nil {
		c.err = err
		return
	}
	defer func() { c.err = errors.Join(c.err, program.stop()) }()
	p, withCredentials := &play{gateway: open, program: program}, &play{gateway: secured}
	for _, scenario := range scenarios {
		switch {
		case c.language.rest && scenario.helper():
			c.results = append(c.results, result{scenario: scenario.name, skipped: true})
		case scenario.Credential != "":
			c.took(scenario.name, func() ([]string, error) { return c.secured(ctx, scenario, withCredentials) })
		default:
			c.took(scenario.name, func() ([]string, error) { return p.scenario(ctx, scenario) })
		}
		if c.err != nil {
			return
		}
	}
	c.heard = slices.Concat(p.heard, withCredentials.heard)
	c.took(ledgerRow, func() ([]string, error) {
		problems, err := p.checkLedger(ctx)
		if err != nil || len(withCredentials.heard) == 0 {
			return problems, err
		}
		more, err := withCredentials.checkLedger(ctx)
		return append(problems, more...), err
	})
}

// gateway starts a gateway for the language.
func (c *column) gateway(ctx context.Context, name string, flags ...string) (*gateway, error) {
	folder := filepath.Join(c.stage.work, name+"-"+c.language.name)
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	return startGateway(ctx, c.stage.gigagate, folder, flags...)
}

// took runs one row of the table and keeps its result and its time.
func (c *column) took(name string, what func() ([]string, error)) {
	began := time.Now()
	problems, err := what()
	if err != nil {
		c.err = fmt.Errorf("%s: %w", name, err)
		return
	}
	c.results = append(c.results, result{scenario: name, took: time.Since(began), problems: problems})
}

// compare compares the answers with those of the first language, in the scenarios that both passed.
func (c *column) compare(first *column) {
	if c.err != nil || first.err != nil {
		return
	}
	for i := range c.results {
		if c.results[i].skipped || first.results[i].skipped {
			continue
		}
		if mine := &c.results[i]; len(mine.problems) == 0 && len(first.results[i].problems) == 0 {
			if mine.problems = sameAnswers(mine.scenario, first.heard, c.heard); len(mine.problems) > 0 {
				mine.problems = append([]string{"not the same as in " + first.language.name}, mine.problems...)
			}
		}
	}
}
