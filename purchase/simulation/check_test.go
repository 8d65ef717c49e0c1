package simulation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/internal/tally"
	"gigagate.internal/purchase"
)

// verdict collects what is wrong with a history.
type verdict struct {
	world *world
	wrong []string
	// sales by the mark in the metatag that was sent.
	sales map[string][]sandbox.Sale
	byID  map[string]purchase.Purchase
	byKey map[string]purchase.Purchase
}

func (v *verdict) add(kind, format string, args ...any) {
	v.wrong = append(v.wrong, tally.Finding(kind, format, args...))
}

// check compares a finished history with the ledger, and lists what is wrong.
func (w *world) check() []string {
	v := &verdict{world: w, sales: map[string][]sandbox.Sale{}, byID: map[string]purchase.Purchase{}, byKey: map[string]purchase.Purchase{}}
	for _, sale := range w.box.Ledger().Sales {
		mark, _, _ := strings.Cut(sale.Metatag, " ")
		v.sales[mark] = append(v.sales[mark], sale)
		w.note("", "ledger: %s sold at %+.3fs for %s", sale.ItemUID, sale.Time.Sub(w.began).Seconds(), sale.Metatag)
	}
	for _, p := range w.purchases() {
		w.note("", "journal: %s %s: %s %s item %s, attempt %d, anomalies %d", p.Key.RequestID, p.ID, p.State, p.Reason, p.ItemUID, p.Attempt, p.Anomalies)
		v.byID[p.ID], v.byKey[p.Key.RequestID] = p, p
		v.purchase(p)
	}
	for mark := range v.sales {
		if _, known := v.byID[strings.TrimPrefix(mark, "gg")]; !known {
			v.add(tally.Lost, "a sale for %s, which is not in the journal", mark)
		}
	}
	w.mu.Lock()
	answers := slices.Clone(w.answers)
	if w.reused > 0 {
		v.add(tally.Broken, "%d paid requests went over a connection that had carried another", w.reused)
	}
	w.mu.Unlock()
	for _, a := range answers {
		v.answer(a)
	}
	v.claimedWhileFrozen()
	v.notStarted(answers)
	v.lastWord(answers)
	v.budgets()
	v.replays(answers)
	v.budgets()
	v.privacy()
	return v.wrong
}

// purchase compares one row with the ledger, and its history with the state machine.
func (v *verdict) purchase(p purchase.Purchase) {
	sales := v.sales[p.Mark()]
	if len(sales) > 1 {
		v.add(tally.Double, "%d sales for %s", len(sales), p.ID)
	}
	v.world.mu.Lock()
	sends := v.world.sends[keyOf(p)]
	v.world.mu.Unlock()
	if len(sends) > p.Attempt {
		v.add(tally.Double, "%s was on the wire %d times under %d permits", p.ID, len(sends), p.Attempt)
	}
	if n := len(sends); n > 0 && len(v.world.plan.jumps) == 0 && sends[n-1].After(p.SendNotAfter) {
		v.add(tally.Broken, "%s was on the wire %s after its permit had run out", p.ID, sends[n-1].Sub(p.SendNotAfter))
	}
	switch p.State {
	case purchase.Succeeded:
		// If a sale is found and its customer cannot be read for a long time, the purchase is settled without the customer.
		unread := p.CustomerUID == "" && p.SettledAt.Sub(p.PermittedAt) > v.world.span(quiet)
		if len(sales) != 1 || sales[0].ItemUID != p.ItemUID || sales[0].CustomerUID != p.CustomerUID && !unread {
			v.add(tally.Untrue, "%s is SUCCEEDED with item %s, the ledger has %v", p.ID, p.ItemUID, sales)
		}
	case purchase.Failed:
		if len(sales) > 0 && (!v.world.plan.beyondQuiet || p.Anomalies == 0) {
			v.add(tally.Untrue, "%s is FAILED (%s, %d anomalies), the ledger has a sale", p.ID, p.Reason, p.Anomalies)
		}
	case purchase.NeedsOperator:
	default:
		v.add(tally.Lost, "%s is %s for ever", p.ID, p.State)
	}
	v.graph(p)
}

