package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/oklog/ulid/v2"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// saleSettings are the flags that both paid commands share.
type saleSettings struct {
	RequestID        string `name:"request-id" field:"request_id" placeholder:"ID" help:"Your id for this purchase. Without it, a new id is made and printed."`
	Item             string `field:"inventory_item_id" required:"" placeholder:"ID" help:"The inventory item."`
	Metatag          string `field:"metatag" required:"" placeholder:"TEXT" help:"Your own text, kept by the vendor."`
	Mode             string `field:"activation_mode" enum:"default,now,first-use,on-demand" default:"default" help:"When the package starts: now, first-use, on-demand, or the vendor's default."`
	ExpectedPrice    string `name:"expected-price" field:"expected_price,expected_price.amount" placeholder:"AMOUNT" help:"Refuse unless this is the retail price."`
	ExpectedCurrency string `name:"expected-currency" field:"expected_price.currency_code" default:"USD" help:"Currency of --expected-price (default ${default})."`
	MaxPrice         string `name:"max-purchase-price" field:"max_purchase_price,max_purchase_price.amount" placeholder:"AMOUNT" help:"Refuse if the package costs the reseller more, or if its price cannot be read."`
	MaxCurrency      string `name:"max-purchase-currency" field:"max_purchase_price.currency_code" default:"USD" help:"Currency of --max-purchase-price (default ${default})."`
}

// announce chooses the request id and prints it before anything is sent. The caller then knows the id
// whatever happens next.
func (s *saleSettings) announce(to console) {
	if s.RequestID == "" {
		s.RequestID = ulid.MustNew(ulid.Now(), rand.Reader).String()
	}
	fmt.Fprintln(to.err, "request id:", s.RequestID)
}

func (s *saleSettings) mode() gigagatev1.ActivationMode {
	name := "ACTIVATION_MODE_" + strings.ToUpper(strings.ReplaceAll(s.Mode, "-", "_"))
	// The flag's enum keeps unknown names out. The contract has no mode "default", so it reads as unspecified.
	return gigagatev1.ActivationMode(gigagatev1.ActivationMode_value[name])
}

// money is nil if no amount is given.
func money(amount, currency string) *gigagatev1.Money {
	if amount == "" {
		return nil
	}
	return &gigagatev1.Money{CurrencyCode: currency, Amount: amount}
}

// registerCommand sells a customer's first package.
type registerCommand struct {
	saleSettings
	IP      string `name:"ip" field:"user_ip" required:"" placeholder:"ADDR" help:"The end user's own address."`
	Country string `field:"user_country" required:"" placeholder:"CC" help:"The end user's country of residence, ISO 3166-1 alpha-2."`
	Email   string `field:"customer_email" placeholder:"ADDR" help:"The end user's e-mail."`
	callSettings
}

// Run makes the call.
func (c *registerCommand) Run(ctx context.Context, to console) error {
	c.announce(to)
	req := &gigagatev1.RegisterRequest{
		RequestId:        c.RequestID,
		InventoryItemId:  c.Item,
		Metatag:          c.Metatag,
		UserIp:           c.IP,
		UserCountry:      c.Country,
		ExpectedPrice:    money(c.ExpectedPrice, c.ExpectedCurrency),
		MaxPurchasePrice: money(c.MaxPrice, c.MaxCurrency),
		ActivationMode:   c.mode(),
	}
	if c.Email != "" {
		req.CustomerEmail = &c.Email
	}
	return c.call(ctx, to, func(ctx context.Context, conn grpc.ClientConnInterface) (proto.Message, error) {
		return gigagatev1.NewActivationServiceClient(conn).Register(ctx, req)
	})
}

// topUpCommand sells another package to a customer.
type topUpCommand struct {
	saleSettings
	Customer   string `field:"customer_uid" required:"" placeholder:"UID" help:"The customer."`
	NewProfile bool   `name:"new-profile" field:"new_profile" help:"Also issue a new eSIM profile. Needs --ip and --country."`
	IP         string `name:"ip" field:"new_profile.user_ip" placeholder:"ADDR" help:"The end user's own address, with --new-profile."`
	Country    string `field:"new_profile.user_country" placeholder:"CC" help:"The end user's country of residence, with --new-profile."`
	Dedicated  bool   `field:"new_profile.dedicated" help:"Ask for a profile with its own domain, with --new-profile."`
	callSettings
}

