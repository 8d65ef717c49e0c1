package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"gigagate.internal/purchase/postgres/postgrestest"
)

// The flags of BenchmarkRegister, with or without -args.
var (
	benchRounds   = flag.Int("register.rounds", 5, "BenchmarkRegister: how often every variant runs")
	benchWindow   = flag.Duration("register.window", 2*time.Second, "BenchmarkRegister: how long each run is measured")
	benchVariants = flag.String("register.variants", "memory,memory-again,sqlite,postgres,echo,proxy", "BenchmarkRegister: which variants, separated by commas")
	benchProfiles = flag.String("register.profiles", "", "BenchmarkRegister: folder for a CPU profile of each run's server")
)

const (
	benchCallers     = 64
	benchConnections = 4
	benchWarmUp      = 700 * time.Millisecond
	// mostAA is how much the medians of two equal variants may differ. Beyond it, the other results mean nothing.
	mostAA = 0.10
)

// BenchmarkRegister measures a whole Register over gRPC, with 64 callers and a sandbox that answers at
// once. Its variants are the shipped gateway on each journal, a plain grpc-go server that answers with
// messages of the same size (echo), and httputil.ReverseProxy, which gets the vendor's own JSON (proxy).
// The memory journal runs twice. The difference between the two shows the noise.
//
// Every run has its own server and its own sandbox, each in a separate process. Each round runs all
// variants in random order, and ratios are taken within a round. CPU means that of the server's process
// alone. The load, the sandbox and PostgreSQL run on the same machine, so calls per second measure the
// whole machine.
//
//	go test ./cmd/gigagate -run '^$' -bench Register
func BenchmarkRegister(b *testing.B) {
	if isBenchServer() {
		serveForBench(b)
		return
	}
	variants := strings.Split(*benchVariants, ",")
	var database *postgrestest.Server
	if slices.Contains(variants, "postgres") {
		var err error
		if database, err = postgrestest.Start(b.Context()); errors.Is(err, postgrestest.ErrNoServer) {
			b.Logf("without PostgreSQL: %v", err)
			variants = slices.DeleteFunc(variants, func(name string) bool { return name == "postgres" })
		} else if err != nil {
			b.Fatal(err)
		} else {
			defer database.Stop()
		}
	}
	runs := map[string][]benchRun{}
	for round := range *benchRounds {
		for _, i := range rand.Perm(len(variants)) {
			name := variants[i]
			run := measure(b, benchServer{
				Kind: strings.TrimSuffix(name, "-again"), Database: database, run: fmt.Sprintf("%s-%d", name, round),
			})
			runs[name] = append(runs[name], run)
		}
	}
	b.ReportMetric(0, "ns/op") // it would cover the whole suite
	report(b, variants, runs)
}

// benchRun is what one run of one variant measured.
type benchRun struct {
	perSecond   float64
	serverCPU   float64 // of the server's process, in µs per call
	sandboxCPU  float64 // the same for the sandbox
	databaseCPU float64 // the same for all of PostgreSQL's processes
	p50, p99    time.Duration
}

// measure starts a sandbox and a server, puts load on the server, and measures after a warm-up.
func measure(b *testing.B, s benchServer) benchRun {
	b.Helper()
	world := startBenchServer(b, benchServer{Kind: "sandbox", run: s.run})
	defer world.stop(b)
	s.Vendor = "http://" + world.address
	server := startBenchServer(b, s)
	defer server.stop(b)

	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	l := newBenchLoad(b, server, world)
	defer l.close()
	l.start(ctx)
	<-time.After(benchWarmUp)

	database := s.databaseCPU(b)
	serverCPU, worldCPU, began := server.cpu(b), world.cpu(b), time.Now()
	l.measuring.Store(true)
	<-time.After(*benchWindow)
	l.measuring.Store(false)
	serverCPU, worldCPU = server.cpu(b)-serverCPU, world.cpu(b)-worldCPU
	elapsed := time.Since(began)
	database = s.databaseCPU(b) - database

	cancel()
	latencies, err := l.wait()
	if err != nil {
		b.Fatalf("%s: %v", s.run, err)
	}
	if len(latencies) == 0 {
		b.Fatalf("%s: no call ended within the window", s.run)
	}
	if sold := world.sales(b); s.Kind != "echo" && sold != l.taken.Load() {
		b.Fatalf("%s: %d calls were answered and %d packages sold", s.run, l.taken.Load(), sold)
	}
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(len(latencies)) }
	return benchRun{
		perSecond: float64(len(latencies)) / elapsed.Seconds(),
		serverCPU: each(serverCPU), sandboxCPU: each(worldCPU), databaseCPU: each(database),
		p50: latencies[len(latencies)/2], p99: latencies[len(latencies)*99/100],
	}
}

