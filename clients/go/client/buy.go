package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

const (
	// defaultTime is how long a purchase may take if ctx has no deadline.
	defaultTime = 100 * time.Second
	// The pause before the next send, where the gateway names none, grows from firstPause to longestPause.
	firstPause   = time.Second
	longestPause = 10 * time.Second
	// shortestPause is a lower limit on the pauses that the gateway names.
	shortestPause = 100 * time.Millisecond
	// longestWait is the longest timeout that WaitPurchase accepts.
	longestWait = time.Minute
)

// Register buys a first package and waits until the purchase is settled. It sends the request as often as it needs to.
// The request id stays the same, so the package is bought once. The caller makes the request id, and stores it before
// the call.
//
// conn should be a connection from [New]. Another one that repeats calls by itself hides sends that ended without an
// answer, so the purchase can end with NOT_STARTED although such a send can still buy.
//
// ctx limits the time. Without a deadline, the limit is 100 s. The error is a [*Refused] or a [*NotKnownYet], unless the
// request has no request id.
func Register(ctx context.Context, conn grpc.ClientConnInterface, req *gigagatev1.RegisterRequest) (*gigagatev1.RegisterResponse, error) {
	return buy(ctx, conn, req, gigagatev1.NewActivationServiceClient(conn).Register)
}

// TopUp buys a further package, in the same way as [Register].
func TopUp(ctx context.Context, conn grpc.ClientConnInterface, req *gigagatev1.TopUpRequest) (*gigagatev1.TopUpResponse, error) {
	return buy(ctx, conn, req, gigagatev1.NewActivationServiceClient(conn).TopUp)
}

// request is a request of a paid call.
type request interface{ GetRequestId() string }

// buy sends req until a purchase has ended in one of the three ways, or the time is over.
func buy[Q request, A any](
	ctx context.Context, conn grpc.ClientConnInterface, req Q, send func(context.Context, Q, ...grpc.CallOption) (*A, error),
) (*A, error) {
	if req.GetRequestId() == "" {
		return nil, errors.New("request_id is empty: make one and store it before you buy")
	}
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultTime)
		defer cancel()
	}
	b := buyer{purchases: gigagatev1.NewPurchaseServiceClient(conn), nextPause: firstPause}
	for {
		sold, err := send(context.WithValue(ctx, inDoubtKey{}, &b.inDoubt), req)
		if err == nil {
			return sold, nil
		}
		if err := b.afterError(ctx, err); err != nil {
			return nil, err
		}
	}
}

// buyer is what buy knows between its sends.
type buyer struct {
	purchases gigagatev1.PurchaseServiceClient
	// inDoubt is whether a send ended without an Outcome. It may still be on its way to the gateway.
	inDoubt    atomic.Bool
	purchaseID string // of the last Outcome that named one
	settled    bool   // WaitPurchase has shown that the purchase is settled
	nextPause  time.Duration
}

// afterError returns nil when it is time to send again, and the error of the purchase when there is nothing more to do.
func (b *buyer) afterError(ctx context.Context, sendErr error) error {
	outcome := OutcomeOf(sendErr)
	if id := outcome.GetPurchaseId(); id != "" {
		b.purchaseID = id
	}
	switch effect := outcome.GetEffect(); {
	case outcome.GetReason() == gigagatev1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED,
		effect == gigagatev1.Effect_EFFECT_NOT_APPLIED:
		return refused(outcome, sendErr)
	case needsOtherCredential(outcome):
		// An earlier send may have bought, and the gateway does not say.
		if b.inDoubt.Load() || b.purchaseID != "" {
			return b.notKnownYet(sendErr)
		}
		return refused(outcome, sendErr)
	case effect == gigagatev1.Effect_EFFECT_APPLIED:
		// The package is sold. The delay says that the gateway can show the sale later.
		if outcome.GetRetryDelay() != nil && b.pause(ctx, outcome) {
			return nil
		}
		return refused(outcome, sendErr)
	case effect == gigagatev1.Effect_EFFECT_NOT_STARTED:
		// The gateway has no purchase under this request id. A send in doubt can still make one.
		switch mayRepeat := b.inDoubt.Load() || outcome.GetRetryDelay() != nil; {
		case mayRepeat && b.pause(ctx, outcome):
			return nil
		case b.inDoubt.Load():
			return b.notKnownYet(sendErr)
		}
		return refused(outcome, sendErr)
	}
	if outcome == nil {
		b.inDoubt.Store(true)
	}
	switch {
	case outcome == nil && !mayPass(sendErr):
		return b.notKnownYet(sendErr)
	case outcome.GetPurchaseId() != "" && !b.settled && b.waitUntilSettled(ctx), b.pause(ctx, outcome):
		return nil
	}
	return b.notKnownYet(sendErr)
}

// needsOtherCredential reports whether the gateway refused the caller and not the order. The next send would be refused, too.
func needsOtherCredential(outcome *gigagatev1.Outcome) bool {
	switch outcome.GetReason() {
	case gigagatev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED:
		return true
	case gigagatev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED:
		return outcome.GetEffect() == gigagatev1.Effect_EFFECT_NOT_STARTED
	default:
		return false
	}
}

// mayPass reports whether an error without an Outcome can be gone at the next send. A proxy sends the others. Canceled
// comes from a proxy or a server that stops, or from the caller. After the caller's own cancellation there is no pause.
func mayPass(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.Unknown, codes.ResourceExhausted, codes.Aborted,
		codes.Canceled:
		return true
	default:
		return false
	}
}

// waitUntilSettled reports whether the purchase is settled. It returns false if the time is over or the purchase cannot
// be read.
func (b *buyer) waitUntilSettled(ctx context.Context) bool {
	for {
		waited, err := b.purchases.WaitPurchase(ctx, &gigagatev1.WaitPurchaseRequest{
			Id: b.purchaseID, Timeout: durationpb.New(longestWait),
		})
		if err != nil {
			return false
		}
		switch waited.GetPurchase().GetState() {
		case gigagatev1.PurchaseState_PURCHASE_STATE_SUCCEEDED, gigagatev1.PurchaseState_PURCHASE_STATE_FAILED:
			b.settled = true
			return true
		default:
			if !b.pause(ctx, nil) {
				return false
			}
		}
	}
}

// pause waits for the retry_delay of outcome, or for a pause that grows. It returns false, at once, if there is not
// enough time for the pause. It also returns false if the caller cancels.
func (b *buyer) pause(ctx context.Context, outcome *gigagatev1.Outcome) bool {
	pause := b.nextPause
	if delay := outcome.GetRetryDelay(); delay != nil {
		pause = max(delay.AsDuration(), shortestPause)
	} else {
		b.nextPause = min(2*b.nextPause, longestPause)
	}
	if deadline, _ := ctx.Deadline(); time.Until(deadline) <= pause {
		return false // before the sum, which overflows if the delay is the longest one
	}
	pause += rand.N(pause / 10) //nolint:gosec // it spreads the sends of many callers
	if deadline, _ := ctx.Deadline(); time.Until(deadline) <= pause {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (b *buyer) notKnownYet(err error) error {
	return &NotKnownYet{PurchaseID: b.purchaseID, Err: err}
}
