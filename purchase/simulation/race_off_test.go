//go:build !race

package simulation

// underRace is whether the race detector watches.
const underRace = false

// realHistories is how many histories are played in real time.
const realHistories = 20

// The size of a storm.
const (
	stormCalls  = 1000
	stormCovers = 300
)
