package server

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/fairshare"
)

// The bounds of what a caller can cause. docs/operations.md says what a caller sees at each, and what has none yet.
const (
	// maxBody is the largest request, over REST and over gRPC. A purchase is under 10 KiB.
	maxBody = 64 << 10
	// maxMessage is the largest message that grpc-go reads, compressed or not. What is larger it refuses by itself,
	// without the contract's details; so it is above maxBody, whose refusal has them.
	maxMessage = 4 * maxBody
	// maxHeaders is the largest header list of a call, as HTTP/2 counts it.
	maxHeaders = 8 << 10
	// maxStreams is how many calls one connection has under way. A client's library waits beyond it.
	maxStreams = 500
	// maxCalls is how many calls the gRPC port has under way, over all connections. A call that stops short of the end of
	// its message holds up to 64 KiB.
	maxCalls = 2000
	// messageTime is how long a call has to deliver its message.
	messageTime = 10 * time.Second
	// maxRefused is how many calls beyond maxCalls have refusalTime to deliver their message before they are refused.
	maxRefused  = 200
	refusalTime = time.Second
	// floodPause slows down a connection that goes on beyond maxRefused.
	floodPause = 5 * time.Millisecond
	// readTime is how long a client may take to read an answer.
	readTime = 30 * time.Second
	// handshakeTime is how long a new connection has to speak HTTP/2.
	handshakeTime = 10 * time.Second
	// A connection that carries nothing for connectionIdle is closed. After connectionAge, give or take a tenth, its
	// client is asked to open another, so that calls spread over new replicas.
	connectionIdle = 5 * time.Minute
	connectionAge  = 8 * time.Minute
	// connectionGrace is how long the calls of an old connection have to end. It is longer than any wait for a purchase,
	// whose caller would see a broken connection and not its outcome.
	connectionGrace = 15 * time.Minute
	// maxActivations is how many packages are being started at once, also for callers that have gone.
	maxActivations = 64
	// limitPatience is how long a call waits for a place below.
	limitPatience = time.Second
)

// places is how many calls of a method are served at once. What is here shares the journal or the vendor with purchases,
// and must not use it up. Purchases have a limit of their own in the engine; the one here bounds the reads before it.
var places = map[string]int{
	gigagatev1.ActivationService_Register_FullMethodName:          maxCalls,
	gigagatev1.ActivationService_TopUp_FullMethodName:             maxCalls,
	gigagatev1.ActivationService_Activate_FullMethodName:          maxActivations,
	gigagatev1.PurchaseService_ListPurchases_FullMethodName:       8,
	gigagatev1.PurchaseService_GetPurchase_FullMethodName:         64,
	gigagatev1.PurchaseService_WaitPurchase_FullMethodName:        1000,
	gigagatev1.PurchaseService_ResolvePurchase_FullMethodName:     8,
	gigagatev1.CustomerService_GetCustomer_FullMethodName:         64,
	gigagatev1.InventoryService_ListInventoryItems_FullMethodName: 64,
}

// limiter gives out the places.
type limiter map[string]*fairshare.Limit

func newLimiter() limiter {
	l := limiter{}
	for method, n := range places {
		l[method] = fairshare.New(n)
	}
	return l
}

// limit is an interceptor. It serves as many calls of a method at once as the method has places, and of one client half as
// many. A call that gets no place within limitPatience is refused. It keeps its place until its answer has been read.
func (l limiter) limit(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if !begin(ctx) {
		return nil, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_OVERLOADED}
	}
	place, ok := l[info.FullMethod]
	if !ok {
		return next(ctx, req)
	}
	client := clientOf(ctx)
	if !place.Take(client) {
		patience, cancel := context.WithTimeout(ctx, limitPatience)
		defer cancel()
		if err := place.Wait(patience, client); err != nil {
			return nil, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_OVERLOADED, cause: err}
		}
	}
	// A call has two ends, and each may come first: the caller leaves, or the handler is done.
	ends := make(chan struct{})
	defer close(ends)
	context.AfterFunc(ctx, func() {
		<-ends
		place.Release(client)
	})
	return next(ctx, req)
}

// transportLimits bound what a gRPC connection may do.
func (a *admission) transportLimits() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.InTapHandle(a.admit),
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
