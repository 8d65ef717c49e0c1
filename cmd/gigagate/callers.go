package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
	"gigagate.internal/server"
)

// callersSettings are the flags of who may call.
type callersSettings struct {
	CallersFile string `name:"callers-file" placeholder:"FILE" help:"Who may call, and what each may do. It is read again when it changes, and after a SIGHUP (default: everyone may do everything)."`
}

// watchCallers reads the callers file, and reads it again when it changes. The result is nil without a file.
func (s callersSettings) watchCallers(ctx context.Context, telemetry *telemetry) (callers server.Access, forget func(), err error) {
	if s.CallersFile == "" {
		return nil, func() {}, nil
	}
	live, err := access.Watch(access.Config{File: s.CallersFile, Logger: telemetry.logger, MeterProvider: telemetry.meterProvider})
	if err != nil {
		return nil, nil, fmt.Errorf("--callers-file: %w", err)
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-hangups:
				_ = live.Reload(ctx) // it is logged
			case <-ctx.Done():
				return
			}
		}
	}()
	return live, func() {
		signal.Stop(hangups)
		live.Close()
	}, nil
}

// checkKeys stops a start after which a repeated call would not find its purchase, and would buy again. This happens if
// purchases were made under another key than the one that their caller has now.
func checkKeys(ctx context.Context, journal purchase.Journal, callers server.Access) error {
	var filter purchase.Filter
	var problem string
	switch {
	case callers == nil: // the newest purchase shows whether there was a callers file
		problem = "--callers-file is not given, but the journal has purchases of callers: their repeated calls would buy again"
	case callers.Heir() == "":
		filter.Caller = access.DefaultCaller
		problem = "--callers-file: the journal has purchases that were made without a callers file, and no caller has inherits_default: repeated calls would buy again"
	default:
		filter.Caller = callers.Heir()
		problem = "--callers-file: " + callers.Heir() + " has inherits_default, but has made purchases under its own name: repeated calls would buy again"
	}
	// A later version may have written some orders. They are purchases, too, but the list leaves them out.
	found, _, err := journal.List(ctx, filter, purchase.Page{Size: 100})
	later := errors.Is(err, purchase.ErrUnreadableOrder)
	switch {
	case err != nil && !later:
		return fmt.Errorf("--journal: %w", err)
	case len(found) == 0 && (callers == nil || !later), callers == nil && found[0].Key.Caller == access.DefaultCaller:
		return nil
	}
	return errors.New(problem)
}

// keysCommands make API keys.
type keysCommands struct {
	New newKeyCommand `cmd:"" help:"Make an API key, and print it once. The callers file gets only its SHA-256."`
}

// newKeyCommand makes an API key.
type newKeyCommand struct {
	Caller callerName `required:"" placeholder:"NAME" help:"The caller or operator that gets the key."`
}

// callerName is the name of a caller or an operator.
type callerName string

func (n callerName) check() error {
	if n == "" {
		return nil // the parser says that it is missing
	}
	return access.CheckName(string(n))
}

// Run prints the key alone to the standard output, so that it can go to a file. What a person needs goes to the standard error.
func (c *newKeyCommand) Run(to console) error {
	key, id, sum := access.NewKey()
	if _, err := fmt.Fprintln(to.out, key); err != nil {
		return err
	}
	fmt.Fprintf(to.err, `The key is shown only now. Add its line to the entry of %s in the callers file:

    identities:
      - key: {id: %s, sha256: %s}
`, c.Caller, id, sum)
	return nil
}

// configCommands check files that a gateway reads.
type configCommands struct {
	Check checkConfigCommand `cmd:"" help:"Check a callers file, and print who may do what."`
}

// checkConfigCommand checks a callers file.
type checkConfigCommand struct {
	CallersFile string `name:"callers-file" required:"" placeholder:"FILE" help:"The callers file."`
	outputSettings
}

// callersReport is what a callers file says.
type callersReport struct {
	Principals []principalReport `json:"principals"`
}

