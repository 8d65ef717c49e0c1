package journaltest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"gigagate.internal/purchase"
)

func newRecord() purchase.AuditRecord {
	return purchase.AuditRecord{
		ID: nextID(), Actor: "anna", ActorKind: purchase.ActorOperator, Action: purchase.AuditFreeze, Outcome: purchase.AuditDone, Reason: "a leaked key",
	}
}

func (s *subject) freeze(t *testing.T, target purchase.FreezeTarget) purchase.Freeze {
	t.Helper()
	freeze, err := s.Journal.Freeze(t.Context(), target, newRecord())
	if err != nil {
		t.Fatalf("freeze: %v", err)
	}
	return freeze
}

func (s *subject) thaw(t *testing.T, target purchase.FreezeTarget) {
	t.Helper()
	if _, err := s.Journal.Thaw(t.Context(), target, newRecord()); err != nil {
		t.Fatalf("thaw: %v", err)
	}
}

// isFrozen checks that a journal refuses a claim because of a freeze, and that it has written nothing.
func isFrozen(t *testing.T, journal purchase.Journal, claim purchase.Claim, target purchase.FreezeTarget) {
	t.Helper()
	p, err := journal.Claim(t.Context(), claim)
	frozen, ok := errors.AsType[*purchase.FrozenError](err)
	if !ok {
		t.Fatalf("a claim while %+v is frozen: %s, err = %v", target, p.State, err)
	}
	isError(t, err, purchase.ErrNotWritten)
	equal(t, "the freeze that refused", frozen.FreezeTarget, target)
	_, err = journal.Lookup(t.Context(), claim.Key)
	isError(t, err, purchase.ErrNotFound)
	_, err = journal.Get(t.Context(), claim.ID)
	isError(t, err, purchase.ErrNotFound)
}

func testFreeze(t *testing.T, s *subject) {
	claim := newClaim()
	everything := purchase.FreezeTarget{Scope: purchase.FreezeAll}
	ofCaller := purchase.FreezeTarget{Scope: purchase.FreezeCaller, Name: claim.Key.Caller}
	ofItem := purchase.FreezeTarget{Scope: purchase.FreezeItem, Name: claim.Order.InventoryItemID}
	journals := []purchase.Journal{s.Journal, s.replica(t)}
	for _, target := range []purchase.FreezeTarget{everything, ofCaller, ofItem} {
		before := s.claim(t, newClaim())
		s.freeze(t, target)
		for _, journal := range journals {
			isFrozen(t, journal, newClaim(), target)
		}
		// What was claimed before goes on.
		known, err := s.Journal.Claim(t.Context(), purchase.Claim{ID: nextID(), Key: before.Key, Account: account, Order: before.Order})
		if err != nil {
			t.Fatalf("a claim of a known key: %v", err)
		}
		equal(t, "a known purchase", known, before)
		p := s.record(t, before, purchase.AnsweredNoEffect)
		p = s.record(t, p, purchase.Permitted)
		if p.State != purchase.Sending || p.Attempt != 2 {
			t.Errorf("an open purchase is %s in attempt %d", p.State, p.Attempt)
		}
		s.thaw(t, target)
		s.claim(t, newClaim())
	}

	// Other callers and other items go on.
	s.freeze(t, ofCaller)
	other := newClaim()
	other.Key.Caller = "another"
	s.claim(t, other)
	s.freeze(t, ofItem)
	other = newClaim()
	other.Key.Caller, other.Order.InventoryItemID = "another", "another"
	s.claim(t, other)
	// The names of callers and of items are apart.
	s.thaw(t, ofCaller)
	s.thaw(t, ofItem)
	s.freeze(t, purchase.FreezeTarget{Scope: purchase.FreezeCaller, Name: claim.Order.InventoryItemID})
	s.freeze(t, purchase.FreezeTarget{Scope: purchase.FreezeItem, Name: claim.Key.Caller})
	s.claim(t, newClaim())
}

