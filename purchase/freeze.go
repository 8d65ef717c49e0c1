package purchase

import (
	"context"
	"errors"
)

// FreezeScope says which purchases a freeze stops.
type FreezeScope string

// The scopes of a freeze.
const (
	FreezeAll    FreezeScope = "ALL"
	FreezeCaller FreezeScope = "CALLER"
	FreezeItem   FreezeScope = "ITEM"
)

// FreezeTarget is what can be frozen. Name is the caller's name in the journal or the id of an inventory item. It is
// empty for FreezeAll.
type FreezeTarget struct {
	Scope FreezeScope
	Name  string
}

// Freeze stops new purchases of its target. Record says who froze it, when and why.
type Freeze struct {
	FreezeTarget
	Record AuditRecord
}

// FrozenError says that a freeze refused a claim. Nothing was written: it is also an ErrNotWritten.
type FrozenError struct{ FreezeTarget }

func (e *FrozenError) Error() string {
	switch e.Scope {
	case FreezeCaller:
		return "new purchases of this caller are frozen"
	case FreezeItem:
		return "new purchases of this inventory item are frozen"
	case FreezeAll:
	}
	return "new purchases are frozen"
}

// Unwrap returns ErrNotWritten.
func (e *FrozenError) Unwrap() error { return ErrNotWritten }

// ErrNotFrozen means that there is no such freeze. Nothing was written.
var ErrNotFrozen = errors.New("it is not frozen")

// Targets are the freezes that refuse the claim.
func (c Claim) Targets() []FreezeTarget {
	return []FreezeTarget{{Scope: FreezeAll}, {FreezeCaller, c.Key.Caller}, {FreezeItem, c.Order.InventoryItemID}}
}

// Freeze stops new purchases of a target. Once it has returned, no replica claims one. Open purchases go on: they may
// also be sent again. Freezing twice changes nothing and returns the first freeze. by says who freezes it and why.
func (e *Engine) Freeze(ctx context.Context, target FreezeTarget, by AuditRecord) (Freeze, error) {
	record := e.freezeRecord(AuditFreeze, target, by)
	freeze, err := bounded(ctx, journalBudget, func(ctx context.Context) (Freeze, error) {
		return e.journal.Freeze(ctx, target, record)
	})
	if err != nil {
		return Freeze{}, err
	}
	if freeze.Record.ID == record.ID {
		e.logAudit(ctx, freeze.Record)
	}
	return freeze, nil
}

// Thaw ends a freeze. It returns ErrNotFrozen if there is none.
func (e *Engine) Thaw(ctx context.Context, target FreezeTarget, by AuditRecord) error {
	record := e.freezeRecord(AuditThaw, target, by)
	record, err := bounded(ctx, journalBudget, func(ctx context.Context) (AuditRecord, error) {
		return e.journal.Thaw(ctx, target, record)
	})
	if err == nil {
		e.logAudit(ctx, record)
	}
	return err
}

// Freezes returns what is frozen, in the order of scope and name.
func (e *Engine) Freezes(ctx context.Context) ([]Freeze, error) {
	return bounded(ctx, journalBudget, e.journal.Freezes)
}

func (e *Engine) freezeRecord(action AuditAction, target FreezeTarget, by AuditRecord) AuditRecord {
	record := AuditRecord{
		ID: newID(e.entropy), Action: action, Outcome: AuditDone, Actor: by.Actor, ActorKind: by.ActorKind, Reason: by.Reason,
	}
	switch target.Scope {
	case FreezeCaller:
		record.Caller = target.Name
	case FreezeItem:
		record.InventoryItemID = target.Name
	case FreezeAll:
	}
	return record
}
