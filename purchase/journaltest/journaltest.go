// Package journaltest holds the promises that every [purchase.Journal] keeps, as one suite over a
// factory. What the interface leaves open, and the suite settles:
//
//   - A claim's own purchase is told by its id, and its state says what may still be done.
//   - Two changes are the same if event, attempt and item uid (Change.ItemUID, or else the evidence's)
//     are. The second one changes nothing, unless it moves the purchase or is the first to have seen
//     success. Its verdict is that of Purchase.After.
//   - TakeLapsed sets UpdatedAt where it renews a lease.
//   - The sale is kept by the change that moves to Succeeded, and never replaced.
//   - The journal's clock may be set back. That refuses nothing.
//   - A customer's purchases are those that sold to it and those that were ordered for it.
package journaltest

import (
	"sync"
	"testing"
	"time"

	"gigagate.internal/purchase"
)

// Harness is a journal under test, and what can be done to it from outside. Where a journal has no
// such thing the function is nil, and the cases that need it are skipped.
type Harness struct {
	// Journal is empty and has its time from the clock. The factory closes it in t.Cleanup.
	Journal purchase.Journal
	// Replica opens another journal over the same rows, and closes it in t.Cleanup.
	Replica func(t *testing.T) purchase.Journal
	// Restart ends the journal and opens its rows again: after Close, or as a killed process leaves
	// them. Journal is not used after it.
	Restart func(t *testing.T, killed bool) purchase.Journal
	// LoseCommit makes the next commit of a write fail for whoever waits for it: after it happened, or
	// instead of it.
	LoseCommit func(t *testing.T, happened bool)
	// RewriteOrder replaces the kept text of an order, as a later version would have written it.
	RewriteOrder func(t *testing.T, id string, text []byte)
	// Purge removes the details of a settled purchase as the schema tells operators to.
	Purge func(t *testing.T, id string)
}

// Clock is the time of a journal under test. It stands still until advanced.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now is the clock's time. It has nanoseconds and is not in UTC, since the clocks of machines are
// so: journals keep microseconds and UTC.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock, back if d is negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newClock() *Clock {
	zone := time.FixedZone("half past", 5*60*60+30*60)
	return &Clock{now: time.Date(2026, 3, 1, 12, 0, 0, 123_456_789, zone)}
}

// Run runs the suite, each case on a journal of its own.
func Run(t *testing.T, open func(t *testing.T, clock *Clock) Harness) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *subject)
	}{
		{"Claim", testClaim},
		{"ClaimAgain", testClaimAgain},
		{"ClaimRace", testClaimRace},
		{"ClaimManyKeys", testClaimManyKeys},
		{"ClaimIDTaken", testClaimIDTaken},
		{"KeysByteForByte", testKeysByteForByte},
		{"NotFound", testNotFound},
		{"Times", testTimes},
		{"ClockSetBack", testClockSetBack},
		{"EveryStateEveryEvent", testEveryStateEveryEvent},
		{"LateEvidence", testLateEvidence},
		{"Presumption", testPresumption},
		{"SecondItemContradicts", testSecondItemContradicts},
		{"SuccessSeenIsKept", testSuccessSeenIsKept},
		{"RecordTwice", testRecordTwice},
		{"AnomalyOnce", testAnomalyOnce},
		{"RecordRace", testRecordRace},
		{"RecordContest", testRecordContest},
		{"ItemTaken", testItemTaken},
		{"ItemTakenUnderAnAlias", testItemTakenUnderAnAlias},
		{"ItemTakenRace", testItemTakenRace},
		{"History", testHistory},
		{"ConfirmPermit", testConfirmPermit},
		{"TakeLapsed", testTakeLapsed},
		{"TakeLapsedRace", testTakeLapsedRace},
		{"TakeLapsedInPages", testTakeLapsedInPages},
		{"SecretsApart", testSecretsApart},
		{"Purge", testPurge},
		{"ListFilters", testListFilters},
		{"ListPages", testListPages},
		{"ListPagesWhileClaiming", testListPagesWhileClaiming},
		{"Watched", testWatched},
		{"WatchedManyAndLong", testWatchedManyAndLong},
		{"Witnesses", testWitnesses},
		{"Restart", testRestart},
		{"Killed", testKilled},
		{"CallerGone", testCallerGone},
		{"CommitLost", testCommitLost},
		{"UnknownOrderField", testUnknownOrderField},
		{"Ping", testPing},
		{"Closed", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			c.run(t, &subject{Harness: open(t, clock), clock: clock})
		})
	}
}
