package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"gigagate.internal/gigastore/sandbox"
	webconsole "gigagate.internal/internal/console"
	"gigagate.internal/purchase"
	"gigagate.internal/server"
)

// consoleSettings are the flags of the operators' console.
type consoleSettings struct {
	ConsoleListen   listenAddress `name:"console-listen" placeholder:"HOST:PORT" help:"The operators' console, web pages under /console/ (default with --sandbox: on loopback, the port after that of --admin-listen, 127.0.0.1:9465. Otherwise off)."`
	ConsoleTraceURL string        `name:"console-trace-url" placeholder:"URL" help:"Where a program shows a trace. The console links to it. {trace_id} stands for the id."`
}

// checkConsole refuses a console that nobody could use, or that everybody could.
func (c *serveCommand) checkConsole() error {
	if c.ConsoleListen != "" && !c.Sandbox && c.CallersFile == "" {
		return errors.New("--console-listen needs --callers-file: without one, nobody is an operator")
	}
	if u := c.ConsoleTraceURL; u != "" && (!strings.Contains(u, "{trace_id}") || !strings.HasPrefix(u, "https://") && !strings.HasPrefix(u, "http://")) {
		return errors.New("--console-trace-url must be an http or https URL with {trace_id}")
	}
	return nil
}

// consoleOn is where the console listens, or "" if it is off. With a sandbox it has a place without a flag. The place goes by
// that of the admin port, so that two gateways on one machine need no more flags than before.
func (c *serveCommand) consoleOn() listenAddress {
	if c.ConsoleListen != "" || !c.Sandbox {
		return c.ConsoleListen
	}
	host, port, _ := net.SplitHostPort(string(c.AdminListen)) // the flag has been checked
	if address, err := netip.ParseAddr(host); err != nil || !address.IsLoopback() {
		host = "127.0.0.1"
	}
	number, _ := net.DefaultResolver.LookupPort(context.Background(), "tcp", port)
	if number != 0 {
		number = number%0xffff + 1
	}
	return listenAddress(net.JoinHostPort(host, strconv.Itoa(number)))
}

// addConsole makes the operators' console if there is a listener for it.
func (c *serveCommand) addConsole(process *gatewayProcess, callers server.Access, journal purchase.Journal, world http.Handler, telemetry *telemetry) error {
	if process.consoleOn == nil {
		return nil
	}
	config := webconsole.Config{
		Services:       process.gateway.Console(),
		Trusted:        process.trusted(),
		Metrics:        telemetry.reader,
		Ready:          process.ready(journal),
		VendorProblems: process.vendor.Problems,
		Sandbox:        world,
		SandboxItem:    sandbox.ItemWorldwide1GB,
		TraceURL:       c.ConsoleTraceURL,
		Version:        version(),
		Logger:         telemetry.logger,
		Now:            time.Now,
	}
	if callers != nil {
		config.Access = callers
	}
	made, err := webconsole.New(config)
	if err != nil {
		return fmt.Errorf("the console: %w", err)
	}
	process.console = newHTTPServer(knownHosts(c.AllowedHosts, c.consoleOn()).only(made), webconsole.AnswerWithin)
	process.console.RegisterOnShutdown(made.Close)
	process.watchMetrics = made.Run
	return nil
}

// runConsole serves the console and takes its samples until ctx ends.
func (p *gatewayProcess) runConsole(ctx context.Context) error {
	samples, stop := context.WithCancel(ctx)
	defer stop()
	go p.watchMetrics(samples)
	return serveHTTP(p.console, p.consoleOn)
}
