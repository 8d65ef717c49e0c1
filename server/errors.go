package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

// errorDomain is the domain of every google.rpc.ErrorInfo this service sends.
const errorDomain = "gigagate.internal"

// failure is an error as the caller is told of it. Its table row says all that its fields leave
// open.
type failure struct {
	reason     gigagatev1.ErrorReason
	effect     gigagatev1.Effect // unspecified: the row's
	purchaseID string
	fields     []*gigagatev1.FieldViolation
	// idUnused: the journal was read and has no purchase under the request id.
	idUnused bool
	// httpStatus is zero: the one of the row's code.
	httpStatus int
	sentence   string // empty: the row's
	// unknownMethod: gRPC has a code of its own for it.
	unknownMethod bool
	// retryDelay is zero: the row's.
	retryDelay time.Duration
	cause      error // for the log, never for the caller
}

// situation is one row of the contract's error table.
type situation struct {
	code       codes.Code
	effect     gigagatev1.Effect
	newIDSafe  bool
	retryDelay time.Duration
	sentence   string
}

// situations is the contract's error table. A new request id is called safe only where the intent
// is known to have come to nothing: an earlier call with the same id is not known to this call.
var situations = map[gigagatev1.ErrorReason]situation{
	gigagatev1.ErrorReason_ERROR_REASON_INVALID_FIELD: {
		code: codes.InvalidArgument, effect: gigagatev1.Effect_EFFECT_NOT_STARTED,
		sentence: "a field of the request is not valid",
	},
	gigagatev1.ErrorReason_ERROR_REASON_MALFORMED_REQUEST: {
		code: codes.InvalidArgument, effect: gigagatev1.Effect_EFFECT_NOT_STARTED,
		sentence: "the request could not be read",
	},
	gigagatev1.ErrorReason_ERROR_REASON_ROUTE_NOT_FOUND: {
		code: codes.NotFound, effect: gigagatev1.Effect_EFFECT_NOT_STARTED,
		sentence: "there is nothing at this path",
	},
	gigagatev1.ErrorReason_ERROR_REASON_METHOD_NOT_ALLOWED: {
		code: codes.Unimplemented, effect: gigagatev1.Effect_EFFECT_NOT_STARTED,
		sentence: "this path does not take this method",
	},
	gigagatev1.ErrorReason_ERROR_REASON_INVENTORY_ITEM_NOT_FOUND: {
		code: codes.NotFound, effect: gigagatev1.Effect_EFFECT_NOT_APPLIED, newIDSafe: true,
		sentence: "the vendor knows no inventory item with this id",
	},
	gigagatev1.ErrorReason_ERROR_REASON_CUSTOMER_NOT_FOUND: {
		code: codes.NotFound, effect: gigagatev1.Effect_EFFECT_NOT_APPLIED, newIDSafe: true,
		sentence: "the vendor knows no customer with this uid",
	},
	gigagatev1.ErrorReason_ERROR_REASON_ACTIVATED_ITEM_NOT_FOUND: {
		code: codes.NotFound, effect: gigagatev1.Effect_EFFECT_NOT_APPLIED, newIDSafe: true,
		sentence: "the vendor knows no activated item with this uid",
	},
	gigagatev1.ErrorReason_ERROR_REASON_PRICE_MISMATCH: {
		code: codes.FailedPrecondition, effect: gigagatev1.Effect_EFFECT_NOT_APPLIED, newIDSafe: true,
		sentence: "expected_price is not the retail price of the item",
	},
	gigagatev1.ErrorReason_ERROR_REASON_INSUFFICIENT_CREDIT: {
		code: codes.FailedPrecondition, effect: gigagatev1.Effect_EFFECT_NOT_APPLIED, newIDSafe: true,
		sentence: "the reseller's prepaid credit does not cover the purchase",
	},
	gigagatev1.ErrorReason_ERROR_REASON_COUNTRY_SET_MISMATCH: {
		code: codes.FailedPrecondition, effect: gigagatev1.Effect_EFFECT_NOT_APPLIED, newIDSafe: true,
		sentence: "the item's country set is not the customer's",
	},
	gigagatev1.ErrorReason_ERROR_REASON_ACTIVATION_MODE_NOT_OFFERED: {
		code: codes.FailedPrecondition, effect: gigagatev1.Effect_EFFECT_NOT_APPLIED, newIDSafe: true,
		sentence: "the item is not offered in this activation mode",
	},
	gigagatev1.ErrorReason_ERROR_REASON_ALREADY_ACTIVE: {
		code: codes.FailedPrecondition, effect: gigagatev1.Effect_EFFECT_NOT_APPLIED, newIDSafe: true,
		sentence: "the vendor calls the package active already, but its record does not show it",
	},
	gigagatev1.ErrorReason_ERROR_REASON_VENDOR_REFUSED: {
		code: codes.FailedPrecondition, effect: gigagatev1.Effect_EFFECT_NOT_APPLIED, newIDSafe: true,
		sentence: "the vendor refused for a reason this gateway has no name for",
	},
	gigagatev1.ErrorReason_ERROR_REASON_NEVER_SENT: {
		code: codes.Aborted, effect: gigagatev1.Effect_EFFECT_NOT_APPLIED, newIDSafe: true, retryDelay: time.Second,
		sentence: "the request had no effect: the vendor never took it",
	},
	gigagatev1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN: {
		code: codes.Unavailable, effect: gigagatev1.Effect_EFFECT_INDETERMINATE, retryDelay: 5 * time.Second,
		sentence: "the request may have taken effect: no conclusive answer came from the vendor",
	},
	gigagatev1.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE: {
		code: codes.Unavailable, effect: gigagatev1.Effect_EFFECT_NOT_STARTED, retryDelay: time.Second,
		sentence: "the vendor could not be read",
	},
	gigagatev1.ErrorReason_ERROR_REASON_DRAINING: {
		code: codes.Unavailable, effect: gigagatev1.Effect_EFFECT_NOT_STARTED, retryDelay: time.Second,
		sentence: "the gateway is shutting down and starts nothing new",
	},
	gigagatev1.ErrorReason_ERROR_REASON_DEADLINE_TOO_SHORT: {
		code: codes.Unavailable, effect: gigagatev1.Effect_EFFECT_NOT_STARTED,
		sentence: "too little of the deadline is left to start this",
	},
	gigagatev1.ErrorReason_ERROR_REASON_OVERLOADED: {
		code: codes.ResourceExhausted, effect: gigagatev1.Effect_EFFECT_NOT_STARTED, retryDelay: time.Second,
		sentence: "the gateway is at its limit of concurrent calls of this kind",
	},
	gigagatev1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED: {
		code: codes.AlreadyExists, effect: gigagatev1.Effect_EFFECT_INDETERMINATE,
		sentence: "the request id stands for another order",
	},
	gigagatev1.ErrorReason_ERROR_REASON_PURCHASE_NOT_FOUND: {
		code: codes.NotFound, effect: gigagatev1.Effect_EFFECT_NOT_APPLIED, newIDSafe: true,
		sentence: "no purchase has this id",
	},
	gigagatev1.ErrorReason_ERROR_REASON_MAX_PURCHASE_PRICE_EXCEEDED: {
		code: codes.FailedPrecondition, effect: gigagatev1.Effect_EFFECT_NOT_STARTED,
		sentence: "the item costs the reseller more than max_purchase_price, or than this gateway allows",
	},
	gigagatev1.ErrorReason_ERROR_REASON_PURCHASE_PRICE_UNREADABLE: {
		code: codes.FailedPrecondition, effect: gigagatev1.Effect_EFFECT_NOT_STARTED,
		sentence: "max_purchase_price or this gateway limits what the item may cost the reseller, and its price cannot be read",
	},
	gigagatev1.ErrorReason_ERROR_REASON_NOT_RESOLVABLE: {
		code: codes.FailedPrecondition, effect: gigagatev1.Effect_EFFECT_NOT_STARTED,
		sentence: "the purchase is settled already, or still under way",
	},
	gigagatev1.ErrorReason_ERROR_REASON_FOREIGN_ACTIVATED_ITEM: {
		code: codes.FailedPrecondition, effect: gigagatev1.Effect_EFFECT_NOT_STARTED,
		sentence: "the named activated item cannot be this purchase's",
	},
	gigagatev1.ErrorReason_ERROR_REASON_ABSENCE_NOT_SHOWN: {
		code: codes.FailedPrecondition, effect: gigagatev1.Effect_EFFECT_NOT_STARTED,
		sentence: "the vendor's records do not show that nothing was sold",
	},
	gigagatev1.ErrorReason_ERROR_REASON_PRESUMED_ABSENT: {
		code: codes.Aborted, effect: gigagatev1.Effect_EFFECT_NOT_APPLIED, newIDSafe: true,
		sentence: "the vendor's records lack the purchase",
	},
	gigagatev1.ErrorReason_ERROR_REASON_RESOLVED_BY_OPERATOR: {
		code: codes.Aborted, effect: gigagatev1.Effect_EFFECT_NOT_APPLIED, newIDSafe: true,
		sentence: "an operator found that nothing was sold",
	},
	gigagatev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE: {
		code: codes.Unavailable, effect: gigagatev1.Effect_EFFECT_NOT_STARTED, retryDelay: time.Second,
		sentence: "the journal cannot be used, so nothing was started",
	},
	gigagatev1.ErrorReason_ERROR_REASON_INTERNAL: {
		code: codes.Internal, effect: gigagatev1.Effect_EFFECT_INDETERMINATE,
		sentence: "a fault of the gateway; its log has more under the trace id of this answer",
	},
}

