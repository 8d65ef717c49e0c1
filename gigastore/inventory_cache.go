package gigastore

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// InventoryCache keeps the latest read of the inventory. Concurrent readers share one call.
type InventoryCache struct {
	client *Client
	flight singleflight.Group

	mu   sync.Mutex
	last InventoryRead
}

// InventoryRead is the inventory as it was at one time.
type InventoryRead struct {
	Items []InventoryItem // shared; do not change it
	At    time.Time
}

// NewInventoryCache makes an empty cache.
func NewInventoryCache(client *Client) *InventoryCache { return &InventoryCache{client: client} }

// Within returns an inventory that is at most age old. An age of 0 asks the vendor, together with all callers who ask
// at the same time. The error is the [*Error] of [Client.Inventory].
func (c *InventoryCache) Within(ctx context.Context, age time.Duration) (InventoryRead, error) {
	if read, ok := c.fresh(age); ok {
		return read, nil
	}
	done := c.flight.DoChan("", func() (any, error) {
		at := c.client.now()
		// The end of one caller's context must not fail the others who wait. The client has a timeout of its own.
		items, err := recoverAsError(func() ([]InventoryItem, error) { return c.client.Inventory(context.WithoutCancel(ctx)) })
		if err != nil {
			return InventoryRead{}, err
		}
		read := InventoryRead{Items: items, At: at}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.last = read
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

func (c *InventoryCache) fresh(age time.Duration) (InventoryRead, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := c.client.now().Sub(c.last.At)
	return c.last, !c.last.At.IsZero() && since >= 0 && since < age
}
