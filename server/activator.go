package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore"
	"gigagate.internal/purchase"
)

// activator starts packages. A start costs nothing and cannot be undone. The vendor takes no idempotency key
// for it. So the activator reads the package before it calls. If the result is in doubt, it reads again and
// does not call again.
type activator struct {
	vendor *gigastore.Client
	// audit writes an audit record, see [purchase.Engine.Audit].
	audit func(context.Context, purchase.AuditRecord) error
	// budget is the longest one activation can take: two reads around the call.
	budget time.Duration

	mu       sync.Mutex
	draining bool
	// Drain waits for running. under is the same number, which begin compares with maxActivations. Activations outlive
	// their callers, so the number of callers does not bound them.
	running sync.WaitGroup
	under   int

	// flight joins concurrent calls for one package, so that they cannot race each other.
	flight singleflight.Group
}

func newActivator(vendor *gigastore.Client, audit func(context.Context, purchase.AuditRecord) error) *activator {
	return &activator{vendor: vendor, audit: audit, budget: 3 * vendor.Timeout()}
}

// started is a package whose clock runs.
type started struct {
	item    gigastore.ActivatedItem
	already bool
}

// activate returns when the package has started, or purchase.AnswerMargin before the caller's deadline. In the
// second case it returns OUTCOME_UNKNOWN, and the activation goes on. Every error is a *failure, except that of a
// panic.
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
		return recoverAsError(func() (started, error) { return a.run(work, uid) })
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

// begin counts one more activation. It refuses if there are maxActivations already. It also refuses during a drain,
// because running must not rise from zero while Drain waits for it.
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
	// A start cannot be undone, so it is recorded first, and without the record there is none.
	record := actorOf(ctx)
	record.Action, record.Outcome, record.ActivatedItemUID = purchase.AuditActivate, purchase.AuditBegun, uid
	if err := a.audit(ctx, record); err != nil {
		return started{}, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE, cause: err}
	}
	item, callErr := a.vendor.Activate(ctx, uid)
	done := started{}
	if callErr == nil && item != nil && hasStarted(item.Balance) {
		done.item = *item
	} else {
		done, err = a.settle(ctx, uid, callErr)
	}
	record.Outcome = purchase.AuditOutcome(effectText(effectOfActivation(done, err)))
	after, cancel := briefly(ctx)
	defer cancel()
	_ = a.audit(after, record) // it logs the error, and the answer must not be lost because of it
	return done, err
}

// settle reads the package to find out what the call left in doubt. After a refusal, another replica may have
// started the package first. The vendor's words for that case are not known. A call without effect says nothing
// about an earlier call.
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

// effectOfActivation is the effect of the call to the vendor, as the caller is told.
func effectOfActivation(done started, err error) gigagatev1.Effect {
	f, ok := errors.AsType[*failure](err)
	switch {
	case err == nil && done.already: // by another call
		return gigagatev1.Effect_EFFECT_NOT_APPLIED
	case err == nil:
		return gigagatev1.Effect_EFFECT_APPLIED
	case ok:
		return f.outcome().GetEffect()
	default:
		return gigagatev1.Effect_EFFECT_INDETERMINATE
	}
}

func unknownActivation(cause error) *failure {
	return &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN, cause: cause}
}
