package tally_test

import (
	"testing"

	"gigagate.internal/internal/tally"
)

func TestTally(t *testing.T) {
	t.Parallel()
	var found tally.Tally
	found.Add(nil)
	found.Add([]string{tally.Finding(tally.Double, "sold %d times", 2), tally.Finding(tally.Double, "again"), tally.Finding(tally.Untrue, "a: b")})
	found.Add([]string{tally.Finding(tally.Lost, "no row"), tally.Finding(tally.Broken, "a rule"), tally.Finding(tally.Untrue, "told sold")})
	if got, want := found.String(), "proof: 3 histories, 1 double, 1 lost, 2 untrue, 1 otherwise wrong"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
