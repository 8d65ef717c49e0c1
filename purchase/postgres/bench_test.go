package postgres_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres"
	"gigagate.internal/purchase/postgres/postgrestest"
)

// BenchmarkPurchase measures two durable writes: a claim and its answer. cpu-µs/op is the CPU time of this
// process, without the server's.
func BenchmarkPurchase(b *testing.B) {
	for _, mode := range []struct{ name, parameter string }{
		{"unnamed", ""}, // the default, which works behind a pooler
		{"prepared", "&default_query_exec_mode=cache_statement"},
	} {
		for _, callers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", mode.name, callers), func(b *testing.B) {
				server := postgrestest.Shared(b)
				benchmark(b, open(b, server.URL+mode.parameter, postgres.Options{Schema: server.Schema(b)}), callers)
			})
		}
	}
}

func benchmark(b *testing.B, journal *postgres.Journal, callers int) {
	b.Helper()
	purchaseOnce := func() error {
		claim := newClaim()
		if _, err := journal.Claim(b.Context(), claim); err != nil {
			return err
		}
		_, _, err := purchase.Record(b.Context(), journal, purchase.Purchase{ID: claim.ID}, applied(claim.ID))
		return err
	}
	var failed atomic.Int64
	b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
	before := processorTime()
	b.ResetTimer()
	if callers == 1 {
		for b.Loop() {
			if purchaseOnce() != nil {
				failed.Add(1)
			}
		}
	} else {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if purchaseOnce() != nil {
					failed.Add(1)
				}
			}
		})
	}
	b.StopTimer()
	b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "purchases/s")
	if failed.Load() > 0 {
		b.Errorf("%d failed", failed.Load())
	}
}

// processorTime returns the CPU time of this process in microseconds.
func processorTime() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return usage.Utime.Nano()/1000 + usage.Stime.Nano()/1000
}
