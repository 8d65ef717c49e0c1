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
	"strings"
	"testing"
	"time"

	"gigagate.internal/purchase/postgres/postgrestest"
)

// benchServer is a server under load, or the sandbox behind it.
type benchServer struct {
	Kind     string               // sandbox, echo, proxy, or the gateway's journal: memory, sqlite, postgres
	Vendor   string               `json:",omitempty"` // URL
	Journal  string               `json:",omitempty"` // the file, or the URL
	Schema   string               `json:",omitempty"`
	Database *postgrestest.Server `json:"-"`
	run      string               // the name of the run
}

// benchProcess is a running benchServer.
type benchProcess struct {
	benchServer
	address string // host:port
	process *exec.Cmd
	ask     io.WriteCloser
	control *os.File
	answers *bufio.Scanner
	said    bytes.Buffer
}

// startBenchServer starts this test binary again, as the server s.
func startBenchServer(b *testing.B, s benchServer) *benchProcess {
	b.Helper()
	switch s.Kind {
	case "sqlite":
		s.Journal = filepath.Join(b.TempDir(), s.run+".db")
	case "postgres":
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
	if err := p.process.Start(); err != nil {
		b.Fatal(err)
	}
	_ = theirs.Close()
	p.address = p.answer(b)
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
	_ = p.ask.Close()
	if err := p.process.Wait(); err != nil {
		b.Errorf("the %s of %s: %v\n%s", p.Kind, p.run, err, p.said.String())
	}
	_ = p.control.Close()
}

// sales returns how many packages a sandbox has sold.
func (p *benchProcess) sales(b *testing.B) int64 {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + p.address + "/_sandbox/ledger")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var ledger struct{ Sales []struct{} }
	if err := json.NewDecoder(resp.Body).Decode(&ledger); err != nil {
		b.Fatal(err)
	}
	return int64(len(ledger.Sales))
}

// databaseCPU returns the CPU time that all processes of this test binary's private PostgreSQL have used,
// in ticks of 10 ms. It returns 0 if there is no private PostgreSQL or no /proc.
func (s benchServer) databaseCPU(b *testing.B) time.Duration {
	b.Helper()
	if s.Kind != "postgres" || !s.Database.Private() {
		return 0
	}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	type process struct{ parent, ticks int }
	found := map[int]process{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		name, rest, ok := strings.Cut(string(text), ") ") // for the format see proc_pid_stat(5)
		fields := strings.Fields(rest)
		if err != nil || !ok || !strings.HasSuffix(name, "(postgres") || len(fields) < 15 {
			continue // it has ended meanwhile, or is another program
		}
		id, _ := strconv.Atoi(strings.Fields(name)[0])
		var p process
		p.parent, _ = strconv.Atoi(fields[1])
		for _, field := range fields[11:15] { // utime and stime, also of ended children
			ticks, _ := strconv.Atoi(field)
			p.ticks += ticks
		}
		found[id] = p
	}
	ticks := 0
	for _, p := range found {
		if p.parent == os.Getpid() || found[p.parent].parent == os.Getpid() {
			ticks += p.ticks
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
