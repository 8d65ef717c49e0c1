// Package invariants has what is always true in a journal, in the words of a check. SQLite and PostgreSQL have the same
// tables, so they share it.
package invariants

import (
	"errors"

	"gigagate.internal/purchase"
)

// MaxProblems is the most that a check reports about each rule.
const MaxProblems = 20

// BetweenTables are the conditions between the tables. Each query returns the ids of purchases that break one, or the
// names of totals.
var BetweenTables = []struct{ Problem, Query string }{
	{"it has to be either open or settled", `SELECT p.id FROM purchase p LEFT JOIN purchase_open o ON o.id = p.id
		LEFT JOIN purchase_outcome s ON s.id = p.id WHERE (o.id IS NULL) = (s.id IS NULL)`},
	{"it is open, but has no claim", "SELECT id FROM purchase_open o WHERE NOT EXISTS (SELECT 1 FROM purchase WHERE id = o.id)"},
	{"it is settled, but has no claim", "SELECT id FROM purchase_outcome s WHERE NOT EXISTS (SELECT 1 FROM purchase WHERE id = s.id)"},
	{"it has an event, but no claim", "SELECT id FROM purchase_event e WHERE NOT EXISTS (SELECT 1 FROM purchase WHERE id = e.id)"},
	{"only a settled purchase has secrets, and a sale if it succeeded", `SELECT x.id FROM purchase_secret x
		LEFT JOIN purchase_outcome s ON s.id = x.id WHERE s.id IS NULL OR (x.sale IS NULL) = (s.state = 'SUCCEEDED')`},
	{"its claim and its outcome name different accounts", `SELECT p.id FROM purchase p JOIN purchase_outcome s ON s.id = p.id
		WHERE s.account <> p.account`},
	{"a freeze has this audit record, but it is missing", "SELECT audit_id AS id FROM purchase_freeze f WHERE NOT EXISTS (SELECT 1 FROM audit_record WHERE id = f.audit_id)"},
	{"it was sold on a budget, but not charged", `SELECT id FROM purchase_now
		WHERE reserved_currency IS NOT NULL AND state = 'SUCCEEDED' AND charge IS NULL`},
	{"the total of the budget is not the sum of its purchases", `SELECT caller || ' ' || currency || ' ' || period FROM (
			SELECT caller, currency, period, reserved, spent FROM budget_total
			UNION ALL
			SELECT n.caller, n.reserved_currency, CASE size WHEN 0 THEN 'total' ELSE substr(n.reserved_day, 1, size) END,
				CASE WHEN n.settled_at IS NULL THEN -n.reserved_amount ELSE 0 END, -coalesce(n.charge, 0)
			FROM purchase_now n CROSS JOIN (SELECT 0 AS size UNION ALL SELECT 7 UNION ALL SELECT 10) parts
			WHERE n.reserved_currency IS NOT NULL
		) postings GROUP BY caller, currency, period HAVING sum(reserved) <> 0 OR sum(spent) <> 0`},
}

// OfPurchase checks one purchase with its order, as the journal stores it, and its whole history.
func OfPurchase(p purchase.Purchase, order []byte, history []purchase.HistoryEntry) error {
	_, unreadable := purchase.DecodeOrder(order)
	return errors.Join(unreadable, p.CheckHistory(history))
}
