package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/sealed"
)

// checkJournalCommand checks a journal. No gateway may use it, unless it is in PostgreSQL.
type checkJournalCommand struct {
	Journal            string        `default:"sqlite:gigagate.db" placeholder:"WHERE" help:"The journal to check: sqlite:FILE, which no gateway may use, or postgres://… (default ${default})."`
	RestoredTo         time.Time     `name:"restored-to" placeholder:"TIME" help:"PostgreSQL only: the journal was restored from a backup, and has everything until this time, such as 2026-11-30T12:00:00Z. An earlier time does no harm."`
	AllowStart         bool          `name:"allow-start" help:"If the check finds nothing wrong, allow a gateway to start on this backup. Stop every other gateway of the account first."`
	AcceptUnknownSales bool          `name:"accept-unknown-sales" help:"Allow a gateway to start on this backup, whatever the vendor's records show. A repeated call for a package that was sold after the backup buys it again."`
	JournalKeyFile     string        `name:"journal-key-file" placeholder:"FILE" help:"Also test that the keys in FILE can read everything that the journal has encrypted."`
	SettleDelay        time.Duration `name:"reconcile-settle-delay" default:"120s" help:"With --allow-start: how long the vendor has to list the last sales before its records count (default ${default})."`
	vendorSettings
	outputSettings
}

// journalReport is what a check found.
type journalReport struct {
	BackupTime   *time.Time     `json:"backupTime"` // null unless it is a backup on which no gateway may start
	Purchases    int            `json:"purchases"`
	Problems     []string       `json:"problems"`
	Secrets      *secretsReport `json:"secrets"` // null without a key file
	Vendor       vendorReport   `json:"vendor"`
	StartAllowed bool           `json:"startAllowed"` // by this check
}

// secretsReport says what the keys can read.
type secretsReport struct {
	Rows       int    `json:"rows"`
	Unreadable int    `json:"unreadable"`
	Problem    string `json:"problem,omitempty"` // of the first one that cannot be read
}

// vendorReport is what the comparison with the vendor's records found.
type vendorReport struct {
	Compared     bool          `json:"compared"` // the whole list was read
	Error        string        `json:"error,omitempty"`
	Recognized   int           `json:"recognized"`
	UnknownSales []unknownSale `json:"unknownSales"`
}

type unknownSale struct {
	PurchaseID  string    `json:"purchaseId"`
	Time        time.Time `json:"time"`
	ItemUID     string    `json:"activatedItemUid"`
	CustomerUID string    `json:"customerUid"`
	Metatag     string    `json:"metatag"`
}

// Validate requires the vendor's credentials for a comparison that allows a start.
func (c *checkJournalCommand) Validate() error {
	allows := c.AllowStart || c.AcceptUnknownSales
	switch restored := !c.RestoredTo.IsZero(); {
	case restored && !isPostgres(c.Journal):
		return errors.New("--restored-to is for PostgreSQL: a backup in SQLite knows when it was made")
	case allows && !restored && isPostgres(c.Journal):
		return errors.New("give --restored-to: PostgreSQL does not know that a journal was restored, or when its backup was made")
	}
	if !c.compares() {
		if c.AllowStart {
			return errors.New("--allow-start compares the journal with the vendor's records: give --gigastore-client-id and the secret")
		}
		return nil
	}
	if c.AllowStart && c.AcceptUnknownSales {
		return errors.New("give either --allow-start or --accept-unknown-sales")
	}
	if c.GigastoreTimeout <= 0 {
		return errors.New("--gigastore-timeout must be more than zero")
	}
	return c.vendorSettings.check(false)
}

// compares reports whether the vendor's records are read.
func (c *checkJournalCommand) compares() bool { return c.GigastoreClientID != "" }

// checkedJournal is a journal that is open for a check.
type checkedJournal interface {
	purchase.Known
	Check(ctx context.Context) (purchases int, problems []string, err error)
	EachSecret(ctx context.Context, each func(purchase.SecretsRow)) error
	AllowStart(ctx context.Context, finding string) error
	Close() error
}

// open opens the journal. backup is when it was copied. It is zero if the journal is no backup, or if a gateway may start on it.
func (c *checkJournalCommand) open(ctx context.Context) (journal checkedJournal, backup time.Time, err error) {
	if isPostgres(c.Journal) {
		journal, err := postgres.OpenReader(ctx, c.Journal, postgres.Options{})
		if err != nil {
			return nil, backup, fmt.Errorf("--journal: %w", err)
		}
		return journal, c.RestoredTo, nil
	}
	file, err := openJournalFile(ctx, c.Journal)
	if err != nil {
		return nil, backup, err
	}
	if backup, err = file.BackupTime(); err != nil {
		return nil, backup, errors.Join(err, file.Close())
	}
	return file, backup, nil
}

