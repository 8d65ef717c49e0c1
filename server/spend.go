package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
)

const (
	// answerMargin is how long before the caller's deadline the answer leaves. At the deadline
	// itself gRPC's own DEADLINE_EXCEEDED wins, and it carries no details.
	answerMargin = 250 * time.Millisecond
	// leastTime is what must be left beside the margin for a paid request to be started at all.
	leastTime = 250 * time.Millisecond
	// permitLife is how long after the permit the first byte may leave.
	permitLife = 10 * time.Second
	// maxInFlight bounds the purchases under way. A purchase outlives its caller, so the number of
	// callers does not bound it.
	maxInFlight = 1000

	tokenPrefix = "gg"
	// tokenLength is the prefix and a ULID.
	tokenLength = len(tokenPrefix) + ulid.EncodedSize
	// defaultCaller is the caller's name until callers have identities.
	defaultCaller = "default"
)

// spender sends one paid request per call, on its own time: a caller that hangs up or runs out of
// time changes nothing for a request that may already have been sent.
//
// It keeps no memory of what it sent. Its place is the purchase engine's, which will.
type spender struct {
	logger *slog.Logger
	now    func() time.Time
	// budget is the longest a paid request can take, token and answer included.
	budget time.Duration

	mu       sync.Mutex
	draining bool
	inFlight sync.WaitGroup
	slots    chan struct{}
}

func newSpender(logger *slog.Logger, now func() time.Time, vendorTimeout time.Duration) *spender {
	return &spender{
		logger: logger,
		now:    now,
		budget: permitLife + vendorTimeout,
		slots:  make(chan struct{}, maxInFlight),
	}
}

// sale is what came of one paid request.
type sale struct {
	purchaseID string
	record     *gigastore.Sale
}

// paidCall sends one paid request under a permit.
type paidCall func(context.Context, gigastore.Permit) (*gigastore.Sale, error)

// spend gives out one permit and runs send with it. It returns when send does, or answerMargin
// before the caller's deadline; send then still runs to its end.
func (s *spender) spend(ctx context.Context, requestID string, send paidCall) (*sale, error) {
	answerBy, err := s.answerBy(ctx)
	if err != nil {
		return nil, err
	}
	purchaseID := ulid.Make().String()
	permit := gigastore.Permit{
		Token:          tokenPrefix + purchaseID,
		IdempotencyKey: idempotencyKey(defaultCaller, requestID),
		NotAfter:       s.now().Add(permitLife),
	}
	// From here to the goroutine that gives the slot back nothing can fail.
	if err := s.admit(); err != nil {
		return nil, err
	}
	annotate(ctx, attrPurchaseID.String(purchaseID))
	type result struct {
		sale *sale
		err  error
	}
	done, left := make(chan result), make(chan struct{})
	defer close(left)
	go func() {
		defer s.release()
		work, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.budget)
		defer cancel()
		record, err := guarded(func() (*gigastore.Sale, error) { return send(work, permit) })
		r := result{sale: &sale{purchaseID: purchaseID, record: record}}
		if err != nil {
			r = result{err: saleFailure(purchaseID, err)}
		}
		select {
		case done <- r:
		case <-left:
			s.logLate(work, purchaseID, r.err)
		}
	}()

	timer := time.NewTimer(answerBy)
	defer timer.Stop()
	select {
	case r := <-done:
		if r.err == nil {
			annotate(ctx, attrEffect.String(effectText(gigagatev1.Effect_EFFECT_APPLIED)),
				attrVendorStatus.Int(r.sale.record.Evidence.HTTPStatus))
		}
		return r.sale, r.err
	case <-timer.C:
		return nil, saleFailure(purchaseID, context.DeadlineExceeded)
	case <-ctx.Done():
		return nil, saleFailure(purchaseID, ctx.Err())
	}
}

// answerBy is how long the caller can be made to wait: until answerMargin before its deadline, or
// for the whole budget where it has none.
func (s *spender) answerBy(ctx context.Context) (time.Duration, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return s.budget + answerMargin, nil
	}
	left := time.Until(deadline) - answerMargin
	if left < leastTime {
		return 0, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_DEADLINE_TOO_SHORT}
	}
	return left, nil
}

// admit takes a slot, which release gives back, unless the gateway drains or is full.
func (s *spender) admit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_DRAINING}
	}
	select {
	case s.slots <- struct{}{}:
		s.inFlight.Add(1)
		return nil
	default:
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_OVERLOADED}
	}
}

func (s *spender) release() {
	<-s.slots
	s.inFlight.Done()
}

// drain refuses new purchases and waits for those under way, or for ctx.
func (s *spender) drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		s.inFlight.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// logLate writes down what came of a purchase whose caller had been answered already.
func (s *spender) logLate(ctx context.Context, purchaseID string, err error) {
	reason, effect := "", gigagatev1.Effect_EFFECT_APPLIED
	if f, ok := errors.AsType[*failure](err); ok {
		reason, effect = reasonText(f.reason), f.outcome().GetEffect()
	}
	s.logger.WarnContext(ctx, "purchase ended after its caller was answered",
		"purchase_id", purchaseID, "reason", reason, "effect", effectText(effect))
}

// idempotencyKey is the vendor's idempotency-key header of a purchase: 64 hexadecimal digits, the
// most the vendor is thought to take, and a function of the request id alone, so that even a
// gateway that lost its memory repeats the key of the sale it forgot.
func idempotencyKey(caller, requestID string) string {
	sum := sha256.Sum256([]byte(caller + "\x00" + requestID))
	return hex.EncodeToString(sum[:])
}
