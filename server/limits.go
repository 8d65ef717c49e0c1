package server

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// The bounds of what a caller can cause. docs/operations.md says what a caller sees at each, and what has none yet.
const (
	// maxBody is the largest request, over REST and over gRPC. A purchase is under 10 KiB.
	maxBody = 64 << 10
	// maxMessage is the largest message that grpc-go reads, compressed or not. What is larger it refuses by itself,
	// without the contract's details; so it is above maxBody, whose refusal has them.
	maxMessage = 4 * maxBody
	// maxHeaders is the largest header list of a call, as HTTP/2 counts it.
	maxHeaders = 16 << 10
	// maxStreams is how many calls one connection has under way.
	maxStreams = 1000
	// handshakeTime is how long a new connection has to speak HTTP/2.
	handshakeTime = 10 * time.Second
	// A connection that carries nothing for connectionIdle is closed. After connectionAge, give or take a tenth, its
	// client is asked to open another, so that calls spread over new replicas.
	connectionIdle = 5 * time.Minute
	connectionAge  = 8 * time.Minute
	// connectionGrace is how long the calls of an old connection have to end. It is longer than any wait for a purchase,
	// whose caller would see a broken connection and not its outcome.
	connectionGrace = 15 * time.Minute
	// limitPatience is how long a call waits for a place below.
	limitPatience = time.Second
)

// places is how many calls of a method are served at once. Purchases have a limit of their own in the engine. What is
// here shares the journal or the vendor with them, and must not use it up.
var places = map[string]int{
	gigagatev1.PurchaseService_ListPurchases_FullMethodName:       8,
	gigagatev1.PurchaseService_GetPurchase_FullMethodName:         64,
	gigagatev1.PurchaseService_WaitPurchase_FullMethodName:        1000,
	gigagatev1.PurchaseService_ResolvePurchase_FullMethodName:     8,
	gigagatev1.CustomerService_GetCustomer_FullMethodName:         64,
	gigagatev1.InventoryService_ListInventoryItems_FullMethodName: 64,
	gigagatev1.ActivationService_Activate_FullMethodName:          64,
}

// limiter gives out the places.
type limiter map[string]chan struct{}

func newLimiter() limiter {
	l := limiter{}
	for method, n := range places {
		l[method] = make(chan struct{}, n)
	}
	return l
}

// limit is an interceptor. It serves as many calls of a method at once as the method has places. A call that gets no place
// within limitPatience is refused.
func (l limiter) limit(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	taken, ok := l[info.FullMethod]
	if !ok {
		return next(ctx, req)
	}
	select {
	case taken <- struct{}{}:
	default:
		patience := time.NewTimer(limitPatience)
		defer patience.Stop()
		select {
		case taken <- struct{}{}:
		case <-patience.C:
			return nil, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_OVERLOADED}
		case <-ctx.Done():
			return nil, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_OVERLOADED, cause: ctx.Err()}
		}
	}
	defer func() { <-taken }()
	return next(ctx, req)
}

// transportLimits bound what a gRPC connection may do.
func transportLimits() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle:     connectionIdle,
			MaxConnectionAge:      connectionAge,
			MaxConnectionAgeGrace: connectionGrace,
		}),
	}
}
