package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

// words are the words of a command as the user types them.
func words(leaf *kong.Node) []string {
	name, _, _ := strings.Cut(strings.TrimPrefix(leaf.Path(), "gigagate "), " <")
	return strings.Fields(name)
}

// eachFlag calls do with every flag of every command.
func eachFlag(t *testing.T, do func(line []string, flag *kong.Flag)) {
	t.Helper()
	for _, leaf := range model(t).Leaves(true) {
		for _, flags := range leaf.AllFlags(false) {
			for _, flag := range flags {
				do(words(leaf), flag)
			}
		}
	}
}

// TestAddressesNeedAPort: every flag whose default is an address refuses one without a port, as an
// argument and as a variable.
func TestAddressesNeedAPort(t *testing.T) {
	found := 0
	eachFlag(t, func(line []string, flag *kong.Flag) {
		if checkHostPort(flag.Default, flag.Default) != nil {
			return
		}
		found++
		for _, address := range lastUnderRace([]string{
			"localhost", "127.0.0.1", "127.0.0.1:", ":", "[::1]", "::1", "127.0.0.1:port", "127.0.0.1:65536", "unix", "http://127.0.0.1:9090",
		}) {
			says := "gigagate: --" + flag.Name + `: "` + address + `" is not HOST:PORT` + "\n"
			if got := gigagate(t, append(line, "--"+flag.Name+"="+address)...); got != (command{exitUsage, "", says}) {
				t.Errorf("%v --%s=%s: %+v", line, flag.Name, address, got)
			}
			t.Setenv(flag.Envs[0], address)
			if got := gigagate(t, line...); got != (command{exitUsage, "", says}) {
				t.Errorf("%v, %s=%s: %+v", line, flag.Envs[0], address, got)
			}
			t.Setenv(flag.Envs[0], flag.Default)
		}
	})
	if found < 15 {
		t.Errorf("%d flags with an address", found)
	}
}

// TestOrdersAreNotFilledFromTheEnvironment: a variable left over from another order must not fill a field or set a limit of
// this order.
func TestOrdersAreNotFilledFromTheEnvironment(t *testing.T) {
	eachFlag(t, func(line []string, flag *kong.Flag) {
		setting := slices.Contains([]string{"serve", "check"}, line[len(line)-1]) ||
			slices.Contains([]string{"address", "timeout", "sandbox-address", "admin-address", "tls-ca", "tls-server-name", "tls-cert", "tls-key", "api-key-file"}, flag.Name)
		if slices.Contains([]string{"help", "version", "output", "allow-start", "accept-unknown-sales", "restored-to"}, flag.Name) {
			setting = false
		}
		if has := len(flag.Envs) > 0 && len(flag.Tag.Envs) > 0; has != setting {
			t.Errorf("%v --%s: has a variable: %v", line, flag.Name, has)
		}
	})
	g := startGateway(t)
	for _, name := range []string{"REQUEST_ID", "ITEM", "METATAG", "MODE", "MAX_PURCHASE_PRICE", "EXPECTED_PRICE", "EMAIL", "OUTPUT"} {
		t.Setenv("GIGAGATE_"+name, "0.01")
	}
	sold := decode(t, gigagate(t, "register", "--address="+g.grpc, "--item="+sandbox.ItemWorldwide1GB, "--metatag=text",
		"--ip=203.0.113.24", "--country=GR"), &gigagatev1.RegisterResponse{})
	kept := decode(t, g.purchases(t, "get", sold.GetPurchaseId()), &gigagatev1.GetPurchaseResponse{})
	if len(kept.GetPurchase().GetRequestId()) != 26 {
		t.Errorf("%v", kept)
	}
}

// TestTargetsOfGRPC: all targets that gRPC understands still work.
func TestTargetsOfGRPC(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	for _, address := range []string{g.grpc, "dns:" + g.grpc, "dns:///" + g.grpc, "passthrough:///" + g.grpc} {
		if got := gigagate(t, "health", "--address="+address); got.status != 0 {
			t.Errorf("%s: %+v", address, got)
		}
	}
	for _, address := range []string{"unix:/nowhere", "unix:///nowhere", "unix-abstract:nowhere"} {
		if got := gigagate(t, "health", "--address="+address); got.status != exitFailed || !strings.Contains(got.err, "no answer from "+address) {
			t.Errorf("%s: %+v", address, got)
		}
	}
	for _, address := range []string{"dns:localhost", "dns:///localhost", "dns://127.0.0.1:53/localhost", "passthrough:///localhost"} {
		if got := gigagate(t, "health", "--address="+address); got.status != exitUsage || !strings.Contains(got.err, "is not HOST:PORT") {
			t.Errorf("%s: %+v", address, got)
		}
	}
}
