package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"gigagate.internal/purchase"
)

// Get implements [purchase.Journal].
func (j *Journal) Get(ctx context.Context, id string) (purchase.Purchase, error) {
	if err := j.enter(ctx); err != nil {
		return purchase.Purchase{}, err
	}
	defer j.mu.Unlock()
	r, ok := j.byID[id]
	if !ok {
		return purchase.Purchase{}, purchase.ErrNotFound
	}
	return r.purchase, nil
}

// History implements [purchase.Journal].
func (j *Journal) History(ctx context.Context, id string) ([]purchase.HistoryEntry, error) {
	if err := j.enter(ctx); err != nil {
		return nil, err
	}
	defer j.mu.Unlock()
	r, ok := j.byID[id]
	if !ok {
		return nil, purchase.ErrNotFound
	}
	return slices.Clone(r.history), nil
}

// Secrets implements [purchase.Journal].
func (j *Journal) Secrets(ctx context.Context, id string) (purchase.Secrets, error) {
	if err := j.enter(ctx); err != nil {
		return purchase.Secrets{}, err
	}
	defer j.mu.Unlock()
	r, ok := j.byID[id]
	if !ok {
		return purchase.Secrets{}, purchase.ErrNotFound
	}
	secrets := r.secrets
	secrets.Personal, secrets.Sale = bytes.Clone(secrets.Personal), bytes.Clone(secrets.Sale)
	return secrets, nil
}

// List implements [purchase.Journal].
func (j *Journal) List(ctx context.Context, filter purchase.Filter, page purchase.Page) (list []purchase.Purchase, next string, err error) {
	if err := j.enter(ctx); err != nil {
		return nil, "", err
	}
	defer j.mu.Unlock()
	from, to := filter.IDs()
	rows := j.sorted
	switch {
	case filter.ItemUID != "":
		rows = j.items[filter.ItemUID]
	case filter.IsSalesToCustomer():
		rows = j.sales[filter.CustomerUID]
	case filter.Caller != "":
		rows = j.callers[filter.Caller]
	}
	for _, end := range []string{to, page.After} {
		if end != "" {
			at, _ := slices.BinarySearchFunc(rows, end, byID)
			rows = rows[:at]
		}
	}
	examined := 0
	for _, r := range slices.Backward(rows) {
		switch p := r.purchase; {
		case p.ID < from:
			return list, "", nil
		case len(list) == page.Size || examined == purchase.MaxExamined:
			return list, next, nil
		case matches(filter, p):
			list = append(list, p)
		}
		next = r.purchase.ID
		examined++
	}
	return list, "", nil
}

// OfItem implements [purchase.Journal].
func (j *Journal) OfItem(ctx context.Context, uid string, accounts []string) (purchase.Purchase, error) {
	if err := j.enter(ctx); err != nil {
		return purchase.Purchase{}, err
	}
	defer j.mu.Unlock()
	for _, account := range accounts {
		if r, ok := j.byItem[item{account, uid}]; ok {
			return r.purchase, nil
		}
	}
	return purchase.Purchase{}, purchase.ErrNotFound
}

func matches(filter purchase.Filter, p purchase.Purchase) bool {
	return (filter.Caller == "" || filter.Caller == p.Key.Caller) &&
		(filter.RequestID == "" || filter.RequestID == p.Key.RequestID) &&
		(filter.CustomerUID == "" || filter.CustomerUID == cmp.Or(p.CustomerUID, p.Order.CustomerUID)) &&
		(filter.ItemUID == "" || filter.ItemUID == p.ItemUID) &&
		(filter.Kind == "" || filter.Kind == p.Order.Kind) &&
		(filter.InventoryItemID == "" || filter.InventoryItemID == p.Order.InventoryItemID) &&
		(filter.Metatag == "" || filter.Metatag == p.Order.Metatag) &&
		(filter.TraceID == "" || filter.TraceID == p.Origin.Trace()) &&
		(!filter.WithAnomalies || p.Anomalies > 0) &&
		(len(filter.States) == 0 || slices.Contains(filter.States, p.State))
}

// Watched implements [purchase.Journal].
func (j *Journal) Watched(ctx context.Context, absentFor time.Duration) ([]purchase.Purchase, error) {
	if err := j.enter(ctx); err != nil {
		return nil, err
	}
	defer j.mu.Unlock()
	var list []purchase.Purchase
	for r := range j.open {
		if p := r.purchase; p.State == purchase.Uncertain || p.State == purchase.NeedsOperator {
			list = append(list, p)
		}
	}
	since := j.time().Add(-absentFor)
	for r := range j.absent {
		if r.purchase.SettledAt.After(since) {
			list = append(list, r.purchase)
		}
	}
	slices.SortFunc(list, func(a, b purchase.Purchase) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

// Witnesses implements [purchase.Journal].
func (j *Journal) Witnesses(
	ctx context.Context, like purchase.Likeness, span purchase.Span, limit int,
) ([]purchase.Purchase, error) {
	if err := j.enter(ctx); err != nil {
		return nil, err
	}
	defer j.mu.Unlock()
	rows := j.witnesses[like]
	if !span.From.IsZero() {
		first, _ := slices.BinarySearchFunc(rows, span.From, byPermit)
		rows = rows[first:]
	}
	if !span.To.IsZero() {
		end, _ := slices.BinarySearchFunc(rows, span.To, byPermit)
		rows = rows[:end]
	}
	// The nearest witnesses come first. A span before an attempt is read from To backwards. A span after it has no To
	// and is read from From onwards.
	newestFirst := span.From.IsZero() || !span.To.IsZero()
	var list []purchase.Purchase
	for i := range max(0, min(limit, len(rows))) {
		if newestFirst {
			i = len(rows) - 1 - i
		}
		list = append(list, rows[i].purchase)
	}
	return list, nil
}