// maxHistory is how many entries a history can have. A send window has at most eleven permits, with two entries each.
// The rest is for the last attempt.
const maxHistory = 30

// keyOf is the idempotency key that a purchase must be sent with.
func keyOf(p purchase.Purchase) string {
	sum := sha256.Sum256([]byte(p.Key.Caller + "\x00" + p.Key.RequestID))
	return hex.EncodeToString(sum[:])
}

// graph replays the history of a purchase through After.
func (v *verdict) graph(p purchase.Purchase) {
	entries, err := v.world.store.journal().History(context.Background(), p.ID)
	if err != nil || len(entries) == 0 {
		v.add(tally.Broken, "%s has no history: %v", p.ID, err)
		return
	}
	if len(entries) > maxHistory {
		v.add(tally.Broken, "the history of %s has %d entries", p.ID, len(entries))
	}
	if err := p.CheckHistory(entries); err != nil {
		v.add(tally.Broken, "%s left the graph: %v", p.ID, err)
	}
	for _, entry := range entries {
		if text := entry.Evidence.Message + entry.Evidence.Explanation + entry.Evidence.Note; leaks(text) {
			v.add(tally.Broken, "the history of %s holds personal data: %s", p.ID, text)
		}
	}
}

// answer compares one answer with the ledger.
func (v *verdict) answer(a answer) {
	switch a.outcome {
	case told:
		p, sales := a.bought.Purchase, v.sales[a.bought.Purchase.Mark()]
		switch {
		case len(sales) != 1 || sales[0].ItemUID != p.ItemUID || a.bought.Sale.ActivatedItem.UID != p.ItemUID:
			v.add(tally.Untrue, "%s was told OK with item %s, the ledger has %v", a.call.key, p.ItemUID, sales)
		case sales[0].InventoryItemID != a.call.order.InventoryItemID || sales[0].RequestedMode != string(a.call.order.ActivationMode):
			v.add(tally.Untrue, "%s ordered something else than %v", a.call.key, sales[0])
		}
	case toldFailed:
		p := v.byID[a.failed.Purchase.ID]
		if len(v.sales[p.Mark()]) > 0 && (!v.world.plan.beyondQuiet || p.Anomalies == 0) {
			v.add(tally.Untrue, "%s was told failed (%s), the ledger has a sale", a.call.key, a.failed.Purchase.Reason)
		}
		if p.State != purchase.Failed {
			v.add(tally.Untrue, "%s was told failed, but is %s", a.call.key, p.State)
		}
	case mismatch:
		if v.byKey[a.call.key].Order.InventoryItemID == a.call.order.InventoryItemID {
			v.add(tally.Untrue, "%s was told that its order differs: %v", a.call.key, a.err)
		}
	case unsettled, notStarted, noAnswer:
	default:
		v.add(tally.Broken, "%s got %s", a.call.key, a)
	}
}

// notStarted checks: if every caller of a key was told that nothing was started, nothing was sold.
func (v *verdict) notStarted(answers []answer) {
	started := map[string]bool{}
	for _, a := range answers {
		if a.outcome != notStarted {
			started[a.call.key] = true
		}
	}
	for _, p := range v.byID {
		if len(v.sales[p.Mark()]) > 0 && !started[p.Key.RequestID] {
			v.add(tally.Untrue, "every caller of %s was told that nothing was started, the ledger has a sale", p.Key.RequestID)
		}
	}
}

// lastWord looks at the last call with a key, if it began after all others had ended. If that call was told that nothing was
// started, nothing was sold, whatever the other calls were told and whichever replica they asked.
func (v *verdict) lastWord(answers []answer) {
	last := map[string]int{}
	for i, a := range answers {
		if l, ok := last[a.call.key]; !ok || a.began.After(answers[l].began) {
			last[a.call.key] = i
		}
	}
	for i, a := range answers {
		if l, ok := last[a.call.key]; ok && i != l && !a.ended.Before(answers[l].began) {
			delete(last, a.call.key) // they overlap
		}
	}
	for key, i := range last {
		a := answers[i]
		if a.outcome != notStarted || a.isUnread() {
			continue
		}
		if p, ok := v.byKey[key]; ok && len(v.sales[p.Mark()]) > 0 {
			v.add(tally.Untrue, "the last send for %s was told that nothing was started (%v), the ledger has a sale", key, a.err)
		}
	}
}

