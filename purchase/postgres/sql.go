package postgres

import (
	"strconv"
	"strings"
)

// columns are the columns of purchase_now, in the order that scanRow expects.
const columns = `n.id, n.caller, n.request_id, n.account, n.state, n.reason, n.attempt, n.revision, n.claimed_at, n.permitted_at,
	n.send_not_after, n.lease_until, n.success_seen, n.anomalies, n.updated_at, n.settled_at, n.item_uid, n.customer_uid, n.order_json,
	n.origin, n.reserved_currency, n.reserved_amount, n.reserved_day, n.charge`

// entryColumns are the columns of purchase_history, in the order that scanEntry expects.
const entryColumns = `sequence, at, event, attempt, verdict, state, reason, evidence, actor`

// purchaseOf joins each found id with its purchase. LIMIT makes the server look up one id after the other, in their
// order, and never read a whole table instead.
const purchaseOf = "CROSS JOIN LATERAL (SELECT * FROM gigagate.purchase_now WHERE id = found.id LIMIT 1) n"

// The number of arrays that the functions that write take, and so of the values of a change. See
// schema/0002_functions.sql.
const (
	valuesOfClaim = 16
	valuesOfStep  = 30
)

// statements is the SQL for one schema. Where a statement takes the time of the injected clock and it is NULL, the
// statement uses now(), the time at which the transaction began.
type statements struct {
	mayReport                               string
	ping, lockTotals, claim, write, confirm string
	lookup, get, ofItem, history, secrets   string
	openSecrets, rewriteOpen                string
	settledSecrets, rewriteSettled          string
	lapsed, watched, absent, older, younger string
	freeze, thaw, freezes, audit, records   string
	now, inZone, totals                     string
}

func newStatements(schema string) statements {
	q := func(sql string) string { return inSchema(schema, sql) }
	return statements{
		// It updates a table of its own, so it never waits for a lock on a purchase.
		ping: q(`UPDATE gigagate.journal_probe SET at = now()`),
		mayReport: q(`UPDATE gigagate.reporter SET replica = $2, lease_until = coalesce($1::timestamptz, now()) + $3::interval
			WHERE replica = $2 OR lease_until <= coalesce($1::timestamptz, now())`),
		// It comes first in a transaction that changes totals.
		lockTotals: q(`SELECT gigagate.lock_totals($1, $2, $3, $4, $5)`),
		claim:      q(`SELECT * FROM gigagate.claim(` + parameters(valuesOfClaim+1) + `)`),
		write:      q(`SELECT * FROM gigagate.write(` + parameters(valuesOfStep+1) + `)`),
		confirm:    q(`SELECT * FROM gigagate.confirm($1, $2, $3)`),
		lookup:     q(`SELECT ` + columns + ` FROM gigagate.purchase_now n WHERE n.request_id = $1 AND n.caller = $2`),
		get:        q(`SELECT ` + columns + ` FROM gigagate.purchase_now n WHERE n.id = $1`),
		ofItem: q(`SELECT ` + columns + ` FROM (SELECT id FROM gigagate.purchase_outcome
			WHERE item_uid = $1 AND account = ANY ($2::text[]) LIMIT 1) found ` + purchaseOf),
		history: q(`SELECT ` + entryColumns + ` FROM gigagate.purchase_history WHERE id = $1 ORDER BY sequence`),
		secrets: q(`SELECT coalesce(o.personal, s.personal), s.sale FROM gigagate.purchase p
			LEFT JOIN gigagate.purchase_open o ON o.id = p.id LEFT JOIN gigagate.purchase_secret s ON s.id = p.id WHERE p.id = $1`),

		openSecrets: q(`SELECT id, personal, NULL::bytea FROM gigagate.purchase_open WHERE id > $1 ORDER BY id LIMIT $2 FOR UPDATE`),
		rewriteOpen: q(`UPDATE gigagate.purchase_open o SET personal = n.personal
			FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS n (id, personal, sale) WHERE o.id = n.id`),
		settledSecrets: q(`SELECT id, personal, sale FROM gigagate.purchase_secret WHERE id > $1 ORDER BY id LIMIT $2 FOR UPDATE`),
		rewriteSettled: q(`UPDATE gigagate.purchase_secret o SET personal = n.personal, sale = n.sale
			FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS n (id, personal, sale) WHERE o.id = n.id`),

		lapsed: q(`SELECT ` + columns + ` FROM (SELECT id, lease_until AS at FROM gigagate.purchase_open
			WHERE lease_until <= coalesce($1::timestamptz, now()) AND ($2::timestamptz IS NULL OR (lease_until, id) > ($2, $3))
			ORDER BY lease_until, id LIMIT $4) found
			` + purchaseOf + ` ORDER BY found.at, found.id`),
		watched: q(`SELECT ` + columns + ` FROM (SELECT id FROM gigagate.purchase_open
			WHERE state IN ('UNCERTAIN', 'NEEDS_OPERATOR') AND id > $1 ORDER BY id LIMIT $2) found
			` + purchaseOf + ` ORDER BY found.id`),
		// On the first page $3 is NULL, and the page starts $2 before now.
		absent: q(`SELECT ` + columns + ` FROM (SELECT id, settled_at AS at FROM gigagate.purchase_outcome
			WHERE reason IN ('PRESUMED_ABSENT', 'RESOLVED_BY_OPERATOR')
			AND (settled_at, id) > (coalesce($3::timestamptz, coalesce($1::timestamptz, now()) - $2::interval), $4)
			ORDER BY settled_at, id LIMIT $5) found
			` + purchaseOf + ` ORDER BY found.at, found.id`),
		freeze:  q(`SELECT ` + recordColumns + ` FROM gigagate.freeze($1, $2, $3, $4)`),
		thaw:    q(`SELECT gigagate.thaw($1, $2, $3, $4)`),
		audit:   q(`SELECT gigagate.audit($1, $2)`),
		freezes: q(`SELECT scope, name, ` + recordColumns + ` FROM gigagate.purchase_freeze JOIN gigagate.audit_record ON id = audit_id ORDER BY scope, name`),
		records: q(`SELECT ` + recordColumns + ` FROM gigagate.audit_record WHERE id < $1 AND id >= $2 ORDER BY id DESC LIMIT $3`),

		now:    `SELECT now()`,
		inZone: `SELECT now() AT TIME ZONE $1::text`,
		totals: q(`SELECT caller, currency, period, reserved, spent FROM gigagate.budget_total
			WHERE period = ANY ($1::text[]) AND ($2 = '' OR caller = $2) AND (reserved <> 0 OR spent <> 0)
			ORDER BY caller, currency, period LIMIT $3`),
		older:   q(strings.ReplaceAll(witnesses, "NEAREST", "DESC")),
		younger: q(strings.ReplaceAll(witnesses, "NEAREST", "ASC")),
	}
}

// witnesses reads the succeeded purchases of one account, kind and mode.
const witnesses = `SELECT ` + columns + ` FROM (SELECT id, permitted_at AS at FROM gigagate.purchase_outcome
	WHERE state = 'SUCCEEDED' AND account = $1 AND kind = $2 AND mode = $3
	AND permitted_at >= coalesce($4::timestamptz, '-infinity') AND permitted_at < coalesce($5::timestamptz, 'infinity')
	ORDER BY permitted_at NEAREST LIMIT $6) found
	` + purchaseOf + ` ORDER BY found.at NEAREST`

// parameters returns "$1, $2, …".
func parameters(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = "$" + strconv.Itoa(i+1)
	}
	return strings.Join(list, ", ")
}
