package journaltest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"gigagate.internal/purchase"
)

func testListFilters(t *testing.T, s *subject) {
	claim := newClaim()
	a := s.in(t, purchase.Succeeded, claim)
	claim = newClaim()
	claim.Key.Caller = "billing"
	b := s.in(t, purchase.Failed, claim)
	claim = newClaim()
	claim.Order = purchase.Order{Kind: purchase.TopUp, InventoryItemID: "i", Metatag: "m", CustomerUID: "customer-of-c"}
	c := s.in(t, purchase.Uncertain, claim)
	claim = newClaim()
	claim.Key.RequestID = b.Key.RequestID
	claim.Origin = purchase.Origin{}
	d := s.in(t, purchase.Sending, claim)

	for name, list := range map[string]struct {
		filter purchase.Filter
		want   []string
	}{
		"all":              {purchase.Filter{}, []string{d.ID, c.ID, b.ID, a.ID}},
		"caller":           {purchase.Filter{Caller: "billing"}, []string{b.ID}},
		"other caller":     {purchase.Filter{Caller: "Billing"}, []string{}},
		"request id":       {purchase.Filter{RequestID: b.Key.RequestID}, []string{d.ID, b.ID}},
		"key":              {purchase.Filter{Caller: "shop", RequestID: b.Key.RequestID}, []string{d.ID}},
		"customer sold to": {purchase.Filter{CustomerUID: a.CustomerUID}, []string{a.ID}},
		"customer ordered": {purchase.Filter{CustomerUID: "customer-of-c"}, []string{c.ID}},
		"state":            {purchase.Filter{States: []purchase.State{purchase.Failed}}, []string{b.ID}},
		"states": {
			purchase.Filter{States: []purchase.State{purchase.Sending, purchase.Succeeded}},
			[]string{d.ID, a.ID},
		},
		"open": {
			purchase.Filter{States: []purchase.State{purchase.Uncertain, purchase.Sending}}, []string{d.ID, c.ID},
		},
		"state of a caller":   {purchase.Filter{Caller: "shop", States: []purchase.State{purchase.Failed}}, []string{}},
		"state of a customer": {purchase.Filter{CustomerUID: "customer-of-c", States: []purchase.State{purchase.Uncertain}}, []string{c.ID}},
		"sales to a customer": {purchase.Filter{CustomerUID: a.CustomerUID, States: []purchase.State{purchase.Succeeded}}, []string{a.ID}},
		"not yet sold":        {purchase.Filter{CustomerUID: "customer-of-c", States: []purchase.State{purchase.Succeeded}}, []string{}},
		"nothing":             {purchase.Filter{CustomerUID: a.CustomerUID, States: []purchase.State{purchase.Failed}}, []string{}},

		"item":                 {purchase.Filter{ItemUID: a.ItemUID}, []string{a.ID}},
		"item of a caller":     {purchase.Filter{ItemUID: a.ItemUID, Caller: "shop"}, []string{a.ID}},
		"item of another":      {purchase.Filter{ItemUID: a.ItemUID, Caller: "billing"}, []string{}},
		"item of a request id": {purchase.Filter{ItemUID: a.ItemUID, RequestID: b.Key.RequestID}, []string{}},
		"other item":           {purchase.Filter{ItemUID: strings.ToUpper(a.ItemUID)}, []string{}},
		"kind":                 {purchase.Filter{Kind: purchase.TopUp}, []string{c.ID}},
		"inventory item":       {purchase.Filter{InventoryItemID: "i"}, []string{c.ID}},
		"other inventory item": {purchase.Filter{InventoryItemID: "I"}, []string{}},
		"metatag":              {purchase.Filter{Metatag: `a "text" with é and 😀`}, []string{d.ID, b.ID, a.ID}},
		"part of a metatag":    {purchase.Filter{Metatag: "a"}, []string{}},
		"metatag of a caller":  {purchase.Filter{Metatag: `a "text" with é and 😀`, Caller: "billing"}, []string{b.ID}},
		"trace":                {purchase.Filter{TraceID: b.Origin.Trace()}, []string{b.ID}},
		"trace of another":     {purchase.Filter{TraceID: b.Origin.Trace(), Caller: "shop"}, []string{}},
		"part of a trace":      {purchase.Filter{TraceID: b.Origin.Trace()[:31]}, []string{}},
		"no trace":             {purchase.Filter{TraceID: strings.Repeat("0", 32)}, []string{}},
		"all at once": {purchase.Filter{
			Caller: a.Key.Caller, RequestID: a.Key.RequestID, CustomerUID: a.CustomerUID, ItemUID: a.ItemUID, Kind: a.Order.Kind,
			InventoryItemID: a.Order.InventoryItemID, Metatag: a.Order.Metatag, TraceID: a.Origin.Trace(), States: []purchase.State{a.State},
		}, []string{a.ID}},
		"zero bytes": {purchase.Filter{Metatag: "\x00"}, []string{}},
	} {
		got, next, err := s.Journal.List(t.Context(), list.filter, purchase.Page{Size: 10})
		if err != nil || next != "" {
			t.Errorf("%s: next = %q, err = %v", name, next, err)
		}
		equal(t, name, ids(got), list.want)
	}
	got, next, err := s.Journal.List(t.Context(), purchase.Filter{Caller: "shop"}, purchase.Page{Size: 1, After: d.ID})
	if err != nil || next == "" {
		t.Fatalf("next = %q, err = %v", next, err)
	}
	equal(t, "the second page of a caller's", got, []purchase.Purchase{c})
}

