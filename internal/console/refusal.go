package console

import (
	"net/http"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/access"
)

// refusal says why an operator's answer was not accepted, and what to do.
type refusal struct {
	Status        int
	Title, Advice string
	// Reason is the word by which the gateway's pages explain it. It may be empty.
	Reason string
}

// refusalOf explains an error of a call that an operator made by a form.
func refusalOf(err error) *refusal {
	p := problemOf(err)
	r := &refusal{Status: p.Status, Title: p.Title, Advice: p.Advice}
	reason := outcomeOf(err).GetReason()
	if reason == gigagatev1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		return r
	}
	r.Reason = wordOf(reason)
	switch reason { //nolint:exhaustive // the others need no more than their sentence
	case gigagatev1.ErrorReason_ERROR_REASON_ABSENCE_NOT_SHOWN:
		r.Advice += " The vendor's records must show it first: the gateway waits until the vendor has had time to list a sale," +
			" and until three complete reads of its list lack the package. If the records cannot be read, or if you know better," +
			" give the third answer. The history keeps that it was forced."
	case gigagatev1.ErrorReason_ERROR_REASON_FOREIGN_ACTIVATED_ITEM:
		r.Advice += " The package has the mark of another purchase, or does not fit the order. Look again in the vendor's portal."
	case gigagatev1.ErrorReason_ERROR_REASON_NOT_RESOLVABLE:
		r.Advice += " It was settled in the meantime. Its page says how."
	}
	return r
}

// operatorOf is the name of the operator who sent a form. If the gateway knows it, the form cannot say another one.
func operatorOf(r *http.Request) (name string, fixed bool) {
	if p := access.Of(r.Context()); p != nil && p != access.Open {
		return p.Name, true
	}
	return r.PostFormValue("operator"), false
}
