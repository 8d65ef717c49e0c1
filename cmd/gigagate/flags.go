package main

import (
	"fmt"
	"net"
	"strings"
)

// checkedText is a type of flags that refuses some texts. The error says what is wanted.
type checkedText interface{ check() error }

// listenAddress is where to listen. It needs a port: the system would choose one, and that of ":" would be
// open on every interface.
type listenAddress string

func (a listenAddress) check() error { return checkHostPort(string(a), string(a)) }

// gatewayAddress is where to find a gateway: HOST:PORT, or a target of gRPC. It needs a port: gRPC would
// call 443.
type gatewayAddress string

func (a gatewayAddress) check() error {
	target := string(a)
	if strings.HasPrefix(target, "unix:") || strings.HasPrefix(target, "unix-abstract:") {
		return nil // a socket has no port
	}
	for _, scheme := range []string{"dns:", "passthrough:"} {
		if rest, ok := strings.CutPrefix(target, scheme); ok {
			// With slashes, an authority comes first: dns://SERVER/HOST:PORT.
			return checkHostPort(target, rest[strings.LastIndex(rest, "/")+1:])
		}
	}
	return checkHostPort(target, target)
}

// checkHostPort refuses an endpoint without a port. text is what the flag was given.
func checkHostPort(text, endpoint string) error {
	_, port, err := net.SplitHostPort(endpoint)
	if err == nil && port != "" {
		if _, err = net.LookupPort("tcp", port); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%q is not HOST:PORT", text)
}