// replays asks for every key once more. Everybody must get the same answer for a settled purchase. A
// purchase that needs an operator is first resolved from the ledger.
func (v *verdict) replays(answers []answer) {
	live := v.world.live()
	if len(live) == 0 {
		v.add(tally.Broken, "no replica is left to ask")
		return
	}
	r := live[0]
	asked := map[string]bool{"customer": true, "older-0": true, "older-1": true} // nothing ever happened to them
	for _, a := range answers {
		p, known := v.byKey[a.call.key]
		if !known || asked[p.Key.RequestID] || a.call.order.InventoryItemID != p.Order.InventoryItemID {
			continue
		}
		asked[p.Key.RequestID] = true
		if p.State == purchase.NeedsOperator {
			p = v.resolve(r, p)
		}
		c := a.call
		// Long enough for a busy database in real time. A caller who hangs up gets no answer.
		c.deadline, c.gone = 10*time.Second, 0
		again := v.world.buy(r, c)
		for try := 1; try < 5 && again.isUnread(); try++ {
			again = v.world.buy(r, c)
		}
		v.alike(p, again)
	}
	for _, a := range answers {
		if p := v.byKey[a.call.key]; a.outcome == told || a.outcome == toldFailed {
			v.alike(p, a)
		}
	}
}

// isUnread reports whether a call was told that the journal could not be read. In real time, a busy database answers late.
func (a answer) isUnread() bool {
	journal, broken := errors.AsType[*purchase.JournalError](a.err)
	return broken && !journal.LookedUp
}

func (v *verdict) alike(p purchase.Purchase, a answer) {
	var same bool
	switch p.State {
	case purchase.Succeeded:
		same = a.outcome == told && a.bought.Purchase.ID == p.ID && a.bought.Purchase.ItemUID == p.ItemUID &&
			a.bought.Sale.Customer.UID == p.CustomerUID
	case purchase.Failed:
		same = a.outcome == toldFailed && a.failed.Purchase.ID == p.ID && a.failed.Purchase.Reason == p.Reason
	default:
		same = a.outcome == unsettled
	}
	if !same {
		v.add(tally.Untrue, "%s is %s %s %s, but the caller was told %s", p.Key.RequestID, p.State, p.Reason, p.ItemUID, a)
	}
}

// resolve settles a purchase as an operator would after a look into the vendor's portal.
func (v *verdict) resolve(r *replica, p purchase.Purchase) purchase.Purchase {
	if !slices.Contains(r.client.Accounts(), p.Account) {
		return p
	}
	resolution := purchase.Resolution{By: "operator", Note: "seen in the portal", Force: true}
	if sales := v.sales[p.Mark()]; len(sales) == 1 {
		resolution.ItemUID = sales[0].ItemUID
	}
	resolved, err := r.engine.Resolve(context.Background(), purchase.Everyone, p.ID, resolution)
	if err != nil || !resolved.State.Settled() || resolved.ItemUID != resolution.ItemUID {
		v.add(tally.Lost, "an operator cannot resolve %s, %s: item %q, %v", p.ID, p.Reason, resolution.ItemUID, err)
	}
	v.byKey[p.Key.RequestID], v.byID[p.ID] = resolved, resolved
	return resolved
}

func leaks(text string) bool {
	return strings.Contains(text, canaryEmail) || strings.Contains(text, canaryIP) || strings.Contains(text, "LPA:") ||
		strings.Contains(text, "sandbox.invalid")
}

func (v *verdict) privacy() {
	if logs := v.world.logs.String(); leaks(logs) {
		v.add(tally.Broken, "the log holds personal data:\n%s", logs)
	}
}
