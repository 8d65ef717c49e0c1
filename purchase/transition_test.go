package purchase_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

var (
	claimedAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	later     = claimedAt.Add(time.Minute)
)

func claimed() purchase.Purchase {
	return purchase.New(purchase.Claim{
		ID: "01KA0TEST00000000000000000", Key: purchase.Key{Caller: "shop", RequestID: "order-1"}, Account: "account",
		PermitLife: 10 * time.Second, Lease: 2 * time.Minute,
	}, claimedAt)
}

// through applies events to a new purchase, each to the newest attempt.
func through(t *testing.T, events ...purchase.Event) purchase.Purchase {
	t.Helper()
	p := claimed()
	for _, event := range events {
		transition := purchase.Transition{Event: event, Attempt: p.Attempt, Reason: "REASON", Lease: time.Minute, PermitLife: 5 * time.Second}
		if event == purchase.AnsweredApplied || event == purchase.Found || event == purchase.ResolvedApplied {
			transition.ItemUID, transition.CustomerUID = "item", "customer"
		}
		var verdict purchase.Verdict
		if p, verdict = p.After(transition, claimedAt); verdict != purchase.Moves {
			t.Fatalf("%s in %s: verdict %s", event, p.State, verdict)
		}
	}
	return p
}

// forOperator is a purchase that needs an operator for reason.
func forOperator(t *testing.T, reason purchase.Reason) purchase.Purchase {
	t.Helper()
	p, _ := through(t, purchase.Lost).After(purchase.Transition{Event: purchase.BeyondEvidence, Attempt: 1, Reason: reason}, claimedAt)
	return p
}

func TestNew(t *testing.T) {
	t.Parallel()
	p := claimed()
	want := purchase.Purchase{
		ID: "01KA0TEST00000000000000000", Key: purchase.Key{Caller: "shop", RequestID: "order-1"}, Account: "account",
		State: purchase.Sending, Attempt: 1, Revision: 1, ClaimedAt: claimedAt, PermittedAt: claimedAt, UpdatedAt: claimedAt,
		SendNotAfter: claimedAt.Add(10 * time.Second), LeaseUntil: claimedAt.Add(2 * time.Minute),
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("a new purchase (-want +got):\n%s", diff)
	}
	if p.Mark() != "gg01KA0TEST00000000000000000" {
		t.Errorf("its mark is %q", p.Mark())
	}
}

func TestAfterSetsWhatAStateNeeds(t *testing.T) {
	t.Parallel()
	accepted := through(t, purchase.AnsweredNoEffect)
	if accepted.State != purchase.Accepted || !accepted.LeaseUntil.Equal(claimedAt.Add(time.Minute)) {
		t.Errorf("ACCEPTED has a lease until %s", accepted.LeaseUntil)
	}
	again, _ := accepted.After(purchase.Transition{Event: purchase.Permitted, Attempt: 1, PermitLife: 5 * time.Second, Lease: 3 * time.Minute}, later)
	if again.Attempt != 2 || !again.PermittedAt.Equal(later) || !again.SendNotAfter.Equal(later.Add(5*time.Second)) ||
		!again.LeaseUntil.Equal(later.Add(3*time.Minute)) || !again.ClaimedAt.Equal(claimedAt) {
		t.Errorf("a second permit: %+v", again)
	}
	failed := through(t, purchase.AnsweredRefused)
	if failed.State != purchase.Failed || failed.Reason != "REASON" || failed.SettledAt.IsZero() || failed.ItemUID != "" {
		t.Errorf("a refusal: %+v", failed)
	}
	stuck := through(t, purchase.AnsweredUnknown, purchase.BeyondEvidence)
	if stuck.State != purchase.NeedsOperator || stuck.Reason != "REASON" || !stuck.SettledAt.IsZero() {
		t.Errorf("for an operator: %+v", stuck)
	}
	sold := through(t, purchase.AnsweredUnknown, purchase.BeyondEvidence, purchase.Found)
	if sold.State != purchase.Succeeded || sold.Reason != "" || sold.ItemUID != "item" || sold.CustomerUID != "customer" || sold.SettledAt.IsZero() {
		t.Errorf("found: %+v", sold)
	}
}