// reasonText is the reason without the enum's prefix, as google.rpc.ErrorInfo has it.
func reasonText(reason gigagatev1.ErrorReason) string {
	return strings.TrimPrefix(reason.String(), "ERROR_REASON_")
}

// effectText is the effect without the enum's prefix.
func effectText(effect gigagatev1.Effect) string {
	return strings.TrimPrefix(effect.String(), "EFFECT_")
}

// Error is for the log. It names the reason and the type of the cause, whose text may hold
// anything.
func (f *failure) Error() string {
	if f.cause == nil {
		return reasonText(f.reason)
	}
	return fmt.Sprintf("%s: %v", reasonText(f.reason), describeCause(f.cause))
}

func (f *failure) Unwrap() error { return f.cause }

// outcome is the contract's detail of f.
func (f *failure) outcome() *gigagatev1.Outcome {
	row := situations[f.reason]
	out := &gigagatev1.Outcome{
		Reason:           f.reason,
		Effect:           row.effect,
		PurchaseId:       f.purchaseID,
		NewRequestIdSafe: row.newIDSafe,
		FieldViolations:  f.fields,
	}
	if f.effect != gigagatev1.Effect_EFFECT_UNSPECIFIED {
		// The row's word on new ids goes with the row's effect.
		out.Effect, out.NewRequestIdSafe = f.effect, row.newIDSafe && f.effect == row.effect
	}
	out.NewRequestIdSafe = out.NewRequestIdSafe || f.idUnused
	// What is settled stays as it is: the same request id is told the same whenever it is repeated.
	settled := f.purchaseID != "" && out.GetEffect() == gigagatev1.Effect_EFFECT_NOT_APPLIED
	if delay := cmp.Or(f.retryDelay, row.retryDelay); delay > 0 && !settled {
		out.RetryDelay = durationpb.New(delay)
	}
	return out
}

