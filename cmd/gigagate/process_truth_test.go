package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/internal/tally"
)

// truth is what the ledger and the journal say about all intents.
type truth struct {
	sales     map[string][]sandbox.Sale // by purchase id, from the mark in the metatag that was sent
	orders    map[string][]sandbox.Sale // by the request id after the mark
	purchases map[string]*gigagatev1.Purchase
}

func newTruth(ledger sandbox.Ledger, purchases []*gigagatev1.Purchase) truth {
	t := truth{sales: map[string][]sandbox.Sale{}, orders: map[string][]sandbox.Sale{}, purchases: map[string]*gigagatev1.Purchase{}}
	for _, sale := range ledger.Sales {
		mark, text, _ := strings.Cut(sale.Metatag, " ")
		id := strings.TrimPrefix(mark, "gg")
		t.sales[id] = append(t.sales[id], sale)
		t.orders[text] = append(t.orders[text], sale)
	}
	for _, p := range purchases {
		t.purchases[p.GetRequestId()] = p
	}
	return t
}

// violations lists how an intent's answers and its purchase contradict the truth.
func (t truth) violations(in *intent) []string {
	var found []string
	wrong := func(kind, format string, args ...any) {
		found = append(found, tally.Finding(kind, in.requestID+": "+format, args...))
	}
	orders := t.orders[in.requestID]
	if len(orders) > 1 {
		wrong(tally.Double, "sold %d times", len(orders))
	}
	if in.isAbandoned() && len(orders) > 0 {
		wrong(tally.Untrue, "sold, though every call was told that nothing was started")
	}
	p := t.purchases[in.requestID]
	if p == nil {
		if len(orders) > 0 {
			wrong(tally.Lost, "sold, but the journal has no purchase")
		}
		p = &gigagatev1.Purchase{}
	} else {
		found = append(found, t.wrongState(p)...)
	}
	var first *told
	for _, a := range in.answers() {
		sales := t.sales[a.purchase]
		switch {
		case a.purchase != "" && a.purchase != p.GetId():
			wrong(tally.Untrue, "the answer names purchase %s, the journal has %s", a.purchase, p.GetId())
		case a.sold != nil && (len(sales) != 1 || sales[0].ItemUID != a.item):
			wrong(tally.Untrue, "was told %q, the ledger has %v", a, sales)
		case a.outcome.GetEffect() == gigagatev1.Effect_EFFECT_NOT_APPLIED && len(orders) > 0:
			wrong(tally.Untrue, "was told %q, but it is sold", a)
		case a.outcome.GetEffect() == gigagatev1.Effect_EFFECT_NOT_APPLIED && p.GetState() != gigagatev1.PurchaseState_PURCHASE_STATE_FAILED:
			wrong(tally.Untrue, "was told %q, but it is %s", a, p.GetState())
		}
		if !a.final() {
			continue
		}
		if first == nil {
			first = &a
		}
		if !proto.Equal(first.sold, a.sold) || !proto.Equal(first.outcome, a.outcome) {
			wrong(tally.Untrue, "was told %q first and %q later", first, a)
		}
	}
	return found
}

// wrongState compares a settled purchase with the ledger.
func (t truth) wrongState(p *gigagatev1.Purchase) []string {
	sales := t.sales[p.GetId()]
	switch state := strings.TrimPrefix(p.GetState().String(), "PURCHASE_STATE_"); state {
	case "SUCCEEDED":
		if len(sales) != 1 || sales[0].ItemUID != p.GetActivatedItemUid() {
			return []string{tally.Finding(tally.Untrue, "%s: SUCCEEDED with %s, the ledger has %v", p.GetRequestId(), p.GetActivatedItemUid(), sales)}
		}
	case "FAILED":
		if len(sales) > 0 {
			return []string{tally.Finding(tally.Untrue, "%s: FAILED (%s), the ledger has %v", p.GetRequestId(), p.GetReason(), sales)}
		}
		if p.GetReason() == 0 {
			return []string{tally.Finding(tally.Broken, "%s: FAILED without a reason", p.GetRequestId())}
		}
	case "NEEDS_OPERATOR":
		if p.GetOperatorReason() == 0 {
			return []string{tally.Finding(tally.Broken, "%s: NEEDS_OPERATOR without a reason", p.GetRequestId())}
		}
	default:
		return []string{tally.Finding(tally.Lost, "%s: still %s", p.GetRequestId(), state)}
	}
	return nil
}