// TestAfterRefinesNext: cases in which After depends on more than the state.
func TestAfterRefinesNext(t *testing.T) {
	t.Parallel()
	second := through(t, purchase.AnsweredNoEffect, purchase.Permitted)
	for _, c := range []struct {
		name       string
		p          purchase.Purchase
		transition purchase.Transition
		state      purchase.State
		verdict    purchase.Verdict
	}{
		{"no attempt", second, purchase.Transition{Event: purchase.AnsweredRefused}, purchase.Sending, purchase.Illegal},
		{"an attempt that was never permitted", second, purchase.Transition{Event: purchase.AnsweredUnknown, Attempt: 3}, purchase.Sending, purchase.Illegal},
		{"a stale no-effect does not free the newer send", second, purchase.Transition{Event: purchase.AnsweredNoEffect, Attempt: 1}, purchase.Sending, purchase.Stays},
		{"a stale refusal does not fail the newer send", second, purchase.Transition{Event: purchase.AnsweredRefused, Attempt: 1}, purchase.Sending, purchase.Stays},
		{"a stale unknown", second, purchase.Transition{Event: purchase.AnsweredUnknown, Attempt: 1}, purchase.Sending, purchase.Stays},
		{"a stale sale is a sale", second, purchase.Transition{Event: purchase.AnsweredApplied, Attempt: 1, ItemUID: "item"}, purchase.Succeeded, purchase.Moves},
		{"a stale permit", second, purchase.Transition{Event: purchase.Permitted, Attempt: 1}, purchase.Sending, purchase.Illegal},
		{"a stale loss", second, purchase.Transition{Event: purchase.Lost, Attempt: 1}, purchase.Sending, purchase.Illegal},
		{
			"a stale absence", through(t, purchase.AnsweredNoEffect, purchase.Permitted, purchase.Lost),
			purchase.Transition{Event: purchase.PresumedAbsent, Attempt: 1},
			purchase.Uncertain, purchase.Illegal,
		},
		{"a sale without an item", second, purchase.Transition{Event: purchase.AnsweredApplied, Attempt: 2}, purchase.Sending, purchase.Illegal},
		{
			"the same sale again", through(t, purchase.AnsweredApplied),
			purchase.Transition{Event: purchase.Found, Attempt: 1, ItemUID: "item"},
			purchase.Succeeded, purchase.Stays,
		},
		{
			"a second item", through(t, purchase.AnsweredApplied),
			purchase.Transition{Event: purchase.Found, Attempt: 1, ItemUID: "other"},
			purchase.Succeeded, purchase.Contradicts,
		},
		{
			"a late 200 after FAILED", through(t, purchase.AnsweredUnknown, purchase.PresumedAbsent),
			purchase.Transition{Event: purchase.AnsweredApplied, Attempt: 1, ItemUID: "item"},
			purchase.Failed, purchase.Contradicts,
		},
		{
			"a late 200 after LOST", through(t, purchase.Lost),
			purchase.Transition{Event: purchase.AnsweredApplied, Attempt: 1, ItemUID: "item"},
			purchase.Succeeded, purchase.Moves,
		},
		{
			"a late 4xx where an operator is asked", through(t, purchase.Lost, purchase.BeyondEvidence),
			purchase.Transition{Event: purchase.AnsweredRefused, Attempt: 1},
			purchase.NeedsOperator, purchase.Stays,
		},
		{
			"an absence where evidence contradicts", forOperator(t, purchase.SeveralFound),
			purchase.Transition{Event: purchase.PresumedAbsent, Attempt: 1, Reason: purchase.ReasonPresumedAbsent},
			purchase.NeedsOperator, purchase.Illegal,
		},
		{
			"an absence where records could not be read", forOperator(t, purchase.Unreadable),
			purchase.Transition{Event: purchase.PresumedAbsent, Attempt: 1, Reason: purchase.ReasonPresumedAbsent},
			purchase.Failed, purchase.Moves,
		},
		{
			"an absence where records were another client id's", forOperator(t, purchase.OtherAccount),
			purchase.Transition{Event: purchase.PresumedAbsent, Attempt: 1, Reason: purchase.ReasonPresumedAbsent},
			purchase.Failed, purchase.Moves,
		},
		{
			"unreadable records of another client id", forOperator(t, purchase.OtherAccount),
			purchase.Transition{Event: purchase.BeyondEvidence, Attempt: 1, Reason: purchase.Unreadable},
			purchase.NeedsOperator, purchase.Illegal,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			after, verdict := c.p.After(c.transition, later)
			if after.State != c.state || verdict != c.verdict {
				t.Fatalf("got %s, verdict %s; want %s, verdict %s", after.State, verdict, c.state, c.verdict)
			}
			switch verdict {
			case purchase.Illegal:
				if diff := cmp.Diff(c.p, after); diff != "" {
					t.Errorf("an illegal event changed the purchase:\n%s", diff)
				}
			case purchase.Contradicts:
				if after.Anomalies != c.p.Anomalies+1 || after.ItemUID != c.p.ItemUID || after.Reason != c.p.Reason {
					t.Errorf("a contradiction: %+v", after)
				}
			case purchase.Stays:
				want := c.p
				want.UpdatedAt, want.Revision = later, c.p.Revision+1
				if diff := cmp.Diff(want, after); diff != "" {
					t.Errorf("an event that stays changed more than the bookkeeping:\n%s", diff)
				}
			case purchase.Moves:
			}
		})
	}
}