// Validate refuses flags that would be ignored.
func (c *topUpCommand) Validate() error {
	if !c.NewProfile && (c.IP != "" || c.Country != "" || c.Dedicated) {
		return errors.New("--ip, --country and --dedicated go with --new-profile")
	}
	return nil
}

// Run makes the call.
func (c *topUpCommand) Run(ctx context.Context, to console) error {
	c.announce(to)
	req := &gigagatev1.TopUpRequest{
		RequestId:        c.RequestID,
		InventoryItemId:  c.Item,
		Metatag:          c.Metatag,
		CustomerUid:      c.Customer,
		ExpectedPrice:    money(c.ExpectedPrice, c.ExpectedCurrency),
		MaxPurchasePrice: money(c.MaxPrice, c.MaxCurrency),
		ActivationMode:   c.mode(),
	}
	if c.NewProfile {
		req.NewProfile = &gigagatev1.NewProfile{UserIp: c.IP, UserCountry: c.Country}
		if c.Dedicated {
			req.NewProfile.Dedicated = &c.Dedicated
		}
	}
	return c.call(ctx, to, func(ctx context.Context, conn grpc.ClientConnInterface) (proto.Message, error) {
		return gigagatev1.NewActivationServiceClient(conn).TopUp(ctx, req)
	})
}

// activateCommand starts a package that was sold.
type activateCommand struct {
	UID string `arg:"" name:"uid" field:"uid" help:"The activated item."`
	callSettings
}

// Run makes the call.
func (c *activateCommand) Run(ctx context.Context, to console) error {
	return c.call(ctx, to, func(ctx context.Context, conn grpc.ClientConnInterface) (proto.Message, error) {
		return gigagatev1.NewActivationServiceClient(conn).Activate(ctx, &gigagatev1.ActivateRequest{Uid: c.UID})
	})
}

// inventoryCommand lists what can be sold.
type inventoryCommand struct {
	PageSize  int32  `name:"page-size" field:"page_size" default:"1000" help:"How many items to list at most (default ${default}, which is the limit)."`
	PageToken string `name:"page-token" field:"page_token" placeholder:"TOKEN" help:"The nextPageToken of the previous page."`
	callSettings
}

// Run makes the call.
func (c *inventoryCommand) Run(ctx context.Context, to console) error {
	return c.read(ctx, to, func(ctx context.Context, conn grpc.ClientConnInterface) (proto.Message, error) {
		return gigagatev1.NewInventoryServiceClient(conn).ListInventoryItems(ctx, &gigagatev1.ListInventoryItemsRequest{
			PageSize: c.PageSize, PageToken: c.PageToken,
		})
	})
}

// customerCommand shows a customer.
type customerCommand struct {
	UID   string `arg:"" optional:"" name:"uid" field:"uid" help:"The customer."`
	ICCID string `name:"iccid" field:"iccid" placeholder:"NUMBER" help:"Instead of the uid: the number of an eSIM that the customer has."`
	callSettings
}

// Validate requires exactly one of the uid and --iccid.
func (c *customerCommand) Validate() error {
	if (c.UID == "") == (c.ICCID == "") {
		return errors.New("give either the customer's uid or --iccid")
	}
	return nil
}

// Run makes the call.
func (c *customerCommand) Run(ctx context.Context, to console) error {
	return c.read(ctx, to, func(ctx context.Context, conn grpc.ClientConnInterface) (proto.Message, error) {
		customers, uid := gigagatev1.NewCustomerServiceClient(conn), c.UID
		if c.ICCID != "" {
			found, err := customers.FindCustomer(ctx, &gigagatev1.FindCustomerRequest{Iccid: c.ICCID})
			if err != nil {
				return nil, err
			}
			uid = found.GetCustomerUid()
		}
		return customers.GetCustomer(ctx, &gigagatev1.GetCustomerRequest{Uid: uid})
	})
}
