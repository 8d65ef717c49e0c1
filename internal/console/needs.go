package console

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

const (
	// mostListed is how many purchases of a state the page Needs you looks at. It shows the oldest of them.
	mostListed = 500
	// shownWaiting is how many of them have their evidence on the page.
	shownWaiting = 10
	// readsAtOnce is how many purchases are read at the same time. Each one takes several statements.
	readsAtOnce = 4
	// anomaliesShown is the age up to which the page shows purchases with anomalies.
	anomaliesShown = 30 * 24 * time.Hour
	// needsPace is slow, because the page reads many purchases, and what waits for an operator can wait for days.
	needsPace = 30 * time.Second
)

// needs is what waits for an operator, what an operator must see, and what the gateway may still settle by itself.
type needs struct {
	Operator, Anomalies, Uncertain queue
	AllAnomalies                   string // the address of their list
}

// queue is what waits in one state.
type queue struct {
	// Shown are the first purchases.
	Shown []waiting
	// Count is how many there are. If More, there are younger or older ones that the page did not look at.
	Count int
	More  bool
}

// Hidden is how many purchases are not on the page.
func (q queue) Hidden() int { return q.Count - len(q.Shown) }

// waiting is one purchase that an operator must see.
type waiting struct {
	Purchase *gigagatev1.Purchase
	Question ask
	Reading  *gigagatev1.Reconciliation
	Evidence []evidence
	Settle   *settleForm // nil if it is settled
}

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
	Item string // the package that the journal does not know as this purchase's
}

// needsPage reads the purchases that wait, the oldest first.
func (c *Console) needsPage(r *http.Request) (page, error) {
	var shown needs
	var err error
	if shown.Operator, err = c.oldest(r, gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR); err != nil {
		return page{}, err
	}
	if shown.Anomalies, err = c.anomalies(r); err != nil {
		return page{}, err
	}
	shown.AllAnomalies = listAddress("", "", withAnomalies, "")
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
	return c.newQueue(r, all, found.GetNextPageToken() != "")
}

// anomalies reads the newest settled purchases with anomalies. Those that are not settled are in the other queues.
func (c *Console) anomalies(r *http.Request) (queue, error) {
	found, err := c.purchases.ListPurchases(r.Context(), &gigagatev1.ListPurchasesRequest{
		WithAnomalies: true, FromTime: timestamppb.New(c.config.Now().Add(-anomaliesShown)), PageSize: mostListed,
	})
	if err != nil {
		return queue{}, err
	}
	settled := slices.DeleteFunc(found.GetPurchases(), func(p *gigagatev1.Purchase) bool { return p.GetSettleTime() == nil })
	return c.newQueue(r, settled, found.GetNextPageToken() != "")
}

// newQueue reads the evidence of the first purchases.
func (c *Console) newQueue(r *http.Request, all []*gigagatev1.Purchase, more bool) (queue, error) {
	q := queue{Count: len(all), More: more}
	found := make([]*gigagatev1.GetPurchaseResponse, min(len(all), shownWaiting))
	reads, ctx := errgroup.WithContext(r.Context())
	reads.SetLimit(readsAtOnce)
	for i := range found {
		reads.Go(func() (err error) {
			found[i], err = c.purchases.GetPurchase(ctx, &gigagatev1.GetPurchaseRequest{Id: all[i].GetId()})
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		return queue{}, err
	}
	for _, read := range found {
		q.Shown = append(q.Shown, c.newWaiting(r, read))
	}
	return q, nil
}

func (c *Console) newWaiting(r *http.Request, read *gigagatev1.GetPurchaseResponse) waiting {
	return waiting{
		Purchase: read.GetPurchase(), Question: questionOf(read), Reading: read.GetReconciliation(),
		Evidence: evidenceOf(read.GetHistory()), Settle: c.newSettleForm(r, read),
	}
}

// mostEvidence is how many entries of a history a card shows. The page of the purchase has all.
const mostEvidence = 6

// evidenceOf tells the newest entries of a history in words.
func evidenceOf(history []*gigagatev1.PurchaseEvent) []evidence {
	var told []evidence
	for _, event := range history[max(0, len(history)-mostEvidence):] {
		e := evidence{
			Time: event.GetTime(), What: title(event), Tone: tone(event.GetState()), Why: cmp.Or(event.GetExplanation(), event.GetVendorMessage(), event.GetNote()),
		}
		if event.GetContradicts() {
			e.Tone, e.Why = "bad", contradiction+" "+sentence(e.Why)
			e.Item = event.GetActivatedItemUid()
		}
		told = append(told, e)
	}
	return told
}
