package purchase

import (
	"context"
	"errors"
)

// Erasure says whose data to erase, and who says so.
type Erasure struct {
	// CustomerUID names a customer: the purchases sold to it, and those that were ordered for it and sold nothing.
	CustomerUID string
	// PurchaseID names one purchase. A registration that failed has no customer, so this is the only way to erase it.
	PurchaseID string
	// By names the operator.
	By string
}

// ErasureResult is what [Engine.Erase] did.
type ErasureResult struct {
	Purchases int      // whose data is gone
	Open      []string // the ids of the purchases that are not settled; their data is still there
}

// Erase deletes the end user's data and the vendor's answers of settled purchases. The purchases themselves stay, with an
// entry in their history. So their request ids never buy again. When Erase returns without an error, no file of the
// journal holds the data, see [Journal.Scrub]. After an error, another call does the rest. Nothing is erased before an audit
// record says who wants it.
func (e *Engine) Erase(ctx context.Context, erasure Erasure) (erased ErasureResult, err error) {
	record := AuditRecord{
		Actor: erasure.By, ActorKind: ActorOperator, Action: AuditErase, Outcome: AuditBegun,
		CustomerUID: erasure.CustomerUID, PurchaseID: erasure.PurchaseID,
	}
	if err := e.Audit(ctx, record); err != nil {
		return erased, err
	}
	defer func() { // also if the caller is gone: what was deleted must not stay in the files
		err = errors.Join(err, e.journal.Scrub(context.WithoutCancel(ctx)))
		e.logger.InfoContext(ctx, "data of end users erased", "purchases", erased.Purchases, "open", len(erased.Open), "complete", err == nil && len(erased.Open) == 0)
		if record.Outcome = AuditDone; err == nil && len(erased.Open) == 0 {
			err = e.Audit(context.WithoutCancel(ctx), record)
		}
	}()
	if erasure.PurchaseID != "" {
		p, err := e.get(ctx, erasure.PurchaseID)
		if err == nil {
			err = e.erase(ctx, p, erasure.By, &erased)
		}
		return erased, err
	}
	for after := ""; ; {
		list, next, failed := e.List(ctx, Everyone, Filter{CustomerUID: erasure.CustomerUID}, Page{Size: erasePage, After: after})
		err = errors.Join(err, failed) // the list has what could be read
		for _, p := range list {
			if failed := e.erase(ctx, &p, erasure.By, &erased); failed != nil {
				return erased, errors.Join(err, failed)
			}
		}
		if next == "" {
			return erased, err
		}
		after = next
	}
}

// erasePage is how many purchases Erase reads at once.
const erasePage = 100

func (e *Engine) erase(ctx context.Context, p *Purchase, by string, erased *ErasureResult) error {
	if !p.State.Settled() {
		erased.Open = append(erased.Open, p.ID)
		return nil
	}
	if _, err := e.recordOnce(ctx, p, &Transition{Event: Erased, Attempt: p.Attempt, By: ByOperator(by)}, false); err != nil {
		return err
	}
	erased.Purchases++
	return nil
}
