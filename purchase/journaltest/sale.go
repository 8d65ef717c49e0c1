package journaltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gigagate.internal/purchase"
)

// Sale is a purchase to load into an empty journal, with the event that settled it.
type Sale struct {
	Claim   purchase.Claim
	At      time.Time // when it was claimed
	Settled purchase.Transition
}

// ErrNotEmpty means that the journal has purchases already.
var ErrNotEmpty = errors.New("the journal has purchases already: only an empty journal can be loaded")

// Loaded are the tables that get a row of each sale, with their columns. Both schemas have them.
var Loaded = []struct {
	Table   string
	Columns []string
}{
	{"purchase", []string{"id", "caller", "request_id", "account", "ordered_customer_uid", "claimed_at", "order_json", "origin"}},
	{"purchase_outcome", []string{
		"id", "state", "reason", "attempt", "revision", "permitted_at", "send_not_after", "success_seen", "anomalies", "settled_at",
		"item_uid", "customer_uid", "account", "kind", "mode", "event", "event_attempt", "evidence", "actor",
	}},
	{"purchase_secret", []string{"id", "personal", "sale"}},
}

// Rows returns a row for each table of Loaded. The engine's own rules say what is in them. The values are strings, ints, bools,
// times, bytes, or nil.
func (s Sale) Rows() ([][]any, error) {
	order, err1 := purchase.EncodeOrder(s.Claim.Order)
	step, err2 := purchase.Decide(purchase.New(s.Claim, s.At), s.Settled)
	evidence, err3 := json.Marshal(step.Transition.Evidence)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	if !step.Settles() {
		return nil, fmt.Errorf("%s does not settle the purchase", s.Settled.Event)
	}
	p, c := step.At(s.At), s.Claim
	return [][]any{
		{c.ID, c.Key.Caller, c.Key.RequestID, c.Account, orNull(c.Order.CustomerUID), s.At, string(order), orNoBytes(c.Origin.Encode())},
		{
			c.ID, string(p.State), orNull(string(p.Reason)), p.Attempt, p.Revision, p.PermittedAt, p.SendNotAfter, p.SuccessSeen,
			p.Anomalies, p.SettledAt, orNull(p.ItemUID), orNull(p.CustomerUID), c.Account, string(c.Order.Kind),
			string(c.Order.EffectiveMode()), string(s.Settled.Event), s.Settled.Attempt, string(evidence), string(s.Settled.By),
		},
		{c.ID, c.Personal, orNoBytes(s.Settled.Sale)},
	}, nil
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func orNoBytes(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}
