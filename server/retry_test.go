package server_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"gigagate.internal/clients/go/client"
	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// retrying connects to g like a caller, with the contract's call policy.
func (g *gateway) retrying(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := client.New(g.conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// A gRPC client repeats a call by itself only if the answer has trailers and no headers. A single header from the gateway
// would silently switch off every caller's retry policy.
func TestCallPolicyRepeatsWhatIsUnavailable(t *testing.T) {
	t.Parallel()
	const unanswered = 3 // the gateway itself tries one read so many times
	g := open(t, setup{})
	customers := gigagatev1.NewCustomerServiceClient(g.retrying(t))
	g.injectMany(t, "/gigastore/activations/customers/*", "list_fail", unanswered, nil)

	began := time.Now()
	var header, trailer metadata.MD
	_, err := customers.GetCustomer(t.Context(), &gigagatev1.GetCustomerRequest{Uid: "nobody"}, grpc.Header(&header), grpc.Trailer(&trailer))
	if status.Code(err) != codes.NotFound {
		t.Errorf("the second try is answered with NOT_FOUND, got %v", err)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("VENDOR_UNAVAILABLE asks for a pause of 1 s, but the call took %v", took)
	}
	if len(header) > 1 || len(trailer.Get("x-trace-id")) != 1 { // content-type is always there
		t.Errorf("an error's metadata must be in its trailer; header %v, trailer %v", header, trailer)
	}
}

// A client must not wait for a retry until its deadline. It would report only the deadline and lose the Outcome.
func TestCallPolicyKeepsTheOutcomeAtTheDeadline(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	activations := gigagatev1.NewActivationServiceClient(g.retrying(t))
	for _, c := range []struct {
		name    string
		timeout time.Duration
		reason  gigagatev1.ErrorReason
	}{
		{"too short", 400 * time.Millisecond, gigagatev1.ErrorReason_ERROR_REASON_DEADLINE_TOO_SHORT},
		{"unsettled", 3 * time.Second, gigagatev1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.inject(t, "/gigastore/activations/register", "commit_then_reset", nil)
			g.injectMany(t, "/gigastore/activations/activated-items", "list_fail", 1000, nil)
			defer g.box.Disarm()
			ctx, cancel := context.WithTimeout(t.Context(), c.timeout)
			defer cancel()
			_, err := activations.Register(ctx, register())
			if outcome := client.OutcomeOf(err); outcome.GetReason() != c.reason {
				t.Errorf("got %v with the outcome %v", err, outcome)
			}
		})
	}
}
