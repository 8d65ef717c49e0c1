package main

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

const (
	// cpuSlice is how long a server has load at a time, and cpuSlices how often in one round.
	cpuSlice  = 100 * time.Millisecond
	cpuSlices = 12
)

// benchSlices are the servers of BenchmarkCPU. All of them run until its end.
type benchSlices struct {
	variant       benchVariant
	server, world *benchProcess
	load          *benchLoad
	calls         int64
	used          time.Duration // by the server
	before        time.Duration // what it had used at the beginning of the newest slice
}

// BenchmarkCPU compares the CPU of a Register between variants, with 64 callers. The differences are a few µs, and the speed of a
// shared machine changes by more than that within seconds. So all servers run at the same time and get load in turn, for a tenth of a
// second each and in random order. What the machine does meanwhile happens to all variants alike.
func BenchmarkCPU(b *testing.B) {
	b.ReportMetric(0, "ns/op") // it would cover the whole suite
	suite := &benchSuite{rows: cpuRows, skipped: map[string]string{}, runs: map[string][]benchRun{}}
	variants := suite.prepare(b)
	all := make([]*benchSlices, len(variants))
	for i, v := range variants {
		server, world, stop := suite.start(b, v, v.name)
		defer stop() //nolint:gocritic // all of them run until the end
		all[i] = &benchSlices{variant: v, server: server, world: world, load: newBenchLoad(b, server, world)}
		defer all[i].load.close() //nolint:gocritic // as above
		all[i].slice(b)
	}
	for range *benchRounds {
		for _, s := range all {
			s.finish(b)
			s.calls, s.used = 0, 0
		}
		for range cpuSlices {
			for _, i := range rand.Perm(len(all)) {
				all[i].slice(b)
			}
		}
		for _, s := range all {
			s.finish(b)
			suite.runs[s.variant.name] = append(suite.runs[s.variant.name], benchRun{
				serverCPU: float64(s.used.Nanoseconds()) / 1000 / float64(s.calls), ready: milliseconds(s.server.ready),
			})
		}
	}
	for _, s := range all {
		if sold := int64(len(s.world.ledger(b).Sales)); sold != s.load.taken.Load() {
			b.Fatalf("%s: %d calls were answered and %d packages sold", s.variant.name, s.load.taken.Load(), sold)
		}
	}
	if broken := suite.report(os.Stdout, variants); broken > 0 {
		b.Fail()
	}
}

// slice puts load on the server for a while.
func (s *benchSlices) slice(b *testing.B) {
	b.Helper()
	s.finish(b)
	ctx, cancel := context.WithTimeout(b.Context(), cpuSlice)
	defer cancel()
	before := s.load.taken.Load()
	s.load.start(ctx)
	if _, err := s.load.wait(); err != nil {
		b.Fatalf("%s: %v", s.variant.name, err)
	}
	s.calls += s.load.taken.Load() - before
}

// finish counts the CPU time since the beginning of the newest slice. A journal also works after the last call of a slice: it
// copies its log into the file.
func (s *benchSlices) finish(b *testing.B) {
	b.Helper()
	now := s.server.cpu(b)
	s.used += now - s.before
	s.before = now
}