func TestSuccessSeenIsNeverForgotten(t *testing.T) {
	t.Parallel()
	p, _ := claimed().After(purchase.Transition{Event: purchase.AnsweredUnknown, Attempt: 1, SuccessSeen: true}, later)
	p, _ = p.After(purchase.Transition{Event: purchase.AnsweredUnknown, Attempt: 1}, later)
	p, _ = p.After(purchase.Transition{Event: purchase.BeyondEvidence, Attempt: 1, Reason: purchase.SuccessSeen}, later)
	if !p.SuccessSeen {
		t.Error("SuccessSeen was forgotten")
	}
	marked, verdict := claimed().After(purchase.Transition{Event: purchase.AnsweredApplied, Attempt: 1, ItemUID: "item", Anomaly: true}, later)
	if verdict != purchase.Moves || marked.Anomalies != 1 {
		t.Errorf("an anomaly that moves: verdict %s, %d anomalies", verdict, marked.Anomalies)
	}
}

func price(t *testing.T, amount string) *purchase.Price {
	t.Helper()
	value, err := gigastore.ParseDecimal(amount)
	if err != nil {
		t.Fatal(err)
	}
	return &purchase.Price{Amount: value, Currency: "USD"}
}

func fullOrder(t *testing.T, kind purchase.Kind) purchase.Order {
	t.Helper()
	dedicated := false
	return purchase.Order{
		Kind: kind, InventoryItemID: "inventory", Metatag: "order-1", CustomerUID: "customer", UserCountry: "GR",
		ExpectedPrice: price(t, "9.90"), MaxPurchasePrice: price(t, "5"), ActivationMode: gigastore.ModeFirstUse,
		Dedicated: &dedicated, CustomerProfileDomainID: "domain",
	}
}

