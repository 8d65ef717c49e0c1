package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// purchasesCommand reads and settles purchases.
type purchasesCommand struct {
	Get     getPurchaseCommand     `cmd:"" help:"Show one purchase and its history."`
	List    listPurchasesCommand   `cmd:"" help:"List purchases, the newest first."`
	Wait    waitPurchaseCommand    `cmd:"" help:"Wait until a purchase is settled; exit status 0 if it succeeded, 1 if it failed, 3 if that is not known."`
	Resolve resolvePurchaseCommand `cmd:"" help:"Settle by your word what evidence cannot."`
}

// getPurchaseCommand shows one purchase.
type getPurchaseCommand struct {
	ID string `arg:"" name:"id" field:"id" help:"The purchase."`
	callSettings
}

// Run makes the call.
func (c *getPurchaseCommand) Run(ctx context.Context, to console) error {
	return c.read(ctx, to, func(ctx context.Context, conn grpc.ClientConnInterface) (proto.Message, error) {
		return gigagatev1.NewPurchaseServiceClient(conn).GetPurchase(ctx, &gigagatev1.GetPurchaseRequest{Id: c.ID})
	})
}

// listPurchasesCommand lists purchases.
type listPurchasesCommand struct {
	State     string `field:"state" enum:",sending,accepted,uncertain,needs-operator,succeeded,failed" default:"" help:"Only those in this state: sending, accepted, uncertain, needs-operator, succeeded, failed."`
	RequestID string `name:"request-id" field:"request_id" placeholder:"ID" help:"Only the one with this request id."`
	Customer  string `field:"customer_uid" placeholder:"UID" help:"Only those of this customer."`
	PageSize  int32  `name:"page-size" field:"page_size" default:"50" help:"At most so many (default ${default})."`
	PageToken string `name:"page-token" field:"page_token" placeholder:"TOKEN" help:"nextPageToken of the page before."`
	callSettings
}

// Run makes the call.
func (c *listPurchasesCommand) Run(ctx context.Context, to console) error {
	state := "PURCHASE_STATE_" + strings.ToUpper(strings.ReplaceAll(c.State, "-", "_"))
	req := &gigagatev1.ListPurchasesRequest{
		State:       gigagatev1.PurchaseState(gigagatev1.PurchaseState_value[state]),
		RequestId:   c.RequestID,
		CustomerUid: c.Customer,
		PageSize:    c.PageSize,
		PageToken:   c.PageToken,
	}
	return c.read(ctx, to, func(ctx context.Context, conn grpc.ClientConnInterface) (proto.Message, error) {
		return gigagatev1.NewPurchaseServiceClient(conn).ListPurchases(ctx, req)
	})
}

// waitPurchaseCommand waits for a purchase.
type waitPurchaseCommand struct {
	ID  string        `arg:"" name:"id" field:"id" help:"The purchase."`
	For time.Duration `field:"timeout" default:"30s" help:"How long to wait, up to 60s (default ${default})."`
	callSettings
}

// Run makes the call. Its exit status is the purchase's: a script ships at 0, may buy anew at 1, and
// knows nothing yet at any other.
func (c *waitPurchaseCommand) Run(ctx context.Context, to console) error {
	var purchase *gigagatev1.Purchase
	if err := c.read(ctx, to, func(ctx context.Context, conn grpc.ClientConnInterface) (proto.Message, error) {
		answer, err := gigagatev1.NewPurchaseServiceClient(conn).WaitPurchase(ctx, &gigagatev1.WaitPurchaseRequest{
			Id: c.ID, Timeout: durationpb.New(c.For),
		})
		purchase = answer.GetPurchase()
		return answer, err
	}); err != nil {
		return effectError{err}
	}
	switch purchase.GetState() {
	case gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED:
		return nil
	case gigagatev1.PurchaseState_PURCHASE_STATE_FAILED:
		return errors.New("the purchase failed: nothing was bought")
	default:
		return effectError{errors.New("the purchase is not settled: it may have been sold")}
	}
}

// resolvePurchaseCommand settles a purchase.
type resolvePurchaseCommand struct {
	ID          string `arg:"" name:"id" field:"id" help:"The purchase."`
	Item        string `field:"activated_item_uid" placeholder:"UID" help:"The package that was sold; checked with the vendor."`
	NothingSold bool   `name:"nothing-sold" field:"nothing_sold" help:"Nothing was sold."`
	Force       bool   `field:"force" help:"With --nothing-sold: do not wait until the vendor's records show it; kept in the history."`
	Operator    string `field:"operator" required:"" placeholder:"NAME" help:"Who says so, for the history."`
	Note        string `field:"note" required:"" placeholder:"TEXT" help:"What it rests on, for the history."`
	callSettings
}

// Validate wants one word, and not two.
func (c *resolvePurchaseCommand) Validate() error {
	if (c.Item == "") == !c.NothingSold {
		return errors.New("give either --item or --nothing-sold")
	}
	if c.Force && !c.NothingSold {
		return errors.New("--force goes with --nothing-sold: a named package is always checked")
	}
	return nil
}

// Run makes the call.
func (c *resolvePurchaseCommand) Run(ctx context.Context, to console) error {
	req := &gigagatev1.ResolvePurchaseRequest{Id: c.ID, Operator: c.Operator, Note: c.Note, Force: c.Force}
	if c.NothingSold {
		req.Resolution = &gigagatev1.ResolvePurchaseRequest_NothingSold{NothingSold: true}
	} else {
		req.Resolution = &gigagatev1.ResolvePurchaseRequest_ActivatedItemUid{ActivatedItemUid: c.Item}
	}
	return c.call(ctx, to, func(ctx context.Context, conn grpc.ClientConnInterface) (proto.Message, error) {
		return gigagatev1.NewPurchaseServiceClient(conn).ResolvePurchase(ctx, req)
	})
}
