package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gigagate.internal/purchase/postgres/postgrestest"
)

// The flags of BenchmarkRegister, with or without -args.
var (
	benchRounds    = flag.Int("register.rounds", 5, "BenchmarkRegister: how often every variant runs")
	benchWindow    = flag.Duration("register.window", 2*time.Second, "BenchmarkRegister: how long each run is measured")
	benchOnly      = flag.String("register.variants", "", "BenchmarkRegister: which variants, separated by commas (default: all)")
	benchProfiles  = flag.String("register.profiles", "", "BenchmarkRegister: folder for a CPU profile of each run's server")
	benchBaseline  = flag.String("register.baseline", "", "BenchmarkRegister: an older gigagate binary, for a comparison on PostgreSQL")
	benchPurchases = flag.Int("register.purchases", 0, "BenchmarkRegister: how many purchases a full journal has; 0 skips the full journals")
)

const (
	benchCallers = 64
	// fewCallers put so little load on the gateway that even a slow machine has processors left. With more of them, the latency of a call
	// would be the wait for a processor.
	fewCallers       = 16
	benchConnections = 4
	benchWarmUp      = 700 * time.Millisecond
	// benchInFlight is how many purchases the memory is measured with.
	benchInFlight = 1900
)

// benchVariant is one thing that is measured.
type benchVariant struct {
	name    string
	server  benchServer
	latency time.Duration // of the vendor
	callers int           // 0 means benchCallers
	full    bool          // the journal has benchPurchases purchases
	measure func(*benchSuite, *testing.B, benchVariant, string) benchRun
}

// benchVariants are all variants. Those that end in "-again" are the A/A controls: they show the noise.
var benchVariants = []benchVariant{
	{name: "memory", server: benchServer{Kind: "memory"}},
	{name: "memory-again", server: benchServer{Kind: "memory"}},
	{name: "memory-key", server: benchServer{Kind: "memory", Identity: benchKey}},
	{name: "memory-budget", server: benchServer{Kind: "memory", Identity: benchBudget}},
	{name: "memory-jwt", server: benchServer{Kind: "memory", Identity: benchJWT}},
	{name: "memory-tls", server: benchServer{Kind: "memory", Identity: benchTLS}},
	{name: "memory-certificate", server: benchServer{Kind: "memory", Identity: benchCertificate}},
	{name: "sqlite", server: benchServer{Kind: "sqlite"}},
	{name: "sqlite-again", server: benchServer{Kind: "sqlite"}},
	{name: "sqlite-budget", server: benchServer{Kind: "sqlite", Identity: benchBudget}},
	{name: "sqlite-rest", server: benchServer{Kind: "sqlite", REST: true}},
	{name: "proxy", server: benchServer{Kind: "proxy", Reuses: true}},
	{name: "proxy-connecting", server: benchServer{Kind: "proxy"}},
	{name: "postgres", server: benchServer{Kind: "postgres"}},
	{name: "postgres-again", server: benchServer{Kind: "postgres"}},
	{name: "postgres-baseline", server: benchServer{Kind: "baseline"}},
	{name: "river", measure: (*benchSuite).measureRiver},
	{name: "vendor-50ms", server: benchServer{Kind: "vendor"}, latency: 50 * time.Millisecond, callers: fewCallers},
	{name: "sqlite-50ms", server: benchServer{Kind: "sqlite"}, latency: 50 * time.Millisecond, callers: fewCallers},
	{name: "postgres-50ms", server: benchServer{Kind: "postgres"}, latency: 50 * time.Millisecond, callers: fewCallers},
	{name: "sqlite-full", server: benchServer{Kind: "sqlite"}, full: true},
	{name: "postgres-full", server: benchServer{Kind: "postgres"}, full: true},
	// The vendor's answer comes after all purchases are under way, even on a busy machine.
	{name: "sqlite-in-flight", server: benchServer{Kind: "sqlite"}, latency: 4 * time.Second, measure: (*benchSuite).measureInFlight},
}

func (v benchVariant) onPostgres() bool {
	return strings.HasPrefix(v.name, "postgres") || v.name == "river"
}

