package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestStampedVersionIsReported: a running gateway reports the version that the linker stamped, on the
// command line, to probes, to Prometheus and in traces.
func TestStampedVersionIsReported(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds a program")
	}
	build(t) // starts the warden
	const stamp = "v1.2.3-stamped"
	binary := filepath.Join(t.TempDir(), "gigagate")
	command := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-ldflags=-X main.stamped="+stamp, "-o", binary, ".")
	if text, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if text, err := exec.CommandContext(t.Context(), binary, "version").Output(); err != nil || string(text) != stamp+"\n" {
		t.Errorf("gigagate version: %q, %v", text, err)
	}

	gateway := &program{out: newWatched(), log: newWatched(), ended: make(chan struct{})}
	gateway.command = exec.CommandContext(context.Background(), binary, serveLine(t, "--sandbox")...)
	gateway.command.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=console")
	gateway.command.Stdout, gateway.command.Stderr = gateway.out, gateway.log
	gateway.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: built.warden.Process.Pid}
	if err := gateway.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(gateway.ended)
		_ = gateway.command.Wait() // its status is checked below
	}()
	t.Cleanup(gateway.kill)
	gateway.out.waitForOrLog(t, gateway, `(?m)^gigagate (`+regexp.QuoteMeta(stamp)+`), `)
	rest := gateway.out.waitForOrLog(t, gateway, `REST +(http://\S+)`)
	admin := gateway.out.waitForOrLog(t, gateway, `admin +(http://[^/\s]+)`)
	if got := get(t, admin+"/healthz").body; got != "ok "+stamp+"\n" {
		t.Errorf("/healthz: %q", got)
	}
	if got := get(t, admin+"/metrics").body; !strings.Contains(got, `service_version="`+stamp+`"`) {
		t.Errorf("/metrics does not show the version:\n%s", got)
	}
	get(t, rest+"/v1/inventory")
	gateway.signal(t, syscall.SIGTERM) // spans are exported at the end
	if status := gateway.exit(t); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if !regexp.MustCompile(`"service.version","Value":\{"Type":"STRING","Value":"` + regexp.QuoteMeta(stamp) + `"`).MatchString(gateway.out.String()) {
		t.Errorf("no span's resource has the version:\n%.2000s", gateway.out)
	}
}
