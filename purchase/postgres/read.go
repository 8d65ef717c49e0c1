package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"gigagate.internal/purchase"
)

// Lookup finds a purchase by its key.
func (j *Journal) Lookup(ctx context.Context, key purchase.Key) (purchase.Purchase, error) {
	if !storable(key.Caller) || !storable(key.RequestID) {
		return purchase.Purchase{}, purchase.ErrNotFound
	}
	return one(ctx, j, scanPurchase, j.sql.lookup, key.Caller, key.RequestID)
}

// Get finds a purchase by its id.
func (j *Journal) Get(ctx context.Context, id string) (purchase.Purchase, error) {
	if !storable(id) {
		return purchase.Purchase{}, purchase.ErrNotFound
	}
	return one(ctx, j, scanPurchase, j.sql.get, id)
}

// ConfirmPermit asks by the database's clock.
func (j *Journal) ConfirmPermit(ctx context.Context, id string, attempt int) error {
	stands, err := one(ctx, j, pgx.RowTo[bool], j.sql.confirm, id, attempt, j.clock())
	if err == nil && !stands {
		return purchase.ErrPermitOver
	}
	return err
}

// History lists what happened to a purchase, oldest first.
func (j *Journal) History(ctx context.Context, id string) ([]purchase.Entry, error) {
	if !storable(id) {
		return nil, purchase.ErrNotFound
	}
	entries, err := many(ctx, j, scanEntry, j.sql.history, id)
	if err == nil && len(entries) == 0 {
		// The claim is an entry, so no purchase is without.
		return nil, purchase.ErrNotFound
	}
	return entries, err
}

// Secrets reads what List and History never carry.
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

// List pages through purchases, newest claim first.
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

// watchAtOnce is how many of the watched are read at a time.
const watchAtOnce = 100

// behindAll sorts behind every purchase id.
const behindAll = "~"

// Watched lists what a read of the vendor's records is matched against: what is open, then what was
// called absent.
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

// pages reads a list to its end, each page behind the last row of the one before.
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

// Witnesses lists succeeded purchases that resemble like, the nearest to the inner end of span first:
// its end where it has one, else its beginning.
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

// many reads all rows of a statement that changes nothing.
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

// one reads the one row that a statement finds.
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

var errNotStorable = errors.New("PostgreSQL keeps no zero bytes and no broken UTF-8")