// TestDifferences changes every field of an order, one at a time. It fails for a new field that is not
// compared.
func TestDifferences(t *testing.T) {
	t.Parallel()
	personal := purchase.Personal{CustomerEmail: "a@example.com", UserIP: "203.0.113.1"}
	differ := func(a, b purchase.Order) []string {
		return purchase.Differences(a, b, personal, personal, false)
	}
	// The other fields are called as in the stored order.
	named := map[string]string{
		"Kind": "new_profile", "UserCountry": "new_profile.user_country", "Dedicated": "new_profile.dedicated",
		"CustomerProfileDomainID": "new_profile.customer_profile_domain_id",
	}
	kept := fullOrder(t, purchase.TopUpWithProfile)
	if fields := differ(kept, fullOrder(t, purchase.TopUpWithProfile)); len(fields) != 0 {
		t.Errorf("equal orders differ in %v", fields)
	}
	for i := range reflect.TypeFor[purchase.Order]().NumField() {
		name := reflect.TypeFor[purchase.Order]().Field(i).Name
		want, ok := named[name]
		if !ok {
			want, _, _ = strings.Cut(reflect.TypeFor[purchase.Order]().Field(i).Tag.Get("json"), ",")
		}
		asked := kept
		field := reflect.ValueOf(&asked).Elem().Field(i)
		switch {
		case name == "Kind":
			asked.Kind = purchase.TopUp
		case field.Kind() == reflect.Pointer:
			field.SetZero()
		default:
			field.SetString(field.String() + "X")
		}
		if fields := differ(kept, asked); !slices.Equal(fields, []string{want}) {
			t.Errorf("orders that differ in %s: got %v, want %q", name, fields, want)
		}
		if fields := differ(asked, kept); !slices.Equal(fields, []string{want}) {
			t.Errorf("orders that differ in %s, the other way round: got %v, want %q", name, fields, want)
		}
	}
	register := fullOrder(t, purchase.Register)
	if fields := differ(kept, register); !slices.Equal(fields, []string{"method"}) {
		t.Errorf("another method: %v", fields)
	}
	other := register
	other.UserCountry = "AT"
	if fields := differ(register, other); !slices.Equal(fields, []string{"user_country"}) {
		t.Errorf("another country of a register: %v", fields)
	}
	other = kept
	other.ExpectedPrice, other.ActivationMode = price(t, "9.9"), ""
	if fields := differ(kept, other); !slices.Equal(fields, []string{"activation_mode"}) {
		t.Errorf("9.90 and 9.9 are the same price, and an unset mode differs from a set one: %v", fields)
	}
	other = kept
	yes := true
	other.Dedicated, other.ExpectedPrice = &yes, &purchase.Price{Amount: kept.ExpectedPrice.Amount, Currency: "EUR"}
	if fields := differ(kept, other); !slices.Equal(fields, []string{"expected_price", "new_profile.dedicated"}) {
		t.Errorf("another currency and flag: %v", fields)
	}
}

func TestDifferencesOfPersonalData(t *testing.T) {
	t.Parallel()
	order := fullOrder(t, purchase.Register)
	kept := purchase.Personal{CustomerEmail: "a@example.com", UserIP: "203.0.113.1"}
	roamed := purchase.Personal{CustomerEmail: "a@example.com", UserIP: "203.0.113.2"}
	if fields := purchase.Differences(order, order, kept, roamed, false); len(fields) != 0 {
		t.Errorf("the IP address is not compared because phones roam, but %v differ", fields)
	}
	other := purchase.Personal{CustomerEmail: "b@example.com"}
	if fields := purchase.Differences(order, order, kept, other, false); !slices.Equal(fields, []string{"customer_email"}) {
		t.Errorf("another e-mail: %v", fields)
	}
	if fields := purchase.Differences(order, order, purchase.Personal{}, other, true); len(fields) != 0 {
		t.Errorf("a purged e-mail cannot be compared, but %v differ", fields)
	}
}

func TestOrderRoundTrip(t *testing.T) {
	t.Parallel()
	for _, order := range []purchase.Order{fullOrder(t, purchase.TopUpWithProfile), {Kind: purchase.TopUp, InventoryItemID: "i", Metatag: "m"}} {
		text, err := purchase.EncodeOrder(order)
		if err != nil {
			t.Fatal(err)
		}
		back, err := purchase.DecodeOrder(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(order, back); diff != "" {
			t.Errorf("an order changed in a round trip (-want +got):\n%s", diff)
		}
		if strings.Contains(string(text), "@") {
			t.Errorf("an order holds personal data: %s", text)
		}
	}
}

func TestDecodeOrderRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, `null x`, `[]`, `"register"`, `{`, `{"kind":1}`,
		`{"kind":"register","loyalty_card":"x"}`, // a field of a later version
		`{"kind":"register","expected_price":{"amount":1,"currency_code":"USD","vat":1}}`,
		`{"kind":"register"} {"kind":"top_up"}`,
	} {
		if order, err := purchase.DecodeOrder([]byte(text)); !errors.Is(err, purchase.ErrUnreadableOrder) {
			t.Errorf("DecodeOrder(%s) = %+v, want an error", text, order)
		}
	}
}

