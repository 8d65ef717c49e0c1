package server

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/internal/fairshare"
)

// These limits bound what a caller can cause. docs/operations.md says what a caller sees at each limit, and what has no
// limit yet.
const (
	// maxBody is the largest request, over REST and over gRPC. A purchase is under 10 KiB.
	maxBody = 64 << 10
	// maxOther is the largest message of a service that is not of the contract, such as a health check. Nobody has to be
	// identified for a health check, and a watch keeps its message.
	maxOther = 1 << 10
	// maxMessage is the largest message that grpc-go reads, compressed or not. grpc-go refuses a larger message by
	// itself, without the contract's details. It is above maxBody, so that most large messages are refused with details.
	maxMessage = 4 * maxBody
	// maxHeaders is the largest header list of a call, as HTTP/2 counts it.
	maxHeaders = 8 << 10
	// maxStreams is how many calls one connection can have under way. Beyond it the client's library makes calls wait.
	maxStreams = 500
	// maxCalls is how many calls the gRPC port can have under way, over all connections, and how many the REST port. A call
	// whose message never ends holds up to 64 KiB of memory. Over REST, only HTTP/2 can reach the bound, because a
	// connection of HTTP/1.1 has one call at a time.
	maxCalls = 2000
	// maxWatches is how many of the calls can be health watches or reflection. Nobody has to be identified for a health
	// watch, and it lasts as long as its connection. So watches must leave places for calls.
	maxWatches = maxCalls / 2
	// messageTime is how long a call has to deliver its message.
	messageTime = 10 * time.Second
	// maxRefused is how many calls beyond maxCalls are refused with an Outcome. Each has refusalTime to deliver its
	// message first.
	maxRefused  = 200
	refusalTime = time.Second
	// refusalPause is how long such a refusal is held back, and by default one of a call whose caller is not known.
	refusalPause = 100 * time.Millisecond
	// A client is slowed down while it has maxUseless calls under way that are of no use to anybody, or if it sends more
	// calls while maxRefused is reached. Its next call waits for floodPause. Only maxPauses calls have their pause at a time,
	// half of them of one client. The others wait for theirs, at most for floodPatience.
	maxUseless    = 32
	floodPause    = 5 * time.Millisecond
	maxPauses     = 4
	floodPatience = time.Second
	// readTime is how long a client may take to read an answer.
	readTime = 30 * time.Second
	// handshakeTime is how long a new connection has to speak HTTP/2.
	handshakeTime = 10 * time.Second
	// A connection without calls is closed after connectionIdle. After connectionAge, give or take a tenth, the client is
	// asked to open a new connection, so that new replicas get calls too.
	connectionIdle = 5 * time.Minute
	connectionAge  = 8 * time.Minute
	// connectionGrace is how long the calls of an old connection may still take. It is longer than any call that waits for a
	// purchase. Otherwise its caller would see a broken connection instead of the outcome.
	connectionGrace = 15 * time.Minute
	// maxActivations is how many packages can be started at once. It includes those whose caller is gone.
	maxActivations = 64
	// maxLookups is how many refused orders have their request ids looked up at once.
	maxLookups = 64
	// limitPatience is how long a call waits for one of the places below.
	limitPatience = time.Second
)

// places is how many calls of each method are served at once. These methods use the journal or the vendor, which
// purchases need too, and must not use them up. The engine has its own limit for purchases.
var places = map[string]int{
	gigagatev1.ActivationService_Activate_FullMethodName:          maxActivations,
	gigagatev1.PurchaseService_ListPurchases_FullMethodName:       8,
	gigagatev1.PurchaseService_GetPurchase_FullMethodName:         64,
	gigagatev1.PurchaseService_WaitPurchase_FullMethodName:        1000,
	gigagatev1.PurchaseService_ResolvePurchase_FullMethodName:     8,
	gigagatev1.FreezeService_Freeze_FullMethodName:                8,
	gigagatev1.FreezeService_Thaw_FullMethodName:                  8,
	gigagatev1.FreezeService_ListFreezes_FullMethodName:           8,
	gigagatev1.AuditService_ListAuditRecords_FullMethodName:       8,
	gigagatev1.BudgetService_GetBudget_FullMethodName:             64,
	gigagatev1.BudgetService_ListBudgets_FullMethodName:           8,
	gigagatev1.CustomerService_GetCustomer_FullMethodName:         64,
	gigagatev1.CustomerService_FindCustomer_FullMethodName:        64,
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

// limit is an interceptor. It serves as many calls of a method at once as the method has places. One client gets at most
// half of them. A call that gets no place within limitPatience is refused with OVERLOADED. A call keeps its place until
// its answer has been read.
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
	// The place is released when both the call's context and its handler have ended. Either can end first.
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