// testListAnomalies: a list of the purchases with anomalies has those that are open, those that were settled with one, and those
// that got one after they were settled. Each is in the list once.
func testListAnomalies(t *testing.T, s *subject) {
	s.in(t, purchase.Failed, newClaim())
	s.in(t, purchase.Uncertain, newClaim())
	with := func(p purchase.Purchase, event purchase.Event, verdict purchase.Verdict) purchase.Purchase {
		transition := transitionOf(p, event, p.Attempt)
		transition.Anomaly = true
		return s.recordTransition(t, p, transition, verdict)
	}
	open := with(s.claim(t, newClaim()), purchase.AnsweredUnknown, purchase.Moves)
	settled := with(s.in(t, purchase.Uncertain, newClaim()), purchase.Found, purchase.Moves)
	claim := newClaim()
	claim.Key.Caller = "billing"
	late := s.in(t, purchase.Failed, claim)
	for _, item := range []string{"", "-other"} {
		transition := transitionOf(late, purchase.Found, late.Attempt)
		transition.ItemUID += item
		transition.Evidence.ItemUID = transition.ItemUID
		s.recordTransition(t, late, transition, purchase.Contradicts)
	}
	both := with(s.record(t, open, purchase.BeyondEvidence), purchase.Found, purchase.Moves)
	for name, list := range map[string]struct {
		filter purchase.Filter
		want   []string
	}{
		"all":         {purchase.Filter{}, []string{late.ID, settled.ID, both.ID}},
		"of a state":  {purchase.Filter{States: []purchase.State{purchase.Failed}}, []string{late.ID}},
		"of a caller": {purchase.Filter{Caller: "billing"}, []string{late.ID}},
		"of a key":    {purchase.Filter{RequestID: settled.Key.RequestID}, []string{settled.ID}},
		"of an item":  {purchase.Filter{ItemUID: settled.ItemUID}, []string{settled.ID}},
		"of nobody":   {purchase.Filter{CustomerUID: "nobody"}, []string{}},
	} {
		list.filter.WithAnomalies = true
		got, next, err := s.Journal.List(t.Context(), list.filter, purchase.Page{Size: 10})
		if err != nil || next != "" {
			t.Errorf("%s: next = %q, err = %v", name, next, err)
		}
		equal(t, name, ids(got), list.want)
	}
	var paged []string
	page := purchase.Page{Size: 1}
	for range 4 {
		got, next, err := s.Journal.List(t.Context(), purchase.Filter{WithAnomalies: true}, page)
		if err != nil {
			t.Fatal(err)
		}
		paged = append(paged, ids(got)...)
		if page.After = next; next == "" {
			break
		}
	}
	equal(t, "in pages", paged, []string{late.ID, settled.ID, both.ID})
}

