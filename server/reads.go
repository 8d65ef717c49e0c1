package server

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
)

// inventoryLife is how old a listed inventory can be.
const inventoryLife = 15 * time.Second

// inventoryService tells what can be sold.
type inventoryService struct {
	gigagatev1.UnimplementedInventoryServiceServer
	*Server
}

// ListInventoryItems lists what can be sold, from a cache.
func (s inventoryService) ListInventoryItems(ctx context.Context, _ *gigagatev1.ListInventoryItemsRequest) (*gigagatev1.ListInventoryItemsResponse, error) {
	read, err := s.inventory.list(ctx)
	if err != nil {
		return nil, readFailure(err)
	}
	resp := &gigagatev1.ListInventoryItemsResponse{ReadTime: timestamppb.New(read.at)}
	for _, item := range read.items {
		resp.Items = append(resp.Items, inventoryItemFromVendor(item))
	}
	return resp, nil
}

// customerService reads the vendor's customers.
type customerService struct {
	gigagatev1.UnimplementedCustomerServiceServer
	*Server
}

// GetCustomer reads one customer with all packages and profiles.
func (s customerService) GetCustomer(ctx context.Context, req *gigagatev1.GetCustomerRequest) (*gigagatev1.GetCustomerResponse, error) {
	record, err := s.vendor.Customer(ctx, req.GetUid())
	if err != nil {
		return nil, readFailure(err)
	}
	resp := &gigagatev1.GetCustomerResponse{
		Customer:              customerFromVendor(record.Customer),
		TotalAvailableBalance: sizeFromVendor(record.TotalAvailableBalance),
	}
	for _, item := range record.ActivatedItems {
		resp.ActivatedItems = append(resp.ActivatedItems, activatedItemFromVendor(item, s.now()))
	}
	for _, profile := range record.RelatedESIMs {
		resp.EsimProfiles = append(resp.EsimProfiles, esimFromVendor(&profile))
	}
	return resp, nil
}

// inventoryCache keeps one read of the inventory for inventoryLife, and makes concurrent readers
// share one call.
type inventoryCache struct {
	vendor *gigastore.Client
	now    func() time.Time
	flight singleflight.Group

	mu   sync.Mutex
	last inventoryRead
}

type inventoryRead struct {
	items []gigastore.InventoryItem
	at    time.Time
}

func (c *inventoryCache) list(ctx context.Context) (inventoryRead, error) {
	if read, ok := c.fresh(); ok {
		return read, nil
	}
	done := c.flight.DoChan("", func() (any, error) {
		// One caller's deadline must not fail the others that wait; the client has its own. And a
		// panic here would end the process: singleflight raises it again where nobody recovers it.
		items, err := guarded(func() ([]gigastore.InventoryItem, error) {
			return c.vendor.Inventory(context.WithoutCancel(ctx))
		})
		if err != nil {
			return inventoryRead{}, err
		}
		read := inventoryRead{items: items, at: c.now()}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.last = read
		return read, nil
	})
	select {
	case result := <-done:
		return result.Val.(inventoryRead), result.Err
	case <-ctx.Done():
		return inventoryRead{}, ctx.Err()
	}
}

func (c *inventoryCache) fresh() (inventoryRead, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	age := c.now().Sub(c.last.at)
	return c.last, !c.last.at.IsZero() && age >= 0 && age < inventoryLife
}
