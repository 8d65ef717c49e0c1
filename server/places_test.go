package server_test

import (
	"testing"

	"google.golang.org/grpc"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// TestCallsOfNoMethod is the same with grpc-go itself, whose next version may do otherwise.
func TestCallsOfNoMethod(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	for range 1001 { // more than one client may have under way
		if err := g.conn.Invoke(t.Context(), "/x", []byte{}, new([]byte), grpc.ForceCodec(bytesCodec{})); err == nil {
			t.Fatal("it is served")
		}
	}
	g.overGRPC(t, t.Context(), ask(&gigagatev1.ListInventoryItemsRequest{})).ok(t)
}
