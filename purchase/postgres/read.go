package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"gigagate.internal/purchase"
)

// Lookup implements [purchase.Journal].
func (j *Journal) Lookup(ctx context.Context, key purchase.Key) (purchase.Purchase, error) {
	if !storable(key.Caller) || !storable(key.RequestID) {
		return purchase.Purchase{}, purchase.ErrNotFound
	}
	return one(ctx, j, scanPurchase, j.sql.lookup, key.Caller, key.RequestID)
}

// Get implements [purchase.Journal].
func (j *Journal) Get(ctx context.Context, id string) (purchase.Purchase, error) {
	if !storable(id) {
		return purchase.Purchase{}, purchase.ErrNotFound
	}
	return one(ctx, j, scanPurchase, j.sql.get, id)
}

// ConfirmPermit implements [purchase.Journal]. It reads one row and compares with the database's clock.
func (j *Journal) ConfirmPermit(ctx context.Context, id string, attempt int) error {
	stands, err := one(ctx, j, pgx.RowTo[bool], j.sql.confirm, id, attempt, j.clock())
	if err == nil && !stands {
		return purchase.ErrPermitOver
	}
	return err
}

// History implements [purchase.Journal].
func (j *Journal) History(ctx context.Context, id string) ([]purchase.HistoryEntry, error) {
	if !storable(id) {
		return nil, purchase.ErrNotFound
	}
	entries, err := many(ctx, j, scanEntry, j.sql.history, id)
	if err == nil && len(entries) == 0 {
		// Every purchase has at least the entry of its claim.
		return nil, purchase.ErrNotFound
	}
	return entries, err
}

// Secrets implements [purchase.Journal].
func (j *Journal) Secrets(ctx context.Context, id string) (purchase.Secrets, error) {
	if !storable(id) {
		return purchase.Secrets{}, purchase.ErrNotFound
	}
	return one(ctx, j, func(from pgx.CollectableRow) (purchase.Secrets, error) {
		var secrets purchase.Secrets
		var email, ip *string
		err := from.Scan(&email, &ip, &secrets.Sale, &secrets.Purged)
		secrets.Personal = purchase.Personal{CustomerEmail: orEmpty(email), UserIP: orEmpty(ip)}
		return secrets, err
	}, j.sql.secrets, id)
}

// List implements [purchase.Journal].
func (j *Journal) List(ctx context.Context, filter purchase.Filter, page purchase.Page) ([]purchase.Purchase, error) {
	for _, text := range []string{filter.Caller, filter.RequestID, filter.CustomerUID, page.After} {
		if !storable(text) {
			return nil, nil
		}
	}
	var states []string
	for _, state := range filter.States {
		states = append(states, string(state))
	}
	return readable(many(ctx, j, scanListed, j.sql.list,
		orNull(filter.Caller), orNull(filter.RequestID), orNull(filter.CustomerUID), states,
		orNull(filter.From), orNull(filter.To), orNull(page.After), page.Size))
}

// watchAtOnce is the page size of Watched.
const watchAtOnce = 100

// behindAll sorts after every purchase id.
const behindAll = "~"

// Watched implements [purchase.Journal]. It lists the open purchases first, and then those that were called
// absent.
func (j *Journal) Watched(ctx context.Context, absentFor time.Duration) ([]purchase.Purchase, error) {
	open, err := pages(row{}, func(after row) ([]row, error) {
		return many(ctx, j, scanListed, j.sql.watched, after.ID, watchAtOnce)
	})
	if err != nil {
		return nil, err
	}
	var since row
	since.ID = behindAll
	absent, err := pages(since, func(after row) ([]row, error) {
		return many(ctx, j, scanListed, j.sql.absent, j.clock(), absentFor, orNull(after.SettledAt), after.ID, watchAtOnce)
	})
	if err != nil {
		return nil, err
	}
	return readable(append(open, absent...), nil)
}

// pages reads a list to its end. Each page starts after the last row of the previous page.
func pages(after row, page func(after row) ([]row, error)) (list []row, err error) {
	for {
		found, err := page(after)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
		if len(found) < watchAtOnce {
			return list, nil
		}
		after = found[len(found)-1]
	}
}

// Witnesses implements [purchase.Journal]. If span has an end, the witnesses closest to it come first.
// Otherwise the witnesses closest to its beginning come first.
func (j *Journal) Witnesses(
	ctx context.Context, like purchase.Likeness, span purchase.Span, limit int,
) ([]purchase.Purchase, error) {
	statement := j.sql.older
	if span.To.IsZero() {
		statement = j.sql.younger
	}
	return readable(many(ctx, j, scanListed, statement,
		like.Account, string(like.Kind), like.Mode, orNull(span.From), orNull(span.To), limit))
}

// many returns all rows of a read-only statement.
func many[T any](ctx context.Context, j *Journal, scan pgx.RowToFunc[T], statement string, args ...any) ([]T, error) {
	rows, err := j.pool.Query(ctx, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	found, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return found, nil
}

// one returns the first row of a read-only statement, or ErrNotFound if there is none.
func one[T any](ctx context.Context, j *Journal, scan pgx.RowToFunc[T], statement string, args ...any) (T, error) {
	found, err := many(ctx, j, scan, statement, args...)
	if err == nil && len(found) == 0 {
		err = purchase.ErrNotFound
	}
	if err != nil {
		var none T
		return none, err
	}
	return found[0], nil
}

var errNotStorable = errors.New("PostgreSQL cannot store zero bytes or invalid UTF-8")
