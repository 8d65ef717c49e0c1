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
	// The fields below are indexes, so that queries need not scan all rows.
	leased    map[*row]struct{} // Sending or Accepted
	watched   map[*row]struct{}
	witnesses map[purchase.Likeness][]*row // sorted by PermittedAt
}

type row struct {
	purchase purchase.Purchase
	history  []purchase.HistoryEntry
	secrets  purchase.Secrets
}

// item identifies a package: its uid within the vendor account that bought it.
type item struct{ account, uid string }

// Open returns an empty journal. now is its clock; nil means time.Now.
func Open(now func() time.Time) *Journal {
	if now == nil {
		now = time.Now
	}
	return &Journal{
		now:    now,
		byID:   map[string]*row{},
		byKey:  map[purchase.Key]*row{},
		byItem: map[item]*row{},
		leased: map[*row]struct{}{}, watched: map[*row]struct{}{},
		witnesses: map[purchase.Likeness][]*row{},
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
	if _, ok := j.byID[claim.ID]; ok {
		return purchase.Purchase{}, fmt.Errorf("%w: the purchase id %s belongs to another key", purchase.ErrNotWritten, claim.ID)
	}
	now := j.time()
	r := &row{purchase: purchase.New(claim, now), secrets: purchase.Secrets{Personal: claim.Personal}}
	r.history = []purchase.HistoryEntry{{
		Sequence: 1, At: now, Attempt: 1, Verdict: purchase.Moves, State: purchase.Sending, By: purchase.ByGateway,
	}}
	j.byID[claim.ID], j.byKey[claim.Key] = r, r
	at, _ := slices.BinarySearchFunc(j.sorted, claim.ID, byID)
	j.sorted = slices.Insert(j.sorted, at, r)
	j.leased[r] = struct{}{}
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

// Record implements [purchase.Journal].
func (j *Journal) Record(
	ctx context.Context, id string, transition purchase.Transition,
) (purchase.Purchase, purchase.Verdict, error) {
	if err := j.enter(ctx); err != nil {
		return purchase.Purchase{}, "", fmt.Errorf("%w: %w", purchase.ErrNotWritten, err)
	}
	defer j.mu.Unlock()
	r, ok := j.byID[id]
	if !ok {
		return purchase.Purchase{}, "", purchase.ErrNotFound
	}
	if transition.ItemUID != "" {
		transition.Evidence.ItemUID = transition.ItemUID
	}
	now := j.time()
	after, verdict := r.purchase.After(transition, now)
	switch {
	case verdict == purchase.Illegal:
		return r.purchase, verdict, fmt.Errorf("%w: %s of attempt %d in %s of attempt %d",
			purchase.ErrIllegal, transition.Event, transition.Attempt, r.purchase.State, r.purchase.Attempt)
	case verdict == purchase.Moves && after.State == purchase.Succeeded:
		for _, account := range append([]string{after.Account}, transition.Aliases...) {
			if _, taken := j.byItem[item{account, after.ItemUID}]; taken {
				return r.purchase, verdict, purchase.ErrItemTaken
			}
		}
		j.byItem[item{after.Account, after.ItemUID}] = r
		r.secrets.Sale = bytes.Clone(transition.Sale)
	case verdict != purchase.Moves && after.SuccessSeen == r.purchase.SuccessSeen && r.holds(transition):
		return r.purchase, verdict, nil
	}
	r.append(transition, verdict, after, now)
	j.index(r, verdict)
	return after, verdict, nil
}

// TakeLapsed implements [purchase.Journal].
func (j *Journal) TakeLapsed(ctx context.Context, lease time.Duration, limit int) ([]purchase.Purchase, error) {
	if err := j.enter(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", purchase.ErrNotWritten, err)
	}
	defer j.mu.Unlock()
	now := j.time()
	var lapsed []*row
	for r := range j.leased {
		if !r.purchase.LeaseUntil.After(now) {
			lapsed = append(lapsed, r)
		}
	}
	// Map order is random, but a replayed simulation must take the same purchases.
	slices.SortFunc(lapsed, func(a, b *row) int {
		return cmp.Or(a.purchase.LeaseUntil.Compare(b.purchase.LeaseUntil), cmp.Compare(a.purchase.ID, b.purchase.ID))
	})
	lapsed = lapsed[:min(len(lapsed), limit)]
	taken := make([]purchase.Purchase, len(lapsed))
	for i, r := range lapsed {
		if r.purchase.State == purchase.Sending {
			transition := purchase.Transition{Event: purchase.Lost, Attempt: r.purchase.Attempt, By: purchase.ByGateway}
			after, verdict := r.purchase.After(transition, now)
			r.append(transition, verdict, after, now)
			j.index(r, verdict)
		} else {
			r.purchase.LeaseUntil, r.purchase.UpdatedAt = now.Add(lease), now
		}
		taken[i] = r.purchase
	}
	return taken, nil
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

// holds reports whether the history already contains transition.
func (r *row) holds(transition purchase.Transition) bool {
	return slices.ContainsFunc(r.history, func(e purchase.HistoryEntry) bool {
		return e.Event == transition.Event && e.Attempt == transition.Attempt && e.Evidence.ItemUID == transition.Evidence.ItemUID
	})
}

func (r *row) append(transition purchase.Transition, verdict purchase.Verdict, after purchase.Purchase, now time.Time) {
	r.history = append(r.history, purchase.HistoryEntry{
		Sequence: len(r.history) + 1, At: now, Event: transition.Event, Attempt: transition.Attempt, Verdict: verdict,
		State: after.State, Reason: transition.Reason, Evidence: transition.Evidence, By: transition.By,
	})
	r.purchase = after
}

// index updates the indexes after a row was changed with the given verdict.
func (j *Journal) index(r *row, verdict purchase.Verdict) {
	delete(j.leased, r)
	delete(j.watched, r)
	p := r.purchase
	switch {
	case p.State == purchase.Sending || p.State == purchase.Accepted:
		j.leased[r] = struct{}{}
	case isWatched(p):
		j.watched[r] = struct{}{}
	case p.State == purchase.Succeeded && verdict == purchase.Moves:
		like := likeness(p)
		list := j.witnesses[like]
		at := sort.Search(len(list), func(i int) bool { return list[i].purchase.PermittedAt.After(p.PermittedAt) })
		j.witnesses[like] = slices.Insert(list, at, r)
	}
}

func byPermit(r *row, at time.Time) int { return r.purchase.PermittedAt.Compare(at) }

func likeness(p purchase.Purchase) purchase.Likeness {
	return purchase.Likeness{Account: p.Account, Kind: p.Order.Kind, Mode: string(p.Order.EffectiveMode())}
}

func isWatched(p purchase.Purchase) bool {
	switch p.State {
	case purchase.Uncertain, purchase.NeedsOperator:
		return true
	case purchase.Failed:
		return p.Reason == purchase.ReasonPresumedAbsent || p.Reason == purchase.ReasonOperator
	default:
		return false
	}
}