// testListTimes: a list's times are those in the ids.
func testListTimes(t *testing.T, s *subject) {
	start := s.now()
	made := func(at time.Time) string {
		claim := newClaim()
		var id ulid.ULID
		if err := id.SetTime(ulid.Timestamp(at)); err != nil {
			t.Fatal(err)
		}
		copy(id[6:], claim.ID[len(claim.ID)-10:])
		claim.ID = id.String()
		return s.claim(t, claim).ID
	}
	a, b, c := made(start), made(start.Add(time.Minute)), made(start.Add(2*time.Minute))
	for name, list := range map[string]struct {
		filter purchase.Filter
		want   []string
	}{
		"from":          {purchase.Filter{From: start.Add(time.Minute).Truncate(time.Millisecond)}, []string{c, b}},
		"from between":  {purchase.Filter{From: start.Add(time.Second)}, []string{c, b}},
		"to":            {purchase.Filter{To: start.Add(time.Minute).Truncate(time.Millisecond)}, []string{a}},
		"from, to":      {purchase.Filter{From: start.Add(time.Second), To: start.Add(61 * time.Second)}, []string{b}},
		"before all":    {purchase.Filter{To: start.Add(-time.Second)}, []string{}},
		"after all":     {purchase.Filter{From: start.Add(time.Hour)}, []string{}},
		"from the past": {purchase.Filter{From: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}, []string{c, b, a}},
		"with a state":  {purchase.Filter{From: start.Add(time.Second), States: []purchase.State{purchase.Sending}}, []string{c, b}},
		"no such state": {purchase.Filter{From: start.Add(time.Second), States: []purchase.State{purchase.Failed}}, []string{}},
	} {
		got, next, err := s.Journal.List(t.Context(), list.filter, purchase.Page{Size: 10})
		if err != nil || next != "" {
			t.Errorf("%s: next = %q, err = %v", name, next, err)
		}
		equal(t, name, ids(got), list.want)
	}
}

// testListExaminesSoMany: a list that finds little says so after MaxExamined purchases, and says where to go on.
func testListExaminesSoMany(t *testing.T, s *subject) {
	wanted := s.in(t, purchase.Succeeded, newClaim())
	others := newClaim().Order
	others.Metatag, others.InventoryItemID, others.Kind = "other", "other", purchase.TopUp
	s.crowd(t, others)
	for name, filter := range map[string]purchase.Filter{
		"state":             {States: []purchase.State{purchase.Succeeded}},
		"kind":              {Kind: wanted.Order.Kind},
		"inventory item":    {InventoryItemID: wanted.Order.InventoryItemID},
		"metatag":           {Metatag: wanted.Order.Metatag},
		"trace":             {TraceID: wanted.Origin.Trace()},
		"trace of a caller": {TraceID: wanted.Origin.Trace(), Caller: wanted.Key.Caller},
	} {
		got, next, err := s.Journal.List(t.Context(), filter, purchase.Page{Size: 10})
		if err != nil || len(got) != 0 || next == "" {
			t.Fatalf("%s: the first page has %d purchases and goes on at %q, err = %v", name, len(got), next, err)
		}
		got, next, err = s.Journal.List(t.Context(), filter, purchase.Page{Size: 10, After: next})
		if err != nil || next != "" {
			t.Errorf("%s: the second page goes on at %q, err = %v", name, next, err)
		}
		equal(t, name+": the second page", got, []purchase.Purchase{wanted})
	}
}

// testListOfCaller: a caller's list shows nothing of other callers, not even that they have purchases.
func testListOfCaller(t *testing.T, s *subject) {
	claim := newClaim()
	claim.Key.Caller = "rare"
	wanted := s.in(t, purchase.Failed, claim)
	s.crowd(t, newClaim().Order)
	for _, filter := range []purchase.Filter{
		{Caller: "rare"}, {Caller: "rare", RequestID: claim.Key.RequestID}, {Caller: "rare", States: []purchase.State{purchase.Failed}},
	} {
		got, next, err := s.Journal.List(t.Context(), filter, purchase.Page{Size: 10})
		if err != nil || next != "" {
			t.Errorf("%+v: the list goes on at %q, err = %v", filter, next, err)
		}
		equal(t, "the list", got, []purchase.Purchase{wanted})
	}
	for _, filter := range []purchase.Filter{{Caller: "nobody"}, {Caller: "rare", States: []purchase.State{purchase.Sending}}} {
		got, next, err := s.Journal.List(t.Context(), filter, purchase.Page{Size: 10})
		if len(got) > 0 || err != nil || next != "" {
			t.Errorf("%+v: %d purchases, and the list goes on at %q, err = %v", filter, len(got), next, err)
		}
	}
}

