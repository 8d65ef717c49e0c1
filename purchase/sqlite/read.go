package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"gigagate.internal/purchase"
)

const (
	selectHistory = `SELECT sequence, at, event, attempt, verdict, state, reason, evidence, by
		FROM purchase_event WHERE purchase = ? ORDER BY sequence`

	// SQLite uses the partial indexes purchase_watched and purchase_absent only if these conditions repeat theirs.
	selectWatched = "SELECT " + columns + ` FROM purchase
		WHERE state IN ('UNCERTAIN', 'NEEDS_OPERATOR') AND number > ? ORDER BY number LIMIT ?`
	selectAbsent = "SELECT " + columns + ` FROM purchase
		WHERE reason IN ('PRESUMED_ABSENT', 'RESOLVED_BY_OPERATOR') AND (settled_at, number) > (?, ?)
		ORDER BY settled_at, number LIMIT ?`

	selectWitnesses = "SELECT " + columns + ` FROM purchase WHERE state = 'SUCCEEDED'
		AND account = ? AND kind = ? AND mode = ? AND permitted_at >= ? AND permitted_at < ?`

	// scanAtOnce is how many rows List examines before the waiting writes get their turn. A filter may skip
	// years of purchases.
	scanAtOnce = 2000
	// watchAtOnce is the page size of Watched, which finds its rows by an index.
	watchAtOnce = 100
)

// Lookup implements [purchase.Journal].
func (j *Journal) Lookup(ctx context.Context, key purchase.Key) (purchase.Purchase, error) {
	return j.one(ctx, func(c *connection) (row, error) {
		r, err := scan(c.byKey.QueryRowContext(background, key.RequestID, key.Caller))
		return r, notFound(err)
	})
}

// Get implements [purchase.Journal].
func (j *Journal) Get(ctx context.Context, id string) (purchase.Purchase, error) {
	return j.one(ctx, func(c *connection) (row, error) { return c.get(id) })
}

func (j *Journal) one(ctx context.Context, find func(c *connection) (row, error)) (purchase.Purchase, error) {
	var r row
	err := j.read(ctx, func(c *connection) (err error) {
		r, err = find(c)
		return err
	})
	if err != nil {
		return purchase.Purchase{}, err
	}
	return r.decoded()
}

func (c *connection) get(id string) (row, error) {
	r, err := scan(c.byID.QueryRowContext(background, id))
	return r, notFound(err)
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return purchase.ErrNotFound
	}
	return err
}

