package server

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

const (
	// inventoryLife is how old a listed inventory can be.
	inventoryLife = 15 * time.Second
	// mostItems is the contract's rule for ListInventoryItemsRequest.page_size.
	mostItems = 1000
)

// inventoryService tells what can be sold.
type inventoryService struct {
	gigagatev1.UnimplementedInventoryServiceServer
	*Server
}

// ListInventoryItems pages through what can be sold, from a cache. The vendor has no paging of it.
func (s inventoryService) ListInventoryItems(ctx context.Context, req *gigagatev1.ListInventoryItemsRequest) (*gigagatev1.ListInventoryItemsResponse, error) {
	ctx, cancel := withMargin(ctx)
	defer cancel()
	after, err := pageCursor(req)
	if err != nil {
		return nil, err
	}
	read, err := s.inventory.Within(ctx, inventoryLife)
	if err != nil {
		return nil, readFailure(err)
	}
	// Other calls have the same items: what sorts and cuts them needs a copy.
	items := slices.DeleteFunc(slices.Clone(read.Items), func(item gigastore.InventoryItem) bool {
		return after != "" && item.ID <= after
	})
	slices.SortStableFunc(items, func(a, b gigastore.InventoryItem) int { return cmp.Compare(a.ID, b.ID) })
	resp := &gigagatev1.ListInventoryItemsResponse{ReadTime: timestamppb.New(read.At)}
	if size := pageSize(req, mostItems, mostItems); len(items) > size {
		items = items[:size]
		resp.NextPageToken = pageToken(req, items[size-1].ID)
	}
	for _, item := range items {
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
	ctx, cancel := withMargin(ctx)
	defer cancel()
	record, err := s.vendor.Customer(ctx, req.GetUid())
	if err != nil {
		return nil, readFailure(err)
	}
	return customerRecordFromVendor(record, s.now()), nil
}

// withMargin ends a read early enough for its error to reach the caller with its details. A caller in
// a hurry has half of its time for the read.
func withMargin(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-min(purchase.AnswerMargin, time.Until(deadline)/2)))
	}
	return ctx, func() {}
}
