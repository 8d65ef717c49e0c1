package main

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// freezeTarget says what to freeze or thaw.
type freezeTarget struct {
	What     string `arg:"" name:"what" field:"target,target.everything" enum:"all,caller,item" help:"What: all, caller NAME, or item ID."`
	Name     string `arg:"" name:"name" field:"target.caller,target.inventory_item_id" optional:"" help:"The caller's name, or the inventory item's id."`
	Operator string `field:"operator" required:"" placeholder:"NAME" help:"Your name, for the audit record."`
	Reason   string `field:"reason" required:"" placeholder:"TEXT" help:"Why, for the audit record."`
}

// Validate requires a name exactly for a caller and an item.
func (c *freezeTarget) Validate() error {
	if (c.What == "all") != (c.Name == "") {
		return errors.New("write all, caller NAME, or item ID")
	}
	return nil
}

func (c *freezeTarget) target() *gigagatev1.FreezeTarget {
	switch c.What {
	case "caller":
		return &gigagatev1.FreezeTarget{Target: &gigagatev1.FreezeTarget_Caller{Caller: c.Name}}
	case "item":
		return &gigagatev1.FreezeTarget{Target: &gigagatev1.FreezeTarget_InventoryItemId{InventoryItemId: c.Name}}
	}
	return &gigagatev1.FreezeTarget{Target: &gigagatev1.FreezeTarget_Everything{Everything: true}}
}

// freezeCommand stops new purchases.
type freezeCommand struct {
	freezeTarget
	callSettings
}

// Run makes the call.
func (c *freezeCommand) Run(ctx context.Context, to console) error {
	return c.call(ctx, to, func(ctx context.Context, conn grpc.ClientConnInterface) (proto.Message, error) {
		return gigagatev1.NewFreezeServiceClient(conn).Freeze(ctx, &gigagatev1.FreezeRequest{
			Target: c.target(), Operator: c.Operator, Reason: c.Reason,
		})
	})
}

// thawCommand lets new purchases go on.
type thawCommand struct {
	freezeTarget
	callSettings
}

// Run makes the call.
func (c *thawCommand) Run(ctx context.Context, to console) error {
	return c.call(ctx, to, func(ctx context.Context, conn grpc.ClientConnInterface) (proto.Message, error) {
		return gigagatev1.NewFreezeServiceClient(conn).Thaw(ctx, &gigagatev1.ThawRequest{
			Target: c.target(), Operator: c.Operator, Reason: c.Reason,
		})
	})
}

// freezesCommand lists what is frozen.
type freezesCommand struct {
	PageSize  int32  `name:"page-size" field:"page_size" default:"50" help:"How many freezes to list at most (default ${default})."`
	PageToken string `name:"page-token" field:"page_token" placeholder:"TOKEN" help:"The nextPageToken of the previous page."`
	callSettings
}

// Run makes the call.
func (c *freezesCommand) Run(ctx context.Context, to console) error {
	return c.read(ctx, to, func(ctx context.Context, conn grpc.ClientConnInterface) (proto.Message, error) {
		return gigagatev1.NewFreezeServiceClient(conn).ListFreezes(ctx, &gigagatev1.ListFreezesRequest{
			PageSize: c.PageSize, PageToken: c.PageToken,
		})
	})
}

// auditCommand lists audit records.
type auditCommand struct {
	Since     moment `field:"from_time" placeholder:"TIME" help:"Only the records since this time, for example 2026-11-30T08:00:00Z, or of this time before now, for example 24h."`
	Until     moment `field:"to_time" placeholder:"TIME" help:"Only the records before this time."`
	PageSize  int32  `name:"page-size" field:"page_size" default:"50" help:"How many records to list at most (default ${default})."`
	PageToken string `name:"page-token" field:"page_token" placeholder:"TOKEN" help:"The nextPageToken of the previous page. Give --since as a time then, because the token belongs to it."`
	callSettings
}

// moment is a time in RFC 3339, or a duration before now.
type moment string

func (m moment) check() error {
	_, err := m.time()
	return err
}

// time is nil if m is empty.
func (m moment) time() (*timestamppb.Timestamp, error) {
	if m == "" {
		return nil, nil //nolint:nilnil // an unset filter
	}
	if ago, err := time.ParseDuration(string(m)); err == nil {
		return timestamppb.New(time.Now().Add(-ago)), nil
	}
	at, err := time.Parse(time.RFC3339, string(m))
	if err != nil {
		return nil, errors.New("it must be a time such as 2026-11-30T08:00:00Z, or a duration before now such as 24h")
	}
	return timestamppb.New(at), nil
}

// Run makes the call.
func (c *auditCommand) Run(ctx context.Context, to console) error {
	since, err := c.Since.time()
	if err != nil {
		return err
	}
	until, err := c.Until.time()
	if err != nil {
		return err
	}
	return c.read(ctx, to, func(ctx context.Context, conn grpc.ClientConnInterface) (proto.Message, error) {
		return gigagatev1.NewAuditServiceClient(conn).ListAuditRecords(ctx, &gigagatev1.ListAuditRecordsRequest{
			FromTime: since, ToTime: until, PageSize: c.PageSize, PageToken: c.PageToken,
		})
	})
}
