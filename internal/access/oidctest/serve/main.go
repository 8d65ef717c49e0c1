// Command serve is an OIDC issuer on loopback, at which a browser can sign in. It is for the walk through the console, and runs
// until it is ended.
//
//	serve CALLBACK    CALLBACK is the client's address, to which browsers are sent back
//
// Its client is called console, and has no secret. It prints the issuer's URL.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"gigagate.internal/internal/access/oidctest"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func run(arguments []string, out io.Writer) error {
	if len(arguments) != 1 {
		return fmt.Errorf("%d arguments, want the callback", len(arguments))
	}
	issuer, err := oidctest.Make("console", "")
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it ends with the process
	if err != nil {
		return err
	}
	issuer.Name, issuer.Callback = "http://"+listener.Addr().String(), arguments[0]
	if _, err := fmt.Fprintln(out, issuer.Name); err != nil {
		return err
	}
	server := &http.Server{Handler: issuer, ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(listener)
}
