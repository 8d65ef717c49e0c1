package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"gigagate.internal/purchase"
)

const (
	recordColumns = `id, at, actor, actor_kind, action, outcome, caller, purchase_id, customer_uid, inventory_item_id, activated_item_uid, reason`
	insertRecord  = "INSERT INTO audit_record (" + recordColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	selectRecords = "SELECT " + recordColumns + " FROM audit_record WHERE id < ? AND id >= ? ORDER BY id DESC LIMIT ?"

	insertFreeze  = "INSERT INTO purchase_freeze (scope, name, audit_id) VALUES (?, ?, ?)"
	deleteFreeze  = "DELETE FROM purchase_freeze WHERE scope = ? AND name = ?"
	selectFreezes = "SELECT scope, name, " + recordColumns + " FROM purchase_freeze JOIN audit_record ON id = audit_id ORDER BY scope, name"
)

// frozen returns the freeze that refuses a claim, if any. The connection remembers the freezes, so that a claim needs no
// statement for them. Nobody else can change the table, because the file is locked.
func (c *connection) frozen(claim purchase.Claim) (target purchase.FreezeTarget, is bool, err error) {
	if !c.freezesKnown {
		if c.freezes, err = all(c, scanFreeze, selectFreezes); err != nil {
			return target, false, err
		}
		c.freezesKnown = true
	}
	if len(c.freezes) == 0 {
		return target, false, nil // nearly always
	}
	for _, target := range claim.Targets() {
		if indexOf(c.freezes, target) >= 0 {
			return target, true, nil
		}
	}
	return target, false, nil
}

func indexOf(freezes []purchase.Freeze, target purchase.FreezeTarget) int {
	return slices.IndexFunc(freezes, func(f purchase.Freeze) bool { return f.FreezeTarget == target })
}

// Freeze implements [purchase.Journal].
func (j *Journal) Freeze(ctx context.Context, target purchase.FreezeTarget, record purchase.AuditRecord) (purchase.Freeze, error) {
	var standing purchase.Freeze // the writer may set it after this call has returned
	err := j.write(ctx, func(c *connection) (err error) {
		standing, err = j.freeze(c, target, record)
		return err
	}, nil)
	if err != nil {
		return purchase.Freeze{}, err
	}
	return standing, nil
}

func (j *Journal) freeze(c *connection, target purchase.FreezeTarget, record purchase.AuditRecord) (purchase.Freeze, error) {
	freezes, err := all(c, scanFreeze, selectFreezes)
	if err != nil {
		return purchase.Freeze{}, err
	}
	if at := indexOf(freezes, target); at >= 0 {
		return freezes[at], nil
	}
	c.freezesKnown = false
	record.At = j.began
	if err = c.keep(record); err == nil {
		err = c.exec(insertFreeze, string(target.Scope), target.Name, record.ID)
	}
	return purchase.Freeze{FreezeTarget: target, Record: record}, err
}

// Thaw implements [purchase.Journal].
func (j *Journal) Thaw(ctx context.Context, target purchase.FreezeTarget, record purchase.AuditRecord) (purchase.AuditRecord, error) {
	var at time.Time // the writer may set it after this call has returned
	err := j.write(ctx, func(c *connection) error {
		at = j.began
		return j.thaw(c, target, record)
	}, nil)
	if err != nil {
		return purchase.AuditRecord{}, err
	}
	record.At = at
	return record, nil
}

func (j *Journal) thaw(c *connection, target purchase.FreezeTarget, record purchase.AuditRecord) error {
	thawed, err := c.change(deleteFreeze, string(target.Scope), target.Name)
	if err == nil && !thawed {
		err = notWritten(purchase.ErrNotFrozen)
	}
	if err != nil {
		return err
	}
	c.freezesKnown = false
	record.At = j.began
	return c.keep(record)
}

// Freezes implements [purchase.Journal].
func (j *Journal) Freezes(ctx context.Context) ([]purchase.Freeze, error) {
	var list []purchase.Freeze
	err := j.read(ctx, func(c *connection) (err error) {
		list, err = all(c, scanFreeze, selectFreezes)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Audit implements [purchase.Journal].
func (j *Journal) Audit(ctx context.Context, record purchase.AuditRecord) (purchase.AuditRecord, error) {
	var at time.Time
	err := j.write(ctx, func(c *connection) error {
		at = j.began
		kept := record
		kept.At = at
		return c.keep(kept)
	}, nil)
	if err != nil {
		return purchase.AuditRecord{}, fmt.Errorf("write an audit record: %w", err)
	}
	record.At = at
	return record, nil
}

// keep inserts a record.
func (c *connection) keep(r purchase.AuditRecord) error {
	return c.exec(insertRecord, r.ID, micros(r.At), r.Actor, string(r.ActorKind), string(r.Action), string(r.Outcome), text(r.Caller),
		text(r.PurchaseID), text(r.CustomerUID), text(r.InventoryItemID), text(r.ActivatedItemUID), text(r.Reason))
}

// AuditRecords implements [purchase.Journal].
func (j *Journal) AuditRecords(
	ctx context.Context, filter purchase.AuditFilter, page purchase.Page,
) (list []purchase.AuditRecord, next string, err error) {
	from, to := filter.IDs()
	below := min(cmp.Or(to, behindAll), cmp.Or(page.After, behindAll))
	var found []purchase.AuditRecord // the writer may set it after this call has returned
	err = j.read(ctx, func(c *connection) (err error) {
		// One more than the page shows whether there is another page.
		found, err = all(c, scanRecord, selectRecords, below, from, page.Size+1)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	if len(found) > page.Size {
		return found[:page.Size], found[page.Size-1].ID, nil
	}
	return found, "", nil
}

func scanRecord(r *reader) (purchase.AuditRecord, error) {
	return purchase.AuditRecord{
		ID: r.text(), At: r.time(), Actor: r.text(), ActorKind: purchase.ActorKind(r.text()), Action: purchase.AuditAction(r.text()),
		Outcome: purchase.AuditOutcome(r.text()), Caller: r.text(), PurchaseID: r.text(), CustomerUID: r.text(),
		InventoryItemID: r.text(), ActivatedItemUID: r.text(), Reason: r.text(),
	}, nil
}

func scanFreeze(r *reader) (f purchase.Freeze, err error) {
	f.Scope, f.Name = purchase.FreezeScope(r.text()), r.text()
	f.Record, err = scanRecord(r)
	return f, err
}
