package purchase

import (
	"context"
	"log/slog"
	"time"
)

// AuditAction is what was done.
type AuditAction string

// The actions that have audit records. Purchases have none: who ordered one, and who resolved it, is in its claim and its
// history.
const (
	AuditFreeze      AuditAction = "FREEZE"
	AuditThaw        AuditAction = "THAW"
	AuditReadSecrets AuditAction = "READ_SECRETS"
	AuditActivate    AuditAction = "ACTIVATE"
	AuditErase       AuditAction = "ERASE"
)

// AuditOutcome is how an action ended. It is one of these, or the contract's effect of an activation.
type AuditOutcome string

// The outcomes of actions.
const (
	// AuditBegun: the action was about to begin. Another record has its outcome, unless the process died in between.
	AuditBegun AuditOutcome = "BEGUN"
	// AuditDone: the action was done. For secrets: they were about to be shown.
	AuditDone AuditOutcome = "DONE"
)

// ActorKind says what kind of principal acted.
type ActorKind string

// The kinds of actors.
const (
	ActorCaller   ActorKind = "CALLER"
	ActorOperator ActorKind = "OPERATOR"
)

// AuditRecord says who did what, when and with what outcome. Records are never changed or deleted. They hold no secret
// and no personal data, except what an operator writes as the reason.
type AuditRecord struct {
	ID        string    // a ULID: records sort by the time they were made
	At        time.Time // by the journal's clock; the journal sets it
	Actor     string    // the principal's name
	ActorKind ActorKind
	Action    AuditAction
	Outcome   AuditOutcome
	// What the action was about. A freeze of everything names nothing.
	Caller           string // the name in the journal
	PurchaseID       string
	CustomerUID      string
	InventoryItemID  string
	ActivatedItemUID string
	Reason           string // the operator's words
}

// AuditFilter bounds the time in the ids of records: at or after From, before To. A zero time is open.
type AuditFilter struct{ From, To time.Time }

// IDs returns the bounds of the ids that the filter allows, see [Filter.IDs].
func (f AuditFilter) IDs() (from, to string) { return firstID(f.From), firstID(f.To) }

// Audit writes a record and a log line. The record gets a new id. Without an error, the record is durable. The log line
// is written in any case.
func (e *Engine) Audit(ctx context.Context, record AuditRecord) error {
	record.ID = newID(e.entropy)
	written, err := bounded(ctx, journalBudget, func(ctx context.Context) (AuditRecord, error) {
		return e.journal.Audit(ctx, record)
	})
	if err != nil {
		e.logger.ErrorContext(ctx, "the journal may lack an audit record", "audit_id", record.ID, "action", string(record.Action), "actor", record.Actor)
		e.logAudit(ctx, record)
		return err
	}
	e.logAudit(ctx, written)
	return nil
}

// AuditRecords returns one page of records, the newest first, see [Journal.AuditRecords].
func (e *Engine) AuditRecords(ctx context.Context, filter AuditFilter, page Page) (list []AuditRecord, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, journalBudget)
	defer cancel()
	return e.journal.AuditRecords(ctx, filter, page)
}

// logAudit writes the line "audit". It leaves out the reason, because that is free text.
func (e *Engine) logAudit(ctx context.Context, r AuditRecord) {
	attrs := []slog.Attr{
		slog.String("audit_id", r.ID), slog.String("action", string(r.Action)), slog.String("outcome", string(r.Outcome)),
		slog.String("actor", r.Actor), slog.String("actor_kind", string(r.ActorKind)),
	}
	for _, about := range []slog.Attr{
		slog.String("caller", r.Caller), slog.String("purchase_id", r.PurchaseID), slog.String("customer_uid", r.CustomerUID),
		slog.String("inventory_item_id", r.InventoryItemID), slog.String("activated_item_uid", r.ActivatedItemUID),
	} {
		if about.Value.String() != "" {
			attrs = append(attrs, about)
		}
	}
	e.logger.LogAttrs(ctx, slog.LevelInfo, "audit", attrs...)
}
