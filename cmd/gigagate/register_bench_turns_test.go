package main

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

const (
	// turn is how long a server has load at a time, and turns how often in one round.
	turn  = 100 * time.Millisecond
	turns = 12
)

// turnServer is a server of BenchmarkTurns. It runs until the end of the benchmark.
type turnServer struct {
	variant       benchVariant
	server, world *benchProcess
	load          *benchLoad
	calls         int64
	elapsed       time.Duration // of all turns
	used          time.Duration // by the server
	before        time.Duration // what it had used at the beginning of the newest turn
	database      time.Duration // used by PostgreSQL in all turns
}

// BenchmarkTurns compares the CPU and the calls per second of a Register between variants. The differences are small, and the speed
// of a shared machine changes by more than that within seconds. So all servers run at the same time and get load in turn, for a tenth
// of a second each and in random order. What the machine does meanwhile happens to all variants alike.
func BenchmarkTurns(b *testing.B) {
	b.ReportMetric(0, "ns/op") // it would cover the whole suite
	suite := &benchSuite{rows: turnRows, skipped: map[string]string{}, runs: map[string][]benchRun{}}
	variants := suite.prepare(b)
	all := make([]*turnServer, len(variants))
	for i, v := range variants {
		server, world, stop := suite.start(b, v, v.name)
		defer stop() //nolint:gocritic // all of them run until the end
		all[i] = &turnServer{variant: v, server: server, world: world, load: newBenchLoad(b, server, world, benchCallers)}
		defer all[i].load.close() //nolint:gocritic // as above
		all[i].turn(b)
	}
	for range *benchRounds {
		for _, s := range all {
			s.finish(b)
			s.calls, s.elapsed, s.used, s.database = 0, 0, 0, 0
		}
		for range turns {
			for _, i := range rand.Perm(len(all)) {
				all[i].turn(b)
			}
		}
		for _, s := range all {
			s.finish(b)
			suite.runs[s.variant.name] = append(suite.runs[s.variant.name], s.measured())
		}
	}
	for _, s := range all {
		if sold := int64(len(s.world.ledger(b).Sales)); sold != s.load.taken.Load() {
			b.Fatalf("%s: %d calls were answered and %d packages sold", s.variant.name, s.load.taken.Load(), sold)
		}
		for round := range *benchRounds {
			if s.variant.full {
				suite.runs[s.variant.name][round].list(b, s.server)
			}
		}
	}
	if broken := suite.report(os.Stdout, variants); broken > 0 {
		b.Fail()
	}
}

// turn puts load on the server for a while.
func (s *turnServer) turn(b *testing.B) {
	b.Helper()
	s.finish(b)
	ctx, cancel := context.WithTimeout(b.Context(), turn)
	defer cancel()
	before, database, began := s.load.taken.Load(), s.server.databaseCPU(), time.Now()
	s.load.start(ctx)
	if _, err := s.load.wait(); err != nil {
		b.Fatalf("%s: %v", s.variant.name, err)
	}
	s.elapsed += time.Since(began)
	s.calls += s.load.taken.Load() - before
	s.database += s.server.databaseCPU() - database
}

// finish counts the CPU time since the beginning of the newest turn. A gateway also works after the last call of a turn: its
// journal copies the log into the file.
func (s *turnServer) finish(b *testing.B) {
	b.Helper()
	now := s.server.cpu(b)
	s.used += now - s.before
	s.before = now
}

// measured returns what the turns since the last round measured.
func (s *turnServer) measured() benchRun {
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(s.calls) }
	r := benchRun{
		perSecond: float64(s.calls) / s.elapsed.Seconds(), serverCPU: each(s.used), ready: milliseconds(s.server.ready),
	}
	if s.database > 0 {
		r[databaseCPU] = each(s.database)
	}
	return r
}
