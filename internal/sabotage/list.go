package main

import "slices"

// sabotage is the removal of a safety rule, with the test that must fail then.
type sabotage struct {
	name  string
	edits []edit
	pkg   string // package of the test
	test  string // the argument of go test -run
}

const (
	states     = "./purchase"
	simulation = "./purchase/simulation"
	vendor     = "./gigastore"
	server     = "./server"
	program    = "./cmd/gigagate"
	goClient   = "./clients/go/client"
)

// sabotages are all sabotages. Each file list_*.go has one part of them.
var sabotages = slices.Concat(
	buying, journals, reconciling, secrets, telling, identifying, allowing, budgets, guardingDoors, alerting,
	attackedFloods, consoleAttacked, attackedSpend, guardingConsole, consoleForms, deployed, findingCustomers, limiting,
	measuring, searching, showing, signingIn, guardingPages, tracing, watching,
)
