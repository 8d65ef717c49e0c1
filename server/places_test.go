package server_test

import (
	"testing"

	"google.golang.org/grpc"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

// grpc-go ends a call whose path names no service and method before it tells anybody of it. Its place comes back all the
// same: a client that could keep one with each such call would shut the port for ever.
func TestCallOfNoMethodGivesItsPlaceBack(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	for _, method := range []string{"/x", "x/y"} {
		for range 1001 { // more than one client may have under way
			if err := g.conn.Invoke(t.Context(), method, []byte{}, new([]byte), grpc.ForceCodec(bytesCodec{})); err == nil {
				t.Fatalf("%q is served", method)
			}
		}
		if a := g.overGRPC(t, t.Context(), ask(&gigagatev1.ListInventoryItemsRequest{})); a.code != 0 {
			t.Errorf("after calls of %q: %s", method, a.text)
		}
	}
}
