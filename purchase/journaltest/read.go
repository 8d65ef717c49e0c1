package journaltest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

func testSecretsApart(t *testing.T, s *subject) {
	p := s.claim(t, newClaim())
	transition := transitionOf(p, purchase.AnsweredApplied, 1)
	transition.Sale = []byte("{\"z\": 1.10,\t\"a\":\"\\u0000 <LPA:1$sandbox.invalid$secret> \u00e9\",\n \"z\": 2}  ")
	s.recordTransition(t, p, transition, purchase.Moves)
	secrets, err := s.Journal.Secrets(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the secrets", secrets, purchase.Secrets{
		Personal: newPersonal(), Sale: transition.Sale,
	})

	list, _, err := s.Journal.List(t.Context(), purchase.Filter{}, purchase.Page{Size: 10})
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%+v %+v %+v", s.get(t, p.ID), s.history(t, p.ID), list)
	for _, secret := range []string{email, userIP, "sandbox.invalid"} {
		if strings.Contains(shown, secret) {
			t.Errorf("%q shows in Get, History or List", secret)
		}
	}
}

func testPurge(t *testing.T, s *subject) {
	if s.Purge == nil {
		t.Skip("this journal has no way to purge")
	}
	p, other := s.in(t, purchase.Succeeded, newClaim()), s.in(t, purchase.Succeeded, newClaim())
	s.Purge(t, p.ID)
	secrets, err := s.Journal.Secrets(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "purged secrets", secrets, purchase.Secrets{Purged: true})
	equal(t, "the purchase", s.get(t, p.ID), p)
	if again, err := s.Journal.Claim(t.Context(), purchase.Claim{
		ID: nextID(), Key: p.Key, Account: p.Account, Order: p.Order, PermitLife: permitLife, Lease: lease,
	}); err != nil || again.ID != p.ID {
		t.Errorf("a purged key can be claimed again: id = %s, err = %v", again.ID, err)
	}
	secrets, err = s.Journal.Secrets(t.Context(), other.ID)
	if err != nil || secrets.Purged || secrets.Sale == nil {
		t.Errorf("another's secrets are purged too, err = %v", err)
	}
}

// The same uid in two accounts is two packages.
func testOfItem(t *testing.T, s *subject) {
	claim := newClaim()
	claim.Account = "account-2"
	sold, unsettled, elsewhere := s.in(t, purchase.Succeeded, newClaim()), s.in(t, purchase.Uncertain, newClaim()), s.claim(t, claim)
	transition := transitionOf(elsewhere, purchase.AnsweredApplied, 1)
	transition.ItemUID, transition.Evidence.ItemUID = sold.ItemUID, sold.ItemUID
	elsewhere = s.recordTransition(t, elsewhere, transition, purchase.Moves)
	for _, c := range []struct {
		uid      string
		accounts []string
		want     purchase.Purchase // without an id: there is none
	}{
		{sold.ItemUID, []string{account}, sold},
		{sold.ItemUID, []string{"account-0", account}, sold},
		{sold.ItemUID, []string{"account-2", "account-0"}, elsewhere},
		{sold.ItemUID, []string{"account-0"}, purchase.Purchase{}},
		{sold.ItemUID, nil, purchase.Purchase{}},
		{itemOf(unsettled.ID), []string{account}, purchase.Purchase{}},
		{strings.ToUpper(sold.ItemUID), []string{account}, purchase.Purchase{}},
		{"", []string{account}, purchase.Purchase{}},
		{"\x00", []string{account}, purchase.Purchase{}},
	} {
		got, err := s.Journal.OfItem(t.Context(), c.uid, c.accounts)
		if c.want.ID == "" {
			isError(t, err, purchase.ErrNotFound)
		} else if err != nil {
			t.Errorf("%s in %q: %v", c.uid, c.accounts, err)
		}
		equal(t, "the purchase of "+c.uid, got, c.want)
	}
}

