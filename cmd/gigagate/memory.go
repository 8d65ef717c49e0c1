package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// memoryLimit is what the Go runtime keeps to. Near it garbage is collected more often.
	memoryLimit = 180 << 20
	// memoryKept is how much the process keeps for the next busy moment.
	memoryKept = 48 << 20
	// memoryPause is how often unused memory is looked for. What was allocated since then says whether the gateway is busy.
	memoryPause = 3 * time.Second
	memoryBusy  = 128 << 20
)

// tuneMemory sets the collector, unless the environment says otherwise. The heap may grow to five times what is live: a
// gateway's live heap is small and its garbage is not, and at Go's default a seventh of the CPU goes into collecting.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}

// returnMemory gives memory back to the system once a busy time is over. Go collects by itself only when the heap has grown,
// or after two minutes. It ends with ctx.
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
