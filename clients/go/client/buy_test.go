package client_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"gigagate.internal/clients/go/client"
	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// endOf is how a purchase ended, in a few words.
func endOf(sold *gigagatev1.RegisterResponse, err error) string {
	var refused *client.Refused
	var unknown *client.NotKnownYet
	switch {
	case errors.As(err, &refused):
		return "refused " + refused.Effect
	case errors.As(err, &unknown):
		return "not known " + unknown.PurchaseID
	case err != nil:
		return err.Error()
	}
	return "sold " + sold.GetPurchaseId()
}

func TestEveryPurchaseEndsInOneOfThreeWays(t *testing.T) {
	t.Parallel()
	const (
		sold     = "sold " + purchaseID
		unknown  = "not known "
		unknown1 = "not known " + purchaseID
		second   = time.Second
		reused   = gigagatev1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED
		unauth   = gigagatev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED
		denied   = gigagatev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED
	)
	for name, c := range map[string]struct {
		script []answer
		calls  string
		end    string
		took   time.Duration // at least, and at most a tenth more
	}{
		"sold at once": {[]answer{sale}, "buy", sold, 0},
		"not applied":  {[]answer{withEffect(notApplied)}, "buy", "refused NOT_APPLIED", 0},
		"applied":      {[]answer{withEffect(applied)}, "buy", "refused APPLIED", 0},
		"applied, then shown": {
			[]answer{told(0, applied, purchaseID, 3*second), sale},
			"buy buy", sold, 3 * second,
		},
		"applied, no time to show it": {[]answer{told(0, applied, purchaseID, 200*second)}, "buy", "refused APPLIED", 0},

		"reused, open":   {[]answer{told(reused, indeterminate, purchaseID, second)}, "buy", "refused INDETERMINATE", 0},
		"reused, absent": {[]answer{told(reused, notStarted, purchaseID, second)}, "buy", "refused NOT_STARTED", 0},

		// A credential that is wrong, or may not buy this.
		"unauthenticated": {[]answer{told(unauth, indeterminate, "", 0)}, "buy", "refused INDETERMINATE", 0},
		"in doubt, then unauthenticated": {
			[]answer{broken(codes.Internal), told(unauth, indeterminate, "", 0)},
			"buy buy", unknown, second,
		},
		"open, then unauthenticated": {
			[]answer{told(0, indeterminate, purchaseID, 0), waited(settled, 0), told(unauth, indeterminate, "", 0)},
			"buy wait buy", unknown1, 0,
		},
		"denied": {[]answer{told(denied, notStarted, "", 0)}, "buy", "refused NOT_STARTED", 0},
		"in doubt, then denied": {
			[]answer{broken(codes.Internal), told(denied, notStarted, "", 0)},
			"buy buy", unknown, second,
		},
		"denied, open": {
			[]answer{told(denied, indeterminate, purchaseID, 0), waited(settled, second), told(denied, applied, purchaseID, 0)},
			"buy wait buy", "refused APPLIED", second,
		},

		// NOT_STARTED.
		"not started": {[]answer{withEffect(notStarted)}, "buy", "refused NOT_STARTED", 0},
		"not started, then sold": {
			[]answer{told(0, notStarted, "", 3*second), sale},
			"buy buy", sold, 3 * second,
		},
		"not started, no time": {
			[]answer{told(0, notStarted, "", 3*second), told(0, notStarted, "", 200*second)},
			"buy buy", "refused NOT_STARTED", 3 * second,
		},
		"not started, for longer than a duration holds": {
			[]answer{told(0, notStarted, "", 1<<63-1)},
			"buy", "refused NOT_STARTED", 0,
		},
		"over the budget until tomorrow": {[]answer{overBudget(9 * time.Hour)}, "buy", "refused NOT_STARTED", 0},
		"over the budget for good":       {[]answer{overBudget(0)}, "buy", "refused NOT_STARTED", 0},
		"over the budget for a second": {
			[]answer{overBudget(second), sale},
			"buy buy", sold, second,
		},
		"in doubt, then over the budget": {
			[]answer{broken(codes.Internal), overBudget(9 * time.Hour)},
			"buy buy", unknown, second,
		},
		"not started at once": {
			[]answer{told(0, notStarted, "", time.Nanosecond), sale},
			"buy buy", sold, 100 * time.Millisecond,
		},
		"in doubt, then not started": {
			[]answer{broken(codes.Internal), withEffect(notStarted), sale},
			"buy buy buy", sold, 3 * second,
		},
		"in doubt, then not started, no time": {
			[]answer{broken(codes.Internal), told(0, notStarted, "", 200*second)},
			"buy buy", unknown, second,
		},
		"indeterminate, then not started, no time": {
			[]answer{withEffect(indeterminate), told(0, notStarted, "", 200*second)},
			"buy buy", "refused NOT_STARTED", second,
		},

		// INDETERMINATE.
		"waited for, sold": {
			[]answer{told(0, indeterminate, purchaseID, 5*second), waited(settled, 30*second), sale},
			"buy wait buy", sold, 30 * second,
		},
		"waited for, refused": {
			[]answer{told(0, indeterminate, purchaseID, 0), waited(failed, second), withEffect(notApplied)},
			"buy wait buy", "refused NOT_APPLIED", second,
		},
		"waited for twice": {
			[]answer{told(0, indeterminate, purchaseID, 0), waited(uncertain, 60*second), waited(settled, second), sale},
			"buy wait wait buy", sold, 62 * second,
		},
		"never settled": {
			[]answer{told(0, indeterminate, purchaseID, 0), waited(uncertain, 60*second), waited(uncertain, 38*second)},
			"buy wait wait", unknown1,
			99 * second,
		},
		"the wait fails": {
			[]answer{told(0, indeterminate, purchaseID, 2*second), broken(codes.PermissionDenied), sale},
			"buy wait buy", sold, 2 * second,
		},
		"settled, and still unknown": {
			[]answer{told(0, indeterminate, purchaseID, 0), waited(settled, 0), told(0, indeterminate, purchaseID, 2*second), sale},
			"buy wait buy buy", sold, 2 * second,
		},
		"the wait fails, then not started": { // a wait buys nothing, so it leaves nothing in doubt
			[]answer{told(0, indeterminate, purchaseID, 2*second), broken(codes.PermissionDenied), withEffect(notStarted)},
			"buy wait buy", "refused NOT_STARTED", 2 * second,
		},
		"without a purchase": {
			[]answer{told(0, indeterminate, "", 5*second), withEffect(indeterminate), sale},
			"buy buy buy", sold, 6 * second,
		},
		"an effect of a later contract": {[]answer{withEffect(99), sale}, "buy buy", sold, second},

		// No Outcome.
		"no answer": {[]answer{silence}, "buy", unknown, 100 * second},
		"a proxy":   {[]answer{broken(codes.Unauthenticated)}, "buy", unknown, 0},
		"cancelled, not by the caller": {
			[]answer{broken(codes.Canceled), withEffect(notStarted), sale},
			"buy buy buy", sold, 3 * second,
		},
		"known, then bad": {
			[]answer{told(0, indeterminate, purchaseID, 0), waited(settled, 0), broken(codes.PermissionDenied)},
			"buy wait buy", unknown1, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				gateway := &scripted{script: c.script}
				conn := gateway.serve(t)
				response, err := client.Register(t.Context(), conn, &gigagatev1.RegisterRequest{RequestId: "order-1", Metatag: "m"})
				took := time.Since(gateway.began)
				gateway.mu.Lock()
				defer gateway.mu.Unlock()
				if end := endOf(response, err); end != c.end {
					t.Errorf("it ended %q, want %q", end, c.end)
				}
				if calls := strings.Join(gateway.calls, " "); calls != c.calls {
					t.Errorf("the gateway saw %q, want %q", calls, c.calls)
				}
				if took < c.took || took > c.took*11/10 {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if gateway.other {
					t.Error("the sends differ")
				}
				for i, left := range gateway.left {
					if whole := gateway.at[i] + left; whole < 100*time.Second || whole > 101*time.Second {
						t.Errorf("call %d has %v left at %v, want what is left of 100 s", i+1, left, gateway.at[i])
					}
				}
			})
		})
	}
}

