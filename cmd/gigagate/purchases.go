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
	Wait    waitPurchaseCommand    `cmd:"" help:"Wait until a purchase is settled. The exit status is 0 if it succeeded, 1 if it failed, and 3 if neither is known."`
	Watch   watchPurchasesCommand  `cmd:"" help:"Show new and changed purchases while they happen, until you stop it. With an id, show what happens to that purchase until it is settled, and exit as wait does."`
	Resolve resolvePurchaseCommand `cmd:"" help:"Settle a purchase that the vendor's records cannot settle. You say what happened."`
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
	Activated string `name:"activated-item" field:"activated_item_uid" placeholder:"UID" help:"Only the one that sold this package."`
	Kind      string `field:"kind" enum:",register,top-up,top-up-with-profile" default:"" help:"Only those of this kind: register, top-up, top-up-with-profile."`
	Item      string `field:"inventory_item_id" placeholder:"ID" help:"Only orders of this inventory item."`
	Metatag   string `field:"metatag" placeholder:"TEXT" help:"Only orders with exactly this metatag."`
	Trace     string `field:"trace_id" placeholder:"ID" help:"Only those that a call of this trace started."`
	Anomalies bool   `field:"with_anomalies" help:"Only those with anomalies. An operator has to look at each of them."`
	PageSize  int32  `name:"page-size" field:"page_size" default:"50" help:"How many purchases to list at most (default ${default})."`
	PageToken string `name:"page-token" field:"page_token" placeholder:"TOKEN" help:"The nextPageToken of the previous page."`
	callSettings
}

// Run makes the call.
func (c *listPurchasesCommand) Run(ctx context.Context, to console) error {
	req := &gigagatev1.ListPurchasesRequest{
		State:            gigagatev1.PurchaseState(numberOf(gigagatev1.PurchaseState_value, "PURCHASE_STATE_", c.State)),
		RequestId:        c.RequestID,
		CustomerUid:      c.Customer,
		ActivatedItemUid: c.Activated,
		Kind:             gigagatev1.PurchaseKind(numberOf(gigagatev1.PurchaseKind_value, "PURCHASE_KIND_", c.Kind)),
		InventoryItemId:  c.Item,
		Metatag:          c.Metatag,
		TraceId:          c.Trace,
		WithAnomalies:    c.Anomalies,
		PageSize:         c.PageSize,
		PageToken:        c.PageToken,
	}
	return c.read(ctx, to, func(ctx context.Context, conn grpc.ClientConnInterface) (proto.Message, error) {
		return gigagatev1.NewPurchaseServiceClient(conn).ListPurchases(ctx, req)
	})
}

// numberOf returns the number of an enum's value, from the value's name as a flag has it.
func numberOf(values map[string]int32, prefix, flag string) int32 {
	return values[prefix+strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))]
}

// waitPurchaseCommand waits for a purchase.
type waitPurchaseCommand struct {
	ID  string        `arg:"" name:"id" field:"id" help:"The purchase."`
	For time.Duration `field:"timeout" default:"30s" help:"How long to wait, up to 60s (default ${default})."`
	callSettings
}

// Run makes the call. The exit status tells the state of the purchase, see exitOf.
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
	return exitOf(purchase)
}

// resolvePurchaseCommand settles a purchase.
type resolvePurchaseCommand struct {
	ID          string `arg:"" name:"id" field:"id" help:"The purchase."`
	Item        string `field:"activated_item_uid" placeholder:"UID" help:"The package that was sold. The gateway checks it with the vendor."`
	NothingSold bool   `name:"nothing-sold" field:"nothing_sold" help:"Nothing was sold."`
	Force       bool   `field:"force" help:"With --nothing-sold: do not wait until the vendor's records show it. The history keeps this."`
	Operator    string `field:"operator" required:"" placeholder:"NAME" help:"Your name, for the history."`
	Note        string `field:"note" required:"" placeholder:"TEXT" help:"Why you say so, for the history."`
	callSettings
}

// Validate requires exactly one of --item and --nothing-sold.
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