// GRPCStatus is how grpc-go finds the status of an error: code, public sentence, and the details
// every error of the contract carries.
func (f *failure) GRPCStatus() *status.Status {
	row := situations[f.reason]
	outcome := f.outcome()
	info := &errdetails.ErrorInfo{
		Reason:   reasonText(f.reason),
		Domain:   errorDomain,
		Metadata: map[string]string{"effect": effectText(outcome.GetEffect())},
	}
	if f.purchaseID != "" {
		info.Metadata["purchase_id"] = f.purchaseID
	}
	details := []protoadapt.MessageV1{info}
	if len(f.fields) > 0 {
		bad := &errdetails.BadRequest{}
		for _, field := range f.fields {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: field.GetField(), Description: field.GetDescription(),
			})
		}
		details = append(details, bad)
	}
	if delay := outcome.GetRetryDelay(); delay != nil {
		details = append(details, &errdetails.RetryInfo{RetryDelay: delay})
	}
	code := row.code
	if f.unknownMethod {
		code = codes.Unimplemented
	}
	st, err := status.New(code, f.publicSentence()).WithDetails(append(details, outcome)...)
	if err != nil {
		// Only a message that cannot be marshalled gets here, and these can.
		return status.New(code, f.publicSentence())
	}
	return st
}

// retryPushback is the trailer by which the retry policy of a gRPC client waits as long as retry_delay
// says. Where the deadline ends before that, it forbids to send again: the client would wait for the
// deadline and tell of that, and the Outcome be lost.
func (f *failure) retryPushback(ctx context.Context) metadata.MD {
	if situations[f.reason].code != codes.Unavailable {
		return nil // not what the contract's call policy repeats
	}
	milliseconds := int64(-1)
	if delay := f.outcome().GetRetryDelay(); delay != nil && hasTime(ctx, delay.AsDuration()+purchase.AnswerMargin) {
		milliseconds = delay.AsDuration().Milliseconds()
	}
	return metadata.Pairs("grpc-retry-pushback-ms", strconv.FormatInt(milliseconds, 10))
}

