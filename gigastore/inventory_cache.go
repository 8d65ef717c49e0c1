package gigastore

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// InventoryCache keeps the newest read of the inventory, and makes concurrent readers share one call.
type InventoryCache struct {
	client *Client
	flight singleflight.Group

	mu   sync.Mutex
	last InventoryRead
}

// InventoryRead is the inventory as it was at one time.
type InventoryRead struct {
	Items []InventoryItem // shared: not to be changed
	At    time.Time
}

// NewInventoryCache makes an empty cache.
func NewInventoryCache(client *Client) *InventoryCache { return &InventoryCache{client: client} }

// Within returns the inventory as it was at most age ago. An age of 0 asks the vendor, together with whoever is asking at
// the same time.
func (c *InventoryCache) Within(ctx context.Context, age time.Duration) (InventoryRead, error) {
	if read, ok := c.fresh(age); ok {
		return read, nil
	}
	done := c.flight.DoChan("", func() (any, error) {
		at := c.client.now()
		// One caller's deadline must not fail the others that wait; the client has its own.
		items, err := sparing(func() ([]InventoryItem, error) { return c.client.Inventory(context.WithoutCancel(ctx)) })
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
