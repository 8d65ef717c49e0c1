package server

import (
	"context"
	"fmt"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
)

// activationService sells packages and starts them.
type activationService struct {
	gigagatev1.UnimplementedActivationServiceServer
	*Server
}

// Register sells a first package.
func (s activationService) Register(ctx context.Context, req *gigagatev1.RegisterRequest) (*gigagatev1.RegisterResponse, error) {
	order, err := s.registerToVendor(req)
	if err != nil {
		return nil, err
	}
	sold, err := s.spender.spend(ctx, req.GetRequestId(),
		func(ctx context.Context, permit gigastore.Permit) (*gigastore.Sale, error) {
			order.Metatag = permit.Token + " " + req.GetMetatag()
			return s.vendor.Register(ctx, permit, order)
		})
	if err != nil {
		return nil, err
	}
	return &gigagatev1.RegisterResponse{
		PurchaseId:    sold.purchaseID,
		ActivatedItem: activatedItemFromVendor(sold.record.ActivatedItem, s.now()),
		Customer:      customerFromVendor(sold.record.Customer),
		EsimProfile:   esimFromVendor(sold.record.ESIMProfile),
	}, nil
}

// TopUp sells a further package, with another eSIM profile when new_profile is set.
func (s activationService) TopUp(ctx context.Context, req *gigagatev1.TopUpRequest) (*gigagatev1.TopUpResponse, error) {
	send, err := s.topUpToVendor(req)
	if err != nil {
		return nil, err
	}
	sold, err := s.spender.spend(ctx, req.GetRequestId(), send)
	if err != nil {
		return nil, err
	}
	return &gigagatev1.TopUpResponse{
		PurchaseId:    sold.purchaseID,
		ActivatedItem: activatedItemFromVendor(sold.record.ActivatedItem, s.now()),
		Customer:      customerFromVendor(sold.record.Customer),
		EsimProfile:   esimFromVendor(sold.record.ESIMProfile),
	}, nil
}

// Activate starts the clock of a package already bought.
func (s activationService) Activate(ctx context.Context, req *gigagatev1.ActivateRequest) (*gigagatev1.ActivateResponse, error) {
	started, err := s.activator.activate(ctx, req.GetUid())
	if err != nil {
		return nil, err
	}
	return &gigagatev1.ActivateResponse{
		ActivatedItem: activatedItemFromVendor(started.item, s.now()),
		AlreadyActive: started.already,
	}, nil
}

// registerToVendor converts all but the metatag, which needs the token.
func (s activationService) registerToVendor(req *gigagatev1.RegisterRequest) (gigastore.RegisterRequest, error) {
	if err := s.checkMetatag(req.GetMetatag()); err != nil {
		return gigastore.RegisterRequest{}, err
	}
	price, err := priceToVendor(req.GetExpectedPrice())
	if err != nil {
		return gigastore.RegisterRequest{}, err
	}
	return gigastore.RegisterRequest{
		InventoryItemID: req.GetInventoryItemId(),
		CustomerEmail:   req.GetCustomerEmail(),
		UserIP:          req.GetUserIp(),
		UserCountry:     req.GetUserCountry(),
		ExpectedPrice:   price,
		ActivationMode:  modeToVendor(req.GetActivationMode()),
	}, nil
}

// topUpToVendor chooses between the vendor's two calls.
func (s activationService) topUpToVendor(req *gigagatev1.TopUpRequest) (paidCall, error) {
	if err := s.checkMetatag(req.GetMetatag()); err != nil {
		return nil, err
	}
	price, err := priceToVendor(req.GetExpectedPrice())
	if err != nil {
		return nil, err
	}
	profile := req.GetNewProfile()
	return func(ctx context.Context, permit gigastore.Permit) (*gigastore.Sale, error) {
		order := gigastore.TopUpRequest{
			InventoryItemID: req.GetInventoryItemId(),
			Metatag:         permit.Token + " " + req.GetMetatag(),
			CustomerUID:     req.GetCustomerUid(),
			ExpectedPrice:   price,
			ActivationMode:  modeToVendor(req.GetActivationMode()),
		}
		if profile == nil {
			return s.vendor.TopUp(ctx, permit, order)
		}
		return s.vendor.TopUpWithProfile(ctx, permit, gigastore.TopUpWithProfileRequest{
			InventoryItemID:         order.InventoryItemID,
			Metatag:                 order.Metatag,
			CustomerUID:             order.CustomerUID,
			ExpectedPrice:           order.ExpectedPrice,
			ActivationMode:          order.ActivationMode,
			Dedicated:               profile.Dedicated,
			CustomerProfileDomainID: profile.GetCustomerProfileDomainId(),
			UserIP:                  profile.GetUserIp(),
			UserCountry:             profile.GetUserCountry(),
		})
	}, nil
}

// checkMetatag refuses a metatag that would not fit upstream behind the token. The limit is a
// setting, as the vendor's own is not known, so the contract's rules cannot state it.
func (s activationService) checkMetatag(metatag string) error {
	if limit := s.metatagMax - tokenLength - 1; len(metatag) > limit {
		return invalidField("metatag", fmt.Sprintf("must be at most %d bytes", limit))
	}
	return nil
}
