//go:build race

package simulation

// underRace: with -race, tests play a part of their plans. The run without -race plays all of them.
const underRace = true

// realHistories is how many histories are played in real time with -race. They need the time of a database that has little else to do.
const realHistories = 8

// The size of a storm with -race. With 1,000 calls, it did not end within six minutes on a busy machine. The run without -race
// plays the whole size.
const (
	stormCalls  = 200
	stormCovers = 60
)
