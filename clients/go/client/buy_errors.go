package client

import (
	"fmt"
	"strings"

	"google.golang.org/grpc/status"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// Refused is the error of a purchase if it is known how its request id stands, and there is no sale to show. After
// NOT_APPLIED a new request id buys anew. With any other effect, keep the request id.
type Refused struct { //nolint:errname // the name is the same in every language
	// Reason and Effect are the contract's names without their prefixes, such as INSUFFICIENT_CREDIT and NOT_APPLIED.
	// OutcomeOf finds the enums in the error.
	//
	// If Reason is REQUEST_ID_REUSED, the request id stands for another order. Effect and PurchaseID are those of that
	// order then. If it is UNAUTHENTICATED, this purchase did nothing, but an earlier one with the request id may have.
	Reason, Effect string
	// Message is a sentence for people.
	Message string
	// PurchaseID is empty if there is no purchase.
	PurchaseID string
	// FieldViolations are the fields that are not valid, or that differ from the order of a reused request id.
	FieldViolations []*gigagatev1.FieldViolation
	// Err is the error of the call.
	Err error
}

func (r *Refused) Error() string {
	return fmt.Sprintf("refused: %s, %s: %s", r.Reason, r.Effect, r.Message)
}

func (r *Refused) Unwrap() error { return r.Err }

// NotKnownYet is the error of a purchase if the time is over and credit may have been spent. Keep the request id and ask
// again later with the same request: it gives the sale or the refusal, and buys nothing twice.
type NotKnownYet struct { //nolint:errname // the name is the same in every language
	// PurchaseID is empty if it is not known.
	PurchaseID string
	// Err is the error of the last send.
	Err error
}

func (n *NotKnownYet) Error() string {
	if n.PurchaseID == "" {
		return fmt.Sprintf("not known yet whether it was bought: %v", n.Err)
	}
	return fmt.Sprintf("not known yet whether purchase %s was made: %v", n.PurchaseID, n.Err)
}

func (n *NotKnownYet) Unwrap() error { return n.Err }

func refused(outcome *gigagatev1.Outcome, err error) *Refused {
	return &Refused{
		Reason:          strings.TrimPrefix(outcome.GetReason().String(), "ERROR_REASON_"),
		Effect:          strings.TrimPrefix(outcome.GetEffect().String(), "EFFECT_"),
		Message:         status.Convert(err).Message(),
		PurchaseID:      outcome.GetPurchaseId(),
		FieldViolations: outcome.GetFieldViolations(),
		Err:             err,
	}
}
