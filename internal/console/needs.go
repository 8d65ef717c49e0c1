package console

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

const (
	// mostListed is how many purchases of a state the page Needs you looks at. It shows the oldest of them.
	mostListed = 500
	// shownWaiting is how many of them have their evidence on the page.
	shownWaiting = 10
	// needsPace is slow, because the page reads many purchases, and what waits for an operator can wait for days.
	needsPace = 30 * time.Second
)

// needs is what waits for an operator, and what the gateway may still settle by itself.
type needs struct {
	Operator, Uncertain queue
}

// queue is what waits in one state.
type queue struct {
	// Oldest are the oldest purchases.
	Oldest []waiting
	// Count is how many there are. If More, there are younger or older ones that the page did not look at.
	Count int
	More  bool
}

// Hidden is how many purchases are not on the page.
func (q queue) Hidden() int { return q.Count - len(q.Oldest) }

// waiting is one purchase that is not settled.
type waiting struct {
	Purchase *gigagatev1.Purchase
	Reading  *gigagatev1.Reconciliation
	Evidence []evidence
	Settle   *settleForm
}

// Question is what an operator is asked.
func (w waiting) Question() ask { return questionOf(w.Purchase) }

// Reason is the word for why the purchase needs an operator. It is empty if it does not.
func (w waiting) Reason() string {
	if w.Purchase.GetOperatorReason() == gigagatev1.OperatorReason_OPERATOR_REASON_UNSPECIFIED {
		return ""
	}
	return wordOf(w.Purchase.GetOperatorReason())
}

// evidence is one thing that is known about a purchase.
type evidence struct {
	Time *timestamppb.Timestamp
	What string
	Why  string
	Tone string
}

// needsPage reads the purchases that wait, the oldest first.
func (c *Console) needsPage(r *http.Request) (page, error) {
	var shown needs
	var err error
	if shown.Operator, err = c.oldest(r, gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR); err != nil {
		return page{}, err
	}
	shown.Uncertain, err = c.oldest(r, gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN)
	return page{Title: "Needs you", Data: shown, Live: true, Pace: needsPace}, err
}

// oldest reads the oldest purchases in a state, with their evidence.
func (c *Console) oldest(r *http.Request, state gigagatev1.PurchaseState) (queue, error) {
	found, err := c.purchases.ListPurchases(r.Context(), &gigagatev1.ListPurchasesRequest{State: state, PageSize: mostListed})
	if err != nil {
		return queue{}, err
	}
	all := found.GetPurchases()
	slices.SortFunc(all, func(a, b *gigagatev1.Purchase) int { return cmp.Compare(a.GetId(), b.GetId()) })
	q := queue{Count: len(all), More: found.GetNextPageToken() != ""}
	for _, p := range all[:min(len(all), shownWaiting)] {
		read, err := c.purchases.GetPurchase(r.Context(), &gigagatev1.GetPurchaseRequest{Id: p.GetId()})
		if err != nil {
			return queue{}, err
		}
		q.Oldest = append(q.Oldest, c.newWaiting(r, read))
	}
	return q, nil
}

func (c *Console) newWaiting(r *http.Request, read *gigagatev1.GetPurchaseResponse) waiting {
	return waiting{
		Purchase: read.GetPurchase(), Reading: read.GetReconciliation(),
		Evidence: evidenceOf(read.GetHistory()), Settle: c.newSettleForm(r, read),
	}
}

// mostEvidence is how many entries of a history a card shows. The page of the purchase has all.
const mostEvidence = 6

// evidenceOf tells the newest entries of a history in words.
func evidenceOf(history []*gigagatev1.PurchaseEvent) []evidence {
	var told []evidence
	for _, event := range history[max(0, len(history)-mostEvidence):] {
		told = append(told, evidence{
			Time: event.GetTime(), What: title(event), Tone: tone(event.GetState()), Why: cmp.Or(event.GetExplanation(), event.GetVendorMessage(), event.GetNote()),
		})
	}
	return told
}