// BenchmarkRegister measures a whole Register, with 64 callers and a sandbox that answers at once, unless the variant
// says otherwise. It compares the shipped gateway on each journal with [net/http/httputil.ReverseProxy], which gets the
// vendor's own JSON, with River, and with an older build of the gateway. The report prints each target with its bound.
// The benchmark fails if a bound is broken: see [benchRows].
//
// Every run has its own server and its own sandbox, each in a separate process. Each round runs all
// variants in random order, and ratios are taken within a round. CPU means that of the server's process
// alone. The load, the sandbox and PostgreSQL run on the same machine, so calls per second measure the
// whole machine.
//
//	make bench BASELINE=path/to/older/gigagate
func BenchmarkRegister(b *testing.B) {
	if isBenchServer() {
		serveForBench(b)
		return
	}
	b.ReportMetric(0, "ns/op") // it would cover the whole suite
	suite := &benchSuite{rows: benchRows, skipped: map[string]string{}, runs: map[string][]benchRun{}}
	variants := suite.prepare(b)
	for round := range *benchRounds {
		for _, i := range rand.Perm(len(variants)) {
			v := variants[i]
			run := fmt.Sprintf("%s-%d", v.name, round)
			began := time.Now()
			if v.measure != nil {
				suite.runs[v.name] = append(suite.runs[v.name], v.measure(suite, b, v, run))
			} else {
				suite.runs[v.name] = append(suite.runs[v.name], suite.measureLoad(b, v, run))
			}
			fmt.Fprintf(os.Stderr, "%s: %.1f s\n", run, time.Since(began).Seconds())
		}
	}
	if broken := suite.report(os.Stdout, variants); broken > 0 {
		b.Fail()
	}
}

// benchSuite is one run of the benchmark.
type benchSuite struct {
	rows     []benchRow             // the targets
	database *postgrestest.Server   // nil if there is none
	full     map[string]benchServer // the full journals, by kind
	river    string                 // the program that measures River
	skipped  map[string]string      // why a variant is not measured
	runs     map[string][]benchRun  // by variant, one for each round
}

// needs reports whether a target of the suite needs a variant.
func (s *benchSuite) needs(v benchVariant) bool {
	return slices.ContainsFunc(s.rows, func(r benchRow) bool {
		control := r.control.variant
		return slices.Contains([]string{r.of, r.by, control, control + "-again"}, v.name)
	})
}

// prepare starts PostgreSQL, builds River and fills journals, as far as the variants need them. It returns the variants
// that can be measured.
func (s *benchSuite) prepare(b *testing.B) []benchVariant {
	b.Helper()
	variants := slices.DeleteFunc(slices.Clone(benchVariants), func(v benchVariant) bool {
		return !s.needs(v) || *benchOnly != "" && !slices.Contains(strings.Split(*benchOnly, ","), v.name)
	})
	skip := func(why string, which func(benchVariant) bool) {
		variants = slices.DeleteFunc(variants, func(v benchVariant) bool {
			if which(v) {
				s.skipped[v.name] = why
			}
			return which(v)
		})
	}
	if *benchBaseline == "" {
		skip("no older build is given (BASELINE)", func(v benchVariant) bool { return v.server.Kind == "baseline" })
	}
	if *benchPurchases == 0 {
		skip("no number of purchases is given (PURCHASES)", func(v benchVariant) bool { return v.full })
	}
	if slices.ContainsFunc(variants, benchVariant.onPostgres) {
		var err error
		if s.database, err = postgrestest.Start(b.Context()); errors.Is(err, postgrestest.ErrNoServer) {
			skip(err.Error(), benchVariant.onPostgres)
		} else if err != nil {
			b.Fatal(err)
		} else {
			b.Cleanup(s.database.Stop)
		}
	}
	if s.database != nil && !s.database.Private() {
		skip("an older build needs a private PostgreSQL", func(v benchVariant) bool { return v.server.Kind == "baseline" })
	}
	isRiver := func(v benchVariant) bool { return v.name == "river" }
	if slices.ContainsFunc(variants, isRiver) {
		var err error
		if s.river, err = goBuild(b, "../../internal/riverbench"); err != nil {
			skip("River cannot be built: "+err.Error(), isRiver)
		}
	}
	s.fill(b, variants)
	return variants
}
