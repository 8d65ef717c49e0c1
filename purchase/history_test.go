package purchase_test

import (
	"testing"

	"gigagate.internal/purchase"
)

// TestOperatorIsNoOtherActor: an operator is never mistaken for the gateway or the reconciler, whatever the name.
func TestOperatorIsNoOtherActor(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"gateway", "reconciler", "maria", "operator:maria", ""} {
		actor := purchase.ByOperator(name)
		if got, ok := actor.Operator(); got != name || !ok || actor == purchase.ByGateway || actor == purchase.ByReconciler {
			t.Errorf("%q became %q, %q, %v", name, actor, got, ok)
		}
	}
	for _, actor := range []purchase.Actor{purchase.ByGateway, purchase.ByReconciler, "console", ""} {
		if name, ok := actor.Operator(); ok {
			t.Errorf("%q is the operator %q", actor, name)
		}
	}
}

// TestEntryOfALaterVersion: an unknown word in an entry does not hide its other words.
func TestEntryOfALaterVersion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		event, verdict, state string
		want                  purchase.HistoryEntry
	}{
		{purchase.Claimed, "MOVES", "SENDING", purchase.HistoryEntry{Verdict: purchase.Moves, State: purchase.Sending}},
		{"FOUND", "CONTRADICTS", "FAILED", purchase.HistoryEntry{Event: purchase.Found, Verdict: purchase.Contradicts, State: purchase.Failed}},
		{"SHREDDED", "STAYS", "FAILED", purchase.HistoryEntry{Event: purchase.UnknownEvent, Verdict: purchase.Stays, State: purchase.Failed}},
		{"LOST", "SHREDS", "SHREDDED", purchase.HistoryEntry{Event: purchase.Lost}},
	} {
		var got purchase.HistoryEntry
		if got.SetWords(c.event, c.verdict, c.state); got != c.want {
			t.Errorf("%s %s %s: %+v", c.event, c.verdict, c.state, got)
		}
	}
	for _, state := range purchase.States() {
		if _, verdict := purchase.Next(state, purchase.UnknownEvent); verdict != purchase.Illegal {
			t.Errorf("an unknown event can happen in %s", state)
		}
	}
}
