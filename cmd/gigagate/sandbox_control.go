package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// sandboxAddress is where to find a sandbox.
type sandboxAddress string

func (a sandboxAddress) check() error { return checkHostPort(string(a), string(a)) }

// sandboxSettings are the flags of every command that controls a sandbox.
type sandboxSettings struct {
	SandboxAddress sandboxAddress `name:"sandbox-address" default:"127.0.0.1:8089" placeholder:"HOST:PORT" help:"The sandbox's address (default ${default})."`
}

// control calls the sandbox's control API and returns its answer.
func (s sandboxSettings) control(ctx context.Context, method, name string, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	answer, status, err := callNearby(ctx, method, "http://"+string(s.SandboxAddress)+"/_sandbox/"+name, body)
	if err != nil {
		return nil, fmt.Errorf("no sandbox answers at %s: %w", s.SandboxAddress, err)
	}
	if status != "200 OK" {
		if told := errorIn(answer); told != "" {
			return nil, sandboxError(told)
		}
		return nil, fmt.Errorf("the server at %s is not a sandbox: %s", s.SandboxAddress, status)
	}
	return answer, nil
}

// callNearby sends JSON to a server nearby, without a proxy, and returns its whole answer.
func callNearby(ctx context.Context, method, url string, body any) (answer []byte, status string, err error) {
	var sent bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&sent).Encode(body); err != nil {
			return nil, "", err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, &sent)
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{} //nolint:forbidigo // it calls no vendor
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if answer, err = io.ReadAll(resp.Body); err != nil {
		return nil, "", fmt.Errorf("the answer broke off: %w", err)
	}
	return answer, resp.Status, nil
}

// errorIn is the error sentence in a JSON answer.
func errorIn(answer []byte) string {
	var told struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(answer, &told)
	return told.Error
}

// sandboxError is the sandbox's own error sentence. The refused call changed nothing.
type sandboxError string

func (e sandboxError) Error() string { return string(e) }

// show calls the control API and prints the answer as JSON.
func (s sandboxSettings) show(ctx context.Context, to console, method, name string, body any) error {
	answer, err := s.control(ctx, method, name, body)
	if err == nil {
		err = printIndented(to.out, answer)
	}
	if _, refused := errors.AsType[sandboxError](err); err != nil && !refused && method != http.MethodGet {
		return effectError{err}
	}
	return err
}

// sandboxFaultCommand arms a fault.
type sandboxFaultCommand struct {
	Name   string            `arg:"" optional:"" help:"The fault, such as commit_then_reset."`
	Path   string            `default:"/gigastore/activations/register" placeholder:"PATH" help:"Which calls go wrong: a path of the vendor's API, or the beginning of one followed by * (default ${default})."`
	Count  int               `default:"1" help:"How many calls go wrong (default ${default})."`
	Param  map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"A setting of the fault, such as status=503. May be repeated."`
	Disarm bool              `help:"Remove all faults instead."`
	sandboxSettings
}

// Validate refuses combinations in which a flag would be ignored.
func (c *sandboxFaultCommand) Validate() error {
	if c.Disarm && c.Name != "" {
		return errors.New("--disarm removes all faults: give it without a name")
	}
	if c.Name == "" && len(c.Param) > 0 {
		return errors.New("--param goes with the name of a fault")
	}
	return nil
}

// Run makes the call.
func (c *sandboxFaultCommand) Run(ctx context.Context, to console) error {
	switch {
	case c.Disarm:
		return c.show(ctx, to, http.MethodDelete, "faults", nil)
	case c.Name == "":
		return c.show(ctx, to, http.MethodGet, "faults", nil)
	}
	params := map[string]any{}
	for name, value := range c.Param {
		params[name] = value
		if json.Valid([]byte(value)) { // a number, true or false
			params[name] = json.RawMessage(value)
		}
	}
	return c.show(ctx, to, http.MethodPost, "faults", map[string]any{"path": c.Path, "fault": c.Name, "count": c.Count, "params": params})
}

// sandboxClockCommand shows or moves the clock.
type sandboxClockCommand struct {
	Advance string `placeholder:"DURATION" help:"How far to move it, such as 91d or 36h."`
	sandboxSettings
}

// Run makes the call.
func (c *sandboxClockCommand) Run(ctx context.Context, to console) error {
	if c.Advance == "" {
		return c.show(ctx, to, http.MethodGet, "clock", nil)
	}
	return c.show(ctx, to, http.MethodPost, "clock", map[string]any{"advance": c.Advance})
}

// sandboxLedgerCommand shows what was really sold.
type sandboxLedgerCommand struct{ sandboxSettings }

// Run makes the call.
func (c *sandboxLedgerCommand) Run(ctx context.Context, to console) error {
	return c.show(ctx, to, http.MethodGet, "ledger", nil)
}

// sandboxResetCommand makes a new world.
type sandboxResetCommand struct {
	Seed         *uint64 `placeholder:"N" help:"The same seed makes the same world. By default, each world is a new one: a gateway's journal already knows the packages of the old one."`
	SettingsFile string  `name:"settings-file" placeholder:"FILE" help:"A JSON object with the settings to change. They are assumptions about the vendor."`
	sandboxSettings
}

// Run makes the call, and prints the settings of the new world.
func (c *sandboxResetCommand) Run(ctx context.Context, to console) error {
	fresh := map[string]any{}
	if c.SettingsFile != "" {
		text, err := os.ReadFile(c.SettingsFile)
		if err == nil && !json.Valid(text) {
			err = errors.New("it is not valid JSON")
		}
		if err != nil {
			return fmt.Errorf("--settings-file: %w", err)
		}
		fresh["settings"] = json.RawMessage(text)
	}
	if c.Seed == nil {
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails, says its documentation
		c.Seed = new(binary.BigEndian.Uint64(random[:]))
	}
	fresh["seed"] = *c.Seed
	fmt.Fprintln(to.err, "seed:", *c.Seed)
	return c.show(ctx, to, http.MethodPost, "reset", fresh)
}
