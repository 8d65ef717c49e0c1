//go:build race

package simulation

// The size of a storm with -race. With 1,000 calls, it did not end within six minutes on a busy machine. The run without -race
// plays the whole size.
const (
	stormCalls  = 200
	stormCovers = 60
)
