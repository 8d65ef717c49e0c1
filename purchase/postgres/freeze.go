package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"gigagate.internal/purchase"
)

// recordColumns are the columns of audit_record, in the order that scanRecord expects.
const recordColumns = `id, at, actor, actor_kind, action, outcome, caller, purchase_id, customer_uid, inventory_item_id, activated_item_uid, reason`

// frozenBy is the refusal of a claim by a freeze of the given scope.
func frozenBy(claim purchase.Claim, scope purchase.FreezeScope) error {
	for _, target := range claim.Targets() {
		if target.Scope == scope {
			return &purchase.FrozenError{FreezeTarget: target}
		}
	}
	return notWritten(fmt.Errorf("claim: a freeze of the unknown scope %q refused it", scope))
}

// Freeze implements [purchase.Journal].
func (j *Journal) Freeze(ctx context.Context, target purchase.FreezeTarget, record purchase.AuditRecord) (purchase.Freeze, error) {
	if !storable(target.Name) {
		return purchase.Freeze{}, notWritten(errNotStorable)
	}
	standing, err := writeOne(ctx, j, scanRecord, j.sql.freeze, j.clock(), string(target.Scope), target.Name, encodeRecord(record))
	if err != nil {
		return purchase.Freeze{}, fmt.Errorf("freeze: %w", err)
	}
	if standing.ID != record.ID {
		// It was frozen before, and that commit may not have reached a synchronous standby yet. See Claim.
		if err := j.Ping(ctx); err != nil {
			return purchase.Freeze{}, fmt.Errorf("freeze: it is unknown whether the earlier freeze is durable: %w", err)
		}
	}
	return purchase.Freeze{FreezeTarget: target, Record: standing}, nil
}

// Thaw implements [purchase.Journal].
func (j *Journal) Thaw(ctx context.Context, target purchase.FreezeTarget, record purchase.AuditRecord) (purchase.AuditRecord, error) {
	if !storable(target.Name) {
		return purchase.AuditRecord{}, notWritten(purchase.ErrNotFrozen)
	}
	at, err := writeOne(ctx, j, pgx.RowTo[*time.Time], j.sql.thaw, j.clock(), string(target.Scope), target.Name, encodeRecord(record))
	if err == nil && at == nil {
		err = notWritten(purchase.ErrNotFrozen)
	}
	if err != nil {
		return purchase.AuditRecord{}, fmt.Errorf("thaw: %w", err)
	}
	record.At = at.UTC()
	return record, nil
}

// Freezes implements [purchase.Journal].
func (j *Journal) Freezes(ctx context.Context) ([]purchase.Freeze, error) {
	return many(ctx, j, scanFreeze, j.sql.freezes)
}

// Audit implements [purchase.Journal].
func (j *Journal) Audit(ctx context.Context, record purchase.AuditRecord) (purchase.AuditRecord, error) {
	at, err := writeOne(ctx, j, pgx.RowTo[time.Time], j.sql.audit, j.clock(), encodeRecord(record))
	if err != nil {
		return purchase.AuditRecord{}, fmt.Errorf("write an audit record: %w", err)
	}
	record.At = at.UTC()
	return record, nil
}

// AuditRecords implements [purchase.Journal].
func (j *Journal) AuditRecords(
	ctx context.Context, filter purchase.AuditFilter, page purchase.Page,
) (list []purchase.AuditRecord, next string, err error) {
	if !storable(page.After) {
		return nil, "", nil
	}
	from, to := filter.IDs()
	below := min(cmp.Or(to, behindAll), cmp.Or(page.After, behindAll))
	// One more than the page shows whether there is another page.
	list, err = many(ctx, j, scanRecord, j.sql.records, below, from, page.Size+1)
	if err != nil {
		return nil, "", err
	}
	if len(list) > page.Size {
		return list[:page.Size], list[page.Size-1].ID, nil
	}
	return list, "", nil
}

// writeOne runs a statement that writes and returns one row. It waits until the write is durable.
func writeOne[T any](ctx context.Context, j *Journal, scan pgx.RowToFunc[T], statement string, args ...any) (row T, err error) {
	err = j.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		return durably(conn.Conn(), func() error {
			rows, err := conn.Query(ctx, statement, args...)
			if err == nil {
				row, err = pgx.CollectExactlyOneRow(rows, scan)
			}
			return err
		})
	})
	if err != nil && wroteNothing(err) {
		err = notWritten(err)
	}
	return row, err
}

// encodeRecord returns a record as the SQL functions take it.
func encodeRecord(r purchase.AuditRecord) string {
	record := map[string]string{
		"id": r.ID, "actor": r.Actor, "actor_kind": string(r.ActorKind), "action": string(r.Action), "outcome": string(r.Outcome),
	}
	for column, value := range map[string]string{
		"caller": r.Caller, "purchase_id": r.PurchaseID, "customer_uid": r.CustomerUID,
		"inventory_item_id": r.InventoryItemID, "activated_item_uid": r.ActivatedItemUID, "reason": r.Reason,
	} {
		if value != "" { // NULL otherwise
			record[column] = value
		}
	}
	text, err := json.Marshal(record)
	if err != nil {
		panic(err) // a map of strings can always be encoded
	}
	return string(text)
}

func scanRecord(from pgx.CollectableRow) (purchase.AuditRecord, error) {
	var r purchase.AuditRecord
	err := scanInto(from, &r)
	return r, err
}

func scanFreeze(from pgx.CollectableRow) (purchase.Freeze, error) {
	var f purchase.Freeze
	err := scanInto(from, &f.Record, &f.Scope, &f.Name)
	return f, err
}

// scanInto reads the columns of a record, after those of before.
func scanInto(from pgx.CollectableRow, r *purchase.AuditRecord, before ...any) error {
	var caller, bought, customer, item, activated, reason *string
	err := from.Scan(append(before, &r.ID, &r.At, &r.Actor, &r.ActorKind, &r.Action, &r.Outcome,
		&caller, &bought, &customer, &item, &activated, &reason)...)
	r.At = r.At.UTC()
	r.Caller, r.PurchaseID, r.CustomerUID = orZero(caller), orZero(bought), orZero(customer)
	r.InventoryItemID, r.ActivatedItemUID, r.Reason = orZero(item), orZero(activated), orZero(reason)
	return err
}
