package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gigagate.internal/purchase"
)

// journalCommands are about the journal as a whole.
type journalCommands struct {
	Backup backupJournalCommand `cmd:"" help:"Copy the SQLite journal of a running gateway into a new file on the gateway's machine."`
	Check  checkJournalCommand  `cmd:"" help:"Check a journal, such as a restored backup. With the vendor's credentials, look for packages that were sold and that it does not know."`
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
	answer, status, err := callNearby(ctx, http.MethodPost, "http://"+string(c.AdminAddress)+backupPath, map[string]string{"file": file})
	switch told := errorIn(answer); {
	case err != nil:
		return made, fmt.Errorf("no gateway answers at %s: %w. For the journal of a stopped gateway, give --journal", c.AdminAddress, err)
	case told != "":
		return made, errors.New(told)
	case status != "200 OK":
		return made, fmt.Errorf("the server at %s makes no backups: %s", c.AdminAddress, status)
	}
	return made, json.Unmarshal(answer, &made)
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

// backupPath is where the admin port makes backups.
const backupPath = "/journal/backup"

// newBackups serves backups on the admin port. A backup holds activation codes, so it is never sent over the network:
// the gateway writes it into a file of its own machine. Only programs on this machine may ask, because the admin port
// may be open to the network for metrics, and the file may fill a disk. A web page may not ask. Backups end with ctx.
func newBackups(ctx context.Context, journal purchase.Journal) http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
		requested, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		made, status, err := backUpAsked(requested, journal, r)
		var answer any = made
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer)
	}))
}

func backUpAsked(ctx context.Context, journal purchase.Journal, r *http.Request) (made backupMade, status int, err error) {
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !peer.Addr().Unmap().IsLoopback() {
		return made, http.StatusForbidden, errors.New("a backup can be asked for only on the gateway's machine, at a loopback address")
	}
	from, ok := journal.(backupMaker)
	if !ok {
		return made, http.StatusNotImplemented, errors.New("the gateway has a PostgreSQL journal: use the tools of PostgreSQL")
	}
	var asked struct {
		File string `json:"file"`
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") || json.NewDecoder(r.Body).Decode(&asked) != nil || !filepath.IsAbs(asked.File) {
		return made, http.StatusBadRequest, errors.New(`the body has to be JSON with an absolute path: {"file": "/FOLDER/FILE"}`)
	}
	made, err = makeBackup(ctx, from, filepath.Clean(asked.File))
	if err != nil {
		return made, http.StatusConflict, err
	}
	return made, http.StatusOK, nil
}