// benchRatio compares a measure of two variants within each round.
type benchRatio struct {
	of, by string
	what   string
	take   func(benchRun) float64
	expect string // "" means that nothing is expected
}

func callsPerSecond(r benchRun) float64 { return r.perSecond }
func cpuPerCall(r benchRun) float64     { return r.serverCPU }

// benchRatios are the ratios of the report. The expected values were measured with a skeleton of this gateway.
var benchRatios = []benchRatio{
	{"memory-again", "memory", "calls/s", callsPerSecond, "1 (A/A)"},
	{"memory-again", "memory", "CPU", cpuPerCall, "1 (A/A)"},
	{"sqlite", "memory", "calls/s", callsPerSecond, "at least 0.60"},
	{"sqlite", "memory", "CPU", cpuPerCall, "at most 1.75"},
	{"postgres", "memory", "calls/s", callsPerSecond, ""},
	{"postgres", "memory", "CPU", cpuPerCall, ""},
	{"memory", "echo", "CPU", cpuPerCall, ""},
	{"sqlite", "echo", "CPU", cpuPerCall, "at most 5.5"},
	{"postgres", "echo", "CPU", cpuPerCall, ""},
	{"memory", "proxy", "CPU", cpuPerCall, ""},
	{"sqlite", "proxy", "CPU", cpuPerCall, "worth chasing: 2"},
	{"postgres", "proxy", "CPU", cpuPerCall, ""},
}

func (r benchRatio) inRounds(runs map[string][]benchRun) []float64 {
	var list []float64
	for i, of := range runs[r.of] {
		if by := runs[r.by]; i < len(by) {
			list = append(list, r.take(of)/r.take(by[i]))
		}
	}
	return list
}

// report prints the tables, and reports the medians as metrics.
func report(b *testing.B, variants []string, runs map[string][]benchRun) {
	b.Helper()
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "\nmin / median / max of %d rounds\tcalls/s\tserver CPU µs\tp50 ms\tp99 ms\tsandbox CPU µs\tPostgreSQL CPU µs\n", *benchRounds)
	milliseconds := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	for _, name := range variants {
		column := func(format string, take func(benchRun) float64) string { return spread(format, runs[name], take) }
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name,
			column("%.0f", callsPerSecond), column("%.0f", cpuPerCall),
			column("%.1f", func(r benchRun) float64 { return milliseconds(r.p50) }),
			column("%.1f", func(r benchRun) float64 { return milliseconds(r.p99) }),
			column("%.0f", func(r benchRun) float64 { return r.sandboxCPU }),
			column("%.0f", func(r benchRun) float64 { return r.databaseCPU }))
		b.ReportMetric(median(runs[name], callsPerSecond), name+"-calls/s")
		b.ReportMetric(median(runs[name], cpuPerCall), name+"-cpu-µs/call")
	}
	fmt.Fprintf(table, "\nratios within a round\tmin / median / max\texpected\n")
	void := ""
	for _, ratio := range benchRatios {
		list := ratio.inRounds(runs)
		if len(list) == 0 {
			continue
		}
		middle := median(list, itself)
		fmt.Fprintf(table, "%s ÷ %s, %s\t%s\t%s\n", ratio.of, ratio.by, ratio.what, spread("%.2f", list, itself), ratio.expect)
		b.ReportMetric(middle, fmt.Sprintf("%s/%s-%s", ratio.of, ratio.by, strings.ReplaceAll(ratio.what, "/", "-per-")))
		if ratio.of == "memory-again" && (middle > 1+mostAA || middle < 1-mostAA) {
			void += fmt.Sprintf("\nVOID: the same gateway twice differs by more than %.0f %% in %s. Repeat on a calmer machine.", mostAA*100, ratio.what)
		}
	}
	_ = table.Flush()                           // a strings.Builder does not fail
	fmt.Fprintln(os.Stdout, text.String()+void) // b.Log cuts off a benchmark's output after ten lines
}

func itself(ratio float64) float64 { return ratio }

func spread[T any](format string, list []T, take func(T) float64) string {
	format = strings.Join([]string{format, format, format}, " / ")
	smaller := func(x, y T) int { return cmp.Compare(take(x), take(y)) }
	return fmt.Sprintf(format, take(slices.MinFunc(list, smaller)), median(list, take), take(slices.MaxFunc(list, smaller)))
}

// median returns the middle value, or the mean of the two middle values.
func median[T any](list []T, take func(T) float64) float64 {
	sorted := make([]float64, len(list))
	for i, one := range list {
		sorted[i] = take(one)
	}
	slices.Sort(sorted)
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
