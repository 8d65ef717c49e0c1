package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"gigagate.internal/gigastore"
)

// checkedText is a flag value that checks its own text. The error says what the flag expects.
type checkedText interface{ check() error }

// listenAddress is where to listen. It needs a port. Without one the system would choose a port, and ":" would
// even open it on every interface. It is empty if no flag and no default says where.
type listenAddress string

func (a listenAddress) check() error {
	if a == "" {
		return nil
	}
	return checkHostPort(string(a), string(a))
}

// gatewayAddress is where to find a gateway: HOST:PORT, or a target of gRPC. It needs a port, because gRPC
// would otherwise use 443.
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

// checkHostPort refuses an endpoint without a port. text is the whole value of the flag.
func checkHostPort(text, endpoint string) error {
	_, port, err := net.SplitHostPort(endpoint)
	if err == nil && port != "" {
		if _, err = net.DefaultResolver.LookupPort(context.Background(), "tcp", port); err == nil { // this does not use the network
			return nil
		}
	}
	return fmt.Errorf("%q is not HOST:PORT", text)
}

// amount is an exact amount of money. It is empty if none is given.
type amount string

// validAmount is the contract's rule for amounts. It also refuses leading zeros, because gigastore cannot parse them.
var validAmount = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?$`)

func (a amount) check() error {
	if a != "" && !validAmount.MatchString(string(a)) {
		return fmt.Errorf("%q is not an amount such as 9.99", string(a))
	}
	return nil
}

// currency is an ISO 4217 code.
type currency string

var validCurrency = regexp.MustCompile(`^[A-Z]{3}$`)

func (c currency) check() error {
	if !validCurrency.MatchString(string(c)) {
		return fmt.Errorf("%q is not three capital letters, such as USD", string(c))
	}
	return nil
}

// fieldFlags maps the fields of a request, or of a Config, to the flags and arguments of a command that fill
// them. The names are as the user types them. The tag "field" makes the connection.
func fieldFlags(command *kong.Node) map[string]string {
	flags := map[string]string{}
	add := func(tag *kong.Tag, name string) {
		for field := range strings.SplitSeq(tag.Get("field"), ",") {
			flags[field] = name
		}
	}
	for _, group := range command.AllFlags(false) {
		for _, flag := range group {
			add(flag.Tag, "--"+flag.Name)
		}
	}
	for _, argument := range command.Positional {
		add(argument.Tag, "<"+argument.Name+">")
	}
	delete(flags, "") // flags without the tag
	return flags
}

// nameFlags makes an error name flags and arguments instead of the fields that they fill.
func nameFlags(parsed *kong.Context, err error) error {
	if told, ok := errors.AsType[*callError](err); ok {
		told.flags = fieldFlags(parsed.Selected())
	}
	if refused, ok := errors.AsType[*gigastore.SettingError](err); ok {
		if flag, known := fieldFlags(parsed.Selected())[refused.Setting]; known {
			return errors.New(flag + " " + refused.Problem)
		}
	}
	return err
}

// readJSON reads the file that a flag names. An error names the flag, and does not mention Go types.
func readJSON(flag, file string, decode func(text []byte) error) error {
	text, err := os.ReadFile(file)
	if err == nil {
		err = decode(text)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s: %s cannot be: %s", flag, cmp.Or(wrong.Field, "the whole"), wrong.Value)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}
