package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"gigagate.internal/gigastore/sandbox"
	"gigagate.internal/purchase/postgres/postgrestest"
)

// benchServer is a server under load, or the sandbox behind it.
type benchServer struct {
	Kind     string               // sandbox, proxy, baseline, or the gateway's journal: memory, sqlite, postgres
	Vendor   string               `json:",omitempty"` // URL
	Journal  string               `json:",omitempty"` // the file, or the URL
	Schema   string               `json:",omitempty"`
	REST     bool                 `json:",omitempty"` // the gateway serves REST in place of gRPC
	Reuses   bool                 `json:",omitempty"` // the proxy keeps its connections to the vendor
	Latency  time.Duration        `json:",omitempty"` // of the sandbox
	Identity string               `json:",omitempty"` // how callers identify themselves; empty: everybody may call
	Security benchSecurity        // its files
	Database *postgrestest.Server `json:"-"`
	run      string               // the name of the run
}

// benchProcess is a running benchServer.
type benchProcess struct {
	benchServer
	address string        // host:port
	ready   time.Duration // from the start of the process until it served
	process *exec.Cmd
	ask     io.WriteCloser
	control *os.File
	answers *bufio.Scanner
	said    bytes.Buffer
}

// startBenchServer starts this test binary again, as the server s.
func startBenchServer(b *testing.B, s benchServer) *benchProcess {
	b.Helper()
	switch {
	case s.Kind == "sqlite" && s.Journal == "":
		s.Journal = filepath.Join(b.TempDir(), s.run+".db")
	case s.Kind == "sqlite":
		remember(b, s.Journal)
	case s.Kind == "postgres" && s.Journal == "":
		s.Journal, s.Schema = s.Database.URL, s.Database.Schema(b)
	}
	as, err := json.Marshal(s)
	if err != nil {
		b.Fatal(err)
	}
	control, theirs, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	p := &benchProcess{benchServer: s, control: control, answers: bufio.NewScanner(control)}
	args := []string{"-test.run=^$", "-test.bench=^BenchmarkRegister$", "-test.benchtime=1x"}
	if *benchProfiles != "" && s.Kind != "sandbox" {
		args = append(args, "-test.cpuprofile="+filepath.Join(*benchProfiles, s.run+".prof"))
	}
	p.process = exec.CommandContext(context.WithoutCancel(b.Context()), os.Args[0], args...)
	p.process.Env = append(os.Environ(), asBenchServer+"="+string(as))
	p.process.Stdout, p.process.Stderr = &p.said, &p.said
	p.process.ExtraFiles = []*os.File{theirs} // controlFD
	if p.ask, err = p.process.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := p.process.Start(); err != nil {
		b.Fatal(err)
	}
	_ = theirs.Close()
	p.address = p.answer(b)
	p.ready = time.Since(began)
	return p
}

func (p *benchProcess) answer(b *testing.B) string {
	b.Helper()
	if !p.answers.Scan() {
		p.stop(b)
		b.Fatalf("the %s of %s ended: %s", p.Kind, p.run, p.said.String())
	}
	return p.answers.Text()
}

// cpu returns the CPU time that the process has used so far.
func (p *benchProcess) cpu(b *testing.B) time.Duration {
	b.Helper()
	if p.control == nil { // an older build
		return runningProcesses()[p.process.Process.Pid].cpu
	}
	fmt.Fprintln(p.ask)
	used, err := strconv.ParseInt(p.answer(b), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(used)
}

func (p *benchProcess) stop(b *testing.B) {
	b.Helper()
	if p.process.ProcessState != nil {
		return // it has already ended
	}
	if p.control == nil {
		_ = p.process.Process.Signal(os.Interrupt)
	} else {
		_ = p.ask.Close()
		defer func() { _ = p.control.Close() }()
	}
	if err := p.process.Wait(); err != nil {
		b.Errorf("the %s of %s: %v\n%s", p.Kind, p.run, err, p.said.String())
	}
}

// ledger returns what a sandbox sold, and what it was asked.
func (p *benchProcess) ledger(b *testing.B) (ledger sandbox.Ledger) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + p.address + "/_sandbox/ledger")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(&ledger); err != nil {
		b.Fatal(err)
	}
	return ledger
}