func FuzzDecodeOrder(f *testing.F) {
	f.Add([]byte(`{"kind":"top_up","inventory_item_id":"i","metatag":"m","expected_price":{"amount":4.20,"currency_code":"USD"}}`))
	f.Add([]byte(`{"kind":"register","dedicated":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		order, err := purchase.DecodeOrder(text)
		if err != nil {
			return
		}
		again, err := purchase.EncodeOrder(order)
		if err != nil {
			t.Skip() // invalid UTF-8 cannot be encoded
		}
		back, err := purchase.DecodeOrder(again)
		if err != nil {
			t.Fatalf("what was encoded cannot be decoded: %v", err)
		}
		if fields := purchase.Differences(order, back, purchase.Personal{}, purchase.Personal{}, false); len(fields) != 0 {
			t.Errorf("%v differ after a round trip", fields)
		}
	})
}

// FuzzSplitMetatag: a metatag that the gateway sent is split into its two parts. Any other metatag stays whole.
func FuzzSplitMetatag(f *testing.F) {
	for _, seed := range []string{"", "order 1", "gg01ARZ3NDEKTSV4RRFFQ69G5FAV", "gg01ARZ3NDEKTSV4RRFFQ69G5FAV x", "gg81ARZ3NDEKTSV4RRFFQ69G5FAV x", " ", "a\nb"} {
		f.Add(seed)
	}
	const id = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	f.Fuzz(func(t *testing.T, text string) {
		if bearer, rest := purchase.SplitMetatag("gg" + id + " " + text); bearer != id || rest != text {
			t.Fatalf("%q and %q", bearer, rest)
		}
		bearer, rest := purchase.SplitMetatag(text)
		switch {
		case bearer == "" && rest != text:
			t.Fatalf("a metatag without a mark became %q", rest)
		case bearer != "" && text != "gg"+bearer && text != "gg"+bearer+" "+rest:
			t.Fatalf("%q and %q", bearer, rest)
		}
	})
}

// TestAttemptMovesFewTimes: under one permit a purchase moves at most four times, apart from take-overs. An event that does
// not move it is recorded once, see journaltest. A purchase is taken over once for each process that dies or lease that
// expires. The send window bounds the permits and the take-overs, and so it also bounds the history.
func TestAttemptMovesFewTimes(t *testing.T) {
	t.Parallel()
	const most = 4
	longest := 0
	var follow func(p purchase.Purchase, path []string)
	follow = func(p purchase.Purchase, path []string) {
		longest = max(longest, len(path))
		if len(path) > most {
			t.Fatalf("a purchase moved by %s", strings.Join(path, ", "))
		}
		for _, event := range purchase.Events() {
			for _, reason := range []purchase.Reason{purchase.Unreadable, purchase.SeveralFound} {
				for _, seen := range []bool{false, true} {
					transition := purchase.Transition{Event: event, Attempt: 1, Reason: reason, SuccessSeen: seen, ItemUID: "item"}
					if after, verdict := p.After(transition, later); verdict == purchase.Moves && event != purchase.Permitted && event != purchase.TakenOver {
						follow(after, append(slices.Clone(path), string(event)))
					}
				}
			}
		}
	}
	follow(claimed(), nil)
	if longest != most {
		t.Errorf("the longest path has %d moves, want %d", longest, most)
	}
}

// TestReadableNamesOneRow: the error of a list stays short, even if many rows cannot be read.
func TestReadableNamesOneRow(t *testing.T) {
	t.Parallel()
	decode := func(row int) (purchase.Purchase, error) {
		if row%2 == 1 {
			return purchase.Purchase{}, fmt.Errorf("purchase %d: %w", row, purchase.ErrUnreadableOrder)
		}
		return purchase.Purchase{Attempt: row}, nil
	}
	list, err := purchase.Readable([]int{0, 1, 2, 3, 4, 5}, decode)
	if want := "3 of them, the first: purchase 1: " + purchase.ErrUnreadableOrder.Error(); len(list) != 3 || list[2].Attempt != 4 ||
		!errors.Is(err, purchase.ErrUnreadableOrder) || err.Error() != want {
		t.Errorf("%d are read, err = %v", len(list), err)
	}
	if _, err := purchase.Readable([]int{0, 2}, decode); err != nil {
		t.Error(err)
	}
}
