package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/sealed"
)

// journalKeysCommands are about the keys that the journal is sealed with.
type journalKeysCommands struct {
	New    newJournalKeyCommand     `cmd:"" help:"Print a line with a new key. Put it into the file of --journal-key-file. The first key of the file seals."`
	Rotate rotateJournalKeysCommand `cmd:"" help:"Make a running gateway read its key file again, and seal the whole journal with the first key. Run it at each replica."`
}

// newJournalKeyCommand prints a key.
type newJournalKeyCommand struct{}

// Run prints the key.
func (*newJournalKeyCommand) Run(to console) error {
	_, err := fmt.Fprintln(to.out, sealed.NewKey(time.Now()))
	return err
}

// rotateJournalKeysCommand seals the journal with the newest key.
type rotateJournalKeysCommand struct {
	AdminAddress listenAddress `name:"admin-address" default:"127.0.0.1:9464" placeholder:"HOST:PORT" help:"The gateway's admin address, on this machine (default ${default})."`
	outputSettings
}

// rotation is the answer to a rotation.
type rotation struct {
	Key        string `json:"key"`        // the id of the key that seals
	Rows       int    `json:"rows"`       // the purchases whose data was read
	Sealed     int    `json:"sealed"`     // those that were sealed again
	Unreadable int    `json:"unreadable"` // those that cannot be read, and were left as they are
	Problem    string `json:"problem,omitempty"`
}

// Run asks the gateway. It ends with an error if some rows cannot be read.
func (c *rotateJournalKeysCommand) Run(ctx context.Context, to console) error {
	var done rotation
	if err := askNearby(ctx, c.AdminAddress, rotateKeysPath, struct{}{}, &done); err != nil {
		return err
	}
	if err := c.printReport(to, done, [][]string{
		{"key", done.Key}, {"rows", fmt.Sprint(done.Rows)}, {"sealed", fmt.Sprint(done.Sealed)}, {"unreadable", fmt.Sprint(done.Unreadable)},
	}); err != nil {
		return effectError{fmt.Errorf("the keys were rotated, but the answer cannot be written: %w", err)}
	}
	if done.Unreadable > 0 {
		return effectError{fmt.Errorf("the data of %d purchases cannot be read, and was left as it is. The first: %s", done.Unreadable, done.Problem)}
	}
	return nil
}

// newRotations serves rotations of the journal's keys.
func newRotations(ctx context.Context, journal *sealed.Journal) http.Handler {
	return nearby(ctx, func(ctx context.Context, body *json.Decoder) (any, int, error) {
		if body.Decode(&struct{}{}) != nil {
			return nil, http.StatusBadRequest, errors.New("the body has to be {}")
		}
		done, err := journal.Rotate(ctx)
		if err != nil {
			return nil, http.StatusConflict, fmt.Errorf("the journal is not sealed with the newest key alone; %d rows were sealed again: %w", done.Sealed, err)
		}
		answer := rotation{Key: done.Key, Rows: done.Rows, Sealed: done.Sealed, Unreadable: done.Unreadable}
		if done.First != nil {
			answer.Problem = done.First.Error()
		}
		return answer, http.StatusOK, nil
	})
}

// sealJournal puts the encryption between the engine and the journal.
func (c *serveCommand) sealJournal(ctx context.Context, journal purchase.Journal, logger *slog.Logger) (*sealed.Journal, error) {
	keys := &sealed.Keyring{}
	switch {
	case c.JournalKeyFile != "":
		var err error
		if keys, err = sealed.ReadKeys(c.JournalKeyFile); err != nil {
			return nil, fmt.Errorf("--journal-key-file: %w", err)
		}
		if keys.Wide() {
			logger.WarnContext(ctx, "others than its owner may read or change the key file: chmod 600", "path", c.JournalKeyFile)
		}
	case !c.Sandbox:
		logger.WarnContext(ctx, "the journal holds personal data and activation codes in plain text: --journal-key-file encrypts them")
	}
	secrets, err := sealed.New(ctx, journal, keys, logger)
	if err != nil {
		return nil, fmt.Errorf("--journal-key-file: %w", err)
	}
	return secrets, nil
}
