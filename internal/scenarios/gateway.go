package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// gateway is a running gigagate with its own sandbox. Each language has one, so that all start from the same state.
type gateway struct {
	command *exec.Cmd
	log     *bytes.Buffer
	read    chan struct{} // closed when its output has ended

	grpc, rest, sandbox string
	http                *http.Client
}

// startWithin is how long a gateway may take to start, and stopWithin how long to stop.
const (
	startWithin = 60 * time.Second
	stopWithin  = 30 * time.Second
)

// startGateway starts the binary with a journal in folder. Its times are short: an absence is believed about 15 s after
// the attempt. 10 s of these are the life of a permit to send.
func startGateway(ctx context.Context, binary, folder string, flags ...string) (*gateway, error) {
	g := &gateway{log: &bytes.Buffer{}, read: make(chan struct{}), http: &http.Client{Timeout: time.Minute}}
	flags = append([]string{
		"serve", "--sandbox",
		"--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--sandbox-listen=127.0.0.1:0",
		"--journal=sqlite:" + filepath.Join(folder, "gigagate.db"), "--log-level=warn",
		"--gigastore-timeout=3s", "--send-window=4s", "--reconcile-settle-delay=500ms", "--reconcile-witness-timeout=500ms",
	}, flags...)
	g.command = exec.CommandContext(ctx, binary, flags...) //nolint:gosec // what was just built
	g.command.Cancel = func() error { return g.command.Process.Signal(syscall.SIGTERM) }
	g.command.WaitDelay = stopWithin
	g.command.Stderr = g.log
	out, err := g.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := g.command.Start(); err != nil {
		return nil, err
	}
	greeted := make(chan error, 1)
	go func() {
		defer close(g.read)
		greeted <- g.readGreeting(out)
		_, _ = io.Copy(io.Discard, out)
	}()
	timer := time.NewTimer(startWithin)
	defer timer.Stop()
	select {
	case err = <-greeted:
	case <-timer.C:
		err = errors.New("it did not print its addresses in time")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the gateway: %w", err), g.stop())
	}
	return g, nil
}

var greeting = regexp.MustCompile(`^  (gRPC|REST|sandbox) +((?:https?://)?[0-9.:]+)`)

func (g *gateway) readGreeting(out io.Reader) error {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		match := greeting.FindStringSubmatch(lines.Text())
		if match == nil {
			continue
		}
		switch match[1] {
		case "gRPC":
			g.grpc = match[2]
		case "REST":
			g.rest = match[2]
		case "sandbox": // the last address
			g.sandbox = match[2]
			return nil
		}
	}
	return errors.Join(errors.New("its output ended before it printed all addresses"), lines.Err())
}

// stop drains the gateway and waits until it has ended.
func (g *gateway) stop() error {
	_ = g.command.Process.Signal(syscall.SIGTERM) // fails if it has ended
	kill := time.AfterFunc(stopWithin, func() { _ = g.command.Process.Kill() })
	defer kill.Stop()
	<-g.read
	if err := g.command.Wait(); err != nil {
		return fmt.Errorf("the gateway ended with %w; its log:\n%s", err, g.log)
	}
	return nil
}

// control calls the sandbox's control API. call is the method and the path, separated by a space. It returns the decoded
// JSON of the answer.
func (g *gateway) control(ctx context.Context, call string, body map[string]any) (any, error) {
	method, path, _ := strings.Cut(call, " ")
	var content io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, g.sandbox+path, content)
	if err != nil {
		return nil, err
	}
	response, err := g.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	var answer any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the sandbox answers %d: %s", response.StatusCode, inJSON(answer))
	}
	return answer, nil
}
