package journaltest

import (
	"sync"
	"testing"
	"time"

	"gigagate.internal/purchase"
)

func testClaim(t *testing.T, s *subject) {
	claim := newClaim()
	p := s.claim(t, claim)
	equal(t, "the claimed purchase", p, purchase.New(claim, s.now()))
	equal(t, "the purchase by its id", s.get(t, claim.ID), p)
	found, err := s.Journal.Lookup(t.Context(), claim.Key)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the purchase by its key", found, p)
	secrets, err := s.Journal.Secrets(t.Context(), claim.ID)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "its secrets", secrets, purchase.Secrets{Personal: claim.Personal})

	bare := newClaim()
	bare.Order = purchase.Order{Kind: purchase.TopUp, InventoryItemID: "inventory-2", Metatag: "m", CustomerUID: "customer-2"}
	bare.Personal, bare.Origin = purchase.Personal{}.Encode(), purchase.Origin{}
	p = s.claim(t, bare)
	equal(t, "a purchase without optional fields", s.get(t, bare.ID), p)
}

func testClaimAgain(t *testing.T, s *subject) {
	claim := newClaim()
	first := s.claim(t, claim)
	s.clock.Advance(time.Second)

	same, err := s.Journal.Claim(t.Context(), claim)
	if err != nil {
		t.Fatalf("the same claim again: %v", err)
	}
	equal(t, "the same claim again", same, first)

	other := newClaim()
	other.Key, other.Order.InventoryItemID = claim.Key, "inventory-3"
	theirs, err := s.Journal.Claim(t.Context(), other)
	if err != nil {
		t.Fatalf("another claim of the key: %v", err)
	}
	equal(t, "another claim of the key", theirs, first)
	_, err = s.Journal.Get(t.Context(), other.ID)
	isError(t, err, purchase.ErrNotFound)

	settled := s.record(t, first, purchase.AnsweredApplied)
	late, err := s.Journal.Claim(t.Context(), claim)
	if err != nil {
		t.Fatalf("the same claim after it settled: %v", err)
	}
	equal(t, "the same claim after it settled", late, settled)
	if entries := s.history(t, claim.ID); len(entries) != 2 {
		t.Errorf("%d entries after one claim and one answer", len(entries))
	}
}

func testClaimRace(t *testing.T, s *subject) {
	const racers = 100
	journals := []purchase.Journal{s.Journal, s.replica(t)}
	key := newClaim().Key
	var (
		start sync.WaitGroup
		done  sync.WaitGroup
		rows  [racers]purchase.Purchase
		wins  [racers]bool
	)
	start.Add(1)
	for i := range racers {
		claim := newClaim()
		claim.Key = key
		done.Go(func() {
			start.Wait()
			p, err := journals[i%len(journals)].Claim(t.Context(), claim)
			if err != nil {
				t.Errorf("claim: %v", err)
			}
			rows[i], wins[i] = p, p.ID == claim.ID
		})
	}
	start.Done()
	done.Wait()
	winners := 0
	for i, p := range rows {
		if wins[i] {
			winners++
		}
		equal(t, "a racer's row", p, rows[0])
	}
	if winners != 1 {
		t.Errorf("%d of %d racing claims won", winners, racers)
	}
	if entries := s.history(t, rows[0].ID); len(entries) != 1 {
		t.Errorf("the winner's history has %d entries", len(entries))
	}
}

func testClaimManyKeys(t *testing.T, s *subject) {
	const callers, each = 32, 8
	var done sync.WaitGroup
	for range callers {
		done.Go(func() {
			for range each {
				claim := newClaim()
				p, err := s.Journal.Claim(t.Context(), claim)
				if err != nil || p.ID != claim.ID {
					t.Errorf("claim %s: %s, err = %v", claim.ID, p.ID, err)
					return
				}
				p, verdict, err := purchase.Record(t.Context(), s.Journal, p, transitionOf(p, purchase.AnsweredApplied, 1))
				if err != nil || verdict != purchase.Moves {
					t.Errorf("record: verdict = %s, err = %v", verdict, err)
				}
				if p.ID != claim.ID || p.Key != claim.Key || p.ItemUID != itemOf(claim.ID) {
					t.Errorf("got the row of another claim: %+v", p)
				}
			}
		})
	}
	done.Wait()
	all, _, err := s.Journal.List(t.Context(), purchase.Filter{}, purchase.Page{Size: 2 * callers * each})
	if err != nil || len(all) != callers*each {
		t.Errorf("%d purchases, want %d; err = %v", len(all), callers*each, err)
	}
	for _, p := range all {
		s.consistent(t, p.ID)
	}
}

// testClaimIDTaken: the gateway's purchase ids never repeat. If one did, the journal must not overwrite the
// existing purchase.
func testClaimIDTaken(t *testing.T, s *subject) {
	first := s.claim(t, newClaim())
	claim := newClaim()
	claim.ID = first.ID
	_, err := s.Journal.Claim(t.Context(), claim)
	isError(t, err, purchase.ErrNotWritten)
	equal(t, "the purchase that has the id", s.get(t, first.ID), first)
	_, err = s.Journal.Lookup(t.Context(), claim.Key)
	isError(t, err, purchase.ErrNotFound)
	s.claim(t, newClaim()) // the journal still works
}