func TestErrorsWithoutOutcomeThatMayPass(t *testing.T) {
	t.Parallel()
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		synctest.Test(t, func(t *testing.T) {
			gateway := &scripted{script: []answer{broken(code), sale}}
			_, err := client.Register(t.Context(), gateway.serve(t), &gigagatev1.RegisterRequest{RequestId: "order-1"})
			want := slices.Contains([]codes.Code{
				codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.Unknown, codes.ResourceExhausted, codes.Aborted,
				codes.Canceled,
			}, code)
			if (err == nil) != want {
				t.Errorf("after %v: %v", code, err)
			}
		})
	}
}

// The call policy repeats UNAVAILABLE within one call. The call ends with the error of the last send, NOT_STARTED, but an
// earlier one may still be on its way to the gateway.
func TestSendsOfTheCallPolicyCount(t *testing.T) {
	t.Parallel()
	draining := toldWith(codes.Unavailable, &gigagatev1.Outcome{Effect: notStarted})
	for name, c := range map[string]struct {
		first   answer // nil: the connection breaks
		calls   string
		outcome string
	}{
		"without an Outcome": {nil, "buy buy buy", "sold " + purchaseID},
		"with an Outcome":    {draining, "buy buy", "refused NOT_STARTED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				gateway := &scripted{}
				first := c.first
				if first == nil {
					first = gateway.drop
				}
				gateway.script = []answer{first, withEffect(notStarted), sale}
				response, err := client.Register(t.Context(), gateway.serve(t), &gigagatev1.RegisterRequest{RequestId: "order-1"})
				gateway.mu.Lock()
				defer gateway.mu.Unlock()
				if end := endOf(response, err); end != c.outcome {
					t.Errorf("it ended %q, want %q", end, c.outcome)
				}
				if calls := strings.Join(gateway.calls, " "); calls != c.calls {
					t.Errorf("the gateway saw %q, want %q", calls, c.calls)
				}
			})
		})
	}
}

