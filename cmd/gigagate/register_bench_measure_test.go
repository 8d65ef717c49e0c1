package main

import (
	"cmp"
	"context"
	"net"
	"testing"
	"time"
)

// benchRun is what one run of one variant measured.
type benchRun map[benchMeasure]float64

// benchMeasure is the name and the unit of what is measured.
type benchMeasure string

const (
	perSecond   benchMeasure = "calls/s"
	serverCPU   benchMeasure = "CPU µs" // of the server's process, per call
	sandboxCPU  benchMeasure = "sandbox CPU µs"
	databaseCPU benchMeasure = "PostgreSQL CPU µs" // of all its processes
	p50         benchMeasure = "p50 ms"
	p99         benchMeasure = "p99 ms"
	ready       benchMeasure = "ready ms"     // from the start of the process until it serves
	perPurchase benchMeasure = "memory KB"    // resident, per purchase in flight
	warmList    benchMeasure = "list ms"      // the slowest first page
	coldList    benchMeasure = "cold list ms" // the same, after the system forgot the file
)

// start starts the sandbox and the server of a run. They end with stop.
func (s *benchSuite) start(b *testing.B, v benchVariant, run string) (server, world *benchProcess, stop func()) {
	b.Helper()
	world = startBenchServer(b, benchServer{Kind: "sandbox", Latency: v.latency, run: run})
	config := v.server
	if v.full {
		config = s.full[v.server.Kind]
	}
	config.Database, config.Vendor, config.run = s.database, "http://"+world.address, run
	if config.Identity != "" {
		config.Security = newBenchSecurity(b, config.Identity)
	}
	switch config.Kind {
	case "vendor":
		return world, world, func() { world.stop(b) }
	case "baseline":
		server = startBaseline(b, config)
	default:
		server = startBenchServer(b, config)
	}
	return server, world, func() {
		server.stop(b)
		world.stop(b)
	}
}

// measureLoad puts load on a server, and measures after a warm-up.
func (s *benchSuite) measureLoad(b *testing.B, v benchVariant, run string) benchRun {
	b.Helper()
	server, world, stop := s.start(b, v, run)
	defer stop()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	l := newBenchLoad(b, server, world, cmp.Or(v.callers, benchCallers))
	defer l.close()
	l.start(ctx)
	<-time.After(benchWarmUp)

	databaseUsed := server.databaseCPU()
	serverUsed, sandboxUsed, began := server.cpu(b), world.cpu(b), time.Now()
	l.measuring.Store(true)
	<-time.After(*benchWindow)
	l.measuring.Store(false)
	serverUsed, sandboxUsed = server.cpu(b)-serverUsed, world.cpu(b)-sandboxUsed
	elapsed := time.Since(began)
	databaseUsed = server.databaseCPU() - databaseUsed

	cancel()
	latencies, err := l.wait()
	if err != nil {
		b.Fatalf("%s: %v", run, err)
	}
	if len(latencies) == 0 {
		b.Fatalf("%s: no call ended within the window", run)
	}
	if sold := int64(len(world.ledger(b).Sales)); sold != l.taken.Load() {
		b.Fatalf("%s: %d calls were answered and %d packages sold", run, l.taken.Load(), sold)
	}
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(len(latencies)) }
	r := benchRun{
		perSecond: float64(len(latencies)) / elapsed.Seconds(),
		serverCPU: each(serverUsed), sandboxCPU: each(sandboxUsed),
		p50: milliseconds(latencies[len(latencies)/2]), p99: milliseconds(latencies[len(latencies)*99/100]),
		ready: milliseconds(server.ready),
	}
	if databaseUsed > 0 {
		r[databaseCPU] = each(databaseUsed)
	}
	return r
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// measureInFlight measures the memory that purchases take while the vendor has not answered yet. They come from two
// addresses, because the gateway gives one client at most half of its places.
func (s *benchSuite) measureInFlight(b *testing.B, v benchVariant, run string) benchRun {
	b.Helper()
	server, world, stop := s.start(b, v, run)
	defer stop()
	l := &benchLoad{}
	defer l.close()
	for _, host := range []string{"127.0.0.1", "127.0.0.2"} {
		l.throughGRPC(b, server, benchInFlight/2, net.ParseIP(host))
	}
	before := server.resident()
	ctx, cancel := context.WithCancel(b.Context()) // each caller buys once, because ctx ends before the first answer
	defer cancel()
	l.measuring.Store(true)
	l.start(ctx)
	for sent := 0; sent < benchInFlight; sent = world.ledger(b).Requests[registerPath] {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-b.Context().Done():
			b.Fatal(b.Context().Err())
		}
		if l.taken.Load() > benchInFlight {
			b.Fatalf("%s: the vendor answered before all purchases were under way", run)
		}
	}
	grown := server.resident() - before
	cancel()
	if _, err := l.wait(); err != nil {
		b.Fatalf("%s: %v", run, err)
	}
	if before == 0 {
		return benchRun{} // no /proc
	}
	return benchRun{perPurchase: float64(grown) / 1000 / benchInFlight}
}