// Run checks the journal. It ends with an error if something is wrong.
func (c *checkJournalCommand) Run(ctx context.Context, to console) (err error) {
	began := time.Now()
	journal, backup, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	report := journalReport{Problems: []string{}, Vendor: vendorReport{UnknownSales: []unknownSale{}}}
	if !backup.IsZero() {
		report.BackupTime = &backup
	}
	purchases, problems, err := journal.Check(ctx)
	if err != nil {
		return err
	}
	report.Purchases, report.Problems = purchases, append(report.Problems, problems...)
	if c.JournalKeyFile != "" && len(problems) == 0 {
		if report.Secrets, err = c.readSecrets(ctx, journal); err != nil {
			return err
		}
	}
	if c.compares() {
		if wait := time.Until(began.Add(c.SettleDelay)); c.AllowStart && report.BackupTime != nil && wait > 0 {
			fmt.Fprintf(to.err, "waiting %v, so that the vendor can list the last sales\n", wait.Round(time.Second))
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if report.Vendor, err = c.compare(ctx, journal, backup); err != nil {
			return err
		}
	}
	sound := len(problems) == 0 && (report.Secrets == nil || report.Secrets.Unreadable == 0)
	if report.BackupTime != nil && sound && (c.AllowStart && report.Vendor.provesAll() || c.AcceptUnknownSales) {
		finding, err := json.Marshal(report)
		if err == nil {
			err = journal.AllowStart(ctx, string(finding))
		}
		if err != nil {
			return err
		}
		report.StartAllowed = true
	}
	if err := c.printReport(to, report, report.table()); err != nil {
		if report.StartAllowed {
			return effectError{fmt.Errorf("a gateway may start on the backup now, but the answer cannot be written: %w", err)}
		}
		return err
	}
	return c.verdict(report)
}

// readSecrets tries to read all secrets with the keys.
func (c *checkJournalCommand) readSecrets(ctx context.Context, journal checkedJournal) (*secretsReport, error) {
	keys, err := sealed.ReadKeys(c.JournalKeyFile)
	if err != nil {
		return nil, fmt.Errorf("--journal-key-file: %w", err)
	}
	var report secretsReport
	err = journal.EachSecret(ctx, func(row purchase.SecretsRow) {
		report.Rows++
		if _, err := keys.Open(row); err != nil {
			report.Unreadable++
			report.Problem = cmp.Or(report.Problem, err.Error())
		}
	})
	return &report, err
}

// compare compares the journal with the vendor's records. A list that cannot be read is a part of the report.
func (c *checkJournalCommand) compare(ctx context.Context, journal purchase.Known, backup time.Time) (vendorReport, error) {
	report := vendorReport{UnknownSales: []unknownSale{}}
	vendor, err := c.newVendor(nil)
	if err != nil {
		return report, err
	}
	comparison, err := purchase.Compare(ctx, journal, vendor, backup)
	if err != nil {
		report.Error = err.Error()
	}
	report.Compared, report.Recognized = err == nil, comparison.Recognized
	for _, sale := range comparison.Unknown {
		report.UnknownSales = append(report.UnknownSales, unknownSale(sale))
	}
	return report, nil
}

// provesAll reports whether the vendor's records show that the journal knows every sale. A list without a package
// that the journal knows may be that of another account.
func (r vendorReport) provesAll() bool {
	return r.Compared && r.Recognized > 0 && len(r.UnknownSales) == 0
}

// verdict is the error with which the command ends, or nil.
func (c *checkJournalCommand) verdict(r journalReport) error {
	switch {
	case len(r.Problems) > 0:
		return errors.New("the journal is damaged: use another backup")
	case r.Secrets != nil && r.Secrets.Unreadable > 0:
		return fmt.Errorf("the data of %d purchases cannot be read with the keys in %s. The first: %s", r.Secrets.Unreadable, c.JournalKeyFile, r.Secrets.Problem)
	case r.StartAllowed || !c.compares():
		return nil
	case !r.Vendor.Compared:
		return errors.New("the vendor's list could not be read to its end, so it shows nothing: " + r.Vendor.Error)
	case len(r.Vendor.UnknownSales) > 0:
		return fmt.Errorf("the journal does not know %d packages that were sold: a repeated call for one of them would buy it again. "+
			"Make sure that no caller repeats them, then give --accept-unknown-sales", len(r.Vendor.UnknownSales))
	case r.Vendor.Recognized == 0 && r.BackupTime != nil:
		return errors.New("the vendor's list has no package of this journal: it may be the list of another account, so it shows nothing")
	}
	return nil
}

// table is the report for a person.
func (r journalReport) table() [][]string {
	lines := [][]string{{"purchases", fmt.Sprint(r.Purchases)}}
	if r.BackupTime != nil {
		lines = append(lines, []string{"backup of", r.BackupTime.Format(time.RFC3339)})
	}
	for _, problem := range r.Problems {
		lines = append(lines, []string{"problem", printable(problem)})
	}
	if r.Secrets != nil {
		lines = append(lines, []string{"rows of data", fmt.Sprint(r.Secrets.Rows)}, []string{"unreadable", fmt.Sprint(r.Secrets.Unreadable)})
	}
	if r.Vendor.Compared {
		lines = append(lines, []string{"recognized", fmt.Sprint(r.Vendor.Recognized)}, []string{"unknown sales", fmt.Sprint(len(r.Vendor.UnknownSales))})
	}
	if r.StartAllowed {
		lines = append(lines, []string{"start allowed", "yes"})
	}
	if len(r.Vendor.UnknownSales) > 0 {
		lines = append(lines, nil, []string{"TIME", "PURCHASE", "ACTIVATED ITEM", "CUSTOMER", "METATAG"})
	}
	for _, sale := range r.Vendor.UnknownSales {
		lines = append(lines, []string{
			sale.Time.Format(time.RFC3339), sale.PurchaseID, printable(sale.ItemUID), printable(sale.CustomerUID), printable(sale.Metatag),
		})
	}
	return lines
}
