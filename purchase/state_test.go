package purchase_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gigagate.internal/purchase"
)

// TestTransitionsAreWhole: every move leads to a known state, and every other verdict keeps the state.
func TestTransitionsAreWhole(t *testing.T) {
	t.Parallel()
	for _, from := range purchase.States() {
		for _, event := range purchase.Events() {
			to, verdict := purchase.Next(from, event)
			known := slices.Contains(purchase.States(), to)
			// These have another reason, or another owner.
			sameState := event == purchase.BeyondEvidence && from == purchase.NeedsOperator || event == purchase.TakenOver
			switch {
			case verdict == purchase.Moves && (!known || to == from && !sameState):
				t.Errorf("%s in %s moves to %q", event, from, to)
			case verdict != purchase.Moves && to != from:
				t.Errorf("%s in %s: %s, but the state becomes %q", event, from, verdict, to)
			}
		}
	}
}

func TestNextIsTotal(t *testing.T) {
	t.Parallel()
	for _, from := range append(purchase.States(), "", "NOWHERE") {
		for _, event := range append(purchase.Events(), "", "NOTHING") {
			known := slices.Contains(purchase.States(), from) && slices.Contains(purchase.Events(), event)
			if to, verdict := purchase.Next(from, event); !known && (verdict != purchase.Illegal || to != from) {
				t.Errorf("Next(%q, %q) = %s, %s; want the same state and Illegal", from, event, to, verdict)
			}
		}
	}
}

func TestNamesRoundTrip(t *testing.T) {
	t.Parallel()
	for _, state := range purchase.States() {
		if parsed, err := purchase.ParseState(string(state)); err != nil || parsed != state {
			t.Errorf("ParseState(%q) = %v, %v", string(state), parsed, err)
		}
		if settled := state == purchase.Succeeded || state == purchase.Failed; state.Settled() != settled {
			t.Errorf("%s.Settled() = %t", state, !settled)
		}
	}
	for _, event := range purchase.Events() {
		if parsed, err := purchase.ParseEvent(string(event)); err != nil || parsed != event {
			t.Errorf("ParseEvent(%q) = %v, %v", string(event), parsed, err)
		}
	}
	for _, name := range []string{"", "sending", "SENDING ", "MOVES"} {
		if state, err := purchase.ParseState(name); err == nil {
			t.Errorf("ParseState(%q) = %s, want an error", name, state)
		}
		if event, err := purchase.ParseEvent(name); err == nil {
			t.Errorf("ParseEvent(%q) = %s, want an error", name, event)
		}
	}
}

// truth is the real effect of one send at the vendor, whether or not the gateway knows it.
type truth byte

const (
	pending truth = 'p' // possibly still on its way
	nothing truth = 'n' // it had no effect, and never will
	sold    truth = 's'
)

// node is a purchase with the truth about each of its sends, for example "nnp".
type node struct {
	state   purchase.State
	reason  purchase.Reason
	attempt int
	item    string // the item that the purchase is bound to
	wire    string
}

func (n node) purchase() purchase.Purchase {
	return purchase.Purchase{State: n.state, Reason: n.reason, Attempt: n.attempt, ItemUID: n.item}
}

func (n node) all(want truth) bool { return strings.Trim(n.wire, string(want)) == "" }

// canHappen reports whether event can happen for a send, given the truth. The vendor's answers, its
// records, and the conclusion that nothing was sold are true. All other events can come at any time.
func (n node) canHappen(event purchase.Event, attempt int) bool {
	switch event {
	case purchase.AnsweredNoEffect, purchase.AnsweredRefused, purchase.Abandoned:
		return truth(n.wire[attempt-1]) == nothing
	case purchase.AnsweredApplied:
		return truth(n.wire[attempt-1]) == sold
	case purchase.Found, purchase.ResolvedApplied:
		return strings.ContainsRune(n.wire, rune(sold))
	case purchase.PresumedAbsent, purchase.ResolvedAbsent:
		return n.all(nothing)
	default:
		return true
	}
}

