package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"gigagate.internal/purchase"
)

// journalCommands are about the journal as a whole.
type journalCommands struct {
	Backup backupJournalCommand `cmd:"" help:"Copy the SQLite journal of a running gateway into a new file on the gateway's machine."`
	Check  checkJournalCommand  `cmd:"" help:"Check a journal, such as a restored backup. With the vendor's credentials, look for packages that were sold and that it does not know."`
	Keys   journalKeysCommands  `cmd:"" help:"Make and change the keys that encrypt personal data and activation codes in the journal."`
}

// backupJournalCommand makes a backup.
type backupJournalCommand struct {
	File         string        `arg:"" name:"file" help:"The new file. It must not exist. A relative name starts at the folder of this command."`
	AdminAddress listenAddress `name:"admin-address" default:"127.0.0.1:9464" placeholder:"HOST:PORT" help:"The gateway's admin address, on this machine (default ${default})."`
	Journal      string        `placeholder:"sqlite:FILE" help:"Copy this journal instead of asking a gateway. No gateway may use it."`
	outputSettings
}

// backupMade is the answer to a backup.
type backupMade struct {
	File  string    `json:"file"`
	Time  time.Time `json:"time"` // everything that was durable then is in the backup
	Bytes int64     `json:"bytes"`
}

// Run makes the backup.
func (c *backupJournalCommand) Run(ctx context.Context, to console) error {
	file, err := filepath.Abs(c.File)
	if err != nil {
		return err
	}
	var made backupMade
	if c.Journal == "" {
		made, err = c.ask(ctx, file)
	} else {
		made, err = backUpFile(ctx, c.Journal, file)
	}
	if err != nil {
		return err
	}
	if err := c.printReport(to, made, [][]string{
		{"file", made.File}, {"time", made.Time.Format(time.RFC3339)}, {"bytes", fmt.Sprint(made.Bytes)},
	}); err != nil {
		return effectError{fmt.Errorf("the backup %s was made, but the answer cannot be written: %w", made.File, err)}
	}
	return nil
}

// ask asks the running gateway for a backup.
func (c *backupJournalCommand) ask(ctx context.Context, file string) (made backupMade, err error) {
	err = askNearby(ctx, c.AdminAddress, backupPath, map[string]string{"file": file}, &made)
	if _, ok := errors.AsType[*noAnswerError](err); ok {
		err = fmt.Errorf("%w. For the journal of a stopped gateway, give --journal", err)
	}
	return made, err
}

// backUpFile copies a journal that no gateway uses.
func backUpFile(ctx context.Context, journal, file string) (made backupMade, err error) {
	from, err := openJournalFile(ctx, journal)
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	return makeBackup(ctx, from, file)
}

// backupMaker is a journal that can be copied.
type backupMaker interface {
	Backup(ctx context.Context, file string) (time.Time, error)
}

func makeBackup(ctx context.Context, from backupMaker, file string) (backupMade, error) {
	at, err := from.Backup(ctx, file)
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%s exists, and a backup never replaces a file", file)
	}
	if err != nil {
		return backupMade{}, fmt.Errorf("no backup was made: %w", err)
	}
	made := backupMade{File: file, Time: at}
	if info, err := os.Stat(file); err == nil {
		made.Bytes = info.Size()
	}
	return made, nil
}

// newBackups serves backups. A backup holds activation codes, so it is never sent over the network: the gateway writes it
// into a file of its own machine.
func newBackups(ctx context.Context, journal purchase.Journal) http.Handler {
	return nearby(ctx, func(ctx context.Context, body *json.Decoder) (any, int, error) {
		from, ok := journal.(backupMaker)
		if !ok {
			return nil, http.StatusNotImplemented, errors.New("the gateway has a PostgreSQL journal: use the tools of PostgreSQL")
		}
		var asked struct {
			File string `json:"file"`
		}
		if body.Decode(&asked) != nil || !filepath.IsAbs(asked.File) {
			return nil, http.StatusBadRequest, errors.New(`the body has to be JSON with an absolute path: {"file": "/FOLDER/FILE"}`)
		}
		made, err := makeBackup(ctx, from, filepath.Clean(asked.File))
		if err != nil {
			return nil, http.StatusConflict, err
		}
		return made, http.StatusOK, nil
	})
}
