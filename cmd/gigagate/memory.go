package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// memoryLimit is the Go runtime's soft limit. Near it, the garbage collector runs more often.
	memoryLimit = 180 << 20
	// memoryKept is how much memory the process always keeps, for the next busy moment.
	memoryKept = 48 << 20
	// memoryPause is how often the process looks for unused memory. The gateway counts as busy if it allocated memoryBusy or
	// more since the last look.
	memoryPause = 3 * time.Second
	memoryBusy  = 128 << 20
)

// tuneMemory sets up the garbage collector, unless the environment does. The heap may grow to five times the live heap. A
// gateway has a small live heap and much garbage: with Go's default, a seventh of the CPU goes into garbage collection.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}

// returnMemory gives memory back to the system after a busy time. By itself, Go collects garbage only when the heap has
// grown, or after two minutes. returnMemory runs until ctx ends.
func returnMemory(ctx context.Context) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/heap/allocs:bytes"},
	}
	ticker := time.NewTicker(memoryPause)
	defer ticker.Stop()
	var before uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		metrics.Read(samples)
		held, allocated := samples[0].Value.Uint64()-samples[1].Value.Uint64(), samples[2].Value.Uint64()
		if held > memoryKept && allocated-before < memoryBusy {
			debug.FreeOSMemory()
		}
		before = allocated
	}
}
