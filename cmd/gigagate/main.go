// Command gigagate is the activation gateway in front of DENT Gigastore: the server, its sandbox,
// and a client for terminals.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"regexp"
	"syscall"

	"github.com/alecthomas/kong"
)

// commandLine is the whole command line. Flags that say how to serve and where to call can be given as
// environment variables instead: --grpc-listen is GIGAGATE_GRPC_LISTEN.
type commandLine struct {
	ShowVersion versionFlag `name:"version" help:"Print the version."`

	Serve      serveCommand      `cmd:"" help:"Run the gateway."`
	Sandbox    sandboxCommands   `cmd:"" help:"Run the sandbox alone, a stand-in for Gigastore that sells nothing real; or control a running one."`
	Register   registerCommand   `cmd:"" help:"Sell a first package. Spends credit."`
	TopUp      topUpCommand      `cmd:"" name:"top-up" help:"Sell a further package to a customer. Spends credit."`
	Activate   activateCommand   `cmd:"" help:"Start the clock of a package already bought. Free, irreversible."`
	Inventory  inventoryCommand  `cmd:"" help:"List what can be sold."`
	Purchases  purchasesCommand  `cmd:"" help:"Read and settle purchases."`
	Bench      benchCommand      `cmd:"" help:"Put load on a running gateway: buys packages, and tells throughput, latency and outcomes."`
	Health     healthCommand     `cmd:"" help:"Ask a running gateway whether it serves; exit status 0 if so."`
	Completion completionCommand `cmd:"" help:"Print a script that completes commands and flags in a shell."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

// Exit statuses beside 0. With exitFailed nothing was bought or changed, with exitIndeterminate
// something was, or may have been.
const (
	exitFailed        = 1
	exitUsage         = 2
	exitIndeterminate = 3
)

// effectError is an error of a command that had an effect, or may have had one.
type effectError struct{ error }

// Unwrap is the error itself.
func (e effectError) Unwrap() error { return e.error }

func main() {
	// A reader that is gone must not end the process by a signal: a sale may have been made that nobody
	// is told of yet. Writing fails instead, and the exit status tells it.
	signal.Ignore(syscall.SIGPIPE)
	takeOverGRPC()
	ctx, cancel := context.WithCancel(context.Background())
	// Room for both signals that count: signal.NotifyContext would lose a second one that comes
	// before it has stopped listening for the first.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		if second, ok := (<-signals).(syscall.Signal); ok {
			os.Exit(128 + int(second)) // as a shell reports a death by signal
		}
	}()
	os.Exit(run(ctx, os.Args[1:], console{out: standardOutput(), err: os.Stderr}))
}

// newParser makes the parser that fills line. exited is called where an answer of its own, --help, is printed.
func newParser(line *commandLine, to console, exited func(status int)) (*kong.Kong, error) {
	return kong.New(line,
		kong.Name("gigagate"),
		kong.Description("The activation gateway in front of DENT Gigastore."),
		kong.DefaultEnvars("GIGAGATE"),
		kong.PostBuild(takeVariablesFromOrders),
		kong.Writers(to.out, to.err),
		kong.Exit(exited),
		kong.UsageOnError(),
	)
}

// takeVariablesFromOrders leaves an environment variable to the flags of servers, and to those that say where and how long to
// call. A variable that is left over from another order must not fill the fields of this one.
func takeVariablesFromOrders(k *kong.Kong) error {
	take := func(flag *kong.Flag) { flag.Envs, flag.Tag.Envs = nil, nil }
	for _, flag := range k.Model.Flags {
		take(flag)
	}
	for _, leaf := range k.Model.Leaves(false) {
		for _, flag := range leaf.Flags {
			if leaf.Name != "serve" && flag.Name != "address" && flag.Name != "timeout" && flag.Name != "sandbox-address" {
				take(flag)
			}
		}
	}
	return nil
}

// run is the program; it returns the exit status.
func run(ctx context.Context, args []string, to console) int {
	var line commandLine
	exited, helped := -1, 0
	if len(args) == 0 {
		// Help that nobody asked for is no answer, and a script that runs this has made a mistake.
		args, to.out, helped = []string{"--help"}, to.err, exitUsage
	}
	parser, err := newParser(&line, to, func(status int) { exited = status })
	if err != nil {
		fmt.Fprintln(to.err, "gigagate:", err)
		return exitFailed
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 {
		return max(exited, helped) // --help or --version has printed what was asked for
	}
	if err != nil {
		fmt.Fprintln(to.err, "gigagate:", withoutArguments(err))
		return exitUsage
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.Bind(to)
	if err := nameFlags(parsed, parsed.Run()); err != nil {
		fmt.Fprintln(to.err, "gigagate:", err)
		if _, ok := errors.AsType[effectError](err); ok {
			return exitIndeterminate
		}
		return exitFailed
	}
	return 0
}

// Arguments that the parser quotes. A password with a space that the shell was not told to keep together is two arguments.
var (
	unexpected = regexp.MustCompile(`(?s)unexpected (argument|token) .*?(, did you mean .*)?$`)
	noString   = regexp.MustCompile(`(?s)expected string value but got .*`)
)

// withoutArguments is the text of a parser's error, without arguments that may be a part of a password.
func withoutArguments(err error) string {
	text := unexpected.ReplaceAllString(err.Error(), "unexpected $1, not shown as it may be part of a secret$2")
	return noString.ReplaceAllString(text, "expected string value, and a value that begins with - is given as --FLAG=VALUE")
}

// Validate refuses a flag that is given and empty, as an argument or a variable: a shell's unset
// variable must not pass for a guard or a request id left out. A flag with a list of values has its
// own say. Then it refuses what the type of a flag refuses.
func (*commandLine) Validate(parsed *kong.Context) error {
	for _, flag := range parsed.Flags() {
		kind := flag.Target.Kind()
		if flag.Set && flag.Enum == "" && (kind == reflect.String || kind == reflect.Slice) && flag.Target.Len() == 0 {
			return fmt.Errorf("--%s is given, and empty", flag.Name)
		}
		if text, ok := reflect.TypeAssert[checkedText](flag.Target); ok {
			if err := text.check(); err != nil {
				return fmt.Errorf("--%s: %w", flag.Name, err)
			}
		}
	}
	return nil
}
