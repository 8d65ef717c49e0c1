// Package memory keeps purchases in memory. Simulations use it, and it is the reference for the durable
// journals. It forgets everything when its process ends, so no setting selects it.
package memory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"gigagate.internal/purchase"
)

var errClosed = errors.New("the memory journal is closed")

// Journal is a [purchase.Journal] in memory. One mutex protects it.
type Journal struct {
	now func() time.Time

	mu     sync.Mutex
	closed bool
	byID   map[string]*row
	byKey  map[purchase.Key]*row
	byItem map[item]*row
	sorted []*row // sorted by id
	// The fields below are indexes, so that queries need not read all rows.
	callers   map[string][]*row // each sorted by id
	open      map[*row]struct{}
	absent    map[*row]struct{}            // failed for want of evidence or by an operator's decision
	witnesses map[purchase.Likeness][]*row // sorted by PermittedAt
	sales     map[string][]*row            // by the customer sold to, each sorted by id
	items     map[string][]*row            // by the package sold, each sorted by id

	freezes map[purchase.FreezeTarget]purchase.Freeze
	records []purchase.AuditRecord // sorted by id
	totals  map[period]purchase.BudgetTotal
}

type row struct {
	purchase purchase.Purchase
	history  []purchase.HistoryEntry
	secrets  purchase.Secrets
}

// item identifies a package: its uid within the vendor account that bought it.
type item struct{ account, uid string }

// period identifies the totals of one caller, currency and period.
type period struct{ caller, currency, name string }

// Open returns an empty journal. now is its clock; nil means time.Now.
func Open(now func() time.Time) *Journal {
	if now == nil {
		now = time.Now
	}
	return &Journal{
		now:     now,
		byID:    map[string]*row{},
		byKey:   map[purchase.Key]*row{},
		byItem:  map[item]*row{},
		callers: map[string][]*row{},
		open:    map[*row]struct{}{}, absent: map[*row]struct{}{},
		witnesses: map[purchase.Likeness][]*row{}, sales: map[string][]*row{}, items: map[string][]*row{},
		freezes: map[purchase.FreezeTarget]purchase.Freeze{},
		totals:  map[period]purchase.BudgetTotal{},
	}
}

// Lookup implements [purchase.Journal].
func (j *Journal) Lookup(ctx context.Context, key purchase.Key) (purchase.Purchase, error) {
	if err := j.enter(ctx); err != nil {
		return purchase.Purchase{}, err
	}
	defer j.mu.Unlock()
	r, ok := j.byKey[key]
	if !ok {
		return purchase.Purchase{}, purchase.ErrNotFound
	}
	return r.purchase, nil
}

// Claim implements [purchase.Journal].
func (j *Journal) Claim(ctx context.Context, claim purchase.Claim) (purchase.Purchase, error) {
	if err := j.enter(ctx); err != nil {
		return purchase.Purchase{}, fmt.Errorf("%w: %w", purchase.ErrNotWritten, err)
	}
	defer j.mu.Unlock()
	if r, ok := j.byKey[claim.Key]; ok {
		return r.purchase, nil
	}
	for _, target := range claim.Targets() {
		if _, ok := j.freezes[target]; ok {
			return purchase.Purchase{}, &purchase.FrozenError{FreezeTarget: target}
		}
	}
	if _, ok := j.byID[claim.ID]; ok {
		return purchase.Purchase{}, fmt.Errorf("%w: the purchase id %s belongs to another key", purchase.ErrNotWritten, claim.ID)
	}
	now := j.time()
	if err := j.reserve(claim, now); err != nil {
		return purchase.Purchase{}, err
	}
	r := &row{purchase: purchase.New(claim, now), secrets: purchase.Secrets{Personal: bytes.Clone(claim.Personal)}}
	r.history = []purchase.HistoryEntry{{
		Sequence: 1, At: now, Attempt: 1, Verdict: purchase.Moves, State: purchase.Sending, By: purchase.ByGateway,
	}}
	j.byID[claim.ID], j.byKey[claim.Key] = r, r
	j.sorted, j.callers[claim.Key.Caller] = insert(j.sorted, r), insert(j.callers[claim.Key.Caller], r)
	j.open[r] = struct{}{}
	return r.purchase, nil
}

// ConfirmPermit implements [purchase.Journal].
func (j *Journal) ConfirmPermit(ctx context.Context, id string, attempt int) error {
	if err := j.enter(ctx); err != nil {
		return err
	}
	defer j.mu.Unlock()
	r, ok := j.byID[id]
	if !ok {
		return purchase.ErrNotFound
	}
	p := r.purchase
	if p.State != purchase.Sending || p.Attempt != attempt || j.time().After(p.SendNotAfter) {
		return purchase.ErrPermitOver
	}
	return nil
}

