package gigastore

import (
	"bytes"
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// InventoryAge is how old the inventory may be where no money depends on it.
	InventoryAge = 15 * time.Second
	// freshWait is how long a read of the inventory may take if money depends on it. A caller waits for the read before it buys.
	freshWait = 5 * time.Second
)

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
// asks the vendor, together with all callers who ask at the same time, and waits at most 5 s. The error is the [*Error] of
// [Client.Inventory].
func (c *Client) InventoryWithin(ctx context.Context, age time.Duration) (InventoryRead, error) {
	if read, ok := c.inventory.fresh(c.now(), age); ok {
		return read, nil
	}
	// The end of one caller's context must not fail the others who wait. The client has its own timeout. A shorter one belongs to
	// the shared read, so that not each caller needs a timer.
	flight, ask := "usual", context.WithoutCancel(ctx)
	read := func() (any, error) { return c.readInventory(ask) }
	if age == 0 {
		flight = "fresh"
		read = func() (any, error) {
			ask, cancel := context.WithTimeout(ask, freshWait)
			defer cancel()
			return c.readInventory(ask)
		}
	}
	done := c.inventory.flight.DoChan(flight, read)
	select {
	case result := <-done:
		read, _ := result.Val.(InventoryRead)
		return read, result.Err
	case <-ctx.Done():
		return InventoryRead{}, notSent(OpInventory, ctx.Err())
	}
}

// readInventory asks the vendor, and puts the answer into the cache.
func (c *Client) readInventory(ctx context.Context) (InventoryRead, error) {
	at := c.now()
	items, err := recoverAsError(func() ([]InventoryItem, error) { return c.Inventory(ctx) })
	if err != nil {
		return InventoryRead{}, err
	}
	read := InventoryRead{Items: items, At: at}
	c.inventory.set(read)
	return read, nil
}

func (c *inventoryCache) fresh(now time.Time, age time.Duration) (InventoryRead, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := now.Sub(c.last.At)
	return c.last, !c.last.At.IsZero() && since >= 0 && since < age
}

// set keeps a read, unless one that began later has been faster.
func (c *inventoryCache) set(read InventoryRead) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if read.At.After(c.last.At) {
		c.last = read
	}
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