// History implements [purchase.Journal].
func (j *Journal) History(ctx context.Context, id string) ([]purchase.HistoryEntry, error) {
	var entries []purchase.HistoryEntry
	err := j.read(ctx, func(c *connection) error {
		r, err := c.get(id)
		if err != nil {
			return err
		}
		entries, err = c.entries(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

func (c *connection) entries(r row) (entries []purchase.HistoryEntry, err error) {
	rows, err := c.history.QueryContext(background, r.number)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		entry, err := scanEntry(rows)
		if err != nil {
			return nil, fmt.Errorf("history of %s: %w", r.ID, err)
		}
		entries = append(entries, entry)
	}
	return entries, rows.Err()
}

// Secrets implements [purchase.Journal].
func (j *Journal) Secrets(ctx context.Context, id string) (purchase.Secrets, error) {
	var personal, sale []byte
	err := j.read(ctx, func(c *connection) error {
		r, err := c.get(id)
		if err != nil {
			return err
		}
		if personal, err = details(c.personal, r.number); err != nil {
			return err
		}
		sale, err = details(c.sale, r.number)
		return err
	})
	switch {
	case err != nil:
		return purchase.Secrets{}, err
	case personal == nil:
		return purchase.Secrets{Purged: true}, nil
	}
	secrets := purchase.Secrets{Sale: sale}
	if err := json.Unmarshal(personal, &secrets.Personal); err != nil {
		return purchase.Secrets{}, fmt.Errorf("the personal data of %s cannot be decoded", id)
	}
	return secrets, nil
}

// details returns the only column of a row, or nil if there is no row.
func details(of *sql.Stmt, number int64) ([]byte, error) {
	var value []byte
	err := of.QueryRowContext(background, number).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return value, err
}

// List implements [purchase.Journal].
func (j *Journal) List(ctx context.Context, filter purchase.Filter, page purchase.Page) ([]purchase.Purchase, error) {
	conditions, args := conditionsOf(filter)
	// With these filters an index finds the few matching rows. Otherwise List scans from the newest row on.
	indexed := filter.RequestID != "" || filter.CustomerUID != ""
	var list []row
	for after := page.After; len(list) < page.Size; {
		var last string
		err := j.read(ctx, func(c *connection) (err error) {
			if !indexed {
				if last, err = c.scanEnd(after); err != nil {
					return err
				}
			}
			found, err := c.list(conditions, args, after, last, page.Size-len(list))
			list = append(list, found...)
			return err
		})
		if err != nil {
			return nil, err
		}
		if last == "" {
			break
		}
		after = last
	}
	return purchase.Readable(list, row.decoded)
}

// behindAll sorts after every purchase id.
const behindAll = "~"

// scanEnd returns the id of the last purchase of the next scan, which starts after the purchase with the id
// after. It returns "" if fewer than scanAtOnce purchases are left.
func (c *connection) scanEnd(after string) (last string, err error) {
	err = c.conn.QueryRowContext(background, "SELECT id FROM purchase WHERE id < ? ORDER BY id DESC LIMIT 1 OFFSET ?",
		cmp.Or(after, behindAll), scanAtOnce-1).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return last, err
}

// list returns up to size purchases that meet the conditions, from newest to oldest. It looks at ids below
// after, down to and including last.
func (c *connection) list(conditions string, args []any, after, last string, size int) ([]row, error) {
	// The plus stops SQLite from using the id index when a better index is available.
	id := "id"
	if last == "" {
		id = "+id"
	}
	query := "SELECT " + columns + " FROM purchase WHERE " + id + " < ? AND id >= ?" + conditions + " ORDER BY " + id + " DESC LIMIT ?"
	values := slices.Concat([]any{cmp.Or(after, behindAll), last}, args, []any{size})
	return rowsOf(c.conn.QueryContext(background, query, values...))
}

// conditionsOf returns the filter as SQL conditions with their arguments.
func conditionsOf(filter purchase.Filter) (conditions string, args []any) {
	var b strings.Builder
	and := func(condition string, values ...any) {
		b.WriteString(" AND " + condition)
		args = append(args, values...)
	}
	if filter.RequestID != "" {
		and("request_id = ?", filter.RequestID)
	}
	if filter.Caller != "" {
		and("caller = ?", filter.Caller)
	}
	if filter.CustomerUID != "" {
		and("(customer_uid = ? OR ordered_customer_uid = ?)", filter.CustomerUID, filter.CustomerUID)
	}
	if len(filter.States) > 0 {
		names := make([]any, len(filter.States))
		for i, state := range filter.States {
			names[i] = string(state)
		}
		and("state IN (?"+strings.Repeat(", ?", len(names)-1)+")", names...)
	}
	if !filter.From.IsZero() {
		and("claimed_at >= ?", micros(filter.From))
	}
	if !filter.To.IsZero() {
		and("claimed_at < ?", micros(filter.To))
	}
	return b.String(), args
}

// Watched implements [purchase.Journal].
func (j *Journal) Watched(ctx context.Context, absentFor time.Duration) ([]purchase.Purchase, error) {
	open, err := j.pages(ctx, row{}, func(c *connection, after row) ([]row, error) {
		return rowsOf(c.watched.QueryContext(background, after.number, watchAtOnce))
	})
	if err != nil {
		return nil, err
	}
	var since row
	since.SettledAt, since.number = j.time().Add(-absentFor), math.MaxInt64
	absent, err := j.pages(ctx, since, func(c *connection, after row) ([]row, error) {
		return rowsOf(c.absent.QueryContext(background, micros(after.SettledAt), after.number, watchAtOnce))
	})
	if err != nil {
		return nil, err
	}
	return purchase.Readable(append(open, absent...), row.decoded)
}

// pages reads a list to its end in pages of watchAtOnce rows. Each page starts after the last row of the
// previous page.
func (j *Journal) pages(ctx context.Context, after row, page func(c *connection, after row) ([]row, error)) (list []row, err error) {
	for {
		var found []row
		err := j.read(ctx, func(c *connection) (err error) {
			found, err = page(c, after)
			return err
		})
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

// Witnesses implements [purchase.Journal].
func (j *Journal) Witnesses(
	ctx context.Context, like purchase.Likeness, span purchase.Span, limit int,
) ([]purchase.Purchase, error) {
	from, to := int64(math.MinInt64), int64(math.MaxInt64)
	if !span.From.IsZero() {
		from = span.From.UnixMicro()
	}
	if !span.To.IsZero() {
		to = span.To.UnixMicro()
	}
	var list []row
	err := j.read(ctx, func(c *connection) (err error) {
		// The nearest witnesses come first. A span before an attempt is read from To backwards. A span after it
		// has no To and is read from From onwards.
		query := c.witnessesBefore
		if !span.From.IsZero() && span.To.IsZero() {
			query = c.witnessesAfter
		}
		list, err = rowsOf(query.QueryContext(background, like.Account, string(like.Kind), like.Mode, from, to, max(0, limit)))
		return err
	})
	if err != nil {
		return nil, err
	}
	return purchase.Readable(list, row.decoded)
}

// rowsOf reads all rows of a query and closes it. refused is the query's error.
func rowsOf(rows *sql.Rows, refused error) (list []row, err error) {
	if refused != nil {
		return nil, refused
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}
