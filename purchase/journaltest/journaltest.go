// Package journaltest tests the rules that stand on [purchase.Journal]. Every journal passes it.
package journaltest

import (
	"sync"
	"testing"
	"time"

	"gigagate.internal/purchase"
)

// Harness is a journal under test, with functions that act on it from outside. A function is nil if the journal
// does not support it. The cases that need it are then skipped.
type Harness struct {
	// Journal is empty and uses the clock. The factory closes it in t.Cleanup.
	Journal purchase.Journal
	// Replica opens another journal on the same rows, and closes it in t.Cleanup.
	Replica func(t *testing.T) purchase.Journal
	// Restart ends the journal and opens its rows again. The journal ends by Close, or, with killed, as if its
	// process had been killed. Journal is not used afterwards.
	Restart func(t *testing.T, killed bool) purchase.Journal
	// LoseCommit makes the commit of the next write return an error. With happened the commit succeeds before
	// that.
	LoseCommit func(t *testing.T, happened bool)
	// RewriteOrder replaces the stored text of an order, as a later version of the gateway might write it.
	RewriteOrder func(t *testing.T, id string, text []byte)
	// Purge removes the details of a settled purchase in the way that the schema documents.
	Purge func(t *testing.T, id string)
	// Sealed: the stored texts are not those of the caller, so the suite does not look at them.
	Sealed bool
}

// Clock is the clock of a journal under test. It stands still until Advance moves it.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now returns the clock's time. It has nanoseconds and is not in UTC, like the clocks of real machines.
// Journals have to convert it to microseconds in UTC.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock by d. A negative d sets it back.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newClock() *Clock {
	zone := time.FixedZone("half past", 5*60*60+30*60)
	return &Clock{now: time.Date(2026, 3, 1, 12, 0, 0, 123_456_789, zone)}
}

// Run runs the suite. open makes a new journal for each case.
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
		{"Write", testWrite},
		{"WriteStale", testWriteStale},
		{"WriteRace", testWriteRace},
		{"EveryStateEveryEvent", testEveryStateEveryEvent},
		{"LateEvidence", testLateEvidence},
		{"LateEvents", testLateEvents},
		{"RecordOfAnOldPurchase", testRecordOfAnOldPurchase},
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
		{"Freeze", testFreeze},
		{"FreezeOnce", testFreezeOnce},
		{"FreezeRace", testFreezeRace},
		{"FreezeKilled", testFreezeKilled},
		{"FreezeCommitLost", testFreezeCommitLost},
		{"FrozenInAGroup", testFrozenInAGroup},
		{"Audit", testAudit},
		{"AuditPages", testAuditPages},
		{"Budget", testBudget},
		{"BudgetHolds", testBudgetHolds},
		{"BudgetOfTakenKey", testBudgetOfTakenKey},
		{"BudgetOnce", testBudgetOnce},
		{"BudgetLateSale", testBudgetLateSale},
		{"BudgetPeriods", testBudgetPeriods},
		{"BudgetRace", testBudgetRace},
		{"History", testHistory},
		{"ConfirmPermit", testConfirmPermit},
		{"Lapsed", testLapsed},
		{"LapsedRace", testLapsedRace},
		{"LapsedInPages", testLapsedInPages},
		{"SecretsApart", testSecretsApart},
		{"Purge", testPurge},
		{"Erase", testErase},
		{"RewriteSecrets", testRewriteSecrets},
		{"ListFilters", testListFilters},
		{"ListPages", testListPages},
		{"ListAnomalies", testListAnomalies},
		{"ListTimes", testListTimes},
		{"ListExaminesSoMany", testListExaminesSoMany},
		{"ListOfCaller", testListOfCaller},
		{"ListFindsOldSales", testListFindsOldSales},
		{"ListFindsItems", testListFindsItems},
		{"ListPagesWhileClaiming", testListPagesWhileClaiming},
		{"OfItem", testOfItem},
		{"Watched", testWatched},
		{"WatchedManyAndLong", testWatchedManyAndLong},
		{"Witnesses", testWitnesses},
		{"Restart", testRestart},
		{"Killed", testKilled},
		{"CallerGone", testCallerGone},
		{"CommitLost", testCommitLost},
		{"UnknownOrderField", testUnknownOrderField},
		{"MayReport", testMayReport},
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