// search visits every situation that can follow from a claim, by all sequences of events with up to three
// sends. Answers to earlier sends may come late. It calls edge for each step.
func search(t *testing.T, edge func(from node, transition purchase.Transition, to node, verdict purchase.Verdict, path string)) map[node][]node {
	t.Helper()
	const sends = 3
	begin := node{purchase.Sending, "", 1, "", string(pending)}
	paths := map[node]string{begin: "claim"}
	next := map[node][]node{}
	for queue := []node{begin}; len(queue) > 0; queue = queue[1:] {
		from := queue[0]
		visit := func(to node, step string) {
			next[from] = append(next[from], to)
			if _, seen := paths[to]; !seen {
				paths[to] = paths[from] + ", " + step
				queue = append(queue, to)
			}
		}
		for i, now := range from.wire { // the vendor decides
			if truth(now) == pending {
				for _, then := range []truth{nothing, sold} {
					to := from
					to.wire = from.wire[:i] + string(then) + from.wire[i+1:]
					visit(to, fmt.Sprintf("send %d: %s", i+1, map[truth]string{nothing: "no effect", sold: "sold"}[then]))
				}
			}
		}
		for _, event := range purchase.Events() {
			for attempt := 1; attempt <= from.attempt; attempt++ {
				transition := purchase.Transition{Event: event, Attempt: attempt, Reason: purchase.Unreadable}
				if !from.canHappen(event, attempt) || event == purchase.Permitted && from.attempt == sends {
					continue
				}
				if event == purchase.AnsweredApplied || event == purchase.Found || event == purchase.ResolvedApplied {
					transition.ItemUID = "item"
				}
				after, verdict := from.purchase().After(transition, time.Unix(0, 0))
				to := node{after.State, after.Reason, after.Attempt, after.ItemUID, from.wire}
				if after.Attempt > from.attempt {
					to.wire += string(pending)
				}
				step := fmt.Sprintf("%s(%d)", event, attempt)
				edge(from, transition, to, verdict, paths[from]+", "+step)
				visit(to, step)
			}
		}
	}
	return next
}

// TestNoSecondSendWithoutProof checks the main rule over every sequence of events: no second send without
// proof that the first had no effect.
func TestNoSecondSendWithoutProof(t *testing.T) {
	t.Parallel()
	permits := 0
	nodes := search(t, func(from node, transition purchase.Transition, to node, verdict purchase.Verdict, path string) {
		if to.attempt > from.attempt {
			permits++
			if !from.all(nothing) || to.attempt != from.attempt+1 || to.state != purchase.Sending {
				t.Errorf("a second request on the wire while an earlier one is %q: %s", from.wire, path)
			}
		}
		if verdict == purchase.Moves && to.state == purchase.Failed && !from.all(nothing) {
			t.Errorf("FAILED, but a send is %q: %s", from.wire, path)
		}
		if to.state == purchase.Succeeded && !strings.ContainsRune(to.wire, rune(sold)) {
			t.Errorf("SUCCEEDED, but nothing is sold (%q): %s", to.wire, path)
		}
		if from.state.Settled() && (to.state != from.state || to.item != from.item) {
			t.Errorf("%s is final, but became %s: %s", from.state, to.state, path)
		}
	})
	if permits < 2 || len(nodes) < 30 {
		t.Fatalf("the search saw only %d permits in %d situations", permits, len(nodes))
	}
}

// TestEverythingCanEnd: a purchase can reach a final state from every situation.
func TestEverythingCanEnd(t *testing.T) {
	t.Parallel()
	next := search(t, func(node, purchase.Transition, node, purchase.Verdict, string) {})
	ends := map[node]bool{}
	for grown := true; grown; {
		grown = false
		for from, tos := range next {
			if !ends[from] && (from.state.Settled() || slices.ContainsFunc(tos, func(to node) bool { return ends[to] })) {
				ends[from], grown = true, true
			}
		}
	}
	for from := range next {
		if !ends[from] {
			t.Errorf("no way out of %s, sends %q", from.state, from.wire)
		}
	}
}

// TestPositiveEvidenceSettles: evidence of a sale, in an answer or in the vendor's records, settles a purchase at any time.
func TestPositiveEvidenceSettles(t *testing.T) {
	t.Parallel()
	for _, state := range purchase.States() {
		for _, event := range []purchase.Event{purchase.AnsweredApplied, purchase.Found} {
			for attempt := 1; attempt <= 2; attempt++ {
				p := purchase.Purchase{State: state, Attempt: 2}
				after, verdict := p.After(purchase.Transition{Event: event, Attempt: attempt, Reason: "REASON", ItemUID: "item", CustomerUID: "customer"}, time.Unix(1, 0))
				if !state.Settled() && (verdict != purchase.Moves || after.State != purchase.Succeeded || after.ItemUID != "item" || after.CustomerUID != "customer") {
					t.Errorf("%s(%d) in %s: %s, verdict %s", event, attempt, state, after.State, verdict)
				}
				if state == purchase.Failed && (verdict != purchase.Contradicts || after.Anomalies != 1) {
					t.Errorf("%s(%d) in FAILED: verdict %s, %d anomalies; want an anomaly", event, attempt, verdict, after.Anomalies)
				}
			}
		}
	}
}
