package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
	webconsole "gigagate.internal/internal/console"
	"gigagate.internal/purchase"
	"gigagate.internal/server"
)

// serveCommand runs the gateway.
type serveCommand struct {
	Sandbox       bool          `help:"Run a sandbox in this process and sell from it. Nothing else is needed."`
	GRPCListen    listenAddress `name:"grpc-listen" default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"gRPC (default ${default})."`
	HTTPListen    listenAddress `name:"http-listen" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"REST (default ${default})."`
	AdminListen   listenAddress `name:"admin-listen" default:"127.0.0.1:9464" placeholder:"HOST:PORT" help:"/healthz, /readyz, /metrics and pprof. Never make it public (default ${default})."`
	SandboxListen listenAddress `name:"sandbox-listen" default:"127.0.0.1:8089" placeholder:"HOST:PORT" help:"The sandbox, with --sandbox (default ${default})."`
	AllowedHosts  []string      `name:"allowed-hosts" placeholder:"NAME,..." help:"More host names by which callers may address the HTTP ports, in addition to localhost and those of the listen flags."`
	Docs          *bool         `negatable:"" help:"Serve the documentation of REST at /docs/, with a form to try each call (default: with --sandbox only)."`

	Journal string `default:"sqlite:gigagate.db" placeholder:"WHERE" help:"Where purchases are kept: sqlite:FILE or postgres://… (default ${default})."`

	JournalKeyFile string `name:"journal-key-file" placeholder:"FILE" help:"Encrypt personal data and activation codes in the journal with the first key in FILE. Each line is ID: KEY, as gigagate journal keys new prints it."`

	consoleSettings
	tlsSettings
	callersSettings
	vendorSettings
	purchaseSettings
	logSettings
}

// purchaseSettings are the flags of the purchase engine.
type purchaseSettings struct {
	SendWindow              time.Duration `name:"send-window" default:"30s" help:"How long after its claim a purchase may still get a permit to send (default ${default})."`
	ReconcileSettleDelay    time.Duration `name:"reconcile-settle-delay" default:"120s" help:"How long the vendor has to list a sale before its absence counts (default ${default})."`
	ReconcileWitnessTimeout time.Duration `name:"reconcile-witness-timeout" default:"15m" help:"How much longer to wait for a later purchase in the list before an absence counts without one (default ${default})."`
	ReconcileGiveUp         time.Duration `name:"reconcile-give-up" default:"30m" help:"How long the vendor's records may be unreadable before an operator is needed (default ${default})."`
	MaxPrice                amount        `name:"max-purchase-price" placeholder:"AMOUNT" help:"Refuse every purchase that costs the reseller more, or whose price cannot be read. A limit in the request applies too (default: any price)."`
	MaxCurrency             currency      `name:"max-purchase-currency" default:"USD" help:"Currency of --max-purchase-price (default ${default})."`
	MetatagMax              int           `name:"metatag-max" default:"255" placeholder:"BYTES" help:"The longest metatag sent to the vendor, including the gateway's mark (default ${default})."`
}

// maxPurchasePrice is nil if any price is allowed.
func (s purchaseSettings) maxPurchasePrice() (*purchase.Price, error) {
	if s.MaxPrice == "" {
		return nil, nil
	}
	value, err := gigastore.ParseDecimal(string(s.MaxPrice))
	if err != nil {
		return nil, fmt.Errorf("--max-purchase-price: %w", err)
	}
	return &purchase.Price{Amount: value, Currency: string(s.MaxCurrency)}, nil
}

// Validate refuses settings that contradict each other, and durations that would make the engine spend or
// decide too early. It runs before anything is opened.
func (c *serveCommand) Validate() error {
	for name, d := range map[string]time.Duration{
		"--gigastore-timeout": c.GigastoreTimeout, "--send-window": c.SendWindow,
		"--reconcile-settle-delay": c.ReconcileSettleDelay, "--reconcile-witness-timeout": c.ReconcileWitnessTimeout, "--reconcile-give-up": c.ReconcileGiveUp,
	} {
		if d <= 0 {
			return fmt.Errorf("%s must be more than zero", name)
		}
	}
	if c.MetatagMax < server.LeastMetatagMax {
		return fmt.Errorf("--metatag-max must be at least %d bytes, to hold the gateway's mark and a text", server.LeastMetatagMax)
	}
	if err := c.tlsSettings.check(); err != nil {
		return err
	}
	if err := c.checkConsole(); err != nil {
		return err
	}
	return c.vendorSettings.check(c.Sandbox)
}

