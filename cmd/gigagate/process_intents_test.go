package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

// intent is one purchase that a caller wants, with all answers that the caller got. The request never
// changes.
type intent struct {
	requestID string
	register  *gigagatev1.RegisterRequest // or
	topUp     *gigagatev1.TopUpRequest

	mu        sync.Mutex
	told      []told
	abandoned bool // every call was told that nothing was started, and the caller gave up
}

// told is one answer. It has neither outcome nor sale if the connection broke.
type told struct {
	err      error
	outcome  *gigagatev1.Outcome
	sold     proto.Message
	item     string
	purchase string
	replayed bool
}

func (a told) final() bool {
	return a.sold != nil || a.outcome.GetEffect() == gigagatev1.Effect_EFFECT_NOT_APPLIED
}

// String describes the answer for a report.
func (a told) String() string {
	if a.sold != nil {
		return fmt.Sprintf("sold %s as %s, replayed %t", a.item, a.purchase, a.replayed)
	}
	return newCallError(a.err).Error()
}

var (
	modes = []gigagatev1.ActivationMode{
		gigagatev1.ActivationMode_ACTIVATION_MODE_NOW, gigagatev1.ActivationMode_ACTIVATION_MODE_FIRST_USE,
	}
	items = []string{sandbox.ItemWorldwide1GB, sandbox.ItemWorldwide50MB}
)

// newRegister returns the simplest intent.
func newRegister(requestID string) *intent {
	return &intent{requestID: requestID, register: &gigagatev1.RegisterRequest{
		RequestId: requestID, InventoryItemId: sandbox.ItemWorldwide1GB, Metatag: requestID,
		UserIp: "203.0.113.24", UserCountry: "GR", ActivationMode: gigagatev1.ActivationMode_ACTIVATION_MODE_NOW,
	}}
}

// newIntent returns the nth intent of a load. Together they cover every kind and both modes, with and
// without optional fields. Top-ups are for the given customers.
func newIntent(n int, customers []string) *intent {
	in := newRegister(fmt.Sprintf("order-%d", n))
	item, mode := items[n/6%len(items)], modes[n/3%len(modes)]
	if n%3 == 0 {
		in.register.InventoryItemId, in.register.ActivationMode = item, mode
		if n%2 == 0 {
			in.register.CustomerEmail = new(fmt.Sprintf("traveller%d@example.com", n))
		}
		if n%5 == 0 {
			in.register.MaxPurchasePrice = &gigagatev1.Money{CurrencyCode: "USD", Amount: "5.00"}
		}
		return in
	}
	in.register, in.topUp = nil, &gigagatev1.TopUpRequest{
		RequestId: in.requestID, InventoryItemId: item, Metatag: in.requestID,
		CustomerUid: customers[n/2%len(customers)], ActivationMode: mode,
	}
	if n%3 == 2 {
		in.topUp.NewProfile = &gigagatev1.NewProfile{UserIp: "203.0.113.25", UserCountry: "AT"}
	}
	return in
}

// buy makes one call and records the answer.
func (in *intent) buy(ctx context.Context, conn grpc.ClientConnInterface) told {
	var a told
	var header metadata.MD
	service := gigagatev1.NewActivationServiceClient(conn)
	if in.register != nil {
		resp, err := service.Register(ctx, in.register, grpc.Header(&header))
		if a.err = err; err == nil {
			a.sold, a.item, a.purchase = resp, resp.GetActivatedItem().GetUid(), resp.GetPurchaseId()
		}
	} else {
		resp, err := service.TopUp(ctx, in.topUp, grpc.Header(&header))
		if a.err = err; err == nil {
			a.sold, a.item, a.purchase = resp, resp.GetActivatedItem().GetUid(), resp.GetPurchaseId()
		}
	}
	if a.err != nil {
		a.outcome = newCallError(a.err).outcome
		a.purchase = a.outcome.GetPurchaseId()
	}
	a.replayed = len(header.Get("gigagate-replayed")) > 0
	in.mu.Lock()
	defer in.mu.Unlock()
	in.told = append(in.told, a)
	return a
}

// buyWithin is buy with a deadline.
func (in *intent) buyWithin(ctx context.Context, conn grpc.ClientConnInterface, d time.Duration) told {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return in.buy(ctx, conn)
}

// abandon gives the intent up if every call was told that nothing was started.
func (in *intent) abandon() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.abandoned = !slices.ContainsFunc(in.told, func(a told) bool {
		return a.outcome.GetEffect() != gigagatev1.Effect_EFFECT_NOT_STARTED
	})
}

func (in *intent) isAbandoned() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.abandoned
}

// ended reports whether the caller has its final answer.
func (in *intent) ended() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.abandoned || slices.ContainsFunc(in.told, told.final)
}

// answers returns the answers so far.
func (in *intent) answers() []told {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.told)
}
