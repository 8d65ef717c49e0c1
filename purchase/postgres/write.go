package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"gigagate.internal/purchase"
)

var errNotStorable = errors.New("PostgreSQL cannot store zero bytes or invalid UTF-8")

// lockNotAvailable is the SQLSTATE of a lock timeout (PostgreSQL, appendix A).
const lockNotAvailable = "55P03"

// Claim implements [purchase.Journal].
func (j *Journal) Claim(ctx context.Context, c purchase.Claim) (purchase.Purchase, error) {
	order, err := purchase.EncodeOrder(c.Order)
	if err != nil {
		return purchase.Purchase{}, notWritten(fmt.Errorf("encode the order: %w", err))
	}
	for _, text := range []string{c.ID, c.Key.Caller, c.Key.RequestID, c.Account, c.Order.CustomerUID} {
		if !storable(text) {
			return purchase.Purchase{}, notWritten(errNotStorable)
		}
	}
	if err := j.checkZone(ctx, c.Budget); err != nil {
		return purchase.Purchase{}, notWritten(err)
	}
	var origin any // NULL if there is none
	if stored := c.Origin.Encode(); stored != nil {
		origin = stored
	}
	claim := &change{totals: totalsOfClaim(c), key: c.Key.RequestID + "\x00" + c.Key.Caller, values: []any{
		c.ID, c.Key.Caller, c.Key.RequestID, c.Account, orNull(c.Order.CustomerUID), string(order), origin, c.PermitLife, c.Lease, c.Personal,
	}}
	claim.values = append(claim.values, budgetValues(c)...)
	err = j.write(ctx, claim)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == lockNotAvailable {
		// Somebody else may be writing the key, so the answer must not be that there is nothing under it.
		return purchase.Purchase{}, fmt.Errorf("claim: another write of the key or of the budget, or a freeze, is not committed yet: %s", refused.Message)
	}
	if err != nil {
		return purchase.Purchase{}, fmt.Errorf("claim: %w", err)
	}
	switch claim.result {
	case written:
		p := purchase.New(c, claim.at)
		if p.Reservation != nil {
			p.Reservation.Day = *claim.day // by the database's time zones
		}
		return p, nil
	case overBudget:
		return purchase.Purchase{}, claim.refusal(c)
	}
	if scope, ok := strings.CutPrefix(claim.result, frozen); ok {
		return purchase.Purchase{}, frozenBy(c, purchase.FreezeScope(scope))
	}
	// If this read fails, the error is not ErrNotWritten, because an earlier claim of the same id may have been written.
	p, err := j.Lookup(ctx, c.Key)
	if errors.Is(err, purchase.ErrNotFound) {
		return purchase.Purchase{}, notWritten(fmt.Errorf("claim: the purchase id %s belongs to another key", c.ID))
	}
	if err != nil {
		return purchase.Purchase{}, fmt.Errorf("claim: read the purchase that has the key: %w", err)
	}
	if p.ID == c.ID {
		// An earlier try wrote it, and its commit may not have reached a synchronous standby yet. A later commit waits
		// for the standby, and then the earlier one is there, too.
		if err := j.Ping(ctx); err != nil {
			return purchase.Purchase{}, fmt.Errorf("claim: it is unknown whether an earlier try is durable: %w", err)
		}
	}
	return p, nil
}

// Write implements [purchase.Journal].
func (j *Journal) Write(ctx context.Context, s purchase.Step) (purchase.Purchase, error) {
	step, err := newStep(s)
	if err != nil {
		return purchase.Purchase{}, notWritten(err)
	}
	if err := j.write(ctx, step); err != nil {
		return purchase.Purchase{}, fmt.Errorf("write %s: %w", s.Transition.Event, err)
	}
	switch step.result {
	case written:
		return s.At(step.at), nil
	case itemTaken:
		return purchase.Purchase{}, purchase.ErrItemTaken
	}
	return purchase.Purchase{}, purchase.ErrStale
}

// newStep returns a step with the values that the SQL function takes.
func newStep(s purchase.Step) (*change, error) {
	evidence, err := json.Marshal(s.Transition.Evidence)
	if err != nil {
		return nil, fmt.Errorf("encode evidence: %w", err)
	}
	var aliases any
	if s.Transition.ItemUID != "" && len(s.Transition.Aliases) > 0 {
		names, err := json.Marshal(s.Transition.Aliases)
		if err != nil {
			return nil, fmt.Errorf("encode the names of the account: %w", err)
		}
		aliases = string(names)
	}
	// The time of the step is the database's, so only the spans from it are known here.
	p, t := s.At(epoch), s.Transition
	var permitLife, lease any
	if s.Verdict == purchase.Moves && !p.LeaseUntil.IsZero() {
		lease = p.LeaseUntil.Sub(epoch)
	}
	if p.State == purchase.Sending && p.Attempt > s.Before.Attempt {
		permitLife = p.SendNotAfter.Sub(epoch)
	}
	step := &change{key: p.ID, isStep: true, values: []any{
		p.ID, s.Before.Revision, s.Settles(), s.Before.State.Settled(), string(p.State), orNull(string(p.Reason)), p.Attempt,
		p.SuccessSeen, p.Anomalies, permitLife, lease, orNull(p.ItemUID), orNull(p.CustomerUID), aliases, p.Account,
		string(p.Order.Kind), string(p.Order.EffectiveMode()), string(t.Event), t.Attempt, string(s.Verdict), orNull(string(t.Reason)),
		string(evidence), string(t.By), t.Sale,
	}}
	step.addPosting(s)
	return step, nil
}

// epoch stands for the time of a step that is not written yet.
var epoch = time.Unix(0, 0)

// storable reports whether a PostgreSQL text can hold s. It cannot hold zero bytes or invalid UTF-8. Keys with
// them are refused and not changed, because a change could make two keys equal.
func storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