// Run serves until ctx ends, then drains.
func (c *serveCommand) Run(ctx context.Context, to console) (err error) {
	tuneMemory()
	telemetry, err := newTelemetry(ctx, c.logSettings, to.err)
	if err != nil {
		return err
	}
	defer func() {
		// ctx has ended by now. Telemetry still needs time to send its last records, which matter most.
		flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if unsent := telemetry.shutdown(flush); unsent != nil { // not an error: the purchases ended well
			telemetry.logger.WarnContext(flush, "telemetry", "error", withoutSecrets(unsent.Error()))
		}
	}()

	var open listeners
	defer open.close()
	process := &gatewayProcess{
		logger:  telemetry.logger,
		grpcOn:  open.listen(ctx, "--grpc-listen", c.GRPCListen),
		restOn:  open.listen(ctx, "--http-listen", c.HTTPListen),
		adminOn: open.listen(ctx, "--admin-listen", c.AdminListen),
	}
	if c.Sandbox {
		process.sandboxOn = open.listen(ctx, "--sandbox-listen", c.SandboxListen)
	}
	if address := c.consoleOn(); address != "" {
		process.consoleOn = open.listen(ctx, "--console-listen", address)
	}
	if open.err != nil {
		return open.err
	}
	if (c.TLSCert == "" || c.CallersFile == "") && !c.Insecure {
		if err := open.onlyLoopback(); err != nil {
			return err
		}
	}
	if process.tls, err = newTLSFiles(ctx, c.tlsSettings, time.Now, telemetry.logger, telemetry.meterProvider); err != nil {
		return err
	}
	if err := process.bound(telemetry.meterProvider); err != nil {
		return err
	}
	callers, forget, err := c.watchCallers(ctx, telemetry)
	if err != nil {
		return err
	}
	defer forget()
	now := time.Now
	var control http.Handler // of the sandbox
	if c.Sandbox {
		world, sandboxErr := c.newSandbox(process, telemetry)
		if sandboxErr != nil {
			return sandboxErr
		}
		control = world
		defer func() { err = errors.Join(err, world.Close()) }()
		now = world.Now // packages start and end by the vendor's clock, and the sandbox's clock can be moved
	}

	vendor, err := c.newVendor(telemetry)
	if err != nil {
		return err
	}
	process.vendor = vendor
	journal, err := openJournal(ctx, c.Journal, telemetry.logger, telemetry.meterProvider)
	if err != nil {
		return fmt.Errorf("--journal: %w", err)
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	unmeasured, err := measureJournal(telemetry.meterProvider, journal)
	if err != nil {
		return err
	}
	defer unmeasured()
	if err := checkKeys(ctx, journal, callers); err != nil {
		return err
	}
	secrets, err := c.sealJournal(ctx, journal, telemetry.logger)
	if err != nil {
		return err
	}
	engine, err := c.newEngine(secrets, vendor, callers, telemetry)
	if err != nil {
		return err
	}
	defer engine.Close()
	process.gateway, err = server.New(server.Config{
		Access:         callers,
		Trusted:        process.trusted(),
		Vendor:         vendor,
		Engine:         engine,
		MetatagMax:     c.MetatagMax,
		Logger:         telemetry.logger,
		TracerProvider: telemetry.tracerProvider,
		MeterProvider:  telemetry.meterProvider,
		Propagator:     telemetry.propagator,
		Now:            now,
		Docs:           c.docs(),
		KnownHost:      knownHosts(c.AllowedHosts, c.HTTPListen).knows,
		Credentials:    process.credentials(),
	})
	if err != nil {
		return err
	}
	process.rest = newHTTPServer(process.gateway.REST(), process.gateway.AnswerWithin())
	process.rest.ConnContext = server.WithConnection
	process.restOn = server.Framed(process.restOn)
	process.admin = newHTTPServer(knownHosts(c.AllowedHosts, c.AdminListen).only(newAdmin(process.ready(journal), vendor.Problems, telemetry.metrics, newJournalCalls(ctx, journal, secrets, engine))), 0)
	if err := c.addConsole(process, callers, journal, control, telemetry); err != nil {
		return err
	}
	defer watchBudgets(ctx, callers, vendor, telemetry.logger)()
	engine.Start()
	// The listeners are open, so early callers wait in their queues.
	process.setServing()
	c.greet(to, process)
	return process.run(ctx)
}

// docs reports whether to serve the documentation. Its page buys at a click. A gateway that spends real
// credit serves it only if the operator asks for it.
func (c *serveCommand) docs() bool {
	if c.Docs != nil {
		return *c.Docs
	}
	return c.Sandbox
}

// newSandbox makes a new world for this process. It gets a new client id, because it does not have what an
// earlier world sold: to the journal it is another account.
func (c *serveCommand) newSandbox(process *gatewayProcess, telemetry *telemetry) (*sandbox.Sandbox, error) {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails, says its documentation
	seed := binary.BigEndian.Uint64(random[:])
	world, err := sandbox.New(sandbox.Config{Seed: seed, Logger: telemetry.logger})
	if err != nil {
		return nil, fmt.Errorf("set up the sandbox: %w", err)
	}
	process.sandbox = newHTTPServer(knownHosts(c.AllowedHosts, c.SandboxListen).only(world), 0)
	c.GigastoreURL = "http://" + reachable(process.sandboxOn.Addr())
	c.GigastoreClientID, c.secret = fmt.Sprintf("sandbox-%x", seed), "sandbox"
	return world, nil
}

// reachable is the address by which this process reaches its own listener. A listener on every interface is
// reached over loopback.
func reachable(listener net.Addr) string {
	address, err := netip.ParseAddrPort(listener.String())
	if err == nil && address.Addr().IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", address.Port())
	}
	return listener.String()
}

