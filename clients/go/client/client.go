// Package client is what a caller in Go needs besides the generated stubs: a connection, the purchase
// helper, and the Outcome in an error.
package client

import (
	_ "embed"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
)

//go:generate cp ../../../proto/gigagate/v1/service_config.json service_config.json

// callPolicy is the contract's gRPC service config: go:embed cannot reach the contract's own folder,
// and a test keeps the copy equal.
//
//go:embed service_config.json
var callPolicy string

// New makes a connection to the gateway at address. It connects when first used.
//
// A call that ends UNAVAILABLE is sent up to four times more, with the pauses that the gateway asks
// for: the request, and so its request id, stays the same, so nothing is bought twice. A call
// without a deadline gets one of 100 s, which all its sends share.
func New(address string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	ours := []grpc.DialOption{grpc.WithDefaultServiceConfig(callPolicy), grpc.WithStatsHandler(sendWatcher{})}
	return grpc.NewClient(address, append(ours, options...)...)
}

// OutcomeOf finds the Outcome in an error of a call. It returns nil if the error has none, for example after a broken
// connection. Credit may have been spent then, as with EFFECT_INDETERMINATE.
func OutcomeOf(err error) *gigagatev1.Outcome {
	for _, detail := range status.Convert(err).Details() {
		if outcome, ok := detail.(*gigagatev1.Outcome); ok {
			return outcome
		}
	}
	return nil
}
