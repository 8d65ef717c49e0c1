package journaltest

import (
	"slices"
	"testing"

	"gigagate.internal/purchase"
)

// testErase: the event Erased deletes the secrets of a settled purchase in the transaction that records it. Everything
// else stays.
func testErase(t *testing.T, s *subject) {
	for _, state := range []purchase.State{purchase.Succeeded, purchase.Failed} {
		p, other := s.in(t, state, newClaim()), s.in(t, state, newClaim())
		erased := purchase.Transition{Event: purchase.Erased, Attempt: p.Attempt, By: purchase.ByOperator("somebody")}
		stale, err := purchase.Decide(purchase.Purchase{ID: p.ID, State: state, Attempt: p.Attempt, Revision: p.Revision - 1}, erased)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Journal.Write(t.Context(), stale)
		isError(t, err, purchase.ErrStale)
		if secrets, err := s.Journal.Secrets(t.Context(), p.ID); err != nil || secrets.Purged {
			t.Errorf("a stale step erased: purged = %t, err = %v", secrets.Purged, err)
		}
		for range 2 { // the second changes nothing
			after := s.recordTransition(t, p, erased, purchase.Stays)
			if after.State != state || after.Revision != p.Revision+1 || after.ItemUID != p.ItemUID {
				t.Errorf("after it was erased: %+v", after)
			}
		}
		s.consistent(t, p.ID)
		if last := s.history(t, p.ID)[p.Revision]; last.Event != purchase.Erased || last.By != erased.By || !last.At.Equal(s.now()) {
			t.Errorf("the history ends with %+v", last)
		}
		secrets, err := s.Journal.Secrets(t.Context(), p.ID)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "erased secrets", secrets, purchase.Secrets{Purged: true})
		if secrets, err := s.Journal.Secrets(t.Context(), other.ID); err != nil || secrets.Purged {
			t.Errorf("another's secrets are erased too: purged = %t, err = %v", secrets.Purged, err)
		}
	}
	if err := s.Journal.Scrub(t.Context()); err != nil {
		t.Error(err)
	}
	open := s.in(t, purchase.Uncertain, newClaim())
	_, _, err := purchase.Record(t.Context(), s.Journal, open, purchase.Transition{Event: purchase.Erased, Attempt: open.Attempt})
	isError(t, err, purchase.ErrIllegal)
}

// testRewriteSecrets: rows come once each, in pages, and only those that are returned change.
func testRewriteSecrets(t *testing.T, s *subject) {
	if s.Sealed {
		t.Skip("the stored texts are sealed")
	}
	var want [2][]string // the ids of open and settled purchases
	for range 3 {
		want[0] = append(want[0], s.in(t, purchase.Uncertain, newClaim()).ID)
		want[1] = append(want[1], s.in(t, purchase.Succeeded, newClaim()).ID, s.in(t, purchase.Failed, newClaim()).ID)
	}
	for i, kind := range []purchase.SecretsKind{purchase.OpenSecrets, purchase.SettledSecrets} {
		var read []string
		for after := ""; ; {
			var page []string
			last, err := s.Journal.RewriteSecrets(t.Context(), kind, after, 2, func(rows []purchase.SecretsRow) []purchase.SecretsRow {
				page = nil
				for k := range rows {
					page = append(page, rows[k].ID)
					if string(rows[k].Personal) != string(newPersonal()) {
						t.Errorf("%s has %s", rows[k].ID, rows[k].Personal)
					}
					if rows[k].Sale != nil {
						rows[k].Sale = []byte("\x01sale")
					}
					rows[k].Personal = []byte{1, 0, 0xff}
				}
				return rows[:min(1, len(rows))]
			})
			if err != nil || len(page) > 2 || len(page) > 0 && last != page[len(page)-1] {
				t.Fatalf("a page of %v ends with %q, err = %v", page, last, err)
			}
			if last == "" {
				break
			}
			read, after = append(read, page...), last
		}
		equal(t, "the rows", read, want[i])
		for k, id := range read {
			secrets, err := s.Journal.Secrets(t.Context(), id)
			if rewritten := slices.Equal(secrets.Personal, []byte{1, 0, 0xff}); err != nil || rewritten != (k%2 == 0) {
				t.Errorf("row %d: rewritten = %t, err = %v", k, rewritten, err)
			}
			if sold := s.get(t, id).State == purchase.Succeeded; (secrets.Sale != nil) != sold || sold && (string(secrets.Sale) == "\x01sale") != (k%2 == 0) {
				t.Errorf("row %d has the sale %q", k, secrets.Sale)
			}
		}
	}
}
