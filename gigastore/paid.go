package gigastore

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// maxIdempotencyKey is the length to which one known client cuts the key (observed; dossier 1.2). What the vendor
// does with the key is unknown, so nothing here relies on it.
const maxIdempotencyKey = 64

// Permit allows one paid request. No paid request is sent without one.
type Permit struct {
	// Mark is the mark of the purchase: the first word of the metatag that is sent. An answer counts as ours only if
	// its metatag starts with the same mark.
	Mark string
	// IdempotencyKey is at most 64 visible ASCII characters; "" sends none.
	IdempotencyKey string
	// NotAfter is the deadline for the first byte.
	NotAfter time.Time
	// Confirm is called on the open connection, right before the first byte. If it fails, nothing is sent. It may be
	// nil. NotAfter is not enough if several machines share a journal: a machine that was paused together with its
	// clocks does not notice that its time has passed.
	Confirm func(context.Context) error
}

func (p Permit) check(metatag string) error {
	switch {
	case p.Mark == "" || !isVisible(p.Mark):
		return &inputError{"Permit.Mark", "must be visible ASCII text"}
	case firstWord(metatag) != p.Mark || !strings.HasPrefix(metatag, p.Mark):
		return &inputError{"metatag", "must start with the permit's mark as its first word"}
	case len(p.IdempotencyKey) > maxIdempotencyKey || !isVisible(p.IdempotencyKey):
		return &inputError{"Permit.IdempotencyKey", "must be at most 64 visible ASCII characters"}
	case p.NotAfter.IsZero():
		return &inputError{"Permit.NotAfter", "must be set"}
	}
	return nil
}

func firstWord(metatag string) string {
	for word := range strings.FieldsSeq(metatag) {
		return word
	}
	return ""
}

// Sale is the answer to a paid call that went through (docs first-package, top-up; dossier 2.2).
type Sale struct {
	Status        string         `json:"status"` // "success"
	ActivatedItem ActivatedItem  `json:"activatedItem"`
	Customer      Customer       `json:"customer"`
	ESIMProfile   *ESIMProfile   `json:"esimProfile"` // nil for a top-up without a new profile
	Unknown       UnknownMembers `json:"-"`
	Evidence      Evidence       `json:"-"`
	text          []byte         // the answer that the sale was read from, if any
}

// UnmarshalJSON decodes what it can and puts the rest into Unknown. It fails only if data is not a JSON object.
func (s *Sale) UnmarshalJSON(data []byte) error { return unmarshal(data, s) }

func (s *Sale) fill(o object) error {
	*s = Sale{}
	take(o, "status", &s.Status)
	take(o, "activatedItem", &s.ActivatedItem)
	take(o, "customer", &s.Customer)
	take(o, "esimProfile", &s.ESIMProfile)
	s.Unknown = o.rest()
	return nil
}

// Kept returns JSON from which the sale can be read again: the vendor's own text if there is one. It holds secrets.
// The caller must not change it.
func (s Sale) Kept() ([]byte, error) {
	if s.text != nil {
		return s.text, nil
	}
	return json.Marshal(s)
}

// LogValue returns only the uids. Without it, slog's JSON handler would marshal every field.
func (s Sale) LogValue() slog.Value {
	return slog.GroupValue(slog.String("item_uid", s.ActivatedItem.UID), slog.String("customer_uid", s.Customer.UID))
}

// Format writes what LogValue shows, for every verb.
func (s Sale) Format(f fmt.State, _ rune) { formatSafe(f, "Sale", s) }

// Evidence is what was observed of an exchange. It goes into the journal.
type Evidence struct {
	HTTPStatus   int
	BytesWritten int64 // bytes of the request above TLS
}

// sell sends one paid request, once. It does not retry, not even after a 401. The caller decides, with a new permit.
func (c *Client) sell(ctx context.Context, p Permit, operation, metatag string, request any) (*Sale, error) {
	if err := p.check(metatag); err != nil {
		return nil, notSent(operation, err)
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, notSent(operation, &inputError{"request", "cannot be written as JSON"})
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()

	// Get the access token first. If that fails, no byte of the paid call has left. After NotAfter a token is useless.
	now := c.now()
	if IsOver(p.NotAfter, now) {
		return nil, notSent(operation, errPermitExpired)
	}
	bearer, err := c.tokenWithin(ctx, p.NotAfter.Sub(now))
	if err != nil {
		return nil, notSent(operation, err)
	}

	a := c.exchange(ctx, &call{
		operation: operation, body: body, limit: maxPaidAnswer,
		bearer: bearer, idempotencyKey: p.IdempotencyKey, notAfter: p.NotAfter, confirm: p.Confirm,
	})
	a.mark = p.Mark
	c.answered(ctx, bearer, a.status)
	result := c.classify(ctx, a)
	if !result.applied {
		return nil, a.failure(result)
	}
	result.sale.Evidence = a.evidence
	return result.sale, nil
}

func (c *Client) tokenWithin(ctx context.Context, d time.Duration) (Secret, error) {
	if value, ok := c.tokens.valid(); ok {
		return value, nil
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return c.tokens.get(ctx)
}
