//go:build race

package main

// underRace is true if the race detector watches this test binary.
const underRace = true
