package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

const (
	// turn is how long a server has load at a time. In one round it has warmTurns of them, and then turns that are measured.
	turn      = 100 * time.Millisecond
	warmTurns = 4
	turns     = 12
)

// turnServer is a server of BenchmarkTurns. It runs until the end of a round.
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
// of a second each and in random order. What the machine does meanwhile happens to all variants alike. Each round has new servers,
// because a journal in memory grows: after some thousand purchases a good part of the CPU would go into garbage collection.
func BenchmarkTurns(b *testing.B) {
	b.ReportMetric(0, "ns/op") // it would cover the whole suite
	suite := &benchSuite{rows: turnRows, skipped: map[string]string{}, runs: map[string][]benchRun{}}
	variants := suite.prepare(b)
	for round := range *benchRounds {
		suite.takeTurns(b, variants, round)
	}
	if broken := suite.report(os.Stdout, variants); broken > 0 {
		b.Fail()
	}
}

// takeTurns measures one round.
func (s *benchSuite) takeTurns(b *testing.B, variants []benchVariant, round int) {
	b.Helper()
	all := make([]*turnServer, len(variants))
	for i, v := range variants {
		server, world, stop := s.start(b, v, fmt.Sprintf("%s-%d", v.name, round))
		defer stop() //nolint:gocritic // all of them run until the end of the round
		all[i] = &turnServer{variant: v, server: server, world: world, load: newBenchLoad(b, server, world, benchCallers)}
		defer all[i].load.close() //nolint:gocritic // as above
	}
	for n := range warmTurns + turns {
		for _, i := range rand.Perm(len(all)) {
			all[i].turn(b)
		}
		if n == warmTurns-1 {
			for _, t := range all {
				t.finish(b)
				t.calls, t.elapsed, t.used, t.database = 0, 0, 0, 0
			}
		}
	}
	for _, t := range all {
		t.finish(b)
		run := t.measured()
		if t.variant.full {
			run.list(b, t.server)
		}
		s.runs[t.variant.name] = append(s.runs[t.variant.name], run)
		if sold := int64(len(t.world.ledger(b).Sales)); sold != t.load.taken.Load() {
			b.Fatalf("%s: %d calls were answered and %d packages sold", t.variant.name, t.load.taken.Load(), sold)
		}
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
