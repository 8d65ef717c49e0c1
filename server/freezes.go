package server

import (
	"context"
	"errors"
	"slices"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/purchase"
)

// freezeService lets operators stop new purchases.
type freezeService struct {
	gigagatev1.UnimplementedFreezeServiceServer
	*Server
}

// Freeze stops new purchases of a target.
func (s freezeService) Freeze(ctx context.Context, req *gigagatev1.FreezeRequest) (*gigagatev1.FreezeResponse, error) {
	ctx, cancel := withMargin(ctx)
	defer cancel()
	if err := checkOperator(ctx, req.GetOperator()); err != nil {
		return nil, err
	}
	freeze, err := s.engine.Freeze(ctx, s.targetFromProto(req.GetTarget()), operatorSays(req))
	if err != nil {
		return nil, freezeFailure(err)
	}
	return &gigagatev1.FreezeResponse{Freeze: s.freezeToProto(freeze)}, nil
}

// Thaw ends the freeze of a target.
func (s freezeService) Thaw(ctx context.Context, req *gigagatev1.ThawRequest) (*gigagatev1.ThawResponse, error) {
	ctx, cancel := withMargin(ctx)
	defer cancel()
	if err := checkOperator(ctx, req.GetOperator()); err != nil {
		return nil, err
	}
	if err := s.engine.Thaw(ctx, s.targetFromProto(req.GetTarget()), operatorSays(req)); err != nil {
		return nil, freezeFailure(err)
	}
	return &gigagatev1.ThawResponse{}, nil
}

// ListFreezes pages through what is frozen. The journal has no pages for it, because there is little.
func (s freezeService) ListFreezes(ctx context.Context, req *gigagatev1.ListFreezesRequest) (*gigagatev1.ListFreezesResponse, error) {
	ctx, cancel := withMargin(ctx)
	defer cancel()
	after, err := pageCursor(req)
	if err != nil {
		return nil, err
	}
	freezes, err := s.engine.Freezes(ctx)
	if err != nil {
		return nil, journalFailure("", err)
	}
	freezes = slices.DeleteFunc(freezes, func(f purchase.Freeze) bool { return after != "" && cursorOf(f) <= after })
	resp := &gigagatev1.ListFreezesResponse{}
	if size := pageSize(req, usualRecords, mostRecords); len(freezes) > size {
		freezes = freezes[:size]
		resp.NextPageToken = pageToken(req, cursorOf(freezes[size-1]))
	}
	for _, freeze := range freezes {
		resp.Freezes = append(resp.Freezes, s.freezeToProto(freeze))
	}
	return resp, nil
}

// cursorOf sorts as the journal sorts freezes.
func cursorOf(f purchase.Freeze) string { return string(f.Scope) + " " + f.Name }

// operatorsRequest is a request that says who makes it, and why.
type operatorsRequest interface {
	GetOperator() string
	GetReason() string
}

// operatorSays is who freezes or thaws, and why.
func operatorSays(req operatorsRequest) purchase.AuditRecord {
	return purchase.AuditRecord{Actor: req.GetOperator(), ActorKind: purchase.ActorOperator, Reason: req.GetReason()}
}

func freezeFailure(err error) *failure {
	f := &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE, cause: err}
	switch {
	case errors.Is(err, purchase.ErrNotFrozen):
		f.reason = gigagatev1.ErrorReason_ERROR_REASON_NOT_FROZEN
	case !errors.Is(err, purchase.ErrNotWritten):
		f.effect = gigagatev1.Effect_EFFECT_INDETERMINATE
		f.sentence = "the journal did not say whether this was done: list the freezes"
	default:
		f.sentence = "the journal cannot be used, so nothing was frozen or thawed"
	}
	return f
}

func (s *Server) targetFromProto(target *gigagatev1.FreezeTarget) purchase.FreezeTarget {
	switch t := target.GetTarget().(type) {
	case *gigagatev1.FreezeTarget_Caller:
		return purchase.FreezeTarget{Scope: purchase.FreezeCaller, Name: s.journalName(t.Caller)}
	case *gigagatev1.FreezeTarget_InventoryItemId:
		return purchase.FreezeTarget{Scope: purchase.FreezeItem, Name: t.InventoryItemId}
	default: // the contract's rules allow only everything
		return purchase.FreezeTarget{Scope: purchase.FreezeAll}
	}
}

func (s *Server) freezeToProto(f purchase.Freeze) *gigagatev1.Freeze {
	target := &gigagatev1.FreezeTarget{}
	switch f.Scope {
	case purchase.FreezeAll:
		target.Target = &gigagatev1.FreezeTarget_Everything{Everything: true}
	case purchase.FreezeCaller:
		target.Target = &gigagatev1.FreezeTarget_Caller{Caller: s.callerName(purchase.Key{Caller: f.Name})}
	case purchase.FreezeItem:
		target.Target = &gigagatev1.FreezeTarget_InventoryItemId{InventoryItemId: f.Name}
	}
	return &gigagatev1.Freeze{
		Target: target, CreateTime: timestampOf(f.Record.At), Operator: f.Record.Actor, Reason: f.Record.Reason,
	}
}