func (c *serveCommand) newEngine(
	journal purchase.Journal, vendor *gigastore.Client, callers server.Access, telemetry *telemetry,
) (*purchase.Engine, error) {
	instruments, err := purchase.NewInstruments(telemetry.meterProvider.Meter("gigagate.internal/purchase"))
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	limit, err := c.maxPurchasePrice()
	if err != nil {
		return nil, err
	}
	return purchase.NewEngine(purchase.Config{
		Journal:          journal,
		Vendor:           vendor,
		Logger:           telemetry.logger,
		SendWindow:       c.SendWindow,
		Reconcile:        purchase.ReconcileConfig{Quiet: c.ReconcileSettleDelay, Wait: c.ReconcileWitnessTimeout, GiveUp: c.ReconcileGiveUp},
		MaxPurchasePrice: limit,
		Instruments:      instruments,
		Budgets:          server.CallerBudgets(callers),
		TracerProvider:   telemetry.tracerProvider,
	}), nil
}

// greet prints where the gateway listens, and one call to paste.
func (c *serveCommand) greet(to console, process *gatewayProcess) {
	vendor, item := "spends REAL credit at "+c.GigastoreURL, "INVENTORY-ITEM-ID"
	if c.Sandbox {
		vendor, item = "with a SANDBOX in place of Gigastore: nothing it sells is real", sandbox.ItemWorldwide1GB
	}
	rest, curl := "http://"+process.restOn.Addr().String(), "curl -sS"
	if c.TLSCert != "" {
		rest, curl = "https://"+process.restOn.Addr().String(), "curl -sS --cacert AUTHORITY.pem"
	}
	fmt.Fprintf(to.out, `gigagate %s, %s

  gRPC     %s
  REST     %s
  admin    http://%s/healthz  /readyz  /metrics
`, version(), vendor, process.grpcOn.Addr(), rest, process.adminOn.Addr())
	if c.docs() {
		fmt.Fprintf(to.out, "  docs     %s/docs/\n", rest)
	}
	if process.consoleOn != nil {
		scheme := "http"
		if c.TLSCert != "" {
			scheme = "https"
		}
		fmt.Fprintf(to.out, "  console  %s://%s%s\n", scheme, process.consoleOn.Addr(), webconsole.Root)
	}
	if c.Sandbox {
		fmt.Fprintf(to.out, "  sandbox  http://%s/_sandbox/ledger\n", process.sandboxOn.Addr())
	}
	fmt.Fprintf(to.out, `
A purchase:

  %s %s/v1/activations/register -H 'Content-Type: application/json' -d '{
    "requestId": "hello-1", "inventoryItemId": "%s",
    "metatag": "hello 1", "userIp": "203.0.113.24", "userCountry": "GR",
    "activationMode": "ACTIVATION_MODE_NOW"}'

`, curl, rest, item)
}
