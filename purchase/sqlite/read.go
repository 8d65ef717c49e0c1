package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"gigagate.internal/purchase"
)

const (
	selectByKey  = "SELECT " + columns + " FROM purchase_now n WHERE n.request_id = ? AND n.caller = ?"
	selectByID   = "SELECT " + columns + " FROM purchase_now n WHERE n.id = ?"
	selectByItem = "SELECT " + columns + ` FROM (SELECT id FROM purchase_outcome WHERE item_uid = ? AND account IN (%s)) found
		CROSS JOIN purchase_now n ON n.id = found.id LIMIT 1`
	selectHistory = `SELECT sequence, at, event, attempt, verdict, state, reason, evidence, actor
		FROM purchase_history WHERE id = ? ORDER BY sequence`
	selectSecrets = `SELECT coalesce(o.personal, s.personal), s.sale FROM purchase p
		LEFT JOIN purchase_open o ON o.id = p.id LEFT JOIN purchase_secret s ON s.id = p.id WHERE p.id = ?`

	// The CROSS JOINs make SQLite read the rows in the order in which they are found.
	selectLapsed = "SELECT " + columns + ` FROM (SELECT id, lease_until AS at FROM purchase_open
		WHERE lease_until <= ? AND (lease_until, id) > (?, ?) ORDER BY lease_until, id LIMIT ?) found
		CROSS JOIN purchase_now n ON n.id = found.id ORDER BY found.at, found.id`
	selectWatched = "SELECT " + columns + ` FROM (SELECT id FROM purchase_open
		WHERE state IN ('UNCERTAIN', 'NEEDS_OPERATOR') AND id > ? ORDER BY id LIMIT ?) found
		CROSS JOIN purchase_now n ON n.id = found.id ORDER BY found.id`
	// SQLite uses the partial indexes only if these conditions repeat theirs.
	selectAbsent = "SELECT " + columns + ` FROM (SELECT id, settled_at AS at FROM purchase_outcome
		WHERE reason IN ('PRESUMED_ABSENT', 'RESOLVED_BY_OPERATOR') AND (settled_at, id) > (?, ?) ORDER BY settled_at, id LIMIT ?) found
		CROSS JOIN purchase_now n ON n.id = found.id ORDER BY found.at, found.id`
	selectWitnesses = "SELECT " + columns + ` FROM (SELECT id, permitted_at AS at FROM purchase_outcome WHERE state = 'SUCCEEDED'
		AND account = ? AND kind = ? AND mode = ? AND permitted_at >= ? AND permitted_at < ? ORDER BY permitted_at %[1]s LIMIT ?) found
		CROSS JOIN purchase_now n ON n.id = found.id ORDER BY found.at %[1]s`

	// pageSize is the page size of Watched.
	pageSize = 100
)

// Lookup implements [purchase.Journal].
func (j *Journal) Lookup(ctx context.Context, key purchase.Key) (purchase.Purchase, error) {
	return j.one(ctx, func(c *connection) (row, error) {
		return c.row(selectByKey, key.RequestID, key.Caller)
	})
}

// Get implements [purchase.Journal].
func (j *Journal) Get(ctx context.Context, id string) (purchase.Purchase, error) {
	return j.one(ctx, func(c *connection) (row, error) { return c.row(selectByID, id) })
}

// OfItem implements [purchase.Journal].
func (j *Journal) OfItem(ctx context.Context, uid string, accounts []string) (purchase.Purchase, error) {
	args := []any{uid}
	for _, account := range accounts {
		args = append(args, account)
	}
	query := fmt.Sprintf(selectByItem, marks(len(accounts)))
	return j.one(ctx, func(c *connection) (row, error) { return c.row(query, args...) })
}

// marks returns a list of n question marks for the arguments of a statement.
func marks(n int) string { return strings.TrimPrefix(strings.Repeat(", ?", n), ", ") }

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

// row reads the purchase that a query selects by columns, or returns ErrNotFound.
func (c *connection) row(query string, args ...any) (r row, err error) {
	var broken error
	err = c.one(query, args, func(from *reader) { r, broken = scan(from) })
	return r, cmp.Or(err, broken)
}

// all reads all rows of a query.
func all[T any](c *connection, scan func(*reader) (T, error), query string, args ...any) (list []T, err error) {
	err = c.each(query, args, func(from *reader) error {
		r, err := scan(from)
		list = append(list, r)
		return err
	})
	return list, err
}

