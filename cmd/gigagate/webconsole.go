package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/internal/access"
	webconsole "gigagate.internal/internal/console"
	"gigagate.internal/purchase"
	"gigagate.internal/server"
)

// consoleSettings are the flags of the operators' console.
type consoleSettings struct {
	ConsoleListen   listenAddress `name:"console-listen" placeholder:"HOST:PORT" help:"The operators' console, web pages under /console/ (default with --sandbox: on loopback, the port after that of --admin-listen, 127.0.0.1:9465. Otherwise off)."`
	ConsoleTraceURL string        `name:"console-trace-url" placeholder:"URL" help:"Where a program shows a trace. The console links to it. {trace_id} stands for the id."`

	ConsoleOIDCIssuer           string `name:"console-oidc-issuer" placeholder:"URL" help:"The OIDC issuer at which operators can sign in to the console. The callers file has it under issuers."`
	ConsoleOIDCClientID         string `name:"console-oidc-client-id" placeholder:"ID" help:"The console's client id at the issuer."`
	ConsoleOIDCClientSecretFile string `name:"console-oidc-client-secret-file" placeholder:"FILE" help:"File with the console's client secret at the issuer (default: none, for a public client)."`
	ConsoleURL                  string `name:"console-url" placeholder:"URL" help:"The address of the console in browsers, such as https://gigagate.example. The issuer sends operators back to it."`
}

// checkConsole refuses a console that nobody could use, or that everybody could.
func (c *serveCommand) checkConsole() error {
	if c.ConsoleListen != "" && !c.Sandbox && c.CallersFile == "" {
		return errors.New("--console-listen needs --callers-file: without one, nobody is an operator")
	}
	if u := c.ConsoleTraceURL; u != "" && (!strings.Contains(u, "{trace_id}") || !strings.HasPrefix(u, "https://") && !strings.HasPrefix(u, "http://")) {
		return errors.New("--console-trace-url must be an http or https URL with {trace_id}")
	}
	return c.checkSignIn()
}

// oidcSecretFlag names the file of the client secret.
const oidcSecretFlag = "--console-oidc-client-secret-file"

// checkSignIn refuses a sign-in at an issuer that could not work.
func (c *serveCommand) checkSignIn() error {
	missing := ""
	switch {
	case c.ConsoleOIDCIssuer+c.ConsoleOIDCClientID+c.ConsoleOIDCClientSecretFile+c.ConsoleURL == "":
		return nil
	case c.ConsoleOIDCIssuer == "":
		missing = "--console-oidc-issuer"
	case c.ConsoleOIDCClientID == "":
		missing = "--console-oidc-client-id"
	case c.ConsoleURL == "":
		missing = "--console-url"
	case c.consoleOn() == "":
		missing = "--console-listen"
	case c.CallersFile == "":
		missing = "--callers-file"
	}
	if missing != "" {
		return errors.New("operators can only sign in at an issuer with --console-oidc-issuer, --console-oidc-client-id, --console-url, the console and a callers file: " +
			missing + " is missing")
	}
	if u, err := url.Parse(c.ConsoleURL); err != nil || !access.IsSecureURL(c.ConsoleURL) || strings.Trim(u.Path, "/") != "" {
		return errors.New("--console-url must be an https URL without a path, or an http URL of this machine")
	}
	c.ConsoleURL = strings.TrimRight(c.ConsoleURL, "/")
	if c.ConsoleOIDCClientSecretFile == "" {
		return nil
	}
	_, err := c.oidcSecret()
	return err
}

// oidcSecret reads the client secret for each sign-in, so that a new one needs no restart.
func (c *serveCommand) oidcSecret() (string, error) {
	if info, err := os.Stat(c.ConsoleOIDCClientSecretFile); err == nil && !info.Mode().IsRegular() { // a pipe can be read only once
		return "", errors.New(oidcSecretFlag + " must be a regular file")
	}
	secret, err := readSecret(oidcSecretFlag, c.ConsoleOIDCClientSecretFile)
	return string(secret), err
}

// newSignIn makes the sign-in at an issuer. It is nil if operators do not sign in there.
func (c *serveCommand) newSignIn(callers server.Access) (*access.SignIn, error) {
	live, ok := callers.(*access.Live)
	if c.ConsoleOIDCIssuer == "" || !ok {
		return nil, nil
	}
	config := access.SignInConfig{Issuer: c.ConsoleOIDCIssuer, ClientID: c.ConsoleOIDCClientID, Callback: c.ConsoleURL + webconsole.CallbackPath}
	if c.ConsoleOIDCClientSecretFile != "" {
		config.Secret = c.oidcSecret
	}
	signIn, err := live.NewSignIn(config)
	if err != nil {
		return nil, fmt.Errorf("--console-oidc-issuer: %w", err)
	}
	return signIn, nil
}

// consoleHosts are the names by which browsers reach the console.
func (c *serveCommand) consoleHosts() hosts {
	known := knownHosts(c.AllowedHosts, c.consoleOn())
	if u, err := url.Parse(c.ConsoleURL); err == nil && u.Hostname() != "" {
		known = append(known, strings.ToLower(u.Hostname()))
	}
	return known
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
	signIn, err := c.newSignIn(callers)
	if err != nil {
		return err
	}
	config := webconsole.Config{
		SignIn:         signIn,
		URL:            c.ConsoleURL,
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
	process.console = newHTTPServer(c.consoleHosts().only(made), webconsole.AnswerWithin)
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
