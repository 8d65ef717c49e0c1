package gigastore

import (
	"context"
	"encoding/json"
)

// Activate starts the validity of a package that was sold as ON_DEMAND or FIRST_USE. It cannot be undone. No source
// says that it costs anything. The item is nil if the answer holds none; the shape of the answer is documented
// nowhere.
//
// The request is sent at most once, and not again after a 401. On EffectUnknown, read the item before you do anything
// else. What the vendor answers for a package that is already active is unknown.
//
// POST /gigastore/activations/activated-items/{uid}/activate, docs activation-modes; dossier 2.7.
func (c *Client) Activate(ctx context.Context, itemUID string) (*ActivatedItem, error) {
	if err := checkSegment("item uid", itemUID); err != nil {
		return nil, notSent(OpActivate, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	bearer, err := c.tokens.get(ctx)
	if err != nil {
		return nil, notSent(OpActivate, err)
	}
	a := c.exchange(ctx, &call{
		operation: OpActivate, segment: itemUID, bearer: bearer, limit: maxPaidAnswer,
	})
	c.answered(ctx, bearer, a.status)
	result := c.classify(ctx, a)
	if !result.applied {
		return nil, a.failure(result)
	}
	var record ActivatedItemRecord
	if json.Unmarshal(a.body, &record) != nil {
		return nil, nil //nolint:nilnil // documented: the answer held no item
	}
	if record.ActivatedItem.UID != itemUID {
		a.err = errOtherItem
		return nil, a.failure(classification{effect: EffectUnknown, successSeen: result.successSeen})
	}
	return &record.ActivatedItem, nil
}
