package postgres

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"gigagate.internal/purchase"
)

// Lookup implements [purchase.Journal].
func (j *Journal) Lookup(ctx context.Context, key purchase.Key) (purchase.Purchase, error) {
	if !storable(key.Caller) || !storable(key.RequestID) {
		return purchase.Purchase{}, purchase.ErrNotFound
	}
	return one(ctx, j, scanPurchase, j.sql.lookup, key.RequestID, key.Caller)
}

// Get implements [purchase.Journal].
func (j *Journal) Get(ctx context.Context, id string) (purchase.Purchase, error) {
	if !storable(id) {
		return purchase.Purchase{}, purchase.ErrNotFound
	}
	return one(ctx, j, scanPurchase, j.sql.get, id)
}

// OfItem implements [purchase.Journal].
func (j *Journal) OfItem(ctx context.Context, uid string, accounts []string) (purchase.Purchase, error) {
	if !storable(uid) {
		return purchase.Purchase{}, purchase.ErrNotFound
	}
	return one(ctx, j, scanPurchase, j.sql.ofItem, uid, accounts)
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
		if err := from.Scan(&secrets.Personal, &secrets.Sale); err != nil {
			return purchase.Secrets{}, err
		}
		if secrets.Personal == nil {
			return purchase.Secrets{Purged: true}, nil
		}
		return secrets, nil
	}, j.sql.secrets, id)
}

// behindAll sorts after every purchase id.
const behindAll = "~"

// arguments are the arguments of a statement that is put together.
type arguments []any

// add adds an argument and returns its name in the statement.
func (a *arguments) add(value any) string {
	*a = append(*a, value)
	return "$" + strconv.Itoa(len(*a))
}

// claimColumns are what claimConditions needs of a claim, and its id.
const claimColumns = "id, order_json, origin"

// selectOpen reads the ids and the states of open purchases.
const selectOpen = "SELECT id, state FROM gigagate.purchase_open"

// examined returns a query for the ids that List examines, the highest first. They come from the smallest table or
// index that has all matches. If it is the table of claims, the query also has claimColumns. If it is the table of open
// purchases, it also has their states.
func examined(filter purchase.Filter, from, below string) (query string, claims bool, args arguments) {
	bounds := " WHERE id < " + args.add(below) + " AND id >= " + args.add(from)
	highest := fmt.Sprintf(" ORDER BY id DESC LIMIT %d", purchase.MaxExamined)
	in := func(table, condition string) string { return "SELECT id FROM gigagate." + table + bounds + condition }
	inClaims := func(condition string) string {
		claims = true
		return "SELECT " + claimColumns + " FROM gigagate.purchase" + bounds + condition
	}
	states := filter.States
	switch {
	case filter.RequestID != "" && filter.Caller != "":
		query = inClaims(" AND request_id = " + args.add(filter.RequestID) + " AND caller = " + args.add(filter.Caller))
	case filter.RequestID != "":
		query = inClaims(" AND request_id = " + args.add(filter.RequestID))
	case filter.ItemUID != "":
		query = in("purchase_outcome", " AND item_uid = "+args.add(filter.ItemUID))
	case filter.WithAnomalies:
		var tables []string
		for _, table := range []string{"purchase_open", "purchase_outcome", "purchase_event"} {
			tables = append(tables, "(SELECT DISTINCT id FROM gigagate."+table+bounds+" AND anomalies > 0"+highest+")")
		}
		query = strings.Join(tables, " UNION ")
	case filter.IsSalesToCustomer():
		query = in("purchase_outcome", " AND customer_uid = "+args.add(filter.CustomerUID))
	case filter.CustomerUID != "":
		customer := args.add(filter.CustomerUID)
		query = "(" + in("purchase", " AND ordered_customer_uid = "+customer) + highest + ") UNION (" +
			in("purchase_outcome", " AND customer_uid = "+customer) + highest + ")"
	case filter.Caller != "":
		query = inClaims(" AND caller = " + args.add(filter.Caller))
	case onlyOpen(states):
		query = selectOpen + bounds
	case len(states) == 1 && states[0] == purchase.Failed:
		query = in("purchase_outcome", " AND state = 'FAILED'")
	default:
		query = inClaims("")
	}
	return query + highest, claims, args
}

