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

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
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

// controlFD is where such a process writes its address. For each line on its standard input, it then writes
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
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, listener) }()

	control := os.NewFile(controlFD, "control")
	fmt.Fprintln(control, listener.Addr())
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

// serve runs the server that s describes until ctx ends.
func (s benchServer) serve(ctx context.Context, listener net.Listener) error {
	switch s.Kind {
	case "sandbox":
		settings := sandbox.DefaultSettings()
		settings.InitialCredit = 1e15 // cents
		world, err := sandbox.New(sandbox.Config{Settings: settings})
		if err != nil {
			return err
		}
		return errors.Join(serveUntil(ctx, newHTTPServer(world, 0), listener), world.Close())
	case "proxy":
		return s.serveProxy(ctx, listener)
	case "echo":
		echo := grpc.NewServer()
		gigagatev1.RegisterActivationServiceServer(echo, echoService{})
		return serveGRPCUntil(ctx, echo, listener)
	default:
		return s.serveGateway(ctx, listener)
	}
}

// serveProxy forwards to the vendor, with a transport that keeps one connection for each caller.
func (s benchServer) serveProxy(ctx context.Context, listener net.Listener) error {
	vendor, err := url.Parse(s.Vendor)
	if err != nil {
		return err
	}
	transport := &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256, DisableCompression: true}
	defer transport.CloseIdleConnections()
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(vendor) }, Transport: transport}
	return serveUntil(ctx, newHTTPServer(proxy, 0), listener)
}

// serveGateway is `gigagate serve` on s.Vendor, with the default of every flag except the log level. At
// level info, the cost of a call would depend on where the log goes.
func (s benchServer) serveGateway(ctx context.Context, listener net.Listener) (err error) {
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
	journal, err := s.openJournal(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	engine, err := command.newEngine(journal, vendor, telemetry)
	if err != nil {
		return err
	}
	defer engine.Close()
	gateway, err := server.New(server.Config{
		Vendor: vendor, Engine: engine, MetatagMax: command.MetatagMax,
		Logger: telemetry.logger, TracerProvider: telemetry.tracerProvider, MeterProvider: telemetry.meterProvider,
		Propagator: telemetry.propagator, Now: time.Now,
	})
	if err != nil {
		return err
	}
	engine.Start()
	gateway.SetServing()
	return errors.Join(serveGRPCUntil(ctx, gateway.GRPC(), listener), gateway.Drain(background))
}

func (s benchServer) openJournal(ctx context.Context) (purchase.Journal, error) {
	switch s.Kind {
	case "sqlite":
		return sqlite.Open(ctx, s.Journal, sqlite.Options{})
	case "postgres":
		return postgres.Open(ctx, s.Journal, postgres.Options{Schema: s.Schema})
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

// echoService answers every Register with a new message that has the same fields as a sandbox's sale.
type echoService struct {
	gigagatev1.UnimplementedActivationServiceServer
}

func (echoService) Register(_ context.Context, req *gigagatev1.RegisterRequest) (*gigagatev1.RegisterResponse, error) {
	now := time.Now().Truncate(time.Millisecond)
	sold, end := timestamppb.New(now), timestamppb.New(now.AddDate(0, 0, 30))
	return &gigagatev1.RegisterResponse{
		PurchaseId: "01JDA0QZ8V7M3N5P9RTXWY4B6C",
		ActivatedItem: &gigagatev1.ActivatedItem{
			Uid: "9f1d0a52-6c1e-4b7a-8a55-0e3c7b1d2f64", Metatag: req.GetMetatag(), PurchaseId: "01JDA0QZ8V7M3N5P9RTXWY4B6C",
			Balance: &gigagatev1.Balance{
				ActivatedAt: sold, ExpiresAt: end, ActivationMode: gigagatev1.ActivationMode_ACTIVATION_MODE_NOW,
				Name:             "eSIM Worldwide 1 GB",
				Size:             &gigagatev1.Size{Value: 1, Unit: "GB"},
				AvailableBalance: &gigagatev1.Size{Value: 1, Unit: "GB"},
				Validity:         &gigagatev1.Validity{Value: 30, Unit: "days"},
				State:            gigagatev1.BalanceState_BALANCE_STATE_ACTIVE,
			},
			SalesChannel: "Application Programming Interface", SalesChannelTypeCode: "API", ActivationType: "DATA_PLAN",
			SaleTime:      sold,
			PurchasePrice: &gigagatev1.Money{CurrencyCode: "USD", Amount: "4.2"},
			RetailPrice:   &gigagatev1.Money{CurrencyCode: "USD", Amount: "9.99"},
		},
		Customer: &gigagatev1.Customer{
			Uid: "c3a7e2b1-0d4f-4e59-b8c6-5a9f1e7d3b20", Email: req.GetCustomerEmail(),
			ProfileUrl: "https://sandbox.invalid/customer/c3a7e2b1-0d4f-4e59-b8c6-5a9f1e7d3b20",
		},
		EsimProfile: &gigagatev1.EsimProfile{
			Iccid: "89972012345600000001", Uid: "0b5e8d7c-3f2a-4c91-9d68-7e1a4b5c6d30", Imsi: "260060000000001",
			ActivationCode:     "LPA:1$sandbox.invalid$ABCDEFGHIJKLMNOP",
			AppleUniversalLink: "https://sandbox.invalid/esim_qrcode_provisioning?carddata=LPA:1$sandbox.invalid$ABCDEFGHIJKLMNOP",
			InstallationUrl:    "https://sandbox.invalid/esim/profile?token=0123456789abcdef0123456789abcdef",
			State:              "RELEASED",
		},
	}, nil
}
