package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// settleForm has the answers that an operator may give about a purchase. Each is a form of its own.
type settleForm struct {
	ID string
	// Candidates are the packages that the purchase's history names.
	Candidates []string
	// Operator is the name that the answer is given under. If it is fixed, it cannot be typed.
	Operator      string
	OperatorFixed bool
	// Sandbox: the sandbox's page takes the place of the vendor's portal.
	Sandbox bool
	// Refused says why the last answer was not accepted. Typed is what it was.
	Refused *refusal
	Typed   settleAnswer
}

// The answers that an operator may give.
const (
	answerSold    = "sold"
	answerNothing = "nothing"
	answerForce   = "force"
)

// settleAnswer is what an operator typed.
type settleAnswer struct {
	Answer, Item, Note string
}

// newSettleForm returns the form of a purchase, or nil if nobody can settle it.
func (c *Console) newSettleForm(r *http.Request, read *gigagatev1.GetPurchaseResponse) *settleForm {
	switch read.GetPurchase().GetState() {
	case gigagatev1.PurchaseState_PURCHASE_STATE_UNCERTAIN, gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR:
	default:
		return nil
	}
	form := &settleForm{ID: read.GetPurchase().GetId(), Sandbox: c.config.Sandbox != nil}
	form.Operator, form.OperatorFixed = operatorOf(r)
	for _, event := range read.GetHistory() {
		if uid := event.GetActivatedItemUid(); uid != "" && !slices.Contains(form.Candidates, uid) {
			form.Candidates = append(form.Candidates, uid)
		}
	}
	if len(form.Candidates) == 1 {
		form.Typed.Item = form.Candidates[0]
	}
	return form
}

// The browser asks for both before it sends the form.
var (
	errNoAnswer     = &problem{http.StatusBadRequest, "No answer was given", "Choose one of the answers."}
	errNotConfirmed = &problem{http.StatusBadRequest, "The answer was not confirmed", "Tick the confirmation. This step cannot be undone."}
)

// resolveRequest is the request of a form that was sent.
func resolveRequest(id, operator string, values url.Values) (*gigagatev1.ResolvePurchaseRequest, settleAnswer, error) {
	typed := settleAnswer{
		Answer: values.Get("answer"), Item: strings.TrimSpace(values.Get("item")), Note: strings.TrimSpace(values.Get("note")),
	}
	req := &gigagatev1.ResolvePurchaseRequest{Id: id, Operator: operator, Note: typed.Note}
	switch typed.Answer {
	case answerSold:
		req.Resolution = &gigagatev1.ResolvePurchaseRequest_ActivatedItemUid{ActivatedItemUid: typed.Item}
	case answerNothing, answerForce:
		req.Resolution = &gigagatev1.ResolvePurchaseRequest_NothingSold{NothingSold: true}
		req.Force = typed.Answer == answerForce
	default:
		return nil, typed, errNoAnswer
	}
	if values.Get("confirmed") != "yes" {
		return nil, typed, errNotConfirmed
	}
	return req, typed, nil
}

// settlePage shows the form alone, for links from other pages.
func (c *Console) settlePage(r *http.Request) (page, error) {
	read, err := c.purchases.GetPurchase(r.Context(), &gigagatev1.GetPurchaseRequest{Id: r.PathValue("id")})
	if err != nil {
		return page{}, err
	}
	w := c.newWaiting(r, read)
	if w.Settle == nil {
		return page{Redirect: purchasePath(r.PathValue("id"))}, nil
	}
	return page{Title: "Settle a purchase", Data: w}, nil
}

// settle gives an operator's answer. A refused answer is shown again, with what was typed.
func (c *Console) settle(w http.ResponseWriter, r *http.Request) (next string, err error) {
	id := r.PathValue("id")
	operator, fixed := operatorOf(r)
	req, typed, err := resolveRequest(id, operator, r.PostForm)
	if err == nil {
		_, err = c.purchases.ResolvePurchase(r.Context(), req)
	}
	if err == nil {
		return purchasePath(id), nil
	}
	refused := refusalOf(err)
	// The vendor may have used up the time of the answer. The page still says what became of it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), callTime)
	defer cancel()
	read, err := c.purchases.GetPurchase(ctx, &gigagatev1.GetPurchaseRequest{Id: id})
	if err != nil {
		return "", err
	}
	shown := c.newWaiting(r, read)
	if shown.Settle == nil { // it was settled in the meantime
		return "", &problem{refused.Status, refused.Title, refused.Advice}
	}
	shown.Settle.Refused, shown.Settle.Typed = refused, typed
	shown.Settle.Operator, shown.Settle.OperatorFixed = operator, fixed
	c.show(w, r, "settle", page{Title: "Settle a purchase", Data: shown, Status: refused.Status})
	return "", nil
}

// purchasePath is the address of a purchase's page.
func purchasePath(id string) string { return Root + "purchases/" + url.PathEscape(id) }
