package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"gigagate.internal/gigastore"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/server"
)

// serveCommand runs the gateway.
type serveCommand struct {
	Sandbox       bool   `help:"Sell from a sandbox of its own. Nothing else is possible yet."`
	GRPCListen    string `name:"grpc-listen" default:"127.0.0.1:9090" placeholder:"ADDR" help:"gRPC (default ${default})."`
	HTTPListen    string `name:"http-listen" default:"127.0.0.1:8080" placeholder:"ADDR" help:"REST (default ${default})."`
	AdminListen   string `name:"admin-listen" default:"127.0.0.1:9464" placeholder:"ADDR" help:"/healthz, /readyz, /metrics and pprof; never public (default ${default})."`
	SandboxListen string `name:"sandbox-listen" default:"127.0.0.1:8089" placeholder:"ADDR" help:"The sandbox, with --sandbox (default ${default})."`

	GigastoreTimeout      time.Duration `name:"gigastore-timeout" default:"60s" help:"One vendor call, whole (default ${default})."`
	GigastoreRefusalsFile string        `name:"gigastore-refusals-file" placeholder:"FILE" help:"JSON list that replaces the assumed meanings of the vendor's refusals."`
	MetatagMax            int           `name:"metatag-max" default:"255" placeholder:"BYTES" help:"Longest metatag sent upstream, the gateway's token included (default ${default})."`

	logSettings
}

// Validate refuses settings that contradict each other, before anything is opened.
func (c *serveCommand) Validate() error {
	switch {
	case !c.Sandbox:
		return errors.New("--sandbox is missing: purchases are not journaled yet, so this version spends no real credit")
	case c.GigastoreTimeout <= 0:
		return errors.New("--gigastore-timeout must be more than zero")
	}
	return nil
}

// Run serves until ctx ends, then drains.
func (c *serveCommand) Run(ctx context.Context, to console) (err error) {
	telemetry, err := newTelemetry(ctx, c.logSettings, to.err)
	if err != nil {
		return err
	}
	defer func() {
		// The caller's context has ended by now; what was recorded last matters most.
		flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, telemetry.shutdown(flush))
	}()

	var open listeners
	defer open.close()
	grpcListener := open.listen(ctx, "--grpc-listen", c.GRPCListen)
	httpListener := open.listen(ctx, "--http-listen", c.HTTPListen)
	adminListener := open.listen(ctx, "--admin-listen", c.AdminListen)
	sandboxListener := open.listen(ctx, "--sandbox-listen", c.SandboxListen)
	if open.err != nil {
		return open.err
	}

	world, err := sandbox.New(sandbox.Config{Logger: telemetry.logger})
	if err != nil {
		return fmt.Errorf("set up the sandbox: %w", err)
	}
	defer func() { _ = world.Close() }()
	vendor, err := c.newVendor("http://"+sandboxListener.Addr().String(), telemetry, world.Now)
	if err != nil {
		return err
	}
	defer vendor.Close()
	gateway, err := server.New(server.Config{
		Vendor:         vendor,
		VendorTimeout:  c.GigastoreTimeout,
		MetatagMax:     c.MetatagMax,
		Logger:         telemetry.logger,
		TracerProvider: telemetry.tracerProvider,
		MeterProvider:  telemetry.meterProvider,
		Propagator:     telemetry.propagator,
		Now:            world.Now,
	})
	if err != nil {
		return err
	}

	running := &gatewayProcess{
		gateway: gateway,
		logger:  telemetry.logger,
		sandbox: newHTTPServer(world, 0),
		rest:    newHTTPServer(gateway.REST(), gateway.AnswerWithin()),
	}
	running.admin = newHTTPServer(newAdmin(running.ready, telemetry.metrics), 0)
	// The listeners are open: who calls before they are served waits in their queue.
	gateway.SetServing()
	running.serving.set(true)
	c.greet(to, grpcListener.Addr(), httpListener.Addr(), adminListener.Addr(), sandboxListener.Addr())
	return running.run(ctx, grpcListener, httpListener, adminListener, sandboxListener)
}

