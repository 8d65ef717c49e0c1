package console

import (
	"slices"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// ask is what an operator is asked about a purchase, and where the answer can be found.
type ask struct {
	Asked string
	Look  string
}

// questions has one entry for each reason for which a purchase needs an operator.
var questions = map[gigagatev1.OperatorReason]ask{
	gigagatev1.OperatorReason_OPERATOR_REASON_SEVERAL_FOUND: {
		"The vendor sold this order more than once. Which package counts?",
		"Name one of the packages, and ask the vendor to refund the others.",
	},
	gigagatev1.OperatorReason_OPERATOR_REASON_OTHER_PACKAGE_FOUND: {
		"A package with this purchase's mark is not what was ordered. Is it the sale all the same?",
		"Compare the package with the order in the vendor's portal. If it is the sale, name it.",
	},
	gigagatev1.OperatorReason_OPERATOR_REASON_ITEM_BOUND_TO_OTHER_PURCHASE: {
		"The package that was found already belongs to another purchase. What became of this one?",
		"The history of the other purchase says why the package is its own.",
	},
	gigagatev1.OperatorReason_OPERATOR_REASON_SUCCESS_SEEN_BUT_NOT_FOUND: {
		"The vendor said that it sold a package, but its records do not show one. Which package is it?",
		"Look in the vendor's portal for a mark that was edited or cut.",
	},
	gigagatev1.OperatorReason_OPERATOR_REASON_NO_OLDER_WITNESS: {
		"The vendor's records do not show this order, but they may be incomplete. Was it sold?",
		"No comparable purchase was sold before, so the absence proves nothing. This is normal for a new account. Look in the vendor's portal.",
	},
	gigagatev1.OperatorReason_OPERATOR_REASON_UNEXPLAINED_PACKAGE_FOUND: {
		"The vendor's records show a package of that time without a mark. Is it this order's?",
		"Compare the time, the item and the customer of the package with the order in the vendor's portal.",
	},
	gigagatev1.OperatorReason_OPERATOR_REASON_RECORDS_UNREADABLE: {
		"The vendor's records could not be read for too long. Was this order sold?",
		"Make sure that the records can be read again. The purchase then settles by itself.",
	},
	gigagatev1.OperatorReason_OPERATOR_REASON_OTHER_ACCOUNT: {
		"This order was made with another client id, whose records cannot be seen now. Was it sold?",
		"If both ids belong to one account, name the other id in --gigastore-former-client-ids. Otherwise look in that account's portal.",
	},
}

// questionOf is the question about a purchase that an operator must see. An uncertain purchase has no reason yet. A settled one
// has an anomaly.
func questionOf(read *gigagatev1.GetPurchaseResponse) ask {
	p := read.GetPurchase()
	if q, ok := questions[p.GetOperatorReason()]; ok {
		return q
	}
	switch p.GetState() {
	case gigagatev1.PurchaseState_PURCHASE_STATE_NEEDS_OPERATOR:
		return ask{"The gateway cannot tell what became of this order. Was it sold?", "Look for the purchase's mark in the vendor's portal."}
	case gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED, gigagatev1.PurchaseState_PURCHASE_STATE_FAILED:
		return questionOfAnomaly(read)
	default:
		return ask{"The vendor did not say clearly whether it sold this order.", "The gateway reads the vendor's records by itself. You need to answer only if you cannot wait."}
	}
}

// questionOfAnomaly is the question about a settled purchase with an anomaly.
func questionOfAnomaly(read *gigagatev1.GetPurchaseResponse) ask {
	contradicted := slices.ContainsFunc(read.GetHistory(), (*gigagatev1.PurchaseEvent).GetContradicts)
	switch {
	case contradicted && read.GetPurchase().GetState() == gigagatev1.PurchaseState_PURCHASE_STATE_FAILED:
		return ask{
			"This purchase failed, but the vendor sold a package for it. Who gets the package?",
			"Its caller was told that nothing was sold. Give the caller the package, or ask the vendor to refund it.",
		}
	case contradicted:
		return ask{
			"This purchase succeeded, but the vendor also said something else. Was more than one package sold?",
			"Compare the evidence with the vendor's portal. Ask the vendor to refund what was not ordered.",
		}
	default:
		return ask{
			"Something about this purchase is not as it was ordered. Is the money right?",
			"The evidence says what does not fit, for example a price above the limit. Settle it with the vendor.",
		}
	}
}