// list pages through the journal.
func (l *trial) list(state gigagatev1.PurchaseState) []*gigagatev1.Purchase {
	l.t.Helper()
	var all []*gigagatev1.Purchase
	for token := ""; ; {
		page, err := l.replicas[0].purchases(l.t).ListPurchases(l.t.Context(), &gigagatev1.ListPurchasesRequest{
			State: state, PageSize: 500, PageToken: token,
		})
		if err != nil {
			l.t.Fatal(newCallError(err))
		}
		all = append(all, page.GetPurchases()...)
		if token = page.GetNextPageToken(); token == "" {
			return all
		}
	}
}

// judge compares all answers with the ledger, and reports the violations.
func (l *trial) judge() {
	l.t.Helper()
	l.repeatAll() // buys what was never claimed
	l.settle()
	l.repeatAll()

	purchases := l.list(gigagatev1.PurchaseState_PURCHASE_STATE_UNSPECIFIED)
	ledger := l.shop.ledger(l.t)
	is := newTruth(ledger, purchases)
	var found tally.Tally
	for _, in := range l.intents {
		violations := is.violations(in)
		found.Add(violations)
		for _, text := range violations {
			l.t.Errorf("%s\nhistory: %v", text, l.history(is.purchases[in.requestID]))
		}
		delete(is.orders, in.requestID)
		delete(is.purchases, in.requestID)
	}
	if len(is.orders) > 0 || len(is.purchases) > 0 {
		l.t.Errorf("sold or journaled without an intent: %v, %v", is.orders, is.purchases)
	}
	l.report(purchases, len(ledger.Sales))
	l.t.Log(&found)
}

func (l *trial) history(p *gigagatev1.Purchase) []*gigagatev1.PurchaseEvent {
	if p == nil {
		return nil
	}
	got, err := l.replicas[0].purchases(l.t).GetPurchase(l.t.Context(), &gigagatev1.GetPurchaseRequest{Id: p.GetId()})
	if err != nil {
		l.t.Fatal(newCallError(err))
	}
	return got.GetHistory()
}

func (l *trial) report(purchases []*gigagatev1.Purchase, sales int) {
	states, events, answers := map[string]int{}, map[string]int{}, map[string]int{}
	anomalies := 0
	for _, p := range purchases {
		states[fmt.Sprint(p.GetState(), p.GetReason(), p.GetOperatorReason())]++
		for _, event := range l.history(p) {
			events[event.GetEvent().String()]++
		}
		if p.GetAnomalies() > 0 {
			anomalies++
			l.t.Logf("anomaly: %v", l.history(p))
		}
	}
	for _, in := range l.intents {
		for _, a := range in.answers() {
			answers[codeOf(a)]++
		}
	}
	l.t.Logf("%d intents, %d sales, %d with anomalies", len(l.intents), sales, anomalies)
	l.t.Logf("purchases:%s", counts(states))
	l.t.Logf("events:%s", counts(events))
	l.t.Logf("answers:%s", counts(answers))
}

func counts(of map[string]int) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(of)) {
		fmt.Fprintf(&text, " %d %s;", of[name], name)
	}
	return text.String()
}

// codeOf names the result of an answer in reports.
func codeOf(a told) string {
	if a.sold != nil {
		return "OK"
	}
	if a.outcome == nil {
		return status.Code(a.err).String() + " without an outcome"
	}
	return strings.TrimPrefix(a.outcome.GetReason().String(), "ERROR_REASON_") + " " + strings.TrimPrefix(a.outcome.GetEffect().String(), "EFFECT_")
}