// and adds a condition on a column, unless the value is empty.
func (a *arguments) and(conditions *string, column, value string) {
	if value != "" {
		*conditions += " AND " + column + " = " + a.add(value)
	}
}

// andOrdered adds a condition on a field of the order. Most orders do not even contain the words of the value. To find
// this out takes a tenth of the time of decoding the order.
func (a *arguments) andOrdered(conditions *string, field, value string) {
	if value != "" {
		*conditions += " AND CASE WHEN strpos(claim.order_json::text, " + a.add(longestPlain(value)) + ") > 0 " +
			"THEN claim.order_json ->> '" + field + "' = " + a.add(value) + " END"
	}
}

// notPlain are the characters that JSON may write in another way.
var notPlain = regexp.MustCompile(`[^0-9A-Za-z _.-]+`)

// longestPlain returns the longest part of a text that is the same in JSON.
func longestPlain(text string) string {
	return slices.MaxFunc(notPlain.Split(text, -1), func(a, b string) int { return cmp.Compare(len(a), len(b)) })
}

// claimConditions returns a part of the filter as SQL conditions on claimColumns.
func claimConditions(filter purchase.Filter, args *arguments) (conditions string) {
	args.andOrdered(&conditions, "kind", string(filter.Kind))
	args.andOrdered(&conditions, "inventory_item_id", filter.InventoryItemID)
	args.andOrdered(&conditions, "metatag", filter.Metatag)
	args.and(&conditions, "encode(substring(claim.origin FROM 1 FOR 16), 'hex')", filter.TraceID)
	return conditions
}

// conditionsOf returns the rest of the filter as SQL conditions on purchase_now.
func conditionsOf(filter purchase.Filter, args *arguments) (conditions string) {
	args.and(&conditions, "n.request_id", filter.RequestID)
	args.and(&conditions, "n.caller", filter.Caller)
	args.and(&conditions, "coalesce(n.customer_uid, n.ordered_customer_uid)", filter.CustomerUID)
	args.and(&conditions, "n.item_uid", filter.ItemUID)
	if filter.WithAnomalies {
		conditions += " AND n.anomalies > 0"
	}
	if len(filter.States) > 0 {
		conditions += " AND n.state = ANY (" + args.add(stateNames(filter.States)) + "::text[])"
	}
	return conditions
}

func stateNames(states []purchase.State) []string {
	names := make([]string, len(states))
	for i, state := range states {
		names[i] = string(state)
	}
	return names
}

// matching returns a query for the purchases of a page. An examined purchase costs much less if one table shows that it does
// not match, because purchase_now reads four. So these tables come first.
func matching(filter purchase.Filter, from, below string, size int) (query string, args arguments) {
	ids, claims, args := examined(filter, from, below)
	if strings.HasPrefix(ids, selectOpen) { // most open purchases are in another state
		ids = "SELECT id FROM (" + ids + ") open WHERE state = ANY (" + args.add(stateNames(filter.States)) + "::text[])"
	}
	found := "SELECT claim.id FROM (" + ids + ") claim"
	conditions := claimConditions(filter, &args)
	if conditions != "" && !claims {
		found = "SELECT claim.id FROM (" + ids + ") examined CROSS JOIN LATERAL (SELECT " + claimColumns +
			" FROM gigagate.purchase WHERE id = examined.id LIMIT 1) claim"
	}
	if claims && len(filter.States) > 0 && !slices.ContainsFunc(filter.States, isOpen) {
		found += " CROSS JOIN LATERAL (SELECT state FROM gigagate.purchase_outcome WHERE id = claim.id LIMIT 1) outcome"
		conditions += " AND outcome.state = ANY (" + args.add(stateNames(filter.States)) + "::text[])"
	}
	query = fmt.Sprintf("SELECT %s FROM (%s WHERE true%s) found %s WHERE true%s ORDER BY found.id DESC LIMIT %d",
		columns, found, conditions, purchaseOf, conditionsOf(filter, &args), size)
	return query, args
}