// principalReport is what a callers file says about one caller or operator.
type principalReport struct {
	Name            string   `json:"name"`
	Kind            string   `json:"kind"`
	InheritsDefault bool     `json:"inheritsDefault"`
	Certificates    int      `json:"certificates"`
	Keys            int      `json:"keys"`
	JWTs            int      `json:"jwts"`
	Methods         []string `json:"methods"`
	ActivationModes []string `json:"activationModes"`
	InventoryItems  []string `json:"inventoryItems"`
	CountrySets     []string `json:"countrySets"`
	Countries       []string `json:"countries"`
	Secrets         bool     `json:"secrets"`
	SoldElsewhere   bool     `json:"soldElsewhere"`
	// A limit of 0 means any number.
	PerSecond float64 `json:"perSecond"`
	Burst     int     `json:"burst"`
	AtOnce    int     `json:"atOnce"`

	Budget *budgetReport `json:"budget,omitempty"`
}

// budgetReport is a budget in the callers file. A limit that is not there is empty.
type budgetReport struct {
	Currency    string `json:"currency"`
	PerPurchase string `json:"perPurchase,omitempty"`
	PerDay      string `json:"perDay,omitempty"`
	PerMonth    string `json:"perMonth,omitempty"`
	Total       string `json:"total,omitempty"`
	TimeZone    string `json:"timeZone"`
}

// reportOf is nil without a budget.
func reportOf(b *access.Budget) *budgetReport {
	if b == nil {
		return nil
	}
	limit := func(millionths int64) string {
		if millionths == 0 {
			return ""
		}
		return purchase.Micros(millionths).String()
	}
	return &budgetReport{b.Currency, limit(b.PerPurchase), limit(b.PerDay), limit(b.PerMonth), limit(b.Total), b.Zone.String()}
}

// String lists the limits for a person.
func (b *budgetReport) String() string {
	if b == nil {
		return "none"
	}
	var limits []string
	for _, limit := range [][2]string{{b.PerPurchase, " a purchase"}, {b.PerDay, " a day"}, {b.PerMonth, " a month"}, {b.Total, " in total"}} {
		if limit[0] != "" {
			limits = append(limits, limit[0]+limit[1])
		}
	}
	return b.Currency + " " + strings.Join(limits, ", ")
}

// Run checks the file.
func (c *checkConfigCommand) Run(to console) error {
	directory, err := access.Load(c.CallersFile)
	if err != nil {
		return fmt.Errorf("--callers-file: %w", err)
	}
	var report callersReport
	for _, e := range directory.Entries() {
		limits := e.Limits.Settings()
		report.Principals = append(report.Principals, principalReport{
			Name: e.Name, Kind: e.Kind, InheritsDefault: e.Rights.InheritsDefault,
			Certificates: e.Certificates, Keys: e.Keys, JWTs: e.Subjects,
			Methods: e.Rights.Methods.Names(), ActivationModes: e.Rights.Modes.Names(), InventoryItems: e.Rights.Items.Names(),
			CountrySets: e.Rights.CountrySets.Names(), Countries: e.Rights.Countries.Names(),
			Secrets: e.Rights.Secrets, SoldElsewhere: e.Rights.SoldElsewhere,
			PerSecond: limits.PerSecond, Burst: limits.Burst, AtOnce: limits.AtOnce,
			Budget: reportOf(e.Budget),
		})
	}
	return c.printReport(to, report, report.table())
}

// table is the report for a person.
func (r callersReport) table() [][]string {
	lines := [][]string{{"NAME", "KIND", "CERTIFICATES", "KEYS", "JWTS", "SECRETS", "BUDGET", "METHODS"}}
	for _, p := range r.Principals {
		lines = append(lines, []string{
			p.Name, p.Kind, fmt.Sprint(p.Certificates), fmt.Sprint(p.Keys), fmt.Sprint(p.JWTs), yesOrNo(p.Secrets), p.Budget.String(), strings.Join(p.Methods, " "),
		})
	}
	return lines
}

func yesOrNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
