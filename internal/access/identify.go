package access

import (
	"context"
	"crypto/x509"
	"errors"
)

// Credentials are what a caller presents with a call.
type Credentials struct {
	// Certificate is the client's certificate. TLS must have verified it. It is nil without one.
	Certificate *x509.Certificate
	// Authorization has every value of the header "authorization". More than one is refused.
	Authorization []string
}

// ErrUnauthenticated is the error for every wrong credential. It has no cause, so that a caller cannot learn from it which
// part of a credential was right.
var ErrUnauthenticated = errors.New("the credentials are missing or wrong")

// Live is the callers file of a running gateway.
type Live struct{}

// Identify returns who makes the call. Its only error is ErrUnauthenticated.
func (l *Live) Identify(ctx context.Context, c Credentials) (*Principal, error) {
	return nil, ErrUnauthenticated
}