func testWatched(t *testing.T, s *subject) {
	var want []string
	for _, state := range purchase.States() {
		p := s.in(t, state, newClaim())
		if state == purchase.Uncertain || state == purchase.NeedsOperator {
			want = append(want, p.ID)
		}
	}
	presumed := s.record(t, s.in(t, purchase.Uncertain, newClaim()), purchase.PresumedAbsent)
	operator := s.record(t, s.in(t, purchase.NeedsOperator, newClaim()), purchase.ResolvedAbsent)
	s.record(t, s.in(t, purchase.Accepted, newClaim()), purchase.WindowOver)
	want = append(want, presumed.ID, operator.ID)

	watched, err := s.Journal.Watched(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	got := ids(watched)
	slices.Sort(got)
	equal(t, "the watched", got, want)
	for _, p := range watched {
		equal(t, "a watched purchase", p, s.get(t, p.ID))
	}
}

// testWatchedManyAndLong: Watched returns more than one page of each kind, even if all were settled at the same
// instant. It leaves out purchases that were called absent too long ago.
func testWatchedManyAndLong(t *testing.T, s *subject) {
	const each = 130
	var open, absent []string
	for range each {
		open = append(open, s.record(t, s.claim(t, newClaim()), purchase.AnsweredUnknown).ID)
		p := s.record(t, s.claim(t, newClaim()), purchase.AnsweredUnknown)
		absent = append(absent, s.record(t, p, purchase.PresumedAbsent).ID)
	}
	watches := func(when string, want []string) {
		t.Helper()
		watched, err := s.Journal.Watched(t.Context(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		got := ids(watched)
		slices.Sort(got)
		slices.Sort(want)
		equal(t, when, got, want)
	}
	watches("within the hour", slices.Concat(open, absent))
	s.clock.Advance(time.Hour - time.Microsecond)
	watches("at its end", slices.Concat(open, absent))
	s.clock.Advance(time.Microsecond)
	watches("after it", open)
	again := s.record(t, s.get(t, open[0]), purchase.PresumedAbsent)
	watches("with a newer one", slices.Concat(open[1:], []string{again.ID}))
}

func testWitnesses(t *testing.T, s *subject) {
	start := s.now()
	sold := func(transition func(*purchase.Claim)) string {
		claim := newClaim()
		claim.Order.ActivationMode = gigastore.ModeNow
		transition(&claim)
		p := s.record(t, s.claim(t, claim), purchase.AnsweredApplied)
		s.clock.Advance(time.Minute)
		return p.ID
	}
	zero := sold(func(*purchase.Claim) {})
	sold(func(c *purchase.Claim) { c.Account = "account-2" })
	two := sold(func(c *purchase.Claim) { c.Order.ActivationMode = "" }) // the effective mode is NOW
	sold(func(c *purchase.Claim) { c.Order.Kind = purchase.TopUp })
	sold(func(c *purchase.Claim) { c.Order.ActivationMode = gigastore.ModeFirstUse })
	five := sold(func(*purchase.Claim) {})
	claim := newClaim()
	claim.Order.ActivationMode = gigastore.ModeNow
	s.record(t, s.claim(t, claim), purchase.AnsweredRefused)
	s.clock.Advance(time.Minute)
	// This one was claimed seven minutes after the start. Its newest permit came after eight minutes.
	claim = newClaim()
	claim.Order.ActivationMode = gigastore.ModeNow
	p := s.record(t, s.claim(t, claim), purchase.AnsweredNoEffect)
	s.clock.Advance(time.Minute)
	eight := s.record(t, s.record(t, p, purchase.Permitted), purchase.AnsweredApplied).ID
	s.clock.Advance(time.Minute)

	at := func(minutes float64) time.Time { return start.Add(time.Duration(minutes * float64(time.Minute))) }
	like := purchase.Likeness{Account: account, Kind: purchase.Register, Mode: "NOW"}
	for name, c := range map[string]struct {
		span  purchase.Span
		limit int
		want  []string
	}{
		"before, the newest first":  {purchase.Span{To: at(7.5)}, 10, []string{five, two, zero}},
		"before, no more than one":  {purchase.Span{To: at(7.5)}, 1, []string{five}},
		"before all":                {purchase.Span{To: at(-1)}, 10, []string{}},
		"after, the oldest first":   {purchase.Span{From: at(1.5)}, 10, []string{two, five, eight}},
		"after, no more than two":   {purchase.Span{From: at(1.5)}, 2, []string{two, five}},
		"after all":                 {purchase.Span{From: at(8.5)}, 10, []string{}},
		"by permit, not by claim":   {purchase.Span{From: at(7.5)}, 10, []string{eight}},
		"between, and one is there": {purchase.Span{From: at(1.5), To: at(4.5)}, 10, []string{two}},
	} {
		got, err := s.Journal.Witnesses(t.Context(), like, c.span, c.limit)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		equal(t, name, ids(got), c.want)
	}
}
