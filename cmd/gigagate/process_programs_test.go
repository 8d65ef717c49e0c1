package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gigagate.internal/gigastore/sandbox"
)

// The tests in process_*_test.go run gigagate as an operator does, with real processes, files, signals and
// a real PostgreSQL server. They compare the results with the ledger of a sandbox in a separate process.

var (
	processTimes = flag.Int("process.times", 0, "how often a test under load kills, promotes, upgrades or breaks something; 0: a few times")
	processOlder = flag.String("process.older", "", "binary of the release before this tree, for the test of two releases")
	processSeed  = flag.Uint64("process.seed", 0, "seed of the random choices of the tests under load; 0: a new one each time")
)

// times returns how often a test under load repeats what it is about.
func times(usual int) int {
	switch {
	case *processTimes > 0:
		return *processTimes
	case testing.Short():
		return min(3, usual)
	}
	return usual
}

// soon bounds every wait for an expected event.
const soon = 90 * time.Second

// eventually repeats try until it succeeds.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(soon)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, soon, err)
		}
		if !pause(t.Context(), 20*time.Millisecond) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// pause waits for d, and reports whether ctx is still alive. It is only for polling and for the moments of kills.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// built is the binary under test, and the warden of all its processes.
var built struct {
	once   sync.Once
	binary string
	warden *exec.Cmd
	leash  io.Closer
	err    error
}

// build builds gigagate, once per test binary. The race detector sees nothing of that program: it runs in processes of its own,
// and is built without the detector. So with -race the test is skipped. Without -race it always runs.
func build(t testing.TB) string {
	t.Helper()
	if underRace {
		t.Skip("the race detector does not see the program that this test builds")
	}
	built.once.Do(func() {
		var folder string
		if folder, built.err = os.MkdirTemp("", "gigagate-process-"); built.err != nil { //nolint:usetesting // it outlives the test that happens to build
			return
		}
		if built.err = leashWarden(folder); built.err != nil {
			return
		}
		built.binary = filepath.Join(folder, "gigagate")
		command := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", built.binary, ".")
		if text, err := command.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, text)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.binary
}

// leashWarden starts a shell whose process group every program joins. The shell waits until its standard
// input ends. That happens when this process ends, even by a crash. Then the shell removes the binary and
// kills the whole group, including itself.
func leashWarden(folder string) error {
	built.warden = exec.CommandContext(context.Background(), "/bin/sh", "-c", `cat >/dev/null; rm -rf "$1"; kill -KILL 0`, "warden", folder)
	built.warden.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	leash, err := built.warden.StdinPipe()
	if err != nil {
		return err
	}
	built.leash = leash
	return built.warden.Start()
}

// program is gigagate in a separate process.
type program struct {
	command  *exec.Cmd
	out, log *watched
	ended    chan struct{}
}

// unwritten matches what no log may contain: the secrets of eSIMs, personal data of these tests, API keys and JWTs.
var unwritten = regexp.MustCompile(`LPA:1|https://sandbox\.invalid|203\.0\.113\.|traveller\+?[0-9]*@|a-client-secret|gg_[a-z0-9]{6,}_|eyJ[A-Za-z0-9_-]{8}`)

// launch starts gigagate with args, after the words of wrapper if there are any. At the end of the test it
// kills the process and searches its log for secrets.
func launch(t testing.TB, wrapper []string, args ...string) *program {
	t.Helper()
	line := append(append([]string{}, wrapper...), append([]string{build(t)}, args...)...)
	p := &program{out: newWatched(), log: newWatched(), ended: make(chan struct{})}
	p.command = exec.CommandContext(context.Background(), line[0], line[1:]...)
	p.command.Env = append(os.Environ(), secretVariable+"=a-client-secret")
	p.command.Stdout, p.command.Stderr = p.out, p.log
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: built.warden.Process.Pid}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.command.Wait() // tests check the exit status themselves
	}()
	t.Cleanup(func() {
		p.kill()
		if found := unwritten.FindString(p.log.String()); found != "" {
			t.Errorf("a log holds %q", found)
		}
		if strings.Contains(p.log.String(), "panic: ") {
			t.Errorf("a gigagate panicked:\n%s", p.log)
		}
	})
	return p
}

// kill is kill -9.
func (p *program) kill() {
	_ = p.command.Process.Kill()
	<-p.ended
}

func (p *program) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// exit waits for the end and returns the exit status.
func (p *program) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(soon):
		t.Fatalf("the process does not end; its log:\n%s", p.log)
	}
	return p.command.ProcessState.ExitCode()
}

// shop is a sandbox in a separate process.
type shop struct {
	*program
	url string
}

// newShop starts a sandbox with enough credit for every test. It ignores idempotency keys, so it sells once
// for each request.
func newShop(t testing.TB) *shop {
	t.Helper()
	settings := filepath.Join(t.TempDir(), "settings.json")
	if err := os.WriteFile(settings, []byte(`{"initialCredit": 10000000.00, "idempotencyKey": "ignored", "latency": "15ms"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &shop{program: launch(t, nil, "sandbox", "--sandbox-listen=127.0.0.1:0", "--sandbox-settings-file="+settings, "--log-level=error")}
	s.url = s.out.waitFor(t, s.ended, `vendor API +(http://\S+)`)[1]
	return s
}

func (s *shop) ledger(t *testing.T) sandbox.Ledger {
	t.Helper()
	var ledger sandbox.Ledger
	if err := json.Unmarshal([]byte(get(t, s.url+"/_sandbox/ledger").body), &ledger); err != nil {
		t.Fatal(err)
	}
	return ledger
}

// inject arms a fault for the next calls of path.
func (s *shop) inject(t *testing.T, path, fault string, count int, params map[string]any) {
	t.Helper()
	text, err := json.Marshal(sandbox.Fault{Path: path, Fault: fault, Count: count, Params: params})
	if err != nil {
		t.Fatal(err)
	}
	if got := post(t, s.url+"/_sandbox/faults", string(text)); got.status != http.StatusOK {
		t.Fatal(got.body)
	}
}

func (s *shop) disarm(t *testing.T) {
	t.Helper()
	do(t, http.MethodDelete, s.url+"/_sandbox/faults", "", nil)
}
