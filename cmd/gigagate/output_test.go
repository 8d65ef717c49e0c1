package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gigastore/sandbox"
)

// model returns the parser's model of the command line.
func model(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := newParser(&commandLine{}, console{out: &bytes.Buffer{}, err: &bytes.Buffer{}}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

// goneReaders are the ways in which nobody reads the output of a process. Each one starts the command with such a
// standard output. If both is set, the standard error is the same.
var goneReaders = map[string]func(t *testing.T, cmd *exec.Cmd, both bool){
	"a pipe that nobody reads": func(t *testing.T, cmd *exec.Cmd, both bool) {
		t.Helper()
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_ = reader.Close()
		t.Cleanup(func() { _ = writer.Close() })
		cmd.Stdout = writer
		if both {
			cmd.Stderr = writer
		}
	},
	"a full disk": func(t *testing.T, cmd *exec.Cmd, both bool) {
		t.Helper()
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { _ = full.Close() })
		cmd.Stdout = full
		if both {
			cmd.Stderr = full
		}
	},
	"closed": func(t *testing.T, cmd *exec.Cmd, both bool) {
		t.Helper()
		needTools(t, "sh")
		script := `exec "$0" "$@" >&-`
		if both {
			script += ` 2>&-`
		}
		shell, err := exec.LookPath("sh")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Args = append([]string{"sh", "-c", script, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = shell
	},
}

// runUnread runs gigagate in a separate process whose output nobody reads. The exit status is -1 if a
// signal ended the process.
func runUnread(t *testing.T, gone func(*testing.T, *exec.Cmd, bool), both bool, args ...string) (status int, errs string) {
	t.Helper()
	var text bytes.Buffer
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env, cmd.Stderr = append(os.Environ(), asProgram+"=1"), &text
	gone(t, cmd, both)
	if err := cmd.Run(); err == nil {
		return 0, text.String()
	}
	return cmd.ProcessState.ExitCode(), text.String()
}

// TestNobodyReadsTheAnswer: if a command's answer is lost, the command does not end with success or by a signal.
func TestNobodyReadsTheAnswer(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	other := startGateway(t)
	sold := decode(t, g.sell(t, "order-1", "--mode=on-demand"), &gigagatev1.RegisterResponse{})
	sale := []string{"--address=" + g.grpc, "--item=" + sandbox.ItemWorldwide50MB, "--metatag=text"}
	folder := t.TempDir()
	keys := filepath.Join(folder, "keys")
	newKeyFile(t, keys)
	sealed := startGateway(t, "--journal-key-file="+keys)
	file, stopped := filepath.Join(folder, "backup.db"), filepath.Join(folder, "stopped.db")
	callers := writeFile(t, "callers:\n- name: shop\n")
	if got := g.backUp(t, stopped); got.status != 0 {
		t.Fatal(got.err)
	}
	tests := map[string]struct {
		args   []string
		status int
	}{
		"register":            {append(sale, "--ip=203.0.113.24", "--country=GR"), exitIndeterminate},
		"top-up":              {append(sale, "--customer="+sold.GetCustomer().GetUid()), exitIndeterminate},
		"activate":            {[]string{sold.GetActivatedItem().GetUid(), "--address=" + g.grpc}, exitIndeterminate},
		"bench":               {[]string{"--address=" + g.grpc, "--count=2", "--item=" + sandbox.ItemWorldwide50MB}, exitIndeterminate},
		"inventory":           {[]string{"--address=" + g.grpc}, exitFailed},
		"purchases get":       {[]string{sold.GetPurchaseId(), "--address=" + g.grpc}, exitFailed},
		"purchases list":      {[]string{"--address=" + g.grpc}, exitFailed},
		"purchases watch":     {[]string{sold.GetPurchaseId(), "--address=" + g.grpc}, exitIndeterminate},
		"customer":            {[]string{sold.GetCustomer().GetUid(), "--address=" + g.grpc}, exitFailed},
		"explain":             {[]string{"UNCERTAIN"}, exitFailed},
		"purchases wait":      {[]string{sold.GetPurchaseId(), "--address=" + g.grpc}, exitIndeterminate},
		"purchases resolve":   {[]string{sold.GetPurchaseId(), "--nothing-sold", "--operator=maria", "--note=x", "--address=" + g.grpc}, exitIndeterminate},
		"freeze":              {[]string{"item", "frozen", "--operator=maria", "--reason=x", "--address=" + g.grpc}, exitIndeterminate},
		"thaw":                {[]string{"item", "frozen", "--operator=maria", "--reason=x", "--address=" + g.grpc}, exitIndeterminate},
		"freezes":             {[]string{"--address=" + g.grpc}, exitFailed},
		"audit":               {[]string{"--address=" + g.grpc}, exitFailed},
		"budgets":             {[]string{"--address=" + g.grpc}, exitFailed},
		"erase":               {[]string{"--customer=nobody", "--operator=maria", "--admin-address=" + g.admin}, exitIndeterminate},
		"journal keys new":    {nil, exitFailed},
		"journal keys rotate": {[]string{"--admin-address=" + sealed.admin}, exitIndeterminate},
		"journal backup":      {[]string{file, "--admin-address=" + g.admin}, exitIndeterminate},
		"journal check":       {[]string{"--journal=sqlite:" + stopped}, exitFailed},
		"keys new":            {[]string{"--caller=shop"}, exitFailed},
		"config check":        {[]string{"--callers-file=" + callers}, exitFailed},
		"health":              {[]string{"--address=" + g.grpc}, exitFailed},
		"version":             {nil, exitFailed},
		"completion":          {[]string{"bash"}, exitFailed},
		"sandbox fault":       {[]string{"throttle", "--sandbox-address=" + other.sandbox}, exitIndeterminate},
		"sandbox clock":       {[]string{"--sandbox-address=" + g.sandbox}, exitFailed},
		"sandbox ledger":      {[]string{"--sandbox-address=" + g.sandbox}, exitFailed},
		"sandbox reset":       {[]string{"--sandbox-address=" + other.sandbox}, exitIndeterminate},
	}
	for _, leaf := range model(t).Leaves(true) {
		name := strings.Join(words(leaf), " ")
		if name == "serve" || name == "sandbox serve" {
			continue // servers only print a greeting, and answer elsewhere
		}
		test, ok := tests[name]
		if !ok {
			t.Errorf("%s is not tested", name)
			continue
		}
		for how, gone := range goneReaders {
			want := test.status
			if name == "health" && how == "closed" {
				want = 0 // its exit status is the answer
			}
			args := append(strings.Fields(name), test.args...)
			before := func() {
				_ = os.Remove(file) // of an earlier backup
				if name == "thaw" {
					gigagate(t, append([]string{"freeze"}, test.args...)...)
				}
			}
			before()
			if status, errs := runUnread(t, gone, false, args...); status != want || !strings.Contains(errs, "gigagate: ") && want != 0 {
				t.Errorf("%s, %s: exit status %d, want %d: %s", name, how, status, want, errs)
			}
			before()
			if status, _ := runUnread(t, gone, true, args...); status != want {
				t.Errorf("%s, %s, also for errors: exit status %d, want %d", name, how, status, want)
			}
		}
	}
	for how, gone := range goneReaders {
		for _, flag := range []string{"--help", "--version"} {
			if status, errs := runUnread(t, gone, false, flag); status <= 0 {
				t.Errorf("%s, %s: exit status %d: %s", flag, how, status, errs)
			}
		}
	}
}

// TestNobodyReadsWhatWasBought: the error names the purchase and the package that was sold.
func TestNobodyReadsWhatWasBought(t *testing.T) {
	t.Parallel()
	for how, gone := range goneReaders {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t)
			line := []string{
				"register", "--address=" + g.grpc, "--item=" + sandbox.ItemWorldwide50MB, "--request-id=order-1",
				"--metatag=text", "--ip=203.0.113.24", "--country=GR",
			}
			for range 2 { // the same request id gets the same answer
				status, errs := runUnread(t, gone, false, line...)
				p := decode(t, g.purchases(t, "list", "--request-id=order-1"), &gigagatev1.ListPurchasesResponse{}).GetPurchases()
				sales := g.ledger(t).Sales
				if len(p) != 1 || len(sales) != 1 {
					t.Fatalf("%d purchases, %d sales", len(p), len(sales))
				}
				for _, name := range []string{"purchase " + p[0].GetId(), "activated item " + sales[0].ItemUID} {
					if status != exitIndeterminate || !strings.Contains(errs, name) {
						t.Errorf("exit status %d, no %s in %s", status, name, errs)
					}
				}
			}
		})
	}
}

// TestDiscardedAnswer: writing to /dev/null is not an error.
func TestDiscardedAnswer(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "version") // os/exec opens /dev/null only for writing, as a shell does
	cmd.Env = append(slices.Clone(os.Environ()), asProgram+"=1")
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
}