func testFreezeOnce(t *testing.T, s *subject) {
	target := purchase.FreezeTarget{Scope: purchase.FreezeItem, Name: "inventory-1"}
	_, err := s.Journal.Thaw(t.Context(), target, newRecord())
	isError(t, err, purchase.ErrNotFrozen)
	isError(t, err, purchase.ErrNotWritten)

	first := s.freeze(t, target)
	if !first.Record.At.Equal(s.now()) {
		t.Errorf("it was frozen at %s, not at %s", first.Record.At, s.now())
	}
	s.clock.Advance(time.Minute)
	equal(t, "the second freeze", s.freeze(t, target), first)
	all := s.freeze(t, purchase.FreezeTarget{Scope: purchase.FreezeAll})
	list, err := s.Journal.Freezes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "what is frozen", list, []purchase.Freeze{all, first})

	thaw := newRecord()
	thaw.Action, thaw.Actor, thaw.Reason = purchase.AuditThaw, "berta", "the key was replaced"
	thawed, err := s.Journal.Thaw(t.Context(), target, thaw)
	if err != nil {
		t.Fatal(err)
	}
	thaw.At = s.now()
	equal(t, "the record of the thaw", thawed, thaw)
	_, err = s.Journal.Thaw(t.Context(), target, newRecord())
	isError(t, err, purchase.ErrNotFrozen)
	list, err = s.Journal.Freezes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "what is still frozen", list, []purchase.Freeze{all})
	records, _, err := s.Journal.AuditRecords(t.Context(), purchase.AuditFilter{}, purchase.Page{Size: 10})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the records", records, []purchase.AuditRecord{thaw, all.Record, first.Record})
}

// testFreezeRace freezes while many replicas claim. When the freeze has returned, no other claim is written, although some
// are under way.
func testFreezeRace(t *testing.T, s *subject) {
	const claimers, each = 16, 100
	journals := []purchase.Journal{s.Journal, s.replica(t)}
	var done, began sync.WaitGroup
	began.Add(claimers)
	for i := range claimers {
		done.Go(func() {
			for n := range each {
				_, err := journals[i%len(journals)].Claim(t.Context(), newClaim())
				if n == 0 {
					began.Done()
				}
				if _, frozen := errors.AsType[*purchase.FrozenError](err); frozen {
					return
				}
				if err != nil {
					t.Errorf("claim: %v", err)
				}
			}
		})
	}
	began.Wait()
	s.freeze(t, purchase.FreezeTarget{Scope: purchase.FreezeAll})
	count := func() int { return len(s.pages(t, purchase.Filter{}, purchase.MaxExamined/2)) }
	frozen := count()
	for _, journal := range journals {
		isFrozen(t, journal, newClaim(), purchase.FreezeTarget{Scope: purchase.FreezeAll})
	}
	done.Wait()
	if n := count(); n != frozen {
		t.Errorf("%d purchases were claimed after the freeze", n-frozen)
	}
}

func testFreezeKilled(t *testing.T, s *subject) {
	if s.Restart == nil {
		t.Skip("this journal does not outlive its process")
	}
	standing := purchase.FreezeTarget{Scope: purchase.FreezeCaller, Name: "shop"}
	thawed := purchase.FreezeTarget{Scope: purchase.FreezeAll}
	first := s.freeze(t, standing)
	s.freeze(t, thawed)
	s.thaw(t, thawed)
	s.Journal = s.Restart(t, true)
	isFrozen(t, s.Journal, newClaim(), standing)
	equal(t, "the freeze after the restart", s.freeze(t, standing), first)
	other := newClaim()
	other.Key.Caller = "another"
	s.claim(t, other)
}

