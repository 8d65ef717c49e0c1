package journaltest

import (
	"testing"
	"time"

	"gigagate.internal/purchase"
)

// testMayReport: one replica at a time reports. Another one takes its place once its lease is over, and at once if it gave the
// lease up.
func testMayReport(t *testing.T, s *subject) {
	const lease = 40 * time.Second
	ask := func(journal purchase.Journal, replica string, lease time.Duration, want bool) {
		t.Helper()
		if got, err := journal.MayReport(t.Context(), replica, lease); got != want || err != nil {
			t.Errorf("%s may report: %t, %v", replica, got, err)
		}
	}
	ask(s.Journal, "one", lease, true)
	ask(s.Journal, "one", lease, true)
	if s.Replica == nil {
		return // there are no others
	}
	other := s.Replica(t)
	ask(other, "two", lease, false)
	s.clock.Advance(lease - time.Second)
	ask(s.Journal, "one", lease, true)
	s.clock.Advance(lease - time.Second)
	ask(other, "two", lease, false)
	s.clock.Advance(2 * time.Second)
	ask(other, "two", lease, true)
	ask(s.Journal, "one", lease, false)
	ask(other, "two", 0, true)
	ask(s.Journal, "one", lease, true)
}
