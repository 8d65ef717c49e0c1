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
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

// errorDomain is the domain of every google.rpc.ErrorInfo this service sends.
const errorDomain = "gigagate.internal"

// failure is an error as the caller sees it. If a field is not set, its value comes from the spec of the reason in the
// contract.
type failure struct {
	reason gigagatev1.ErrorReason
	// effect unspecified means that of the spec. For an order it means that the request id was not looked up: see
	// needsLookup.
	effect gigagatev1.Effect
	// startedNothing: the gateway refused before it sent anything, although the spec's effect is another one.
	startedNothing bool
	purchaseID     string
	fields         []*gigagatev1.FieldViolation
	// httpStatus 0 means that of the spec.
	httpStatus int
	sentence   string // empty: the spec's sentence
	// quota says which limit of a budget is in the way. It is nil for other failures.
	quota *errdetails.QuotaFailure_Violation
	// unknownMethod makes the code UNIMPLEMENTED, which gRPC has for an unknown method.
	unknownMethod bool
	// retryDelay 0 means the spec's delay.
	retryDelay time.Duration
	cause      error // for the log, never for the caller
}

// specs are the options of the reasons in the contract. They say what is answered with each reason.
var specs = func() map[gigagatev1.ErrorReason]*gigagatev1.ErrorSpec {
	values := gigagatev1.ErrorReason(0).Descriptor().Values()
	specs := make(map[gigagatev1.ErrorReason]*gigagatev1.ErrorSpec, values.Len())
	for i := range values.Len() {
		if spec, ok := proto.GetExtension(values.Get(i).Options(), gigagatev1.E_ErrorSpec).(*gigagatev1.ErrorSpec); ok && spec != nil {
			specs[gigagatev1.ErrorReason(values.Get(i).Number())] = spec
		}
	}
	return specs
}()

// codeOf is the gRPC code of a reason. The contract uses gRPC's numbers.
func codeOf(reason gigagatev1.ErrorReason) codes.Code {
	return codes.Code(specs[reason].GetCode()) //nolint:gosec // a test checks every code
}

// httpStatusOf is the HTTP status of a reason.
func httpStatusOf(reason gigagatev1.ErrorReason) int { return int(specs[reason].GetHttpStatus()) }

// reasonText is the reason without the enum's prefix, as in google.rpc.ErrorInfo.
func reasonText(reason gigagatev1.ErrorReason) string {
	return strings.TrimPrefix(reason.String(), "ERROR_REASON_")
}

// effectText is the effect without the enum's prefix.
func effectText(effect gigagatev1.Effect) string {
	return strings.TrimPrefix(effect.String(), "EFFECT_")
}

// Error is for the log. It names the reason and the type of the cause. The text of the cause is left out, because it
// may contain data of a caller or the vendor.
func (f *failure) Error() string {
	if f.cause == nil {
		return reasonText(f.reason)
	}
	return fmt.Sprintf("%s: %v", reasonText(f.reason), describeCause(f.cause))
}

func (f *failure) Unwrap() error { return f.cause }

// outcome is the contract's detail of f.
func (f *failure) outcome() *gigagatev1.Outcome {
	spec := specs[f.reason]
	out := &gigagatev1.Outcome{
		Reason:          f.reason,
		Effect:          cmp.Or(f.effect, spec.GetEffect()),
		PurchaseId:      f.purchaseID,
		FieldViolations: f.fields,
	}
	// A settled purchase never changes. A repeated request id gets the same answer every time, so there is nothing to
	// retry.
	settled := f.purchaseID != "" && out.GetEffect() == gigagatev1.Effect_EFFECT_NOT_APPLIED
	if delay := cmp.Or(f.retryDelay, spec.GetRetryDelay().AsDuration()); delay > 0 && !settled {
		out.RetryDelay = durationpb.New(delay)
	}
	return out
}

// GRPCStatus returns the code, the public sentence, and the details that every error of the contract has. grpc-go
// calls it to find the status of an error.
func (f *failure) GRPCStatus() *status.Status {
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
	if f.quota != nil {
		details = append(details, &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{f.quota}})
	}
	if delay := outcome.GetRetryDelay(); delay != nil {
		details = append(details, &errdetails.RetryInfo{RetryDelay: delay})
	}
	code := codeOf(f.reason)
	if f.unknownMethod {
		code = codes.Unimplemented
	}
	st, err := status.New(code, f.publicSentence()).WithDetails(append(details, outcome)...)
	if err != nil {
		// This happens only if a message cannot be marshalled. These can.
		return status.New(code, f.publicSentence())
	}
	return st
}

// retryPushback is the trailer that tells the retry policy of a gRPC client how long to wait before it sends again:
// the retry_delay, in milliseconds. If the deadline comes earlier, the trailer forbids a retry. Otherwise the client
// would wait until its deadline, report only that, and lose the Outcome.
func (f *failure) retryPushback(ctx context.Context) metadata.MD {
	if codeOf(f.reason) != codes.Unavailable {
		return nil // the contract's call policy repeats only UNAVAILABLE
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
		sentence = specs[f.reason].GetSentence()
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

// invalidField is the failure of a field that breaks a rule. An empty field means the request as a whole.
func invalidField(field, description string) *failure {
	return &failure{
		reason: gigagatev1.ErrorReason_ERROR_REASON_INVALID_FIELD,
		fields: []*gigagatev1.FieldViolation{{Field: field, Description: description}},
	}
}

// readFailure is the failure of a read at the vendor. A read has no effect, whatever happened.
func readFailure(err error) *failure {
	f := &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, cause: err}
	if _, ok := errors.AsType[*panicked](err); ok {
		f.reason = gigagatev1.ErrorReason_ERROR_REASON_INTERNAL
	}
	if vendor, ok := errors.AsType[*gigastore.Error](err); ok && vendor.Effect == gigastore.EffectRefused {
		f.reason = reasonOf(purchase.Reason(vendor.Reason))
	}
	return f
}

// reasonInContract is the contract's name of a reason. A reason has the same words in the contract and in journals. It is
// unspecified if a later version of the gateway wrote a reason to the journal that has no name here.
func reasonInContract(reason purchase.Reason) gigagatev1.ErrorReason {
	return gigagatev1.ErrorReason(gigagatev1.ErrorReason_value["ERROR_REASON_"+string(reason)])
}

// reasonOf is the reason that callers get. If the contract has no name for it, they get VENDOR_REFUSED.
func reasonOf(reason purchase.Reason) gigagatev1.ErrorReason {
	return cmp.Or(reasonInContract(reason), gigagatev1.ErrorReason_ERROR_REASON_VENDOR_REFUSED)
}

// describeCause describes an error for the log. It uses the error's text only if that is known to hold no data of the
// caller or the vendor. Otherwise it names the error's type.
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

// rootOf is the innermost wrapped error. For joined errors it follows the last one, because the ones before it are
// often only a general word.
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