// testFreezeCommitLost loses the answer to a freeze and to a thaw, each written and not written. The journal then claims
// as its rows say.
func testFreezeCommitLost(t *testing.T, s *subject) {
	if s.LoseCommit == nil {
		t.Skip("the commit of this journal cannot be lost")
	}
	target := purchase.FreezeTarget{Scope: purchase.FreezeAll}
	s.claim(t, newClaim()) // so that the journal knows that nothing is frozen
	for _, happened := range []bool{false, true} {
		s.LoseCommit(t, happened)
		if _, err := s.Journal.Freeze(t.Context(), target, newRecord()); err == nil {
			t.Fatal("a freeze whose commit was lost succeeded")
		}
		if !happened {
			s.claim(t, newClaim())
		}
	}
	isFrozen(t, s.Journal, newClaim(), target)
	for _, happened := range []bool{false, true} {
		s.LoseCommit(t, happened)
		if _, err := s.Journal.Thaw(t.Context(), target, newRecord()); err == nil {
			t.Fatal("a thaw whose commit was lost succeeded")
		}
		if !happened {
			isFrozen(t, s.Journal, newClaim(), target)
		}
	}
	s.claim(t, newClaim())
}

// testFrozenInAGroup claims for many callers at once, and some are frozen. The refused claims do not disturb the others.
func testFrozenInAGroup(t *testing.T, s *subject) {
	target := purchase.FreezeTarget{Scope: purchase.FreezeCaller, Name: "frozen"}
	s.freeze(t, target)
	var done sync.WaitGroup
	for i := range 200 {
		claim := newClaim()
		if i%3 == 0 {
			claim.Key.Caller = target.Name
		}
		done.Go(func() {
			p, err := s.Journal.Claim(t.Context(), claim)
			_, frozen := errors.AsType[*purchase.FrozenError](err)
			if frozen != (claim.Key.Caller == target.Name) || !frozen && (err != nil || p.ID != claim.ID) {
				t.Errorf("claim of %s: %s, err = %v", claim.Key.Caller, p.ID, err)
			}
		})
	}
	done.Wait()
}

func testAudit(t *testing.T, s *subject) {
	full := newRecord()
	full.Action, full.Caller, full.PurchaseID, full.CustomerUID = purchase.AuditReadSecrets, "shop", nextID(), "customer-1"
	full.InventoryItemID, full.ActivatedItemUID = "inventory-1", "item-1"
	bare := purchase.AuditRecord{ID: nextID(), Actor: "shop", ActorKind: purchase.ActorCaller, Action: purchase.AuditActivate, Outcome: purchase.AuditBegun}
	for _, record := range []*purchase.AuditRecord{&full, &bare} {
		written, err := s.Journal.Audit(t.Context(), *record)
		if err != nil {
			t.Fatal(err)
		}
		record.At = s.now()
		equal(t, "the record written", written, *record)
		s.clock.Advance(time.Second)
	}
	list, next, err := s.replica(t).AuditRecords(t.Context(), purchase.AuditFilter{}, purchase.Page{Size: 10})
	if err != nil || next != "" {
		t.Fatalf("next %q, err = %v", next, err)
	}
	equal(t, "the records read", list, []purchase.AuditRecord{bare, full})
}

func testAuditPages(t *testing.T, s *subject) {
	const n = 7
	var all []purchase.AuditRecord
	for range n {
		record, err := s.Journal.Audit(t.Context(), newRecord())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, record)
	}
	slices.Reverse(all)
	var list []purchase.AuditRecord
	page := purchase.Page{Size: 3}
	for pages := 1; ; pages++ {
		found, next, err := s.Journal.AuditRecords(t.Context(), purchase.AuditFilter{}, page)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, found...)
		if page.After = next; next == "" {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	equal(t, "the pages", list, all)
	// The test's ids are made in 1970.
	for _, c := range []struct {
		filter purchase.AuditFilter
		want   int
	}{
		{purchase.AuditFilter{From: s.now()}, 0},
		{purchase.AuditFilter{To: s.now()}, n},
		{purchase.AuditFilter{From: time.Unix(0, 0), To: s.now()}, n},
	} {
		found, _, err := s.Journal.AuditRecords(t.Context(), c.filter, purchase.Page{Size: n})
		if err != nil || len(found) != c.want {
			t.Errorf("%+v: %d records, want %d; err = %v", c.filter, len(found), c.want, err)
		}
	}
}