// Write implements [purchase.Journal].
func (j *Journal) Write(ctx context.Context, step purchase.Step) (purchase.Purchase, error) {
	if err := j.enter(ctx); err != nil {
		return purchase.Purchase{}, fmt.Errorf("%w: %w", purchase.ErrNotWritten, err)
	}
	defer j.mu.Unlock()
	r, ok := j.byID[step.Before.ID]
	if !ok || r.purchase.Revision != step.Before.Revision {
		return purchase.Purchase{}, purchase.ErrStale
	}
	now := j.time()
	after := step.At(now)
	if step.Settles() {
		if after.State == purchase.Succeeded {
			for _, account := range append([]string{after.Account}, step.Transition.Aliases...) {
				if _, taken := j.byItem[item{account, after.ItemUID}]; taken {
					return purchase.Purchase{}, purchase.ErrItemTaken
				}
			}
			j.byItem[item{after.Account, after.ItemUID}] = r
			r.secrets.Sale = bytes.Clone(step.Transition.Sale)
		}
		j.settle(r, after)
	}
	if step.Transition.Event == purchase.Erased {
		r.secrets = purchase.Secrets{Purged: true}
	}
	if posting, ok := step.Posting(); ok {
		j.post(after.Key.Caller, after.Reservation, -posting.Released, posting.Charged)
	}
	r.purchase, r.history = after, append(r.history, step.Entry(now))
	return after, nil
}

// RewriteSecrets implements [purchase.Journal].
func (j *Journal) RewriteSecrets(
	ctx context.Context, kind purchase.SecretsKind, after string, limit int, rewrite func([]purchase.SecretsRow) []purchase.SecretsRow,
) (last string, err error) {
	if err := j.enter(ctx); err != nil {
		return "", err
	}
	defer j.mu.Unlock()
	var rows []purchase.SecretsRow
	for _, r := range j.sorted {
		if id := r.purchase.ID; id > after && len(rows) < limit && !r.secrets.Purged && r.purchase.State.Settled() == bool(kind) {
			rows = append(rows, purchase.SecretsRow{ID: id, Personal: bytes.Clone(r.secrets.Personal), Sale: bytes.Clone(r.secrets.Sale)})
			last = id
		}
	}
	for _, row := range rewrite(rows) {
		j.byID[row.ID].secrets = purchase.Secrets{Personal: row.Personal, Sale: row.Sale}
	}
	return last, nil
}

// Scrub implements [purchase.Journal]. There are no files.
func (j *Journal) Scrub(ctx context.Context) error { return ctx.Err() }

// settle moves a row that is settled as after from the open ones to the index for its outcome.
func (j *Journal) settle(r *row, after purchase.Purchase) {
	delete(j.open, r)
	switch {
	case after.State == purchase.Succeeded:
		like := purchase.Likeness{Account: after.Account, Kind: after.Order.Kind, Mode: string(after.Order.EffectiveMode())}
		list := j.witnesses[like]
		at := sort.Search(len(list), func(i int) bool { return list[i].purchase.PermittedAt.After(after.PermittedAt) })
		j.witnesses[like] = slices.Insert(list, at, r)
		j.sales[after.CustomerUID] = insert(j.sales[after.CustomerUID], r)
		j.items[after.ItemUID] = insert(j.items[after.ItemUID], r)
	case after.Reason == purchase.ReasonPresumedAbsent || after.Reason == purchase.ReasonOperator:
		j.absent[r] = struct{}{}
	}
}

// insert adds a row to a list that is sorted by id.
func insert(list []*row, r *row) []*row {
	at, _ := slices.BinarySearchFunc(list, r.purchase.ID, byID)
	return slices.Insert(list, at, r)
}

// Lapsed implements [purchase.Journal].
func (j *Journal) Lapsed(ctx context.Context, limit int) ([]purchase.Purchase, error) {
	if err := j.enter(ctx); err != nil {
		return nil, err
	}
	defer j.mu.Unlock()
	now := j.time()
	var lapsed []purchase.Purchase
	for r := range j.open {
		if p := r.purchase; !p.LeaseUntil.IsZero() && !p.LeaseUntil.After(now) {
			lapsed = append(lapsed, p)
		}
	}
	// Map order is random, but a replayed simulation must take the same purchases.
	slices.SortFunc(lapsed, func(a, b purchase.Purchase) int {
		return cmp.Or(a.LeaseUntil.Compare(b.LeaseUntil), cmp.Compare(a.ID, b.ID))
	})
	return lapsed[:min(len(lapsed), limit)], nil
}

// MayReport implements [purchase.Journal].
func (j *Journal) MayReport(ctx context.Context, _ string, _ time.Duration) (bool, error) {
	return true, ctx.Err()
}

// Ping implements [purchase.Journal].
func (j *Journal) Ping(ctx context.Context) error {
	if err := j.enter(ctx); err != nil {
		return err
	}
	j.mu.Unlock()
	return nil
}

// Close implements [purchase.Journal].
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	return nil
}

// enter locks the journal. It returns an error without locking if ctx has ended or the journal is closed.
func (j *Journal) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return errClosed
	}
	return nil
}

func (j *Journal) time() time.Time { return j.now().UTC().Truncate(time.Microsecond) }

func byID(r *row, id string) int { return cmp.Compare(r.purchase.ID, id) }

func byPermit(r *row, at time.Time) int { return r.purchase.PermittedAt.Compare(at) }