func isOpen(state purchase.State) bool { return !state.Settled() }

// onlyOpen reports whether the states are those of open purchases. No states mean any state.
func onlyOpen(states []purchase.State) bool {
	return len(states) > 0 && !slices.ContainsFunc(states, purchase.State.Settled)
}

// List implements [purchase.Journal].
func (j *Journal) List(ctx context.Context, filter purchase.Filter, page purchase.Page) (list []purchase.Purchase, next string, err error) {
	for _, text := range []string{
		filter.Caller, filter.RequestID, filter.CustomerUID, filter.ItemUID,
		string(filter.Kind), filter.InventoryItemID, filter.Metatag, filter.TraceID, page.After,
	} {
		if !storable(text) {
			return nil, "", nil
		}
	}
	from, to := filter.IDs()
	below := min(cmp.Or(to, behindAll), cmp.Or(page.After, behindAll))
	// Find the last id to examine first. What is claimed after that is only examined in addition, so pages have no gaps.
	ids, _, args := examined(filter, from, below)
	last, err := many(ctx, j, pgx.RowTo[string], inSchema(j.schema, fmt.Sprintf("SELECT id FROM (%s) examined OFFSET %d", ids, purchase.MaxExamined-1)), args...)
	if err != nil {
		return nil, "", err
	}
	if len(last) > 0 {
		from, next = last[0], last[0]
	}
	// One more row than the page shows whether there is another page.
	query, args := matching(filter, from, below, page.Size+1)
	rows, err := many(ctx, j, scanRow, inSchema(j.schema, query), args...)
	if err != nil {
		return nil, "", err
	}
	if len(rows) > page.Size {
		rows, next = rows[:page.Size], rows[page.Size-1].ID
	}
	list, err = purchase.Readable(rows, row.decoded)
	return list, next, err
}

// pageSize is the page size of Watched.
const pageSize = 100

// Watched implements [purchase.Journal].
func (j *Journal) Watched(ctx context.Context, absentFor time.Duration) ([]purchase.Purchase, error) {
	open, err := pages(row{}, func(after row) ([]row, error) {
		return many(ctx, j, scanRow, j.sql.watched, after.ID, pageSize)
	})
	if err != nil {
		return nil, err
	}
	var since row
	since.ID = behindAll
	absent, err := pages(since, func(after row) ([]row, error) {
		return many(ctx, j, scanRow, j.sql.absent, j.clock(), absentFor, orNull(after.SettledAt), after.ID, pageSize)
	})
	if err != nil {
		return nil, err
	}
	return purchase.Readable(append(open, absent...), row.decoded)
}

// pages reads a list to its end in pages of pageSize rows. Each page starts after the last row of the previous
// page.
func pages(after row, page func(after row) ([]row, error)) (list []row, err error) {
	for {
		found, err := page(after)
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

// Lapsed implements [purchase.Journal]. Orders of a later version do not count for the limit.
func (j *Journal) Lapsed(ctx context.Context, limit int) ([]purchase.Purchase, error) {
	var rows []row
	for after := (row{}); ; after = rows[len(rows)-1] {
		found, err := many(ctx, j, scanRow, j.sql.lapsed, j.clock(), orNull(after.LeaseUntil), after.ID, limit)
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
	// The nearest witnesses come first. A span before an attempt is read from To backwards. A span after it has no To
	// and is read from From onwards.
	statement := j.sql.older
	if !span.From.IsZero() && span.To.IsZero() {
		statement = j.sql.younger
	}
	rows, err := many(ctx, j, scanRow, statement,
		like.Account, string(like.Kind), like.Mode, orNull(span.From), orNull(span.To), max(0, limit))
	if err != nil {
		return nil, err
	}
	return purchase.Readable(rows, row.decoded)
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