func testKeysByteForByte(t *testing.T, s *subject) {
	long := "0123456789012345678901234567890123456789012345678901234567890123"
	keys := []purchase.Key{
		{Caller: "shop", RequestID: "a"},
		{Caller: "shop", RequestID: "A"},
		{Caller: "Shop", RequestID: "a"},
		{Caller: "shop-", RequestID: "a"},
		{Caller: "sho", RequestID: "pa"},
		{Caller: "shopa", RequestID: "b"},
		{Caller: "shop", RequestID: "1"},
		{Caller: "shop", RequestID: "01"},
		{Caller: "shop", RequestID: "1.0"},
		{Caller: "shop", RequestID: "1e0"},
		{Caller: "shop", RequestID: "%"},
		{Caller: "shop", RequestID: "_"},
		{Caller: "shop", RequestID: `'";--\`},
		{Caller: "shop", RequestID: "null"},
		{Caller: "shop", RequestID: long},
		{Caller: "shop", RequestID: long[:63] + "4"},
		{Caller: "caf\u00e9", RequestID: "a"},  // é as one code point
		{Caller: "cafe\u0301", RequestID: "a"}, // é as two code points
		{Caller: "stra\u00dfe", RequestID: "a"},
		{Caller: "strasse", RequestID: "a"},
	}
	made := map[purchase.Key]string{}
	for _, key := range keys {
		claim := newClaim()
		claim.Key = key
		s.claim(t, claim)
		made[key] = claim.ID
	}
	for key, id := range made {
		p, err := s.Journal.Lookup(t.Context(), key)
		if err != nil || p.ID != id || p.Key != key {
			t.Errorf("key %+q: got %s with key %+q, want %s; err = %v", key, p.ID, p.Key, id, err)
		}
	}
}

func testNotFound(t *testing.T, s *subject) {
	ctx, id := t.Context(), nextID()
	_, err := s.Journal.Lookup(ctx, purchase.Key{Caller: "shop", RequestID: "nobody's"})
	isError(t, err, purchase.ErrNotFound)
	_, err = s.Journal.Get(ctx, id)
	isError(t, err, purchase.ErrNotFound)
	_, err = s.Journal.OfItem(ctx, "nobody's", []string{account})
	isError(t, err, purchase.ErrNotFound)
	_, err = s.Journal.History(ctx, id)
	isError(t, err, purchase.ErrNotFound)
	_, err = s.Journal.Secrets(ctx, id)
	isError(t, err, purchase.ErrNotFound)
	never := purchase.New(newClaim(), s.now())
	_, _, err = purchase.Record(ctx, s.Journal, never, transitionOf(never, purchase.AnsweredApplied, 1))
	isError(t, err, purchase.ErrNotFound)
}

func testTimes(t *testing.T, s *subject) {
	claimed := s.now()
	p := s.claim(t, newClaim())
	s.clock.Advance(1500*time.Millisecond + 777*time.Nanosecond)
	p = s.record(t, p, purchase.AnsweredNoEffect)
	s.clock.Advance(time.Second)
	permitted := s.now()
	p = s.record(t, p, purchase.Permitted)
	if want := permitted.Add(lease); !p.LeaseUntil.Equal(want) || !s.get(t, p.ID).LeaseUntil.Equal(want) {
		t.Errorf("LeaseUntil = %s, want %s", p.LeaseUntil, want)
	}
	s.clock.Advance(time.Second)
	settled := s.now()
	p = s.record(t, p, purchase.AnsweredApplied)

	for from, row := range map[string]purchase.Purchase{"Write": p, "Get": s.get(t, p.ID)} {
		for _, at := range []struct {
			name      string
			got, want time.Time
		}{
			{"ClaimedAt", row.ClaimedAt, claimed},
			{"PermittedAt", row.PermittedAt, permitted},
			{"SendNotAfter", row.SendNotAfter, permitted.Add(permitLife)},
			{"LeaseUntil", row.LeaseUntil, time.Time{}}, // nobody owns it any more
			{"UpdatedAt", row.UpdatedAt, settled},
			{"SettledAt", row.SettledAt, settled},
		} {
			if !at.got.Equal(at.want) {
				t.Errorf("%s: %s = %s, want %s", from, at.name, at.got, at.want)
			}
			if at.got.Location() != time.UTC {
				t.Errorf("%s: %s is in %s, want UTC", from, at.name, at.got.Location())
			}
		}
	}
	for _, entry := range s.history(t, p.ID) {
		if entry.At.Location() != time.UTC || entry.At.Nanosecond()%1000 != 0 {
			t.Errorf("entry %d has the time %s, want microseconds in UTC", entry.Sequence, entry.At)
		}
	}
	if unsettled := s.claim(t, newClaim()); !s.get(t, unsettled.ID).SettledAt.IsZero() {
		t.Error("SettledAt of an unsettled purchase is not the zero time")
	}
}

// testClockSetBack: an answer is recorded even if the clock was set back to before its question.
func testClockSetBack(t *testing.T, s *subject) {
	p := s.record(t, s.claim(t, newClaim()), purchase.AnsweredNoEffect)
	s.clock.Advance(-24 * time.Hour)
	p = s.record(t, p, purchase.Permitted)
	s.clock.Advance(-24 * time.Hour)
	p = s.record(t, p, purchase.AnsweredApplied)
	if !p.SettledAt.Equal(s.now()) {
		t.Errorf("SettledAt = %s, want %s", p.SettledAt, s.now())
	}
	s.consistent(t, p.ID)
}