func TestAConnectionWithoutTheCallPolicyWillDo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gateway := &scripted{plain: true, script: []answer{broken(codes.Unavailable), withEffect(notStarted), sale}}
		response, err := client.Register(t.Context(), gateway.serve(t), &gigagatev1.RegisterRequest{RequestId: "order-1"})
		if end := endOf(response, err); end != "sold "+purchaseID {
			t.Errorf("it ended %q", end)
		}
	})
}

func TestPausesGrow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gateway := &scripted{script: []answer{broken(codes.Unknown)}}
		_, err := client.Register(t.Context(), gateway.serve(t), &gigagatev1.RegisterRequest{RequestId: "order-1"})
		if end := endOf(nil, err); end != "not known " {
			t.Errorf("it ended %q", end)
		}
		for i, seconds := range []float64{1, 2, 4, 8, 10, 10, 10, 10, 10, 10} {
			want := time.Duration(seconds * float64(time.Second))
			if pause := gateway.at[i+1] - gateway.at[i]; pause < want || pause > want*11/10 {
				t.Errorf("pause %d is %v, want %v and a little", i+1, pause, want)
			}
		}
		if took := time.Since(gateway.began); took < 85*time.Second || took > 100*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestTopUpIsBoughtInTheSameWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gateway := &scripted{script: []answer{told(0, indeterminate, purchaseID, 0), waited(settled, time.Second), sale}}
		sold, err := client.TopUp(t.Context(), gateway.serve(t), &gigagatev1.TopUpRequest{RequestId: "order-1"})
		if err != nil || sold.GetPurchaseId() != purchaseID || gateway.other {
			t.Errorf("%v, %v", sold, err)
		}
	})
}

func TestRequestIDIsNeededBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gateway := &scripted{script: []answer{sale}}
		_, err := client.Register(t.Context(), gateway.serve(t), &gigagatev1.RegisterRequest{})
		if err == nil || !strings.Contains(err.Error(), "request_id") || len(gateway.calls) > 0 {
			t.Errorf("%d calls, %v", len(gateway.calls), err)
		}
	})
}

func TestDeadlineOfTheCallerIsTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gateway := &scripted{script: []answer{silence}}
		conn := gateway.serve(t)
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		response, err := client.Register(ctx, conn, &gigagatev1.RegisterRequest{RequestId: "order-1"})
		if end := endOf(response, err); end != "not known " {
			t.Errorf("it ended %q", end)
		}
		if took := time.Since(gateway.began); took != 7*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A caller may cancel during a send, a wait and a pause.
func TestCancellationEndsAPurchaseAtOnce(t *testing.T) {
	t.Parallel()
	for name, script := range map[string][]answer{
		"send":  {silence},
		"wait":  {told(0, indeterminate, purchaseID, 0), silence},
		"pause": {told(0, indeterminate, purchaseID, time.Minute), broken(codes.PermissionDenied), silence},
	} {
		synctest.Test(t, func(t *testing.T) {
			gateway := &scripted{script: script}
			conn := gateway.serve(t)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(3*time.Second, cancel)
			_, err := client.Register(ctx, conn, &gigagatev1.RegisterRequest{RequestId: "order-1"})
			var unknown *client.NotKnownYet
			if !errors.As(err, &unknown) || time.Since(gateway.began) != 3*time.Second {
				t.Errorf("%s: after %v, %v", name, time.Since(gateway.began), err)
			}
		})
	}
}

func TestErrorsOfAPurchaseTellAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		outcome := &gigagatev1.Outcome{
			Reason:          gigagatev1.ErrorReason_ERROR_REASON_INSUFFICIENT_CREDIT,
			Effect:          notApplied,
			PurchaseId:      purchaseID,
			FieldViolations: []*gigagatev1.FieldViolation{{Field: "metatag", Description: "is too long"}},
		}
		gateway := &scripted{script: []answer{toldWith(codes.FailedPrecondition, outcome)}}
		_, err := client.Register(t.Context(), gateway.serve(t), &gigagatev1.RegisterRequest{RequestId: "order-1"})
		var refused *client.Refused
		if !errors.As(err, &refused) {
			t.Fatal(err)
		}
		if refused.Reason != "INSUFFICIENT_CREDIT" || refused.Effect != "NOT_APPLIED" || refused.Message != "the sentence" ||
			refused.PurchaseID != purchaseID || len(refused.FieldViolations) != 1 {
			t.Errorf("%+v", refused)
		}
		if err.Error() != "refused: INSUFFICIENT_CREDIT, NOT_APPLIED: the sentence" {
			t.Error(err)
		}
		if !proto.Equal(client.OutcomeOf(err), outcome) || status.Code(err) != codes.FailedPrecondition {
			t.Errorf("the error of the call cannot be reached: %v", client.OutcomeOf(err))
		}
	})
}
