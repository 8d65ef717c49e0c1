package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

// activator starts packages: free, irreversible, and without a key at the vendor. It reads before
// it calls, and on any doubt it reads again instead of calling again.
type activator struct {
	vendor *gigastore.Client
	logger *slog.Logger
	// budget is the longest one activation can take: two reads around the call.
	budget time.Duration

	mu       sync.Mutex
	draining bool
	// running counts the activations under way, and under is how many there are: they outlive their callers, so the number
	// of callers does not bound it.
	running sync.WaitGroup
	under   int

	// flight joins concurrent calls for one package, so that they cannot race each other.
	flight singleflight.Group
}

func newActivator(vendor *gigastore.Client, logger *slog.Logger) *activator {
	return &activator{vendor: vendor, logger: logger, budget: 3 * vendor.Timeout()}
}

// started is a package whose clock runs.
type started struct {
	item    gigastore.ActivatedItem
	already bool
}

// activate answers when the package has started, or purchase.AnswerMargin before the caller's deadline;
// the work then still runs to its end.
func (a *activator) activate(ctx context.Context, uid string) (started, error) {
	wait := a.budget + purchase.AnswerMargin
	if deadline, ok := ctx.Deadline(); ok {
		if wait = time.Until(deadline) - purchase.AnswerMargin; wait < purchase.LeastTime {
			return started{}, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_DEADLINE_TOO_SHORT}
		}
	}
	done := a.flight.DoChan(uid, func() (any, error) {
		if err := a.begin(); err != nil {
			return nil, err
		}
		defer a.ended()
		work, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.budget)
		defer cancel()
		return guarded(func() (started, error) { return a.run(work, uid) })
	})
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case result := <-done:
		if result.Err != nil {
			return started{}, result.Err
		}
		return result.Val.(started), nil
	case <-timer.C:
		return started{}, unknownActivation(context.DeadlineExceeded)
	case <-ctx.Done():
		return started{}, unknownActivation(ctx.Err())
	}
}

// begin counts one more activation, unless there are as many as may be or the gateway drains: running must not rise from
// zero while Drain waits for it.
func (a *activator) begin() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.draining {
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_DRAINING}
	}
	if a.under >= maxActivations {
		return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_OVERLOADED}
	}
	a.under++
	a.running.Add(1)
	return nil
}

func (a *activator) ended() {
	a.mu.Lock()
	a.under--
	a.mu.Unlock()
	a.running.Done()
}

// refuseNew makes begin refuse from now on.
func (a *activator) refuseNew() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draining = true
}

func (a *activator) run(ctx context.Context, uid string) (started, error) {
	before, err := a.vendor.ActivatedItem(ctx, uid)
	if err != nil {
		return started{}, readFailure(err)
	}
	if hasStarted(before.ActivatedItem.Balance) {
		return started{item: before.ActivatedItem, already: true}, nil
	}
	item, callErr := a.vendor.Activate(ctx, uid)
	a.audit(ctx, uid, callErr)
	if callErr == nil && item != nil && hasStarted(item.Balance) {
		return started{item: *item}, nil
	}
	return a.settle(ctx, uid, callErr)
}

// settle reads what the call left in doubt. A refusal leaves in doubt whether another replica was
// first, in which words the vendor would say so is not known; and a call that had no effect says
// nothing of the one before it.
func (a *activator) settle(ctx context.Context, uid string, callErr error) (started, error) {
	vendor, _ := errors.AsType[*gigastore.Error](callErr)
	after, err := a.vendor.ActivatedItem(ctx, uid)
	refused := vendor != nil && vendor.Effect == gigastore.EffectRefused
	switch {
	case err == nil && hasStarted(after.ActivatedItem.Balance):
		return started{item: after.ActivatedItem, already: refused}, nil
	case err != nil && vendor != nil && vendor.Effect == gigastore.EffectNone:
		return started{}, readFailure(err)
	case err != nil:
	case refused && vendor.Reason != gigastore.ReasonAlreadyActive:
		return started{}, &failure{reason: reasonOf(purchase.Reason(vendor.Reason)), cause: callErr}
	case vendor != nil && vendor.Effect == gigastore.EffectNone:
		return started{}, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_NEVER_SENT, cause: callErr}
	case vendor != nil && vendor.Reason == gigastore.ReasonAlreadyActive:
		return started{}, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_ALREADY_ACTIVE, cause: callErr}
	}
	return started{}, unknownActivation(errors.Join(callErr, err))
}

// audit writes down an irreversible act, done or tried.
func (a *activator) audit(ctx context.Context, uid string, err error) {
	effect := "APPLIED"
	if vendor, ok := errors.AsType[*gigastore.Error](err); ok {
		effect = vendor.Effect.String()
	}
	a.logger.InfoContext(ctx, "activate sent", "activated_item_uid", uid, "effect", effect)
}

func unknownActivation(cause error) *failure {
	return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN, cause: cause}
}