// newVendor makes the client of the vendor at baseURL. now is the vendor's clock, by which tokens
// end: the sandbox's can be moved.
func (c *serveCommand) newVendor(baseURL string, telemetry *telemetry, now func() time.Time) (*gigastore.Client, error) {
	var refusals []gigastore.RefusalRule
	if c.GigastoreRefusalsFile != "" {
		text, err := os.ReadFile(c.GigastoreRefusalsFile)
		if err != nil {
			return nil, fmt.Errorf("--gigastore-refusals-file: %w", err)
		}
		if refusals, err = gigastore.ParseRefusals(text); err != nil {
			return nil, fmt.Errorf("--gigastore-refusals-file: %w", err)
		}
	}
	return gigastore.New(gigastore.Config{
		BaseURL:        baseURL,
		ClientID:       "sandbox",
		ClientSecret:   "sandbox",
		Timeout:        c.GigastoreTimeout,
		UserAgent:      "gigagate/" + version(),
		Refusals:       refusals,
		TracerProvider: telemetry.tracerProvider,
		MeterProvider:  telemetry.meterProvider,
		Propagator:     telemetry.propagator,
		Now:            now,
	})
}

// greet says where the gateway listens, and one call to paste.
func (c *serveCommand) greet(to console, grpcAddr, httpAddr, adminAddr, sandboxAddr net.Addr) {
	fmt.Fprintf(to.out, `gigagate %s, with a SANDBOX in place of Gigastore: nothing it sells is real.
Nothing is journaled yet: the same request id sent twice is sold twice.

  gRPC     %s
  REST     http://%s
  admin    http://%s/healthz  /readyz  /metrics
  sandbox  http://%s/_sandbox/ledger

Try a purchase:

  curl -sS http://%s/v1/activations/register -H 'Content-Type: application/json' -d '{
    "requestId": "order-1", "inventoryItemId": "%s",
    "metatag": "order-1", "userIp": "203.0.113.24", "userCountry": "GR",
    "activationMode": "ACTIVATION_MODE_NOW"}'

`, version(), grpcAddr, httpAddr, adminAddr, sandboxAddr, httpAddr, sandbox.ItemWorldwide1GB)
}

// gatewayProcess is everything that serves.
type gatewayProcess struct {
	gateway              *server.Server
	logger               *slog.Logger
	rest, admin, sandbox *http.Server
	serving              readiness
}

func (p *gatewayProcess) ready() bool { return p.serving.get() }

// run serves on the listeners until ctx ends or one of them fails, and then stops in order.
func (p *gatewayProcess) run(ctx context.Context, grpcListener, httpListener, adminListener, sandboxListener net.Listener) error {
	group, failed := errgroup.WithContext(ctx)
	group.Go(func() error { return p.gateway.GRPC().Serve(grpcListener) })
	group.Go(func() error { return serveHTTP(p.rest, httpListener) })
	group.Go(func() error { return serveHTTP(p.admin, adminListener) })
	group.Go(func() error { return serveHTTP(p.sandbox, sandboxListener) })
	group.Go(func() error {
		<-failed.Done()
		return p.stop(context.WithoutCancel(ctx))
	})
	return group.Wait()
}

// stop ends in the order that loses nothing: say not ready, stop accepting, let the calls under
// way and the purchases behind them end, and only then take the vendor away.
func (p *gatewayProcess) stop(ctx context.Context) error {
	p.logger.InfoContext(ctx, "draining; a second signal ends at once")
	p.serving.set(false)
	ctx, cancel := context.WithTimeout(ctx, p.gateway.AnswerWithin())
	defer cancel()
	var group errgroup.Group
	group.Go(func() error { return p.gateway.Drain(ctx) })
	group.Go(func() error {
		// GracefulStop has no deadline of its own.
		defer context.AfterFunc(ctx, p.gateway.GRPC().Stop)()
		p.gateway.GRPC().GracefulStop()
		return nil
	})
	group.Go(func() error { return p.rest.Shutdown(ctx) })
	err := group.Wait()
	err = errors.Join(err, p.sandbox.Shutdown(ctx), p.admin.Shutdown(ctx))
	p.logger.InfoContext(ctx, "drained", "clean", err == nil)
	return err
}
