package gigastore

import (
	"bytes"
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// InventoryAge is how old the inventory may be where no money depends on it.
const InventoryAge = 15 * time.Second

// InventoryRead is the inventory as it was at one time.
type InventoryRead struct {
	Items []InventoryItem // shared; do not change it
	At    time.Time
}

// inventoryCache holds the latest read of the inventory. Concurrent readers share one call.
type inventoryCache struct {
	flight singleflight.Group

	mu      sync.Mutex
	last    InventoryRead
	body    []byte          // the latest answer of the vendor that could be decoded
	decoded []InventoryItem // from body
}

// InventoryWithin returns an inventory that is at most age old. All users of the client share its cache. An age of 0
// asks the vendor, together with all callers who ask at the same time. The error is the [*Error] of [Client.Inventory].
func (c *Client) InventoryWithin(ctx context.Context, age time.Duration) (InventoryRead, error) {
	if read, ok := c.inventory.fresh(c.now(), age); ok {
		return read, nil
	}
	done := c.inventory.flight.DoChan("", func() (any, error) {
		at := c.now()
		// The end of one caller's context must not fail the others who wait. The client has its own timeout.
		items, err := recoverAsError(func() ([]InventoryItem, error) { return c.Inventory(context.WithoutCancel(ctx)) })
		if err != nil {
			return InventoryRead{}, err
		}
		read := InventoryRead{Items: items, At: at}
		c.inventory.set(read)
		return read, nil
	})
	select {
	case result := <-done:
		read, _ := result.Val.(InventoryRead)
		return read, result.Err
	case <-ctx.Done():
		return InventoryRead{}, notSent(OpInventory, ctx.Err())
	}
}

func (c *inventoryCache) fresh(now time.Time, age time.Duration) (InventoryRead, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := now.Sub(c.last.At)
	return c.last, !c.last.At.IsZero() && since >= 0 && since < age
}

func (c *inventoryCache) set(read InventoryRead) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = read
}

// decode returns the items in an answer of the vendor. Most answers equal the one before, and need not be decoded again.
func (c *inventoryCache) decode(body []byte) (items []InventoryItem, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.body != nil && bytes.Equal(body, c.body) {
		return c.decoded, nil
	}
	if err := decoded(OpInventory, body, intoList("items", &items)); err != nil {
		return nil, err
	}
	c.body, c.decoded = body, items
	return items, nil
}
