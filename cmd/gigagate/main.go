// Command gigagate is the activation gateway in front of DENT Gigastore: the server, its sandbox,
// and a client for terminals.
//
//	go run ./cmd/gigagate serve --sandbox   serve, with a sandbox instead of Gigastore
//	go run ./cmd/gigagate --help            list all commands
//
// In the code, start with commandLine in main.go, which lists the commands, and with serve.go, which puts the gateway
// together.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// commandLine is the whole command line. Flags that say how to serve and where to call also have an environment
// variable: --grpc-listen is GIGAGATE_GRPC_LISTEN.
type commandLine struct {
	ShowVersion versionFlag `name:"version" help:"Print the version."`

	Serve      serveCommand      `cmd:"" help:"Run the gateway."`
	Sandbox    sandboxCommands   `cmd:"" help:"Run the sandbox alone, or control a running one. It is a stand-in for Gigastore and sells nothing real."`
	Register   registerCommand   `cmd:"" help:"Sell a first package. Spends credit."`
	TopUp      topUpCommand      `cmd:"" name:"top-up" help:"Sell another package to a customer. Spends credit."`
	Activate   activateCommand   `cmd:"" help:"Start a package that was bought. It is free and cannot be undone."`
	Inventory  inventoryCommand  `cmd:"" help:"List what can be sold."`
	Customer   customerCommand   `cmd:"" help:"Show a customer, with its packages and eSIM profiles. An answer with activation codes is audited."`
	Purchases  purchasesCommand  `cmd:"" help:"Read and settle purchases."`
	Freeze     freezeCommand     `cmd:"" help:"Stop new purchases: all, those of a caller, or those of an inventory item."`
	Thaw       thawCommand       `cmd:"" help:"Let new purchases go on."`
	Freezes    freezesCommand    `cmd:"" help:"List what is frozen."`
	Audit      auditCommand      `cmd:"" help:"List who froze, thawed, activated, or read secrets, the newest first."`
	Budgets    budgetsCommand    `cmd:"" help:"Show what callers may spend, and what they have spent."`
	Keys       keysCommands      `cmd:"" help:"Make API keys for callers."`
	Config     configCommands    `cmd:"" help:"Check the callers file."`
	Journal    journalCommands   `cmd:"" help:"Back up, check and encrypt what purchases are kept in."`
	Erase      eraseCommand      `cmd:"" help:"Erase an end user's data from the journal of a running gateway. What was bought stays known, and is never bought again."`
	Bench      benchCommand      `cmd:"" help:"Put load on a running gateway: buy packages, and report throughput, latency and outcomes."`
	Explain    explainCommand    `cmd:"" help:"Say what a word means that the gateway uses: a state, an event, a reason, a log line or a metric."`
	Health     healthCommand     `cmd:"" help:"Ask a running gateway whether it is serving. The exit status is 0 if it is."`
	Completion completionCommand `cmd:"" help:"Print a script that completes commands and flags in a shell."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

// Exit statuses other than 0. exitFailed: nothing was bought or changed. exitIndeterminate: something was,
// or may have been.
const (
	exitFailed        = 1
	exitUsage         = 2
	exitIndeterminate = 3
)

// effectError is an error of a command that had an effect, or may have had one.
type effectError struct{ error }

// Unwrap returns the error itself.
func (e effectError) Unwrap() error { return e.error }

func main() {
	// If the reader of a pipe is gone, SIGPIPE must not end the process: it may have made a sale that it has
	// not reported yet. Without the signal, the write fails and the exit status says so.
	signal.Ignore(syscall.SIGPIPE)
	takeOverGRPC()
	ctx, cancel := context.WithCancel(context.Background())
	// There is room for two signals, the first and the second. signal.NotifyContext would lose a second one
	// that arrives before it has handled the first.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		if second, ok := (<-signals).(syscall.Signal); ok {
			os.Exit(128 + int(second)) // the status that a shell reports after a signal
		}
	}()
	os.Exit(run(ctx, os.Args[1:], console{out: standardOutput(), err: os.Stderr}))
}

// newParser makes the parser that fills line. The parser calls exited after it has printed --help or --version.
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

// flagsOfConnections say where and how to call.
var flagsOfConnections = []string{
	"address", "timeout", "sandbox-address", "admin-address", "tls-ca", "tls-server-name", "tls-cert", "tls-key", "api-key-file",
}

// takeVariablesFromOrders removes the environment variables of all flags, except the flags of servers and the flags that say
// where and how to call. A variable that is left over from another order must not fill the fields of this one.
func takeVariablesFromOrders(k *kong.Kong) error {
	take := func(flag *kong.Flag) { flag.Envs, flag.Tag.Envs = nil, nil }
	for _, flag := range k.Model.Flags {
		take(flag)
	}
	for _, leaf := range k.Model.Leaves(false) {
		for _, flag := range leaf.Flags {
			// A check reads the same files and the same vendor as the gateway. What it allows is said in each call.
			ofGateway := leaf.Name == "serve" || leaf.Name == "check" && (flag.Name == "journal" || flag.Name == "journal-key-file" || flag.Name == "callers-file" || flag.Name == "reconcile-settle-delay" || strings.HasPrefix(flag.Name, "gigastore-"))
			if !ofGateway && !slices.Contains(flagsOfConnections, flag.Name) {
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
		// Nobody asked for this help, so it goes to the standard error. A script that calls gigagate without arguments has
		// a mistake, so the exit status is that of wrong usage.
		args, to.out, helped = []string{"--help"}, to.err, exitUsage
	}
	parser, err := newParser(&line, to, func(status int) { exited = status })
	if err != nil {
		fmt.Fprintln(to.err, "gigagate:", err)
		return exitFailed
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 {
		return max(exited, helped) // --help or --version has printed its answer
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

// These errors of the parser quote an argument. It may be the second half of a password with a space that was not put in
// quotes.
var (
	unexpected = regexp.MustCompile(`(?s)unexpected (argument|token) .*?(, did you mean .*)?$`)
	noString   = regexp.MustCompile(`(?s)expected string value but got .*`)
)

// withoutArguments is the text of a parser's error without the arguments, because they may be part of a password.
func withoutArguments(err error) string {
	text := unexpected.ReplaceAllString(err.Error(), "unexpected $1, not shown as it may be part of a secret$2")
	return noString.ReplaceAllString(text, "expected string value (write a value that begins with - as --FLAG=VALUE)")
}

// Validate refuses a flag that is given but empty, as an argument or as a variable. Otherwise an unset
// shell variable would silently drop a request id or a limit on the price. A flag with an enum is left out,
// because the enum decides. Validate also runs the check of each flag's type.
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
