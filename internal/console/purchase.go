package console

import (
	"net/http"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// purchaseData is what the page of one purchase shows.
type purchaseData struct {
	Purchase *gigagatev1.Purchase
	TraceID  string
	Sentence string // what the state means for the caller
	Stages   []stage
	Strip    []segment
	Steps    []step
	Waits    *gigagatev1.Reconciliation // nil if the purchase waits for nothing
	Asks     string                     // why it needs an operator
	Record   *record                    // nil if nobody asked for it
	Items    bool                       // there is a customer whose record can be read
}

// openPace is how often the page of a purchase looks for something new that the gateway may settle soon.
const openPace = 2 * time.Second

func (c *Console) purchasePage(r *http.Request) (page, error) {
	read, err := c.purchases.GetPurchase(r.Context(), &gigagatev1.GetPurchaseRequest{Id: r.PathValue("id")})
	if err != nil {
		return page{}, err
	}
	data := c.purchaseData(read)
	if r.URL.Query().Has("record") && data.Items {
		data.Record = c.readRecord(r.Context(), read.GetPurchase(), "")
	}
	made := page{Title: "Purchase " + read.GetPurchase().GetId(), Data: data, Live: data.Record == nil}
	switch {
	case read.GetPurchase().GetState() == gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR:
		made.Pace = needsPace // it can wait for days
	case read.GetPurchase().GetSettleTime() == nil:
		made.Pace = openPace
	}
	return made, nil
}

func (c *Console) purchaseData(read *gigagatev1.GetPurchaseResponse) purchaseData {
	p := read.GetPurchase()
	asks := whyOperator(p.GetOperatorReason())
	if p.GetAnomalies() > 0 && p.GetSettleTime() != nil {
		q := questionOfAnomaly(read)
		asks = q.Asked + " " + q.Look
	}
	return purchaseData{
		Purchase: p,
		TraceID:  traceOf(p),
		Sentence: meaning(p),
		Stages:   stages(read),
		Strip:    strip(read, c.config.Now()),
		Steps:    steps(read.GetHistory()),
		Waits:    read.GetReconciliation(),
		Asks:     asks,
		Items:    p.GetCustomerUid() != "",
	}
}

// traceOf is the id of the trace of the call that started the purchase. It is empty if the journal does not have one.
func traceOf(p *gigagatev1.Purchase) string {
	m := p.ProtoReflect()
	field := m.Descriptor().Fields().ByName("trace_id")
	if field == nil {
		return ""
	}
	return m.Get(field).String()
}

// meaning says in a sentence what a purchase's state means.
func meaning(p *gigagatev1.Purchase) string {
	switch p.GetState() {
	case gigagatev1.PurchaseState_PURCHASE_STATE_SENDING:
		return "A send is permitted or under way. Credit may have been spent."
	case gigagatev1.PurchaseState_PURCHASE_STATE_ACCEPTED:
		return "Every send so far had no effect. Another send may follow. No credit was spent."
	case gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN:
		return "The vendor gave no clear answer, so credit may have been spent. The gateway does not send again. It reads the vendor's records until they show what happened."
	case gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR:
		return "The vendor's records cannot settle this purchase. A person has to find out whether the package was sold."
	case gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED:
		return "The package was sold."
	case gigagatev1.PurchaseState_PURCHASE_STATE_FAILED:
		told := "Nothing was sold: "
		if p.GetAnomalies() > 0 {
			told = "The caller was told that nothing was sold: "
		}
		return told + word(p.GetReason().String(), "ERROR_REASON_") + "."
	default:
		return "This version of the gateway does not know the state of this purchase."
	}
}

// whyOperator says why a purchase needs an operator. questions has what the operator is asked.
func whyOperator(r gigagatev1.OperatorReason) string {
	switch r {
	case gigagatev1.OperatorReason_OPERATOR_REASON_UNSPECIFIED:
		return ""
	case gigagatev1.OperatorReason_OPERATOR_REASON_SEVERAL_FOUND:
		return "The vendor's records show more than one package with this purchase's mark."
	case gigagatev1.OperatorReason_OPERATOR_REASON_OTHER_PACKAGE_FOUND:
		return "The vendor's records show this purchase's mark on a package that was not ordered."
	case gigagatev1.OperatorReason_OPERATOR_REASON_ITEM_BOUND_TO_OTHER_PURCHASE:
		return "The package that was found already belongs to another purchase."
	case gigagatev1.OperatorReason_OPERATOR_REASON_SUCCESS_SEEN_BUT_NOT_FOUND:
		return "The vendor answered that the package was sold, but its records do not show it."
	case gigagatev1.OperatorReason_OPERATOR_REASON_NO_OLDER_WITNESS:
		return "The vendor's records show no older purchase of the same kind, so they may be incomplete."
	case gigagatev1.OperatorReason_OPERATOR_REASON_UNEXPLAINED_PACKAGE_FOUND:
		return "The vendor's records show a package of that time without a mark. It may be the one that was ordered."
	case gigagatev1.OperatorReason_OPERATOR_REASON_RECORDS_UNREADABLE:
		return "The vendor's records could not be read for too long."
	case gigagatev1.OperatorReason_OPERATOR_REASON_OTHER_ACCOUNT:
		return "It was bought with another client id, and the records that the present one sees do not show it."
	default:
		return word(r.String(), "OPERATOR_REASON_")
	}
}

func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
