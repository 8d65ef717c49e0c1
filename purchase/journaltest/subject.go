package journaltest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

const (
	permitLife = 10 * time.Second
	lease      = 100 * time.Second
	account    = "account-1"
	email      = "someone@example.invalid"
	userIP     = "203.0.113.7"
)

var made atomic.Int64

// nextID returns a purchase id that looks like a ULID. Later ids sort after earlier ones.
func nextID() string { return fmt.Sprintf("01%024d", made.Add(1)) }

// itemOf returns the item uid that belongs to one purchase of the suite.
func itemOf(id string) string { return "item-" + id }

// subject is a journal under test, with its clock.
type subject struct {
	Harness
	clock *Clock
}

// now returns the clock's time in the precision that journals store.
func (s *subject) now() time.Time { return s.clock.Now().UTC().Truncate(time.Microsecond) }

func newClaim() purchase.Claim {
	id := nextID()
	return purchase.Claim{
		ID:       id,
		Key:      purchase.Key{Caller: "shop", RequestID: "order-" + id},
		Account:  account,
		Order:    newOrder(),
		Personal: newPersonal(),
		Origin:   originOf(id),

		PermitLife: permitLife,
		Lease:      lease,
	}
}

// originOf returns the origin of the suite's purchase with an id.
func originOf(id string) (o purchase.Origin) {
	copy(o.TraceID[:], id[len(id)-len(o.TraceID):])
	copy(o.SpanID[:], id[len(id)-len(o.SpanID):])
	return o
}

func newPersonal() []byte { return purchase.Personal{CustomerEmail: email, UserIP: userIP}.Encode() }

func newOrder() purchase.Order {
	dedicated := true
	price, err := gigastore.ParseDecimal("4.20")
	if err != nil {
		panic(err)
	}
	return purchase.Order{
		Kind: purchase.Register, InventoryItemID: "inventory-1", Metatag: `a "text" with é and 😀`,
		UserCountry: "DE", ExpectedPrice: &purchase.Price{Amount: price, Currency: "EUR"},
		MaxPurchasePrice: &purchase.Price{Amount: price, Currency: "EUR"},
		ActivationMode:   gigastore.ModeFirstUse, Dedicated: &dedicated, CustomerProfileDomainID: "domain-1",
	}
}

// transitionOf returns a transition as the engine, the reconciler or an operator would record it.
func transitionOf(p purchase.Purchase, event purchase.Event, attempt int) purchase.Transition {
	transition := purchase.Transition{
		Event: event, Attempt: attempt, By: "gateway",
		Evidence:   purchase.Evidence{BytesWritten: 512, HTTPStatus: 200, Message: "the vendor's words", Explanation: "the gateway's", Note: "the operator's"},
		PermitLife: permitLife, Lease: lease,
	}
	switch event {
	case purchase.AnsweredApplied, purchase.Found, purchase.ResolvedApplied:
		transition.ItemUID, transition.CustomerUID = itemOf(p.ID), "customer-"+p.ID
		transition.Evidence.ItemUID = transition.ItemUID
		transition.Sale = []byte(`{"activationCode":"LPA:1$sandbox.invalid$secret"}`)
	case purchase.AnsweredRefused:
		transition.Reason = "VENDOR_REFUSED"
	case purchase.WindowOver, purchase.Abandoned:
		transition.Reason = purchase.NeverSent
	case purchase.PresumedAbsent:
		transition.Reason = purchase.ReasonPresumedAbsent
	case purchase.BeyondEvidence:
		transition.Reason = purchase.SeveralFound
	case purchase.ResolvedAbsent:
		transition.Reason, transition.By = purchase.ReasonOperator, purchase.ByOperator("gateway")
	default:
	}
	return transition
}

func (s *subject) claim(t *testing.T, claim purchase.Claim) purchase.Purchase {
	t.Helper()
	p, err := s.Journal.Claim(t.Context(), claim)
	if err != nil || p.ID != claim.ID {
		t.Fatalf("claim %s: %s, err = %v", claim.ID, p.ID, err)
	}
	return p
}

