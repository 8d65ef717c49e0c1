package server

import (
	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/purchase"
)

// A value that is not in these tables was written by a later version of the gateway. It reads as unspecified.

// operatorReasons are the contract's names of the reasons why a purchase needs an operator.
var operatorReasons = map[purchase.Reason]gigagatev1.OperatorReason{
	purchase.SeveralFound: gigagatev1.OperatorReason_OPERATOR_REASON_SEVERAL_FOUND,
	purchase.OtherFound:   gigagatev1.OperatorReason_OPERATOR_REASON_OTHER_PACKAGE_FOUND,
	purchase.ItemTaken:    gigagatev1.OperatorReason_OPERATOR_REASON_ITEM_BOUND_TO_OTHER_PURCHASE,
	purchase.SuccessSeen:  gigagatev1.OperatorReason_OPERATOR_REASON_SUCCESS_SEEN_BUT_NOT_FOUND,
	purchase.NoWitness:    gigagatev1.OperatorReason_OPERATOR_REASON_NO_OLDER_WITNESS,
	purchase.Unexplained:  gigagatev1.OperatorReason_OPERATOR_REASON_UNEXPLAINED_PACKAGE_FOUND,
	purchase.Unreadable:   gigagatev1.OperatorReason_OPERATOR_REASON_RECORDS_UNREADABLE,
	purchase.OtherAccount: gigagatev1.OperatorReason_OPERATOR_REASON_OTHER_ACCOUNT,
}

// eventTypes are the contract's names of events.
var eventTypes = map[purchase.Event]gigagatev1.PurchaseEventType{
	"":                        gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_CLAIMED, // the first entry of a purchase has no event
	purchase.Permitted:        gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_PERMITTED,
	purchase.AnsweredApplied:  gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_APPLIED,
	purchase.AnsweredRefused:  gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_REFUSED,
	purchase.AnsweredNoEffect: gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_NO_EFFECT,
	purchase.AnsweredUnknown:  gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ANSWERED_UNKNOWN,
	purchase.Lost:             gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_LOST,
	purchase.TakenOver:        gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_TAKEN_OVER,
	purchase.WindowOver:       gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_WINDOW_OVER,
	purchase.Found:            gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_FOUND,
	purchase.PresumedAbsent:   gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_PRESUMED_ABSENT,
	purchase.BeyondEvidence:   gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_BEYOND_EVIDENCE,
	purchase.ResolvedApplied:  gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_RESOLVED_APPLIED,
	purchase.ResolvedAbsent:   gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_RESOLVED_ABSENT,
	purchase.Abandoned:        gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ABANDONED,
	purchase.Erased:           gigagatev1.PurchaseEventType_PURCHASE_EVENT_TYPE_ERASED,
}

func actorToProto(by purchase.Actor) *gigagatev1.Actor {
	if name, ok := by.Operator(); ok {
		return &gigagatev1.Actor{Type: gigagatev1.ActorType_ACTOR_TYPE_OPERATOR, Operator: name}
	}
	switch by {
	case purchase.ByGateway:
		return &gigagatev1.Actor{Type: gigagatev1.ActorType_ACTOR_TYPE_GATEWAY}
	case purchase.ByReconciler:
		return &gigagatev1.Actor{Type: gigagatev1.ActorType_ACTOR_TYPE_RECONCILER}
	}
	return &gigagatev1.Actor{}
}

func entryToProto(entry purchase.HistoryEntry) *gigagatev1.PurchaseEvent {
	return &gigagatev1.PurchaseEvent{
		Time:             timestampOf(entry.At),
		Event:            eventTypes[entry.Event],
		Attempt:          int32(entry.Attempt), //nolint:gosec // a few
		State:            stateToProto(entry.State),
		Reason:           reasonInContract(entry.Reason),
		OperatorReason:   operatorReasons[entry.Reason],
		Contradicts:      entry.Verdict == purchase.Contradicts,
		Actor:            actorToProto(entry.By),
		BytesWritten:     entry.Evidence.BytesWritten,
		VendorStatus:     int32(entry.Evidence.HTTPStatus), //nolint:gosec // three digits
		VendorMessage:    entry.Evidence.Message,
		ActivatedItemUid: entry.Evidence.ItemUID,
		Explanation:      entry.Evidence.Explanation,
		Note:             entry.Evidence.Note,
		Forced:           entry.Evidence.Forced,
	}
}