func hasTime(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > d
}

func (f *failure) publicSentence() string {
	sentence := f.sentence
	if sentence == "" {
		sentence = situations[f.reason].sentence
	}
	if len(f.fields) == 0 {
		return sentence
	}
	parts := make([]string, 0, len(f.fields))
	for _, field := range f.fields {
		if field.GetField() == "" {
			parts = append(parts, field.GetDescription())
			continue
		}
		parts = append(parts, field.GetField()+": "+field.GetDescription())
	}
	return sentence + ": " + strings.Join(parts, "; ")
}

// invalidField is the failure of one field that breaks a rule.
func invalidField(field, description string) *failure {
	return &failure{
		reason: gigagatev1.ErrorReason_ERROR_REASON_INVALID_FIELD,
		fields: []*gigagatev1.FieldViolation{{Field: field, Description: description}},
	}
}

// readFailure is the failure of a read: it had no effect, whatever happened.
func readFailure(err error) *failure {
	f := &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, cause: err}
	if _, ok := errors.AsType[*panicked](err); ok {
		f.reason = gigagatev1.ErrorReason_ERROR_REASON_INTERNAL
	}
	if vendor, ok := errors.AsType[*gigastore.Error](err); ok && vendor.Effect == gigastore.EffectRefused {
		f.reason = refusalReason(vendor.Reason)
	}
	return f
}

// refusalReason is the contract's name of a vendor's refusal, or of a purchase's reason: the
// vocabularies share their words, and what the contract lacks is VENDOR_REFUSED.
func refusalReason(reason gigastore.Reason) gigagatev1.ErrorReason {
	if number, ok := gigagatev1.ErrorReason_value["ERROR_REASON_"+string(reason)]; ok && reason != "" {
		return gigagatev1.ErrorReason(number)
	}
	return gigagatev1.ErrorReason_ERROR_REASON_VENDOR_REFUSED
}

// describeCause tells of an error without its text, unless the text is known to hold no data of
// the caller or the vendor.
func describeCause(err error) string {
	if vendor, ok := errors.AsType[*gigastore.Error](err); ok {
		return vendor.Error()
	}
	if p, ok := errors.AsType[*panicked](err); ok {
		return p.Error()
	}
	if database, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return "SQLSTATE " + database.SQLState()
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded.Error()
	case errors.Is(err, context.Canceled):
		return context.Canceled.Error()
	}
	return fmt.Sprintf("%T", rootOf(err))
}

// rootOf is the error that the others wrap; of several the last, which says more than the word before it.
func rootOf(err error) error {
	for {
		var inner error
		switch wrapper := err.(type) { //nolint:errorlint // the chain is what is walked
		case interface{ Unwrap() error }:
			inner = wrapper.Unwrap()
		case interface{ Unwrap() []error }:
			if all := wrapper.Unwrap(); len(all) > 0 {
				inner = all[len(all)-1]
			}
		}
		if inner == nil {
			return err
		}
		err = inner
	}
}
