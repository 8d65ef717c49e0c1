package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc"

	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase"
	"gigagate.internal/purchase/memory"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/sqlite"
	"gigagate.internal/server"
)

// asBenchServer in the environment holds a benchServer as JSON, and makes BenchmarkRegister run as that
// server. A separate process is needed to measure the server's CPU time.
const asBenchServer = "TEST_GIGAGATE_AS_BENCH_SERVER"

// controlFD is where such a process writes its address once it serves. For each line on its standard input, it then writes
// the CPU time it has used, in nanoseconds. It ends when its standard input ends.
const controlFD = 3

func isBenchServer() bool { return os.Getenv(asBenchServer) != "" }

// serveForBench runs such a process until it ends.
func serveForBench(b *testing.B) {
	var s benchServer
	if err := json.Unmarshal([]byte(os.Getenv(asBenchServer)), &s); err != nil {
		b.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	control := os.NewFile(controlFD, "control")
	ended := make(chan error, 1)
	go func() {
		err := s.serve(ctx, listener, func() { fmt.Fprintln(control, listener.Addr()) })
		_ = control.Close() // if it ended early, the benchmark notices
		ended <- err
	}()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			b.Error(err)
		}
		fmt.Fprintln(control, usage.Utime.Nano()+usage.Stime.Nano())
	}
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}

// serve runs the server that s describes until ctx ends. It calls ready when it serves.
func (s benchServer) serve(ctx context.Context, listener net.Listener, ready func()) error {
	switch s.Kind {
	case "sandbox":
		settings := sandbox.DefaultSettings()
		settings.InitialCredit = 1e15 // cents
		settings.Latency = sandbox.Duration(s.Latency)
		world, err := sandbox.New(sandbox.Config{Settings: settings})
		if err != nil {
			return err
		}
		ready()
		return errors.Join(serveUntil(ctx, newHTTPServer(world, 0), listener), world.Close())
	case "proxy":
		ready()
		return s.serveProxy(ctx, listener)
	default:
		return s.serveGateway(ctx, listener, ready)
	}
}

// serveProxy forwards to the vendor. Its transport keeps one connection for each caller, or connects for each request, as
// the gateway does.
func (s benchServer) serveProxy(ctx context.Context, listener net.Listener) error {
	vendor, err := url.Parse(s.Vendor)
	if err != nil {
		return err
	}
	transport := &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256, DisableCompression: true, DisableKeepAlives: !s.Reuses}
	defer transport.CloseIdleConnections()
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(vendor) }, Transport: transport}
	return serveUntil(ctx, newHTTPServer(proxy, 0), listener)
}

// serveGateway is `gigagate serve` on s.Vendor, with the default of every flag except the log level. At
// level info, the cost of a call would depend on where the log goes.
func (s benchServer) serveGateway(ctx context.Context, listener net.Listener, ready func()) (err error) {
	command := serveCommand{
		vendorSettings: vendorSettings{
			GigastoreURL: s.Vendor, GigastoreClientID: "bench", GigastoreTimeout: time.Minute, secret: "bench",
		},
		purchaseSettings: purchaseSettings{
			SendWindow: 30 * time.Second, ReconcileSettleDelay: 2 * time.Minute, ReconcileWitnessTimeout: 15 * time.Minute,
			ReconcileGiveUp: 30 * time.Minute, MetatagMax: 255,
		},
	}
	tuneMemory()
	background := context.WithoutCancel(ctx)
	telemetry, err := newTelemetry(ctx, logSettings{LogLevel: 4, LogFormat: "json"}, io.Discard)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, telemetry.shutdown(background)) }()
	vendor, err := command.newVendor(telemetry)
	if err != nil {
		return err
	}
	journal, err := s.openJournal(ctx, telemetry.meterProvider)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	engine, err := command.newEngine(journal, vendor, nil, telemetry)
	if err != nil {
		return err
	}
	defer engine.Close()
	config := server.Config{
		Vendor: vendor, Engine: engine, MetatagMax: command.MetatagMax,
		Logger: telemetry.logger, TracerProvider: telemetry.tracerProvider, MeterProvider: telemetry.meterProvider,
		Propagator: telemetry.propagator, Now: time.Now,
	}
	if listener, err = s.Security.secure(ctx, telemetry, &config, listener); err != nil {
		return err
	}
	gateway, err := server.New(config)
	if err != nil {
		return err
	}
	engine.Start()
	gateway.SetServing()
	ready()
	if s.REST {
		rest := newHTTPServer(gateway.REST(), gateway.AnswerWithin())
		rest.ConnContext = server.WithConnection
		return errors.Join(serveUntil(ctx, rest, server.Framed(listener)), gateway.Drain(background))
	}
	return errors.Join(serveGRPCUntil(ctx, gateway.GRPC(), listener), gateway.Drain(background))
}

func (s benchServer) openJournal(ctx context.Context, meters metric.MeterProvider) (purchase.Journal, error) {
	switch s.Kind {
	case "sqlite":
		return sqlite.Open(ctx, s.Journal, sqlite.Options{Meters: meters})
	case "postgres":
		return postgres.Open(ctx, s.Journal, postgres.Options{Schema: s.Schema, Meters: meters})
	default:
		return memory.Open(nil), nil
	}
}

func serveGRPCUntil(ctx context.Context, server *grpc.Server, listener net.Listener) error {
	defer context.AfterFunc(ctx, server.GracefulStop)()
	if err := server.Serve(listener); err != nil {
		return err
	}
	server.GracefulStop() // Serve returns when GracefulStop begins
	return nil
}
