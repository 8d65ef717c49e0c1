//go:build !race

package simulation

// The size of a storm.
const (
	stormCalls  = 1000
	stormCovers = 300
)
