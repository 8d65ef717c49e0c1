// Package invariants has what is always true in a journal, in the words of a check. SQLite and PostgreSQL have the same
// tables, so they share it.
package invariants

import (
	"errors"

	"gigagate.internal/purchase"
)

// MaxProblems is the most that a check reports about each rule.
const MaxProblems = 20

// BetweenTables are the conditions between the tables. Each query returns the ids of purchases that break one.
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
}

// OfPurchase checks one purchase with its order, as the journal stores it, and its whole history.
func OfPurchase(p purchase.Purchase, order []byte, history []purchase.HistoryEntry) error {
	_, unreadable := purchase.DecodeOrder(order)
	return errors.Join(unreadable, p.CheckHistory(history))
}