// History implements [purchase.Journal].
func (j *Journal) History(ctx context.Context, id string) ([]purchase.HistoryEntry, error) {
	var entries []purchase.HistoryEntry
	err := j.read(ctx, func(c *connection) (err error) {
		entries, err = all(c, scanEntry, selectHistory, id)
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("history of %s: %w", id, err)
	case len(entries) == 0:
		return nil, purchase.ErrNotFound
	}
	return entries, nil
}

// Secrets implements [purchase.Journal].
func (j *Journal) Secrets(ctx context.Context, id string) (purchase.Secrets, error) {
	var personal, sale []byte
	err := j.read(ctx, func(c *connection) error {
		return c.one(selectSecrets, []any{id}, func(r *reader) { personal, sale = r.bytes(), r.bytes() })
	})
	switch {
	case err != nil:
		return purchase.Secrets{}, err
	case personal == nil:
		return purchase.Secrets{Purged: true}, nil
	}
	return purchase.Secrets{Personal: personal, Sale: sale}, nil
}

// List implements [purchase.Journal].
func (j *Journal) List(ctx context.Context, filter purchase.Filter, page purchase.Page) ([]purchase.Purchase, string, error) {
	// The writer may set these after this call has returned with an error.
	var rows []row
	var next string
	err := j.read(ctx, func(c *connection) (err error) {
		rows, next, err = c.list(filter, page)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	list, err := purchase.Readable(rows, row.decoded)
	return list, next, err
}

// behindAll sorts after every purchase id.
const behindAll = "~"

// examined returns a query for the ids that List examines, the highest first. They come from the smallest table or
// index that has all matches.
func examined(filter purchase.Filter, after string) (query string, args []any) {
	from, to := filter.IDs()
	below := min(cmp.Or(to, behindAll), cmp.Or(after, behindAll))
	in := func(table, condition string, values ...any) string {
		args = append(append(args, below, from), values...)
		return "SELECT id FROM " + table + " WHERE id < ? AND id >= ?" + condition
	}
	states := filter.States
	switch {
	case filter.RequestID != "" && filter.Caller != "":
		query = in("purchase", " AND request_id = ? AND caller = ?", filter.RequestID, filter.Caller)
	case filter.RequestID != "":
		query = in("purchase", " AND request_id = ?", filter.RequestID)
	case filter.ItemUID != "":
		query = in("purchase_outcome", " AND item_uid = ?", filter.ItemUID)
	case filter.WithAnomalies:
		query = in("purchase_open", " AND anomalies > 0") + " UNION " + in("purchase_outcome", " AND anomalies > 0") + " UNION " +
			in("purchase_event", " AND anomalies > 0")
	case filter.IsSalesToCustomer():
		query = in("purchase_outcome", " AND customer_uid = ?", filter.CustomerUID)
	case filter.CustomerUID != "":
		query = in("purchase", " AND ordered_customer_uid = ?", filter.CustomerUID) + " UNION " +
			in("purchase_outcome", " AND customer_uid = ?", filter.CustomerUID)
	case filter.Caller != "":
		query = in("purchase", " AND caller = ?", filter.Caller)
	case len(states) > 0 && !slices.ContainsFunc(states, purchase.State.Settled):
		query = in("purchase_open", "")
	case len(states) == 1 && states[0] == purchase.Failed:
		query = in("purchase_outcome", " AND state = 'FAILED'")
	default:
		query = in("purchase", "")
	}
	return query + " ORDER BY id DESC", args
}

// conditionsOf returns the filter as SQL conditions on purchase_now, with their arguments.
func conditionsOf(filter purchase.Filter) (conditions string, args []any) {
	and := func(column, value string) {
		if value != "" {
			conditions += " AND " + column + " = ?"
			args = append(args, value)
		}
	}
	and("n.request_id", filter.RequestID)
	and("n.caller", filter.Caller)
	and("coalesce(n.customer_uid, n.ordered_customer_uid)", filter.CustomerUID)
	and("n.item_uid", filter.ItemUID)
	ordered := func(field, value string) {
		if value != "" {
			// ->> fails for text that is no JSON. Such an order is not left out, because nobody knows what it was.
			conditions += " AND CASE WHEN json_valid(n.order_json) THEN n.order_json ->> '" + field + "' = ? ELSE true END"
			args = append(args, value)
		}
	}
	ordered("kind", string(filter.Kind))
	ordered("inventory_item_id", filter.InventoryItemID)
	ordered("metatag", filter.Metatag)
	and("lower(hex(substr(n.origin, 1, 16)))", filter.TraceID)
	if filter.WithAnomalies {
		conditions += " AND n.anomalies > 0"
	}
	if len(filter.States) > 0 {
		conditions += " AND n.state IN (" + marks(len(filter.States)) + ")"
		for _, state := range filter.States {
			args = append(args, string(state))
		}
	}
	return conditions, args
}

// list reads a page. It returns the id after which the next page begins, or "".
func (c *connection) list(filter purchase.Filter, page purchase.Page) (rows []row, next string, err error) {
	ids, args := examined(filter, page.After)
	conditions, values := conditionsOf(filter)
	// The ids come in their order, and the CROSS JOIN keeps it. So reading ends with the page. One more row than the
	// page shows whether there is another page.
	query := fmt.Sprintf("SELECT %s FROM (%s LIMIT %d) found CROSS JOIN purchase_now n ON n.id = found.id WHERE true%s LIMIT ?",
		columns, ids, purchase.MaxExamined, conditions)
	if rows, err = all(c, scan, query, slices.Concat(args, values, []any{page.Size + 1})...); err != nil {
		return nil, "", err
	}
	if len(rows) > page.Size {
		return rows[:page.Size], rows[page.Size-1].ID, nil
	}
	query = fmt.Sprintf("%s LIMIT 1 OFFSET %d", ids, purchase.MaxExamined-1)
	if err = c.one(query, args, func(r *reader) { next = r.text() }); errors.Is(err, purchase.ErrNotFound) {
		err = nil
	}
	return rows, next, err
}

// Watched implements [purchase.Journal].
func (j *Journal) Watched(ctx context.Context, absentFor time.Duration) ([]purchase.Purchase, error) {
	open, err := j.pages(ctx, selectWatched, row{}, func(after row) []any { return []any{after.ID, pageSize} })
	if err != nil {
		return nil, err
	}
	since := row{Purchase: purchase.Purchase{ID: behindAll, SettledAt: j.time().Add(-absentFor)}}
	absent, err := j.pages(ctx, selectAbsent, since, func(after row) []any {
		return []any{micros(after.SettledAt), after.ID, pageSize}
	})
	if err != nil {
		return nil, err
	}
	return purchase.Readable(append(open, absent...), row.decoded)
}

// pages reads a list to its end in pages of pageSize rows. Each page starts after the last row of the previous
// page.
func (j *Journal) pages(ctx context.Context, query string, after row, args func(after row) []any) (list []row, err error) {
	for {
		found, err := j.rows(ctx, query, args(after)...)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
		if len(found) < pageSize {
			return list, nil
		}
		after = found[len(found)-1]
	}
}

// rows runs a query that selects columns.
func (j *Journal) rows(ctx context.Context, query string, args ...any) ([]row, error) {
	var list []row // the writer may set it after this call has returned with an error
	err := j.read(ctx, func(c *connection) (err error) {
		list, err = all(c, scan, query, args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Lapsed implements [purchase.Journal]. Orders of a later version do not count for the limit.
func (j *Journal) Lapsed(ctx context.Context, limit int) ([]purchase.Purchase, error) {
	now := micros(j.time())
	var rows []row
	for after := (row{}); ; after = rows[len(rows)-1] {
		found, err := j.rows(ctx, selectLapsed, now, after.LeaseUntil.UnixMicro(), after.ID, limit)
		if err != nil {
			return nil, err
		}
		rows = append(rows, found...)
		if list, err := purchase.Readable(rows, row.decoded); len(list) >= limit || len(found) < limit {
			return list[:min(len(list), limit)], err
		}
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
	// The nearest witnesses come first. A span before an attempt is read from To backwards. A span after it has no
	// To and is read from From onwards.
	query := fmt.Sprintf(selectWitnesses, "DESC")
	if !span.From.IsZero() && span.To.IsZero() {
		query = fmt.Sprintf(selectWitnesses, "ASC")
	}
	list, err := j.rows(ctx, query, like.Account, string(like.Kind), like.Mode, from, to, max(0, limit))
	if err != nil {
		return nil, err
	}
	return purchase.Readable(list, row.decoded)
}
