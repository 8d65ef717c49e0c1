package server_test

import (
	"testing"

	"google.golang.org/grpc"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// TestCallsOfNoMethod checks the same as TestCallOfNoMethodGivesItsPlaceBack, but with grpc-go itself. Its next version may
// behave differently.
func TestCallsOfNoMethod(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	for range 1001 { // one more than one client may have under way
		if err := g.conn.Invoke(t.Context(), "/x", []byte{}, new([]byte), grpc.ForceCodec(bytesCodec{})); err == nil {
			t.Fatal("the call is served")
		}
	}
	g.overGRPC(t, t.Context(), ask(&gigagatev1.ListInventoryItemsRequest{})).ok(t)
}
