package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"gigagate.internal/purchase"
)

// Freeze implements [purchase.Journal].
func (j *Journal) Freeze(ctx context.Context, target purchase.FreezeTarget, record purchase.AuditRecord) (purchase.Freeze, error) {
	if err := j.enter(ctx); err != nil {
		return purchase.Freeze{}, fmt.Errorf("%w: %w", purchase.ErrNotWritten, err)
	}
	defer j.mu.Unlock()
	if freeze, ok := j.freezes[target]; ok {
		return freeze, nil
	}
	freeze := purchase.Freeze{FreezeTarget: target, Record: j.keep(record)}
	j.freezes[target] = freeze
	return freeze, nil
}

// Thaw implements [purchase.Journal].
func (j *Journal) Thaw(ctx context.Context, target purchase.FreezeTarget, record purchase.AuditRecord) (purchase.AuditRecord, error) {
	if err := j.enter(ctx); err != nil {
		return purchase.AuditRecord{}, fmt.Errorf("%w: %w", purchase.ErrNotWritten, err)
	}
	defer j.mu.Unlock()
	if _, ok := j.freezes[target]; !ok {
		return purchase.AuditRecord{}, fmt.Errorf("%w: %w", purchase.ErrNotWritten, purchase.ErrNotFrozen)
	}
	delete(j.freezes, target)
	return j.keep(record), nil
}

// Freezes implements [purchase.Journal].
func (j *Journal) Freezes(ctx context.Context) ([]purchase.Freeze, error) {
	if err := j.enter(ctx); err != nil {
		return nil, err
	}
	defer j.mu.Unlock()
	return slices.SortedFunc(maps.Values(j.freezes), func(a, b purchase.Freeze) int {
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Name, b.Name))
	}), nil
}

// Audit implements [purchase.Journal].
func (j *Journal) Audit(ctx context.Context, record purchase.AuditRecord) (purchase.AuditRecord, error) {
	if err := j.enter(ctx); err != nil {
		return purchase.AuditRecord{}, fmt.Errorf("%w: %w", purchase.ErrNotWritten, err)
	}
	defer j.mu.Unlock()
	return j.keep(record), nil
}

// keep stores a record. It returns the record with its time.
func (j *Journal) keep(record purchase.AuditRecord) purchase.AuditRecord {
	record.At = j.time()
	at, _ := slices.BinarySearchFunc(j.records, record.ID, byRecordID)
	j.records = slices.Insert(j.records, at, record)
	return record
}

// AuditRecords implements [purchase.Journal].
func (j *Journal) AuditRecords(
	ctx context.Context, filter purchase.AuditFilter, page purchase.Page,
) (list []purchase.AuditRecord, next string, err error) {
	if err := j.enter(ctx); err != nil {
		return nil, "", err
	}
	defer j.mu.Unlock()
	from, to := filter.IDs()
	records := j.records
	for _, end := range []string{to, page.After} {
		if end != "" {
			at, _ := slices.BinarySearchFunc(records, end, byRecordID)
			records = records[:min(at, len(records))]
		}
	}
	for _, record := range slices.Backward(records) {
		if record.ID < from {
			break
		}
		if len(list) == page.Size {
			return list, list[page.Size-1].ID, nil
		}
		list = append(list, record)
	}
	return list, "", nil
}

func byRecordID(r purchase.AuditRecord, id string) int { return cmp.Compare(r.ID, id) }
