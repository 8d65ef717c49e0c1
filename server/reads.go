package server

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/purchase"
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
	ctx, cancel := withMargin(ctx)
	defer cancel()
	read, err := s.inventory.Within(ctx, inventoryLife)
	if err != nil {
		return nil, readFailure(err)
	}
	resp := &gigagatev1.ListInventoryItemsResponse{ReadTime: timestamppb.New(read.At)}
	for _, item := range read.Items {
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
