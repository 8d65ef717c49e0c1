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

// mostItems is the default and the largest ListInventoryItemsRequest.page_size of the contract.
const mostItems = 1000

// inventoryService lists what can be sold.
type inventoryService struct {
	gigagatev1.UnimplementedInventoryServiceServer
	*Server
}

// ListInventoryItems pages through the items in the vendor client's cache. The vendor has no paging for them.
func (s inventoryService) ListInventoryItems(ctx context.Context, req *gigagatev1.ListInventoryItemsRequest) (*gigagatev1.ListInventoryItemsResponse, error) {
	ctx, cancel := withMargin(ctx)
	defer cancel()
	after, err := pageCursor(req)
	if err != nil {
		return nil, err
	}
	read, err := s.inventory(ctx)
	if err != nil {
		return nil, readFailure(err)
	}
	// Other calls share read.Items, so this call sorts and cuts a copy.
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

// inventory reads the inventory for a caller. While the vendor is down, only the cache answers.
func (s *Server) inventory(ctx context.Context) (gigastore.InventoryRead, error) {
	if s.vendor.IsDown() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 0)
		defer cancel()
	}
	return s.vendor.InventoryWithin(ctx, gigastore.InventoryAge)
}

// vendorAnswers fails if the vendor is down, so that no caller waits a minute for a read.
func (s *Server) vendorAnswers() error {
	if s.vendor.IsDown() {
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE}
	}
	return nil
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
	if err := s.mayUseCustomer(ctx, req.GetUid()); err != nil {
		return nil, err
	}
	if err := s.vendorAnswers(); err != nil {
		return nil, err
	}
	record, err := s.vendor.Customer(ctx, req.GetUid())
	if err != nil {
		return nil, readFailure(err)
	}
	if record, err = s.onlyAllowed(ctx, record); err != nil {
		return nil, err
	}
	return customerRecordFromVendor(record, s.now()), nil
}

// noCustomer is the uid of no customer: the vendor's uids are longer.
const noCustomer = "-"

// FindCustomer finds the customer who has an eSIM, if GetCustomer would show this eSIM to the caller. The journal is read in
// the same way whether the customer is the caller's, another's or nobody's. So the time of the answer does not tell them apart.
func (s customerService) FindCustomer(ctx context.Context, req *gigagatev1.FindCustomerRequest) (*gigagatev1.FindCustomerResponse, error) {
	ctx, cancel := withMargin(ctx)
	defer cancel()
	if err := s.vendorAnswers(); err != nil {
		return nil, err
	}
	record, found, err := s.vendor.CustomerOfESIM(ctx, req.GetIccid())
	if err != nil {
		return nil, readFailure(err)
	}
	if !found {
		record.Customer.UID = noCustomer
	}
	shown, err := s.onlyAllowed(ctx, &record)
	if err != nil {
		return nil, err
	}
	if err := s.mayUseCustomer(ctx, record.Customer.UID); err != nil {
		return nil, err
	}
	if !shown.HasESIM(req.GetIccid()) {
		return nil, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_CUSTOMER_NOT_FOUND, startedNothing: true}
	}
	return &gigagatev1.FindCustomerResponse{CustomerUid: record.Customer.UID}, nil
}

// withMargin ends a read purchase.AnswerMargin before the caller's deadline, so that an error can reach the caller with
// its details. If the caller's time is short, the read gets half of it.
func withMargin(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-min(purchase.AnswerMargin, time.Until(deadline)/2)))
	}
	return ctx, func() {}
}
