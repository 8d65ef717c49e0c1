package server

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/internal/access"
	"gigagate.internal/purchase"
)

// activationService sells packages and starts them.
type activationService struct {
	gigagatev1.UnimplementedActivationServiceServer
	*Server
}

// Register sells a first package.
func (s activationService) Register(ctx context.Context, req *gigagatev1.RegisterRequest) (*gigagatev1.RegisterResponse, error) {
	order, err := registerToOrder(req)
	if err != nil {
		return nil, err
	}
	if err := s.mayBuy(ctx, order); err != nil {
		return nil, err
	}
	id, sale, err := s.buy(ctx, req.GetRequestId(), order, purchase.Personal{
		CustomerEmail: req.GetCustomerEmail(), UserIP: canonicalIP(req.GetUserIp()),
	})
	if err != nil {
		return nil, err
	}
	return registerFromVendor(id, sale, s.now()), nil
}

// TopUp sells another package to a customer. If new_profile is set, it also sells an eSIM profile.
func (s activationService) TopUp(ctx context.Context, req *gigagatev1.TopUpRequest) (*gigagatev1.TopUpResponse, error) {
	order, err := topUpToOrder(req)
	if err != nil {
		return nil, err
	}
	if err := s.mayBuy(ctx, order); err != nil {
		return nil, err
	}
	id, sale, err := s.buy(ctx, req.GetRequestId(), order, purchase.Personal{UserIP: canonicalIP(req.GetNewProfile().GetUserIp())})
	if err != nil {
		return nil, err
	}
	return topUpFromVendor(id, sale, s.now()), nil
}

// Activate starts the clock of a package that was bought earlier.
func (s activationService) Activate(ctx context.Context, req *gigagatev1.ActivateRequest) (*gigagatev1.ActivateResponse, error) {
	if err := s.vendorAnswers(); err != nil {
		return nil, err
	}
	if err := s.mayUseItem(ctx, req.GetUid()); err != nil {
		return nil, err
	}
	started, err := s.activator.activate(ctx, req.GetUid())
	if err != nil {
		return nil, err
	}
	return &gigagatev1.ActivateResponse{
		ActivatedItem: activatedItemFromVendor(started.item, s.now()),
		AlreadyActive: started.already,
	}, nil
}

// buy spends once per request id. It returns the purchase's id and the sale, and marks the answer as replayed if an earlier
// call recorded it. Every error is a *failure.
func (s activationService) buy(ctx context.Context, requestID string, order purchase.Order, personal purchase.Personal) (id string, sale *gigastore.Sale, err error) {
	if err := s.checkMetatag(order.Metatag); err != nil {
		return "", nil, err
	}
	caller := access.Of(ctx)
	bought, err := s.engine.Buy(ctx, &purchase.Request{
		Key: purchase.Key{Caller: caller.Key(), RequestID: requestID}, Order: order, Personal: personal,
		Budget: budgetOf(caller), Client: clientOf(ctx), AtOnce: caller.Limits.Settings().AtOnce,
	})
	if err != nil {
		f, replayed := purchaseFailure(caller.Name, err)
		markReplayed(ctx, replayed)
		return "", nil, f
	}
	markReplayed(ctx, bought.Replayed)
	annotate(ctx, purchase.AttrID.String(bought.Purchase.ID), attrEffect.String(effectText(gigagatev1.Effect_EFFECT_APPLIED)))
	return bought.Purchase.ID, bought.Sale, nil
}

func markReplayed(ctx context.Context, replayed bool) {
	if replayed {
		if mark, ok := ctx.Value(replayedMark{}).(*bool); ok {
			*mark = true
		}
		// Setting the header fails only after it has been sent, and that is too early here.
		_ = grpc.SetHeader(ctx, metadata.Pairs(replayedKey, "true"))
	}
}

// checkMetatag refuses a metatag that is too long. Upstream the gateway's mark and a space come before it. The
// vendor's limit is not known, so the limit is a setting and cannot be one of the contract's rules.
func (s activationService) checkMetatag(metatag string) error {
	if limit := s.metatagMax - markLength - 1; len(metatag) > limit {
		return invalidField("metatag", fmt.Sprintf("must be at most %d bytes", limit))
	}
	return nil
}
