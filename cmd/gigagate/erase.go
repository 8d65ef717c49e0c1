package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"gigagate.internal/internal/iccid"
	"gigagate.internal/purchase"
)

// eraseCommand erases an end user's data.
type eraseCommand struct {
	Customer     string        `placeholder:"UID" help:"Erase the data of this customer's purchases."`
	Purchase     string        `placeholder:"ID" help:"Erase the data of this purchase. A registration that failed has no customer."`
	Operator     string        `required:"" placeholder:"NAME" help:"Your name, for the history."`
	AdminAddress listenAddress `name:"admin-address" default:"127.0.0.1:9464" placeholder:"HOST:PORT" help:"The gateway's admin address, on this machine (default ${default})."`
	outputSettings
}

// erasure is what the gateway is asked for.
type erasure struct {
	CustomerUID string `json:"customerUid"`
	PurchaseID  string `json:"purchaseId"`
	Operator    string `json:"operator"`
}

func (e erasure) check() error {
	if (e.CustomerUID == "") == (e.PurchaseID == "") {
		return errors.New("give either a customer or a purchase")
	}
	if iccid.Is(e.CustomerUID) { // an audit record would keep it for ever
		return errors.New("the customer must not be the number of an eSIM (ICCID): gigagate customer --iccid shows whose it is")
	}
	if e.Operator == "" || len(e.Operator) > 100 {
		return errors.New("the operator's name has to have 1 to 100 bytes")
	}
	return nil
}

// erasureDone is the answer.
type erasureDone struct {
	Purchases int      `json:"purchases"` // whose data is gone
	Open      []string `json:"open"`      // not settled, so their data is still there
}

func (c *eraseCommand) asked() erasure { return erasure{c.Customer, c.Purchase, c.Operator} }

// Validate requires exactly one of --customer and --purchase.
func (c *eraseCommand) Validate() error { return c.asked().check() }

// Run asks the gateway. It ends with an error if a purchase is not settled.
func (c *eraseCommand) Run(ctx context.Context, to console) error {
	var done erasureDone
	if err := askNearby(ctx, c.AdminAddress, erasePath, c.asked(), &done); err != nil {
		return err
	}
	if err := c.printReport(to, done, [][]string{{"purchases", fmt.Sprint(done.Purchases)}, {"open", strings.Join(done.Open, " ")}}); err != nil {
		return effectError{fmt.Errorf("the data was erased, but the answer cannot be written: %w", err)}
	}
	if len(done.Open) > 0 {
		return effectError{fmt.Errorf("%d purchases are not settled, so their data is still there: %s. Repeat this when they are settled",
			len(done.Open), strings.Join(done.Open, ", "))}
	}
	return nil
}

// newErasures serves erasures.
func newErasures(ctx context.Context, engine *purchase.Engine) http.Handler {
	return nearby(ctx, func(ctx context.Context, body *json.Decoder) (any, int, error) {
		var asked erasure
		if body.Decode(&asked) != nil {
			return nil, http.StatusBadRequest, errors.New(`the body has to be JSON: {"customerUid": "UID", "operator": "NAME"}`)
		}
		if err := asked.check(); err != nil {
			return nil, http.StatusBadRequest, err
		}
		done, err := engine.Erase(ctx, purchase.Erasure{CustomerUID: asked.CustomerUID, PurchaseID: asked.PurchaseID, By: asked.Operator})
		if err != nil {
			return nil, http.StatusConflict, fmt.Errorf("not everything was erased, so repeat this; the data of %d purchases is gone: %w", done.Purchases, err)
		}
		return erasureDone{Purchases: done.Purchases, Open: append([]string{}, done.Open...)}, http.StatusOK, nil
	})
}
