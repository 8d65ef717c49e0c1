package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"gigagate.internal/gigastore/sandbox"
)

// sandboxCommands run a sandbox, or control one that runs.
type sandboxCommands struct {
	Serve  sandboxServeCommand  `cmd:"" default:"withargs" help:"Run the sandbox alone. This is also what gigagate sandbox does."`
	Fault  sandboxFaultCommand  `cmd:"" help:"Make the next calls of the vendor's API go wrong. Without a name, list all faults."`
	Clock  sandboxClockCommand  `cmd:"" help:"Show the time of the sandbox, or move it."`
	Ledger sandboxLedgerCommand `cmd:"" help:"Show what was really sold, whatever the answers said."`
	Reset  sandboxResetCommand  `cmd:"" help:"Start again, with all the credit and without faults."`
}

// sandboxServeCommand runs the sandbox alone.
type sandboxServeCommand struct {
	SandboxListen       listenAddress `name:"sandbox-listen" default:"127.0.0.1:8089" placeholder:"HOST:PORT" help:"Where to listen (default ${default})."`
	AllowedHosts        []string      `name:"allowed-hosts" placeholder:"NAME,..." help:"More host names by which callers may address it, in addition to localhost and the one in --sandbox-listen."`
	SandboxSeed         uint64        `name:"sandbox-seed" default:"1" help:"The same seed makes the same world (default ${default})."`
	SandboxSettingsFile string        `name:"sandbox-settings-file" placeholder:"FILE" help:"A JSON object with the settings to change. They are assumptions about the vendor."`

	logSettings
}

// Run serves until ctx ends.
func (c *sandboxServeCommand) Run(ctx context.Context, to console) error {
	settings := sandbox.DefaultSettings()
	if c.SandboxSettingsFile != "" {
		if err := readJSON("--sandbox-settings-file", c.SandboxSettingsFile, func(text []byte) error {
			return decodeSettings(text, &settings)
		}); err != nil {
			return err
		}
	}
	logger := slog.New(c.newHandler(to.err))
	takeOver(ctx, logger)
	world, err := sandbox.New(sandbox.Config{Seed: c.SandboxSeed, Settings: settings, Logger: logger})
	if err != nil {
		return fmt.Errorf("--sandbox-settings-file: %w", err) // the defaults are valid, so the file is not
	}
	defer func() { _ = world.Close() }()
	var open listeners
	defer open.close()
	listener := open.listen(ctx, "--sandbox-listen", c.SandboxListen)
	if open.err != nil {
		return open.err
	}
	fmt.Fprintf(to.out, `This is a SANDBOX of Gigastore: it accepts any client id and secret, and nothing it sells is real.

  vendor API  http://%[1]s
  ledger      http://%[1]s/_sandbox/ledger

`, listener.Addr())
	return serveUntil(ctx, newHTTPServer(knownHosts(c.AllowedHosts, c.SandboxListen).only(world), 0), listener)
}

// decodeSettings overwrites settings with the members of one JSON object. It refuses unknown names, because
// a misspelled name would silently leave the default in place.
func decodeSettings(text []byte, settings *sandbox.Settings) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(settings); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something after the JSON object")
	}
	return nil
}

// serveUntil serves until ctx ends, and then waits for the running requests.
func serveUntil(ctx context.Context, server *http.Server, listener net.Listener) error {
	group, failed := errgroup.WithContext(ctx)
	group.Go(func() error { return serveHTTP(server, listener) })
	group.Go(func() error {
		<-failed.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return server.Shutdown(stop)
	})
	return group.Wait()
}
