package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// startBaseline starts an older build of the gateway. It uses the default schema of a private PostgreSQL. No other
// variant uses that schema.
func startBaseline(b *testing.B, s benchServer) *benchProcess {
	b.Helper()
	p := &benchProcess{benchServer: s}
	p.process = exec.CommandContext(b.Context(), *benchBaseline, "serve", "--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0",
		"--admin-listen=127.0.0.1:0", "--journal="+s.Database.URL, "--gigastore-url="+s.Vendor, "--gigastore-client-id=bench", "--log-level=warn")
	p.process.Env = append(os.Environ(), secretVariable+"=bench")
	p.process.Stderr = &p.said
	out, err := p.process.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := p.process.Start(); err != nil {
		b.Fatal(err)
	}
	for lines := bufio.NewScanner(out); p.address == "" && lines.Scan(); { // its greeting is the first it prints
		if address, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "gRPC "); ok {
			p.address = strings.TrimSpace(address)
		}
	}
	if p.address == "" {
		p.stop(b)
		b.Fatalf("%s does not print where it serves gRPC: %s", *benchBaseline, p.said.String())
	}
	p.ready = time.Since(began)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return p
}

// measureRiver lets internal/riverbench measure River.
func (s *benchSuite) measureRiver(b *testing.B, _ benchVariant, run string) benchRun {
	b.Helper()
	world := startBenchServer(b, benchServer{Kind: "sandbox", run: run})
	defer world.stop(b)
	command := exec.CommandContext(b.Context(), s.river, "-database", s.database.URL, "-schema", s.database.Schema(b),
		"-url", "http://"+world.address+registerPath, "-token", world.token(b), "-body", vendorRequest(run),
		"-callers", fmt.Sprint(benchCallers), "-warm-up", benchWarmUp.String(), "-window", benchWindow.String())
	var said bytes.Buffer
	command.Stderr = &said
	out, err := command.Output()
	var measured struct {
		PerSecond float64 `json:"per_second"`
	}
	if err == nil {
		err = json.Unmarshal(out, &measured)
	}
	if err != nil {
		b.Fatalf("%s: %v\n%s", run, err, said.String())
	}
	return benchRun{perSecond: measured.PerSecond}
}