// record records an event of the newest attempt. The event must move the purchase.
func (s *subject) record(t *testing.T, p purchase.Purchase, event purchase.Event) purchase.Purchase {
	t.Helper()
	return s.recordTransition(t, p, transitionOf(p, event, p.Attempt), purchase.Moves)
}

func (s *subject) recordTransition(
	t *testing.T, p purchase.Purchase, transition purchase.Transition, want purchase.Verdict,
) purchase.Purchase {
	t.Helper()
	now, verdict, err := purchase.Record(t.Context(), s.Journal, p, transition)
	if err != nil || verdict != want {
		t.Fatalf("record %s of attempt %d in %s: verdict = %s, want %s, err = %v",
			transition.Event, transition.Attempt, p.State, verdict, want, err)
	}
	return now
}

// in claims a purchase and brings it to the given state, in its second attempt.
func (s *subject) in(t *testing.T, state purchase.State, claim purchase.Claim) purchase.Purchase {
	t.Helper()
	p := s.record(t, s.claim(t, claim), purchase.AnsweredNoEffect)
	p = s.record(t, p, purchase.Permitted)
	for _, event := range map[purchase.State][]purchase.Event{
		purchase.Sending:       nil,
		purchase.Accepted:      {purchase.AnsweredNoEffect},
		purchase.Uncertain:     {purchase.AnsweredUnknown},
		purchase.NeedsOperator: {purchase.AnsweredUnknown, purchase.BeyondEvidence},
		purchase.Succeeded:     {purchase.AnsweredApplied},
		purchase.Failed:        {purchase.AnsweredRefused},
	}[state] {
		p = s.record(t, p, event)
	}
	if p.State != state || p.Attempt != 2 {
		t.Fatalf("state = %s, attempt = %d; want %s, 2", p.State, p.Attempt, state)
	}
	return p
}

func (s *subject) get(t *testing.T, id string) purchase.Purchase {
	t.Helper()
	p, err := s.Journal.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("get %s: %v", id, err)
	}
	return p
}

func (s *subject) history(t *testing.T, id string) []purchase.HistoryEntry {
	t.Helper()
	entries, err := s.Journal.History(t.Context(), id)
	if err != nil {
		t.Fatalf("history of %s: %v", id, err)
	}
	return entries
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s is wrong (-want +got):\n%s", what, diff)
	}
}

func isError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("err = %v, want %v", err, want)
	}
}

func ids(purchases []purchase.Purchase) []string {
	list := make([]string, len(purchases))
	for i, p := range purchases {
		list[i] = p.ID
	}
	return list
}

// consistent checks that replaying the history of a purchase ends in the purchase as it is.
func (s *subject) consistent(t *testing.T, id string) {
	t.Helper()
	row, entries := s.get(t, id), s.history(t, id)
	if len(entries) == 0 || entries[0].Event != "" || entries[0].State != purchase.Sending {
		t.Fatalf("the history of %s does not begin with its claim: %+v", id, entries)
	}
	told := purchase.Purchase{ID: id, State: purchase.Sending, Attempt: 1}
	for i, entry := range entries {
		if entry.Sequence != i+1 {
			t.Errorf("entry %d of %s has sequence %d", i+1, id, entry.Sequence)
		}
		if entry.Event == "" {
			continue
		}
		after, verdict := told.After(purchase.Transition{
			Event: entry.Event, Attempt: entry.Attempt, Reason: entry.Reason, ItemUID: entry.Evidence.ItemUID,
		}, entry.At)
		if verdict != entry.Verdict || after.State != entry.State {
			t.Errorf("entry %d of %s, %s: recorded as %s to %s, but After says %s to %s",
				i+1, id, entry.Event, entry.Verdict, entry.State, verdict, after.State)
		}
		told = after
	}
	type outcome struct {
		Revision  int
		State     purchase.State
		Reason    purchase.Reason
		Attempt   int
		Anomalies int
		ItemUID   string
	}
	equal(t, "the row of "+id+", against its history", outcome{row.Revision, row.State, row.Reason, row.Attempt, row.Anomalies, row.ItemUID},
		outcome{len(entries), told.State, told.Reason, told.Attempt, told.Anomalies, told.ItemUID})
}