// testListFindsOldSales: the guard of a top-up finds the last sale to a customer at once, however many orders of the customer
// came after it.
func testListFindsOldSales(t *testing.T, s *subject) {
	claim := newClaim()
	claim.Order = purchase.Order{Kind: purchase.TopUp, InventoryItemID: "i", Metatag: "m", CustomerUID: "busy"}
	sold := s.claim(t, claim)
	sale := transitionOf(sold, purchase.AnsweredApplied, 1)
	sale.CustomerUID = "" // the vendor did not say
	sold = s.recordTransition(t, sold, sale, purchase.Moves)
	s.crowd(t, claim.Order)
	filter := purchase.Filter{CustomerUID: "busy", States: []purchase.State{purchase.Succeeded}}
	got, next, err := s.Journal.List(t.Context(), filter, purchase.Page{Size: 1})
	if err != nil || next != "" {
		t.Errorf("the list goes on at %q, err = %v", next, err)
	}
	equal(t, "the sales", got, []purchase.Purchase{sold})
}

// testListFindsItems: a list by package finds its purchase at once, however many came after it. The same uid in two accounts
// is two packages.
func testListFindsItems(t *testing.T, s *subject) {
	claim := newClaim()
	claim.Account = "account-2"
	sold, elsewhere := s.in(t, purchase.Succeeded, newClaim()), s.claim(t, claim)
	sale := transitionOf(elsewhere, purchase.AnsweredApplied, 1)
	sale.ItemUID, sale.Evidence.ItemUID = sold.ItemUID, sold.ItemUID
	elsewhere = s.recordTransition(t, elsewhere, sale, purchase.Moves)
	s.crowd(t, newClaim().Order)
	for name, c := range map[string]struct {
		filter purchase.Filter
		want   []purchase.Purchase
	}{
		"item":             {purchase.Filter{ItemUID: sold.ItemUID}, []purchase.Purchase{sold, elsewhere}},
		"item of a caller": {purchase.Filter{ItemUID: sold.ItemUID, Caller: sold.Key.Caller}, []purchase.Purchase{sold, elsewhere}},
		"item of another":  {purchase.Filter{ItemUID: sold.ItemUID, Caller: "nobody"}, nil},
	} {
		got, next, err := s.Journal.List(t.Context(), c.filter, purchase.Page{Size: 10})
		if err != nil || next != "" {
			t.Errorf("%s: the list goes on at %q, err = %v", name, next, err)
		}
		equal(t, name, ids(got), ids(c.want))
	}
}

// crowd claims MaxExamined purchases with the order.
func (s *subject) crowd(t *testing.T, order purchase.Order) {
	t.Helper()
	var claiming sync.WaitGroup
	for range 40 {
		claiming.Go(func() {
			for range purchase.MaxExamined / 40 {
				claim := newClaim()
				claim.Order = order
				if _, err := s.Journal.Claim(t.Context(), claim); err != nil {
					t.Errorf("claim: %v", err)
				}
			}
		})
	}
	claiming.Wait()
}

// pages reads a list to its end, in pages of the given size.
func (s *subject) pages(t *testing.T, filter purchase.Filter, size int) []string {
	t.Helper()
	var all []string
	for page := (purchase.Page{Size: size}); ; {
		got, next, err := s.Journal.List(t.Context(), filter, page)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) > size || next != "" && len(got) < size {
			t.Fatalf("%d purchases on a page of %d that goes on at %q", len(got), size, next)
		}
		all = append(all, ids(got)...)
		if next == "" {
			return all
		}
		page.After = next
	}
}

func testListPages(t *testing.T, s *subject) {
	var want []string
	for range 23 {
		want = append(want, s.claim(t, newClaim()).ID)
	}
	slices.Reverse(want)
	for _, size := range []int{1, 7, 23, 24} {
		equal(t, fmt.Sprintf("all, in pages of %d", size), s.pages(t, purchase.Filter{}, size), want)
	}
}

// testListPagesWhileClaiming: a reader who pages while others buy sees every purchase that existed at the first
// page, exactly once.
func testListPagesWhileClaiming(t *testing.T, s *subject) {
	var want []string
	for range 60 {
		want = append(want, s.claim(t, newClaim()).ID)
	}
	slices.Reverse(want)
	var claiming sync.WaitGroup
	for range 4 {
		claiming.Go(func() {
			for range 50 {
				if _, err := s.Journal.Claim(t.Context(), newClaim()); err != nil {
					t.Errorf("claim: %v", err)
					return
				}
			}
		})
	}
	for range 10 {
		got := s.pages(t, purchase.Filter{}, 9)
		if !slices.IsSortedFunc(got, func(a, b string) int { return strings.Compare(b, a) }) {
			t.Error("pages are not from newest to oldest")
		}
		old := got[max(0, len(got)-len(want)):]
		equal(t, "the purchases that existed before the first page", old, want)
	}
	claiming.Wait()
}
